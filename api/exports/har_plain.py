"""
An entry of which nothing is odd, made in one go: both bodies are in memory, plain UTF-8, and the
export cuts nothing in them.

That are nearly all. What is written is the same as what the other modules write piece by piece.
"""

from typing import Any, NamedTuple

from addons.framing import sse
from api.exports import har_frames, har_heads, har_times
from api.exports.captured import Mask
from storage.batches import Batch
from storage.records import Body, Cut, Entry, Headers

_AT_ONCE_BYTES = 1 << 19


class Plain(NamedTuple):
    """An entry as it is shown, its cuts, and what HAR has of `request`, `response` and events."""

    entry: Entry
    cuts: list[Cut]
    fields: dict[str, object]


def entry(entry: Entry, batch: Batch, mask: Mask | None) -> Plain | None:
    """None if it is not one of these."""
    cuts = batch.cuts.get(entry.id, [])
    if not _is_plain(entry) or any(cut.kind in har_frames.HIDING for cut in cuts):
        return None
    asked, answered = _data(entry.request_body, batch), _data(entry.response_body, batch)
    chunks = batch.clocks.get(entry.id, [])
    if asked is None or answered is None or chunks is None:
        return None
    if mask:
        cuts, original = [*cuts], entry
        entry = mask.heads(original, cuts)
        # Behind its heads: their secrets may be new, or forgotten again since they were learnt.
        if not mask.passes(original, (asked, answered)):
            return None
    try:
        request, content = _request(entry, asked), _content(entry, answered)
    except UnicodeDecodeError:
        return None
    response = har_heads.response(entry)
    response["content"] = content
    found: dict[str, object] = {"request": request, "response": response}
    if chunks and har_heads.is_event_stream(entry):
        found["_eventSourceMessages"] = events = _events(entry, answered, chunks)
        # What stands in several lines of the body was not looked into as a whole.
        if mask and any("\n" in event["data"] for event in events):
            return None
    return Plain(entry, cuts, found)


def _is_plain(entry: Entry) -> bool:
    return (
        entry.kind == "http"
        and entry.outcome is not None
        and entry.request_decoded is None
        and entry.response_decoded is None
        and entry.request_bytes + entry.response_bytes <= _AT_ONCE_BYTES
        and not _is_coded(entry.request_headers)
        and not _is_coded(entry.response_headers or ())
    )


def _is_coded(headers: Headers) -> bool:
    return any(len(name) == 16 and name.lower() == b"content-encoding" for name, _ in headers)


def _data(body: Body | None, batch: Batch) -> bytes | None:
    """None: it was not read."""
    return b"" if body is None else batch.bodies.get(body.digest)


def _request(entry: Entry, data: bytes) -> dict[str, object]:
    request = har_heads.request(entry)
    if data:
        mime_type = har_heads.mime_type(entry.request_headers) or ""
        request["postData"] = {"mimeType": mime_type, "text": data.decode()}
    return request


def _content(entry: Entry, data: bytes) -> dict[str, object]:
    mime_type = har_heads.content_type(entry)
    return {"mimeType": mime_type, "size": len(data), "text": data.decode()}


def _events(entry: Entry, data: bytes, chunks: list[tuple[int, int]]) -> list[dict[str, Any]]:
    decoder = sse.Decoder()
    found: list[dict[str, Any]] = []
    at = offset_ns = 0
    for offset_ns, size_bytes in chunks:
        if events := decoder.feed(data[at : at + size_bytes]):
            time = har_times.unix_seconds(entry, offset_ns)
            found += [_event(time, event) for event in events]
        at += size_bytes
    time = har_times.unix_seconds(entry, offset_ns)
    found += [_event(time, event) for event in decoder.finish()]
    return found


def _event(time: float, event: sse.Event) -> dict[str, Any]:
    return {"time": time, "eventName": event.name, "eventId": event.id or "", "data": event.data}
