"""The server's side of a WebSocket: wsproto's frames on the provider's connection."""

import base64
import hashlib
from collections.abc import AsyncIterator

from wsproto import ConnectionType
from wsproto.connection import Connection as Frames
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, TextMessage
from wsproto.extensions import Extension, PerMessageDeflate

from .records import Exchange, Headers, now_ns
from .records import Message as Recorded
from .wire import ClientLeft, Connection

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


class SocketClosed(Exception):
    """The client closed: `code` 1006 if it did so without a close frame."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


def accept_headers(exchange: Exchange, deflate: bool) -> tuple[Headers, Extension | None]:
    """The headers of the 101, and permessage-deflate if the client offers it."""
    key = exchange.header("sec-websocket-key")
    if (exchange.header("upgrade") or "").lower() != "websocket" or key is None:
        raise ValueError("this request is no WebSocket handshake")
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()
    headers = [("upgrade", "websocket"), ("connection", "Upgrade")]
    headers.append(("sec-websocket-accept", accept))
    offer = _deflate_offer(exchange.header("sec-websocket-extensions")) if deflate else None
    if offer is None:
        return headers, None
    extension = PerMessageDeflate()
    terms = extension.accept(offer)
    if not isinstance(terms, str):
        return headers, None
    value = f"permessage-deflate; {terms}" if terms else "permessage-deflate"
    return [*headers, ("sec-websocket-extensions", value)], extension


def _deflate_offer(header: str | None) -> str | None:
    offers = [offer.strip() for offer in (header or "").split(",")]
    return next((offer for offer in offers if offer.startswith("permessage-deflate")), None)


class WebSocket:
    """Whole messages both ways, recorded in the exchange. Pings are answered by `receive`."""

    def __init__(
        self, connection: Connection, exchange: Exchange, extension: Extension | None
    ) -> None:
        self._connection = connection
        self._exchange = exchange
        extensions = [extension] if extension else []
        self._frames = Frames(ConnectionType.SERVER, extensions, connection.take_over())
        self._events = self._frames.events()
        self._parts: list[str | bytes] = []

    async def receive(self) -> str | bytes:
        """The next message; raises SocketClosed when the client closes or is gone."""
        while True:
            for event in self._events:
                message = await self._take(event)
                if message is not None:
                    return message
            try:
                data = await self._connection.read()
            except ClientLeft:
                data = b""
            if not data:
                self._end("client_left")
                raise SocketClosed(1006, "no close frame")
            self._frames.receive_data(data)
            self._events = self._frames.events()

    async def _take(self, event: object) -> str | bytes | None:
        if isinstance(event, Ping):
            await self._connection.write(self._frames.send(event.response()))
        elif isinstance(event, CloseConnection):
            await self._connection.write(self._frames.send(event.response()))
            self._end("complete")
            raise SocketClosed(event.code, event.reason or "")
        elif isinstance(event, Message):
            data = event.data
            self._parts.append(data if isinstance(data, str) else bytes(data))
            if event.message_finished:
                return self._whole()
        return None

    def _whole(self) -> str | bytes:
        parts, self._parts = self._parts, []
        message = "".join(parts) if isinstance(parts[0], str) else b"".join(parts)  # type: ignore[arg-type]
        self._record(message, from_client=True)
        return message

    def _record(self, message: str | bytes, *, from_client: bool) -> None:
        recorded = Recorded(at_ns=now_ns(), from_client=from_client, data=message)
        self._exchange.messages.append(recorded)

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Messages until the client closes."""
        while True:
            try:
                yield await self.receive()
            except SocketClosed:
                return

    async def send(self, message: str | bytes, *, fragments: int = 1) -> None:
        """One message, cut into that many frames."""
        self._record(message, from_client=False)
        step = max(1, -(-len(message) // fragments))
        pieces = [message[at : at + step] for at in range(0, len(message), step)] or [message]
        for index, piece in enumerate(pieces):
            last = index == len(pieces) - 1
            event = (
                TextMessage(data=piece, message_finished=last)
                if isinstance(piece, str)
                else BytesMessage(data=piece, message_finished=last)
            )
            await self._connection.write(self._frames.send(event))

    async def ping(self, payload: bytes = b"") -> None:
        await self._connection.write(self._frames.send(Ping(payload=payload)))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame and wait for the client's."""
        await self._connection.write(self._frames.send(CloseConnection(code, reason)))
        async for _ in self._until_closed():
            pass
        self._end("complete")

    async def _until_closed(self) -> AsyncIterator[bytes]:
        while data := await self._connection.read():
            self._frames.receive_data(data)
            if any(isinstance(event, CloseConnection) for event in self._frames.events()):
                return
            yield data

    async def reset(self) -> None:
        """An RST, with no close frame."""
        self._connection.reset()
        self._end("reset")

    async def cut(self) -> None:
        """A FIN, with no close frame."""
        self._end("cut")
        await self._connection.close()

    def _end(self, outcome: str) -> None:
        if self._exchange.outcome is None:
            self._exchange.outcome = outcome
            self._exchange.ended_ns = now_ns()
