"""Sessions with traffic in them, put into the tables as ingest does."""

import itertools

import msgspec

from storage import bodies, clocks, ids, sessions

_columns = [
    *("id", "session_id", "writer", "kind", "way", "started_ns", "client", "method", "scheme"),
    *("host", "port", "target", "http_version", "request_headers", "marks", "continues"),
    *("status", "reason", "response_version", "response_headers", "content_type", "outcome"),
    *("error", "request_bytes", "response_bytes", "request_digest", "response_digest"),
    *("request_decoded", "response_decoded", "timing", "duration_ns", "message_count"),
]
_INSERT = (
    f"insert into entries ({', '.join(_columns)})"
    f" values ({', '.join(f':{column}' for column in _columns)})"
)


def pack(value):
    return msgspec.msgpack.encode(value)


def entry(db, session_id, *, request=b"", response=b"", **changes):
    """Insert an entry with these bodies, and count it; returns its id."""
    stored = {side: bodies.put(db, data) for side, data in (("a", request), ("b", response))}
    values = {
        "id": ids.new(),
        "session_id": session_id,
        "writer": "writer",
        "kind": "http",
        "way": "proxy",
        "started_ns": 1_700_000_000_000_000_000,
        "client": "127.0.0.1:5000",
        "method": "POST",
        "scheme": "https",
        "host": "api.anthropic.com",
        "port": 443,
        "target": b"/v1/messages?beta=true",
        "http_version": "HTTP/1.1",
        "request_headers": pack([(b"content-type", b"application/json")]),
        "marks": pack([]),
        "continues": None,
        "status": 200,
        "reason": b"OK",
        "response_version": "HTTP/1.1",
        "response_headers": pack([(b"content-type", b"text/event-stream")]),
        "content_type": "text/event-stream",
        "outcome": "complete",
        "error": None,
        "request_bytes": len(request),
        "response_bytes": len(response),
        "request_digest": stored["a"] and stored["a"].digest,
        "response_digest": stored["b"] and stored["b"].digest,
        "request_decoded": None,
        "response_decoded": None,
        "timing": pack({"request_done_ns": 1, "closed_ns": 2}),
        "duration_ns": 2,
        "message_count": 0,
    } | changes
    db.execute(_INSERT, values)
    db.execute(
        "update sessions set traffic_count = traffic_count + 1, total_bytes = total_bytes + ?"
        " where id = ?",
        [values["request_bytes"] + values["response_bytes"], session_id],
    )
    return values["id"]


def socket(db, session_id, messages, **changes):
    """A WebSocket entry; `messages` are (side, data)."""
    entry_id = entry(db, session_id, kind="websocket", message_count=len(messages), **changes)
    for number, (side, data) in enumerate(messages):
        body = bodies.put(db, data)
        db.execute(
            "insert into frames values (?, ?, ?, 1, ?, ?, ?)",
            [entry_id, number, side, number * 1000, len(data), body and body.digest],
        )
    return entry_id


def clock(db, entry_id, side, chunks, *, run_chunks=clocks.RUN_CHUNKS):
    """Store the chunk clock of `chunks`, (offset_ns, size_bytes)."""
    first = at_bytes = 0
    for batch in itertools.batched(chunks, run_chunks):
        run = clocks.Run(first, at_bytes)
        for offset_ns, size_bytes in batch:
            run.append(offset_ns, size_bytes)
        db.execute(
            "insert into clocks (entry_id, side, first, count, at_bytes, run)"
            " values (?, ?, ?, ?, ?, ?)",
            [entry_id, side, first, run.count, at_bytes, bytes(run.data)],
        )
        first += run.count
        at_bytes += sum(size for _, size in batch)


def hang_on(db, entry_id, session_id, secret):
    """Everything that can hang on an entry, each with `secret` in it."""
    text = secret.decode()
    growing = bodies.Growing(entry_id, "response-decoded")
    growing.append(secret * 10)
    growing.flush(db)
    clock(db, entry_id, "response", [(1, 2), (3, 4)])
    db.execute(
        "insert into cuts values (?, 0, 'request-body', ?, null, 0, 5, 'cookie', ?)",
        [entry_id, text, text],
    )
    for of_entry in (entry_id, None):
        db.execute(
            "insert into gaps values (?, 'writer', ?, ?, 'queue_full', 1, 2, 3, 4, ?)",
            [ids.new(), of_entry, session_id, text],
        )
        db.execute(
            """
            insert into quarantine
                (id, writer, entry_id, session_id, segment, position, reason, payload)
            values (?, 'writer', ?, ?, 1, 2, 'unknown', ?)
            """,
            [ids.new(), of_entry, session_id, secret * 100],
        )

    db.execute("insert into folds (entry_id, state) values (?, ?)", [entry_id, secret])


def session(db, name="one"):
    return sessions.create(db, name=name, is_recording=True)
