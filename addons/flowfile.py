"""
mitmproxy's flow files as entries: HTTP, WebSocket, and TCP as a tunnel.

mitmproxy reads them itself and migrates old ones. The format holds one tnetstring per flow, in the
order in which the flows were completed. It has no chunk clock; a recorder that wants one puts a
list of [Unix seconds, bytes] into the flow's metadata as `chunk_times`, and that is taken up.
"""

import gc
import io
import itertools
import mmap
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from mitmproxy import flow, http, tcp
from mitmproxy.io import FlowReader

from addons import endings
from addons.entrylog import Closing
from addons.importing.exchange import (
    LONGEST_NS,
    Broken,
    Exchange,
    Half,
    Item,
    Message,
    Passed,
    Piece,
    sound,
)
from addons.importing.writing import BODY_BYTES
from addons.visits import shown
from storage.records import ConnectionTimes, EntryOpened, Gap, Outcome, ResponseHead

FLOW_BYTES = 2 * BODY_BYTES + (16 << 20)  # of one flow in the file; it is parsed as a whole

_CLIENT_LEFT = ("Client disconnected.", "EOF")
_CHUNK_TIMES = "chunk_times"
_LARGE_BYTES = 16 << 20
_LENGTH = re.compile(rb"([0-9]{1,12}):")
_SAID_BYTES = 200  # of what mitmproxy says of a flow that it cannot read


class FlowFile:
    """A flow file on disk; see `addons.importing.exchange.Source`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def items(self) -> Iterator[Item]:
        with self._path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        window = _Window(mapped)
        number = 0
        while window.at < window.size:
            begun = window.at
            try:
                item = _item(window, number)
            except _TooLongError:
                yield Broken(
                    at_bytes=begun,
                    reason=f"flow {number + 1} says that it is longer than {FLOW_BYTES >> 20} MB",
                )
                return
            except Exception as error:  # noqa: BLE001 - the file may hold anything
                end = window.end_of(begun)
                if end is None:
                    yield Broken(at_bytes=begun, reason=f"flow {number + 1} is cut off or damaged")
                    return
                window.at = end
                item = _passed(window, number, error)
            yield item
            del item
            if window.at - begun > _LARGE_BYTES:
                # mitmproxy leaves flows in cycles, so two large ones would be in memory at once.
                gc.collect()
            number += 1


class _TooLongError(Exception):
    """A flow beyond FLOW_BYTES."""


class _Window(io.RawIOBase):
    """The file as mitmproxy's reader wants it; a long read is a view and copies nothing."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self._view = memoryview(mapped)
        self.at = 0
        self.size = len(mapped)

    def read(self, size: int = -1) -> Any:
        if size > FLOW_BYTES:
            raise _TooLongError
        found = self._view[self.at : self.at + size]
        self.at += len(found)
        return bytes(found) if size == 1 else found

    def end_of(self, begun: int) -> int | None:
        """Where the flow that begins here ends by its own length; None if that cannot be."""
        found = _LENGTH.match(self._view, begun)
        end = 0 if found is None else found.end() + int(found[1]) + 1
        return end if 0 < end <= self.size and self._view[end - 1] == ord("}") else None

    def peek(self, size: int) -> bytes:
        return bytes(self._view[self.at : self.at + size])


def _item(window: _Window, number: int) -> Item:
    found = next(iter(FlowReader(window).stream()))  # type: ignore[arg-type]
    if isinstance(found, http.HTTPFlow):
        return sound(_http(found, number, window.at))
    if isinstance(found, tcp.TCPFlow):
        return sound(_tcp(found, number, window.at))
    return Passed(number=number, at_bytes=window.at, reason=f"{found.type} is not recorded")


def _passed(window: _Window, number: int, error: Exception) -> Passed:
    said = str(error)[:_SAID_BYTES] or type(error).__name__
    return Passed(number=number, at_bytes=window.at, reason=f"mitmproxy cannot read it: {said}")


# --- HTTP and WebSocket --------------------------------------------------------------------------


def _http(found: http.HTTPFlow, number: int, at_bytes: int) -> Exchange:
    request, response, socket = found.request, found.response, found.websocket
    started_ns = _ns(request.timestamp_start)
    is_socket = socket is not None
    opened = EntryOpened(
        kind="websocket" if is_socket else "http",
        way="import",
        started_ns=started_ns,
        session=None,
        client=shown(found.client_conn.peername) or "",
        method=request.method,
        scheme=request.scheme,
        host=request.host,
        port=request.port,
        target=request.data.path,
        http_version=request.http_version,
        headers=request.headers.fields,
    )
    messages = [] if socket is None else list(_messages(socket, started_ns))
    ended_ns = _offset(request.timestamp_end, started_ns)
    return Exchange(
        number=number,
        at_bytes=at_bytes,
        opened=opened,
        request=_half(request, (), started_ns, ended_ns),
        answered_ns=None if response is None else _offset(response.timestamp_start, started_ns),
        head=None if response is None else _head(response),
        response=Half() if response is None or is_socket else _answer(found, response, started_ns),
        messages=messages,
        gaps=_gaps(found),
        closed_ns=_closed_ns(found, started_ns, messages),
        closing=_closing(found, started_ns),
    )


def _head(response: http.Response) -> ResponseHead:
    return ResponseHead(
        status=response.status_code,
        reason=response.data.reason,
        http_version=response.http_version,
        headers=response.headers.fields,
    )


def _answer(found: http.HTTPFlow, response: http.Response, started_ns: int) -> Half:
    ended_ns = None if found.error else _offset(response.timestamp_end, started_ns)
    return _half(response, found.metadata.get(_CHUNK_TIMES, ()), started_ns, ended_ns)


def _half(message: http.Message, clock: Any, started_ns: int, ended_ns: int | None) -> Half:
    body = message.raw_content
    if body is None:
        return Half(ended_ns=None)
    return Half(pieces=_pieces(body, clock, started_ns), ended_ns=ended_ns)


def _pieces(body: bytes, clock: Any, started_ns: int) -> Iterable[Piece]:
    """The chunks of a body, where a clock fits it; else all of it, at a time unknown."""
    try:
        ticks = msgspec.convert(clock, list[tuple[float, int]])
    except msgspec.ValidationError:
        ticks = []
    if sum(size for _, size in ticks) != len(body) or any(size < 0 for _, size in ticks):
        return [Piece(body, None)]
    moments = itertools.accumulate((_offset(at, started_ns) or 0 for at, _ in ticks), max)
    return _clocked(body, list(zip(moments, (size for _, size in ticks), strict=True)))


def _clocked(body: bytes, ticks: list[tuple[int, int]]) -> Iterator[Piece]:
    at = 0
    for offset_ns, size in ticks:
        yield Piece(body[at : at + size], offset_ns)
        at += size


def _messages(socket: Any, started_ns: int) -> Iterator[Message]:
    offset_ns = 0
    for message in socket.messages:
        offset_ns = max(offset_ns, _offset(message.timestamp, started_ns) or 0)
        data = msgspec.convert(message.content, bytes)
        yield Message(offset_ns, bool(message.from_client), int(message.type), data)


def _gaps(found: http.HTTPFlow) -> tuple[Gap, ...]:
    """Bodies that mitmproxy passed on without keeping them."""
    sides = (("request", found.request), ("response", found.response))
    return tuple(
        Gap(reason="not_in_file", detail=f"the {side}'s body is not in the file")
        for side, message in sides
        if message is not None and message.raw_content is None and found.websocket is None
    )


def _closed_ns(found: http.HTTPFlow, started_ns: int, messages: list[Message]) -> int:
    """Its end, or the last that is known of it."""
    response, socket = found.response, found.websocket
    moments = [
        found.request.timestamp_end,
        response and response.timestamp_start,
        response and response.timestamp_end,
        found.error and found.error.timestamp,
        socket and socket.timestamp_end,
    ]
    known = [_offset(moment, started_ns) or 0 for moment in moments if moment]
    return max([0, *known, *(message.offset_ns for message in messages)])


# --- the end -------------------------------------------------------------------------------------


def _closing(found: http.HTTPFlow, started_ns: int) -> Closing:
    socket, server = found.websocket, found.server_conn
    return Closing(
        outcome=_outcome(found),
        error=endings.words(found.error.msg) if found.error else None,
        connection=_connection(found, started_ns),
        server=shown(server.peername),
        tls_version=server.tls_version,
        close_code=None if socket is None else socket.close_code,
        close_reason=None if socket is None else socket.close_reason or None,
    )


def _outcome(found: http.HTTPFlow) -> Outcome:
    response, socket = found.response, found.websocket
    if found.error:
        return endings.outcome(_ending(found, found.error.msg))
    if socket is not None and socket.timestamp_end is not None:
        return endings.socket_outcome(
            socket.close_code, _ending(found, "", client_left=bool(socket.closed_by_client))
        )
    if socket is None and response is not None and response.timestamp_end is not None:
        return "complete"
    return "proxy_killed"  # mitmproxy ended and saved it as it was


def _ending(found: flow.Flow, error: str, *, client_left: bool | None = None) -> endings.Ending:
    if client_left is None:
        client_left = error.startswith(_CLIENT_LEFT) or error == flow.Error.KILLED_MESSAGE
    return endings.Ending(
        error=error,
        client_left=client_left,
        client_is_http2=found.client_conn.alpn == b"h2",
        tls_failed=found.server_conn.error is not None
        and found.server_conn.timestamp_tcp_setup is not None
        and found.server_conn.timestamp_tls_setup is None
        and found.server_conn.tls,
    )


def _connection(found: flow.Flow, started_ns: int) -> ConnectionTimes:
    server = found.server_conn
    if server.timestamp_start is None:
        return ConnectionTimes()
    if _ns(server.timestamp_start) < started_ns:
        return ConnectionTimes(reused=True)
    return ConnectionTimes(
        connect_started_ns=_offset(server.timestamp_start, started_ns),
        connected_ns=_offset(server.timestamp_tcp_setup, started_ns),
        tls_done_ns=_offset(server.timestamp_tls_setup, started_ns),
    )


# --- TCP -----------------------------------------------------------------------------------------


def _tcp(found: tcp.TCPFlow, number: int, at_bytes: int) -> Exchange:
    """As a tunnel is recorded: who, when and how much, without the bytes."""
    started_ns = _ns(found.timestamp_created)
    host, port = (found.server_conn.address or found.server_conn.peername or ("", 0))[:2]
    sent = sum(len(message.content) for message in found.messages if message.from_client)
    total = sum(len(message.content) for message in found.messages)
    moments = [message.timestamp for message in found.messages]
    ended = found.server_conn.timestamp_end or found.client_conn.timestamp_end
    last_ns = max([0, *(_offset(moment, started_ns) or 0 for moment in (*moments, ended or 0))])
    error = found.error.msg if found.error else None
    return Exchange(
        number=number,
        at_bytes=at_bytes,
        opened=EntryOpened(
            kind="tunnel",
            way="import",
            started_ns=started_ns,
            session=None,
            client=shown(found.client_conn.peername) or "",
            method="CONNECT",
            scheme="",
            host=host,
            port=port,
        ),
        closed_ns=last_ns,
        closing=Closing(
            outcome=endings.outcome(_ending(found, error)) if error else "complete",
            error=endings.words(error) if error else None,
            connection=_connection(found, started_ns),
            server=shown(found.server_conn.peername),
            tls_version=found.server_conn.tls_version,
            tunnelled=(sent, total - sent),
        ),
    )


# --- times ---------------------------------------------------------------------------------------


def _ns(unix_seconds: float) -> int:
    # Microseconds are what a float of this size holds.
    return round(unix_seconds * 1e6) * 1000


def _offset(unix_seconds: float | None, started_ns: int) -> int | None:
    if unix_seconds is None:
        return None
    return min(max(_ns(unix_seconds) - started_ns, 0), LONGEST_NS)
