"""The frames of a HAR entry: WebSocket messages, and server-sent events with their times."""

import base64
import sqlite3
from collections.abc import Iterator

import msgspec

from addons.framing import sse
from addons.framing.codings import Decoder
from storage import bodies, traffic
from storage.errors import StoreError
from storage.records import Entry, Frame

_PAGE = 1000
_encode = msgspec.json.encode


def of(conn: sqlite3.Connection, entry: Entry) -> Iterator[bytes]:
    """`,"_webSocketMessages":[...]` or `,"_eventSourceMessages":[...]`, else nothing."""
    if entry.kind == "websocket":
        yield b',"_webSocketMessages":['
        yield from _joined(_message(conn, entry, frame) for frame in _frames(conn, entry))
        yield b"]"
    elif _is_event_stream(entry) and entry.response_decoded is None:
        # Of a stream that is kept as decoded text the chunks' places are not known.
        yield b',"_eventSourceMessages":['
        yield from _joined(_events(conn, entry))
        yield b"]"


def _message(conn: sqlite3.Connection, entry: Entry, frame: Frame) -> bytes:
    fields: dict[str, object] = {
        "type": "send" if frame.side == "request" else "receive",
        "time": _seconds(entry, frame.offset_ns),
        "opcode": frame.opcode,
    }
    try:
        data = bodies.view(conn, frame.body.digest).read() if frame.body else b""
    except StoreError as error:
        return _encode({**fields, "data": "", "_comment": f"damaged, left out: {error}"})
    if frame.opcode == 1:
        fields["data"] = data.decode(errors="replace")
    else:
        fields["data"] = base64.b64encode(data).decode()
    return _encode(fields)


def _events(conn: sqlite3.Connection, entry: Entry) -> Iterator[bytes]:
    headers = entry.response_headers or ()
    coding = b", ".join(v for k, v in headers if k.lower() == b"content-encoding")
    decoder, events = Decoder(coding), sse.Decoder()
    offset_ns = 0
    try:
        for offset_ns, chunk in _chunks(conn, entry):
            for event in events.feed(decoder.feed(chunk)):
                yield _event(entry, offset_ns, event)
    except StoreError:
        return  # the body itself says that it is damaged
    for event in events.finish():
        yield _event(entry, offset_ns, event)


def _event(entry: Entry, offset_ns: int, event: sse.Event) -> bytes:
    return _encode(
        {
            "time": _seconds(entry, offset_ns),
            "eventName": event.name,
            "eventId": event.id or "",
            "data": event.data,
        }
    )


def _chunks(conn: sqlite3.Connection, entry: Entry) -> Iterator[tuple[int, bytes]]:
    """The chunks of the answer with their times, going through its body once."""
    stream = traffic.body(conn, entry, "response").stream()
    held, at = b"", 0
    for frame in _frames(conn, entry):
        while len(held) - at < frame.size_bytes:
            block = next(stream, None)
            if block is None:
                break
            held, at = held[at:] + block, 0
        yield frame.offset_ns, held[at : at + frame.size_bytes]
        at += frame.size_bytes


def _frames(conn: sqlite3.Connection, entry: Entry) -> Iterator[Frame]:
    after: int | None = None
    side = None if entry.kind == "websocket" else "response"
    while True:
        page = traffic.frames(conn, entry.id, side=side, after=after, limit=_PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].number


def _joined(items: Iterator[bytes]) -> Iterator[bytes]:
    separator = b""
    for item in items:
        yield separator + item
        separator = b","


def _is_event_stream(entry: Entry) -> bool:
    values = (v for k, v in entry.response_headers or () if k.lower() == b"content-type")
    return next(values, b"").lower().startswith(b"text/event-stream")


def _seconds(entry: Entry, offset_ns: int) -> float:
    return (entry.started_ns + offset_ns) / 1e9
