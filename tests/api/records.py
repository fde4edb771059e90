"""Rows for the API to show, put in through storage as ingest does it."""

import itertools

import msgspec

from storage import bodies, ids, sessions
from storage.clocks import Run
from storage.raw import EntryRow, Rows, Stored
from storage.records import EntryClosed, EntryOpened, Frame, ResponseHead, Timing

_CLOCK = itertools.count(1_795_000_000_000_000_000, 1_000_000_000)


def session(store, **more):
    return store.change_sessions(sessions.create, **more).result()


def entry(
    store,
    session_id,
    *,
    request=b"",
    response=b"",
    answer="default",
    outcome="complete",
    crossed=None,
    chunks=(),
    messages=(),
    cuts=(),
    gaps=(),
    decoded=None,
    timing=None,
    marks=(),
    error=None,
    **opened,
):
    """
    One entry; returns its id. `outcome` None leaves it open, `answer` None without a response.

    `chunks` are (offset_ns, size) of the response, `messages` (side, opcode, offset_ns, data).
    """
    return store.call(
        _write,
        session_id,
        dict(opened),
        request=request,
        response=response,
        answer=ResponseHead(status=200, reason=b"OK", http_version="HTTP/1.1", headers=())
        if answer == "default"
        else answer,
        outcome=outcome,
        crossed=crossed,
        chunks=chunks,
        messages=messages,
        cuts=cuts,
        gaps=gaps,
        decoded=decoded,
        timing=timing or Timing(closed_ns=None if outcome is None else 1_500_000),
        marks=marks,
        error=error,
    ).result()


def _write(db, session_id, opened, **given):
    entry_id, rows = ids.new(), Rows("writer")
    for number, cut in enumerate(given["cuts"]):
        rows.cut(entry_id, number, cut)
    for gap in given["gaps"]:
        rows.gap(gap, entry_id=entry_id, session_id=session_id)
    for number, (side, opcode, offset_ns, data) in enumerate(given["messages"]):
        rows.frame(
            entry_id,
            Frame(
                number=number,
                side=side,
                opcode=opcode,
                offset_ns=offset_ns,
                size_bytes=len(data),
                body=bodies.put(db, data),
            ),
        )
    _clock(rows, entry_id, given["chunks"])
    row = _row(db, entry_id, session_id, opened, given)
    rows.entry(row, None)
    size_bytes = row.request.size_bytes + row.response.size_bytes
    rows.traffic(session_id, entries=1, size_bytes=size_bytes, at_ns=row.opened.started_ns)
    rows.write(db)
    return entry_id


def _row(db, entry_id, session_id, opened, given):
    defaults = {
        "kind": "http",
        "way": "proxy",
        "started_ns": next(_CLOCK),
        "session": session_id,
        "client": "127.0.0.1:50000",
        "method": "POST",
        "scheme": "https",
        "host": "api.example.com",
        "port": 443,
        "target": b"/v1/messages",
        "http_version": "HTTP/1.1",
    }
    request = _stored(db, entry_id, "request", given["request"], given)
    response = _stored(db, entry_id, "response", given["response"], given)
    if given["messages"]:
        request = Stored(size_bytes=sum(len(m[3]) for m in given["messages"] if m[0] == "request"))
        response = Stored(
            size_bytes=sum(len(m[3]) for m in given["messages"] if m[0] == "response")
        )
    if given["decoded"] is not None:
        response = msgspec.structs.replace(
            response, decoded=bodies.put(db, given["decoded"]).digest
        )
    outcome = given["outcome"]
    return EntryRow(
        id=entry_id,
        session_id=session_id,
        opened=EntryOpened(**(defaults | opened)),
        answer=given["answer"],
        closed=outcome and EntryClosed(outcome=outcome, error=given["error"]),
        duration_ns=given["timing"].closed_ns,
        request=request,
        response=response,
        timing=given["timing"],
        marks=given["marks"],
        message_count=len(given["messages"]),
    )


def _stored(db, entry_id, side, data, given):
    crossed = len(data) if given["crossed"] is None else given["crossed"]
    if given["outcome"] is None:  # still growing: in pieces
        growing = bodies.Growing(entry_id, side)
        growing.append(data)
        growing.flush(db)
        return Stored(size_bytes=len(data))
    body = bodies.put(db, data)
    return Stored(size_bytes=crossed if data else 0, digest=body.digest if body else None)


def _clock(rows, entry_id, chunks):
    number = at_bytes = 0
    for some in itertools.batched(chunks, 256):
        run = Run(number, at_bytes)
        for offset_ns, size_bytes in some:
            run.append(offset_ns, size_bytes)
            at_bytes += size_bytes
        rows.clock(entry_id, "response", run.first, run.count, run.at_bytes, bytes(run.data))
        number += run.count
