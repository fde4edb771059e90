"""How a handler answers: head, chunks, end, or any way of not ending. See the package docs."""

from email.utils import formatdate
from http import HTTPStatus

import msgspec

from .records import Chunk, Exchange, Headers, now_ns
from .websocket import WebSocket, accept_headers
from .wire import Connection

_NO_BODY = (204, 304)


class Reply:
    """One answer. Every method flushes: it returns when the kernel has the bytes."""

    def __init__(self, connection: Connection, exchange: Exchange) -> None:
        self._connection = connection
        self._exchange = exchange
        self._chunked = False
        self._bodiless = False
        self.keep_alive = (exchange.header("connection") or "").lower() != "close"
        self.started = False
        self.ended = False

    async def interim(self, status: int = 103, headers: Headers | None = None) -> None:
        """An informational answer (1xx) before the real head."""
        self._exchange.interim.append(status)
        await self._connection.write(_head(status, headers or []))

    async def head(
        self, status: int = 200, headers: Headers | None = None, *, date: bool = True
    ) -> None:
        """
        Status line and headers, in the given order, spelling and repetition.

        The framing follows the headers: `content-length` is yours to keep; a
        `transfer-encoding` or `connection: close` of yours is taken as it stands; otherwise
        `transfer-encoding: chunked` is added (not for 1xx, 204, 304 and HEAD).
        """
        headers = list(headers or [])
        names = {name.lower(): value.lower() for name, value in headers}
        self.started = True
        if date and "date" not in names:
            headers.append(("date", formatdate(usegmt=True)))
        bodiless = status in _NO_BODY or status < 200 or self._exchange.method == "HEAD"
        self._bodiless = bodiless
        if names.get("connection") == "close":
            self.keep_alive = False
        elif not bodiless and not {"content-length", "transfer-encoding"} & names.keys():
            headers.append(("transfer-encoding", "chunked"))
            names["transfer-encoding"] = "chunked"
        self._chunked = not bodiless and names.get("transfer-encoding") == "chunked"
        self._exchange.status = status
        self._exchange.reply_headers = headers
        self._exchange.reply_head_ns = now_ns()
        await self._connection.write(_head(status, headers))

    async def chunk(self, data: bytes) -> None:
        """
        Body bytes, recorded with their time: one HTTP chunk, one flush.

        Nothing is sent if `data` is empty, or if the answer can have no body (HEAD, 204, 304).
        """
        if not data or self._bodiless:
            return
        self._exchange.reply_chunks.append(Chunk(at_ns=now_ns(), data=data))
        await self._connection.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    async def end(self, trailers: Headers | None = None) -> None:
        """The body is whole. Trailers are possible with chunked framing only."""
        if self._chunked:
            await self._connection.write(b"0\r\n" + _lines(trailers or []) + b"\r\n")
        self._finish("complete")

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Head with content-length, body, end."""
        await self.head(status, [*headers, ("content-length", str(len(body)))])
        await self.chunk(body)
        await self.end()

    async def json(self, value: object, status: int = 200, headers: Headers | None = None) -> None:
        """A JSON answer in one piece."""
        content_type = ("content-type", "application/json; charset=utf-8")
        await self.whole(status, [content_type, *(headers or [])], msgspec.json.encode(value))

    async def sse(self, data: str, event: str | None = None) -> None:
        """One server-sent event as one chunk (after a head with `text/event-stream`)."""
        name = f"event: {event}\n" if event else ""
        lines = "".join(f"data: {line}\n" for line in data.split("\n"))
        await self.chunk(f"{name}{lines}\n".encode())

    async def raw(self, data: bytes) -> None:
        """Bytes to the socket as they are, in no record: broken heads, broken chunk sizes."""
        self.started = True
        await self._connection.write(data)

    async def cut(self) -> None:
        """Close with a FIN where it stands: the body stays half."""
        self.keep_alive = False
        self._finish("cut")

    async def reset(self) -> None:
        """Close with an RST where it stands."""
        self.keep_alive = False
        self._connection.reset()
        self._finish("reset")

    async def client_gone(self) -> None:
        """Wait until the client has closed its side of the connection."""
        await self._connection.wait_gone()
        self.keep_alive = False
        self._finish("client_left")

    async def websocket(self, headers: Headers | None = None, *, deflate: bool = True) -> WebSocket:
        """
        Accept the upgrade (101) and hand out the socket. `deflate=False` refuses compression.

        Raises ValueError if the request is no WebSocket handshake.
        """
        answer, extension = accept_headers(self._exchange, deflate)
        self.keep_alive = False
        await self.head(101, [*(headers or []), *answer])
        return WebSocket(self._connection, self._exchange, extension)

    def _finish(self, outcome: str) -> None:
        self.ended = True
        finish(self._exchange, outcome)


def finish(exchange: Exchange, outcome: str) -> None:
    """Set how the exchange ended, unless that is known already."""
    if exchange.outcome is None:
        exchange.outcome = outcome
        exchange.ended_ns = now_ns()


def _head(status: int, headers: Headers) -> bytes:
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Scripted" if status != 529 else "Overloaded"
    return f"HTTP/1.1 {status} {reason}\r\n".encode() + _lines(headers) + b"\r\n"


def _lines(headers: Headers) -> bytes:
    return b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in headers)
