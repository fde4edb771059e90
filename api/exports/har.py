"""
A session as HAR 1.2, streamed: one entry at a time, a long body in pieces, memory flat.

Source: http://www.softwareishard.com/blog/har-12-spec/ (read 2026-11). Beyond it, what Chrome's
DevTools write and read: `_resourceType`, `_transferSize`, `_error`, `_webSocketMessages`,
`_eventSourceMessages`, and our own: `_id`, `_kind`, `_way`, `_outcome`, `_marks`, `_continues`,
`_tunnel`, `_close`, `_cuts`, `_gaps`.

Entries stand oldest first. A text is UTF-8 that decodes; everything else is base64. Bodies stand
as they were before content coding, as HAR wants it; `bodySize` and `_transferSize` are what
crossed the wire. A WebSocket's messages are in `_webSocketMessages` alone. A tunnel is a CONNECT
without body. What is damaged in the store, or deleted while it is read, is left out and said so
in a `comment`; the rest of the export goes on and the JSON stays whole. Entries that are deleted
before their turn comes are not in it, those that come meanwhile are. If the whole session goes, the
document says so at its end.
"""

import importlib.metadata
import sqlite3
from collections.abc import Iterator

import msgspec

from addons.redaction import Redactor
from api.exports import har_bodies, har_frames, har_heads, har_plain, har_times
from api.exports.captured import Captured, Mask
from storage import batches, database, sessions, traffic
from storage.batches import Batch
from storage.errors import NotFound
from storage.records import Cut, Entry, Gap, Session

_GATHERED_BYTES = 1 << 18
_SMALL_BYTES = 1 << 18  # bodies of an entry that is made inside of one snapshot
_DELETED = "the session was deleted while it was exported: its later entries are missing"
_encode = msgspec.json.encode


def export(
    conn: sqlite3.Connection, session: Session, *, redactor: Redactor | None = None
) -> Iterator[bytes]:
    """
    The whole document in pieces of UTF-8 JSON, some 256 KB each.

    With a `redactor` of its own the export cuts credentials that the store was told to keep: what
    any head of the session holds is cut wherever it stands.
    """
    mask = Mask(redactor) if redactor is not None and redactor.enabled else None
    if mask:
        mask.learn(conn, traffic.each(conn, session.id))
    return _gathered(_document(conn, session, mask))


def _document(conn: sqlite3.Connection, session: Session, mask: Mask | None) -> Iterator[bytes]:
    creator = {"name": "Wirescribe", "version": importlib.metadata.version("wirescribe")}
    yield b'{"log":{"version":"1.2","creator":' + _encode(creator)
    yield b',"_session":' + _encode({"id": session.id, "name": session.name})
    yield b',"pages":[],"entries":['
    separator = b"\n"
    for batch in batches.each(conn, session.id):
        for entry in batch.entries:
            yield separator
            yield from _any(conn, entry, mask, batch)
            separator = b",\n"
    yield b"]" + _end(conn, session.id) + b"}}\n"


def _end(conn: sqlite3.Connection, session_id: str) -> bytes:
    try:
        sessions.get(conn, session_id)
    except NotFound:
        return b',"comment":' + _encode(_DELETED)
    return b""


def _any(
    conn: sqlite3.Connection, entry: Entry, mask: Mask | None, batch: Batch
) -> Iterator[bytes]:
    plain = har_plain.entry(entry, batch, mask)
    if plain is not None:
        whole = _head(plain.entry) | plain.fields
        if plain.cuts:
            whole["_cuts"] = [_cut(cut) for cut in plain.cuts]
        if entry.id in batch.gapped and (gaps := traffic.gaps(conn, entry.id)):
            whole["_gaps"] = [_gap(gap) for gap in gaps]
        yield _encode(whole)
    elif _is_small(entry):
        # A statement that takes no lock of its own costs a third less. Nothing is given out
        # meanwhile: a client that reads slowly would keep the snapshot open.
        with database.snapshot(conn):
            made = b"".join(_entry(Captured(conn, entry, mask, batch)))
        yield made
    else:
        yield from _entry(Captured(conn, entry, mask, batch))


def _is_small(entry: Entry) -> bool:
    """Whether it takes little memory, however its bodies are coded."""
    heads = (*entry.request_headers, *(entry.response_headers or ()))
    is_coded = any(name.lower() == b"content-encoding" for name, _ in heads)
    return not is_coded and entry.request_bytes + entry.response_bytes <= _SMALL_BYTES


def _entry(captured: Captured) -> Iterator[bytes]:
    # Heads are small and made whole; the two bodies are spliced in, for they may be long.
    entry = captured.entry
    yield _open_object(_head(entry)) + b',"request":' + _open_object(har_heads.request(entry))
    yield from har_bodies.request(captured)
    yield b'},"response":' + _open_object(har_heads.response(entry))
    yield from har_bodies.response(captured)
    yield b"}"
    yield from har_frames.of(captured)
    # The last, for an export that cuts finds more of them on its way through the bodies.
    if captured.cuts:
        yield b',"_cuts":' + _encode([_cut(cut) for cut in captured.cuts])
    if gaps := captured.gaps():
        yield b',"_gaps":' + _encode([_gap(gap) for gap in gaps])
    yield b"}"


def _head(entry: Entry) -> dict[str, object]:
    timings, total_ms = har_times.timings(entry)
    return {
        "startedDateTime": har_times.iso(entry.started_ns),
        "time": total_ms,
        "timings": timings,
        "cache": {},
        **_server(entry),
        **_own(entry),
    }


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    # Whoever sends them pays for each one.
    held: list[bytes] = []
    held_bytes = 0
    for piece in pieces:
        held.append(piece)
        held_bytes += len(piece)
        if held_bytes >= _GATHERED_BYTES:
            yield b"".join(held)
            held, held_bytes = [], 0
    yield b"".join(held)


def _server(entry: Entry) -> dict[str, object]:
    if not entry.server:
        return {}
    host, _, port = entry.server.rpartition(":")
    # As DevTools do: `connection` is the port on the server's side.
    return {"serverIPAddress": host.strip("[]"), "connection": port}


def _own(entry: Entry) -> dict[str, object]:
    own: dict[str, object] = {
        "_id": entry.id,
        "_kind": entry.kind,
        "_way": entry.way,
        "_outcome": entry.outcome,  # null: still open
        "_resourceType": har_heads.resource_type(entry),
    }
    if entry.marks:
        own["_marks"] = entry.marks
    if entry.continues:
        own["_continues"] = entry.continues
    if entry.close_code is not None:
        own["_close"] = {"code": entry.close_code, "reason": entry.close_reason}
    if entry.kind == "tunnel":
        own["_tunnel"] = {"sentBytes": entry.request_bytes, "receivedBytes": entry.response_bytes}
        own["comment"] = "Passed through undecrypted: only its size and times are known."
    return own


def _cut(cut: Cut) -> dict[str, object]:
    return {
        "part": cut.part,
        "name": cut.name,
        "index": cut.index,
        "offsetBytes": cut.offset_bytes,
        "lengthBytes": cut.length_bytes,
        "kind": cut.kind,
        "hmac": cut.hmac,
    }


def _gap(gap: Gap) -> dict[str, object]:
    return {
        "reason": gap.reason,
        "records": gap.records,
        "sizeBytes": gap.size_bytes,
        "startedDateTime": har_times.iso(gap.started_ns) if gap.started_ns is not None else None,
        "endedDateTime": har_times.iso(gap.ended_ns) if gap.ended_ns is not None else None,
        "detail": gap.detail,
    }


def _open_object(fields: dict[str, object]) -> bytes:
    return _encode(fields)[:-1]
