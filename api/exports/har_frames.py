"""The frames of a HAR entry: WebSocket messages, and server-sent events with their times."""

from collections.abc import Iterator

import msgspec

from addons.framing import sse
from addons.framing.codings import Decoder
from api.exports import har_heads, har_times, strings
from api.exports.captured import Captured
from storage import bodies, traffic
from storage.records import Frame, Side

_PAGE = 1000
_TEXT = 1  # opcode
HIDING = ("coded", "unscanned")  # kinds of cuts behind which the coded bytes are gone
_encode = msgspec.json.encode


def of(captured: Captured) -> Iterator[bytes]:
    """`,"_webSocketMessages":[...]` or `,"_eventSourceMessages":[...]`, else nothing."""
    if captured.entry.kind == "websocket":
        yield b',"_webSocketMessages":['
        separator = b""
        for frame in _frames(captured, _page(captured)):
            yield separator
            yield from _message(captured, frame)
            separator = b",\n"
        yield b"]"
    elif _may_have_clocked_events(captured) and (first := _page(captured)):
        yield b',"_eventSourceMessages":['
        separator = b""
        for event in _events(captured, first):
            yield separator + event
            separator = b",\n"
        yield b"]"


# --- WebSocket messages --------------------------------------------------------------------------


def _message(captured: Captured, frame: Frame) -> Iterator[bytes]:
    fields = {
        "type": "send" if frame.side == "request" else "receive",
        "time": har_times.unix_seconds(captured.entry, frame.offset_ns),
        "opcode": frame.opcode,
    }
    yield _encode(fields)[:-1] + b',"data":'
    pieces = _message_pieces(captured, frame)
    fault = yield from strings.quoted(pieces, is_text=frame.opcode == _TEXT)
    yield b"}" if fault is None else b',"_comment":' + _encode(f"damaged: {fault}") + b"}"


def _message_pieces(captured: Captured, frame: Frame) -> Iterator[bytes]:
    if frame.body is None:
        return
    view = bodies.view(captured.conn, frame.body.digest)
    if captured.is_masked:
        # Scanned whole, as the proxy does it: a message is a unit of its own.
        yield captured.message(frame.side, frame.number, view.read())
    else:
        yield from view.stream()


# --- server-sent events --------------------------------------------------------------------------


def _may_have_clocked_events(captured: Captured) -> bool:
    """
    Whether the events can be told with their times, if there are any.

    If not, the key is left out: DevTools then take the events out of the body themselves.
    """
    entry = captured.entry
    if entry.kind != "http" or not har_heads.is_event_stream(entry):
        return False
    if any(cut.part == "response-body" and cut.kind in HIDING for cut in captured.cuts):
        return False  # of text that stands beside its chunks their places are not known
    return Decoder(_coding(captured)).known


def _events(captured: Captured, first: list[Frame]) -> Iterator[bytes]:
    decoder, events = Decoder(_coding(captured)), sse.Decoder()
    offset_ns = 0
    try:
        for offset_ns, chunk in _chunks(captured, first):
            for event in events.feed(decoder.feed(chunk)):
                yield _event(captured, offset_ns, event)
    except strings.UNREADABLE:
        return  # the body itself says that it is damaged
    for event in events.finish():
        yield _event(captured, offset_ns, event)


def _event(captured: Captured, offset_ns: int, event: sse.Event) -> bytes:
    return _encode(
        {
            "time": har_times.unix_seconds(captured.entry, offset_ns),
            "eventName": event.name,
            "eventId": event.id or "",
            "data": captured.event(event.data),
        }
    )


def _chunks(captured: Captured, first: list[Frame]) -> Iterator[tuple[int, bytes]]:
    """The chunks of the answer with their times, going through its body once."""
    stream = captured.body("response").stream()
    held, at = b"", 0
    for frame in _frames(captured, first):
        while len(held) - at < frame.size_bytes and (block := next(stream, None)) is not None:
            held, at = held[at:] + block, 0
        yield frame.offset_ns, held[at : at + frame.size_bytes]
        at += frame.size_bytes


def _coding(captured: Captured) -> bytes | None:
    return har_heads.joined(captured.entry.response_headers or (), b"content-encoding")


def _frames(captured: Captured, page: list[Frame]) -> Iterator[Frame]:
    """All frames; `page` holds the first of them."""
    while page:
        yield from page
        page = _page(captured, page[-1].number) if len(page) == _PAGE else []


def _page(captured: Captured, after: int | None = None) -> list[Frame]:
    entry = captured.entry
    side: Side | None = None if entry.kind == "websocket" else "response"
    return traffic.frames(captured.conn, entry.id, side=side, after=after, limit=_PAGE)
