"""
A stored entry once more, piece by piece, in the order in which it passed.

What decoders are fed: chunks with their content coding and the moments of their clock, whole
messages of a socket, the answer's head and the ends of bodies.
"""

import heapq
import sqlite3
from collections.abc import Iterator
from typing import Literal

import msgspec

from storage import bodies, traffic
from storage.bodies import BodyView
from storage.records import Body, Entry, Frame, Headers, Record, Side

_EACH = 500  # frames in memory


class Passed(Record, frozen=True, kw_only=True):
    """
    One thing that passed. `answered`: the answer's head came; `ended`: a body came whole.

    `data` is a chunk of a body or one message; a chunk may be empty where its bytes are not known
    apart (see `passed`).
    """

    what: Literal["data", "answered", "ended"]
    side: Side
    offset_ns: int  # monotonic, from the entry's start
    data: bytes = b""


def readable(entry: Entry) -> Entry:
    """The entry with the heads that belong to what `passed` gives: no coding that was undone."""
    changes: dict[str, Headers] = {}
    if entry.request_decoded:
        changes["request_headers"] = _uncoded(entry.request_headers)
    if entry.response_decoded and entry.response_headers is not None:
        changes["response_headers"] = _uncoded(entry.response_headers)
    return msgspec.structs.replace(entry, **changes) if changes else entry


def passed(
    conn: sqlite3.Connection, entry: Entry, views: dict[Side, BodyView] | None = None
) -> Iterator[Passed]:
    """
    All of an entry that is stored by now, also while it is open. Memory stays flat.

    `views` gets the bodies that it is read from, but not those of a socket's messages.

    Of a body that is `cut_coded` the decoded text is given whole at the last moment of its clock,
    and an empty chunk at each moment before: nobody knows which text came when. Raises NotFound if
    the entry was deleted meanwhile.
    """
    if entry.kind == "websocket":
        yield from _socket(conn, entry)
        return
    views = {} if views is None else views
    sides = (_request(conn, entry, views), _response(conn, entry, views))
    yield from heapq.merge(*map(_forward, sides), key=lambda one: one.offset_ns)


def _request(
    conn: sqlite3.Connection, entry: Entry, views: dict[Side, BodyView]
) -> Iterator[Passed]:
    done_ns = entry.timing.request_done_ns
    yield from _body(conn, entry, "request", entry.request_decoded, done_ns or 0, views)
    if done_ns is not None:
        yield Passed(what="ended", side="request", offset_ns=done_ns)


def _response(
    conn: sqlite3.Connection, entry: Entry, views: dict[Side, BodyView]
) -> Iterator[Passed]:
    timing = entry.timing
    yield from _head(entry)
    first_ns = timing.first_byte_ns or timing.response_head_ns or 0
    yield from _body(conn, entry, "response", entry.response_decoded, first_ns, views)
    if entry.outcome == "complete" and entry.status is not None:
        # The end of a body has no moment of its own in the tables: it is its last byte's.
        last_ns = timing.last_byte_ns or timing.response_head_ns or timing.closed_ns or 0
        yield Passed(what="ended", side="response", offset_ns=last_ns)


def _head(entry: Entry) -> Iterator[Passed]:
    if entry.status is not None:
        at_ns = entry.timing.response_head_ns or 0
        yield Passed(what="answered", side="response", offset_ns=at_ns)


def _socket(conn: sqlite3.Connection, entry: Entry) -> Iterator[Passed]:
    yield from _head(entry)
    for frame in _frames(conn, entry, None):
        data = bodies.view(conn, frame.body.digest).read() if frame.body else b""
        yield Passed(what="data", side=frame.side, offset_ns=frame.offset_ns, data=data)


def _body(
    conn: sqlite3.Connection,
    entry: Entry,
    side: Side,
    text: Body | None,
    at_ns: int,
    views: dict[Side, BodyView],
) -> Iterator[Passed]:
    """A side's body; `at_ns` is the moment of one without a clock."""
    view = traffic.body(conn, entry, side) if text is None else bodies.view(conn, text.digest)
    views[side] = view
    if text is not None:
        for frame in _frames(conn, entry, side):
            at_ns = frame.offset_ns
            yield Passed(what="data", side=side, offset_ns=at_ns)
        pieces = view.stream()
    else:
        rest = _Pieces(view)
        for frame in _frames(conn, entry, side):
            at_ns = frame.offset_ns
            if data := rest.take(frame.size_bytes):
                yield Passed(what="data", side=side, offset_ns=at_ns, data=data)
        pieces = rest.all()
    for data in pieces:
        yield Passed(what="data", side=side, offset_ns=at_ns, data=data)


def _frames(conn: sqlite3.Connection, entry: Entry, side: Side | None) -> Iterator[Frame]:
    after: int | None = None
    while found := traffic.frames(conn, entry.id, side=side, after=after, limit=_EACH):
        yield from found
        after = found[-1].number


def _forward(passing: Iterator[Passed]) -> Iterator[Passed]:
    """A clock that stepped back does not bring an order of its own."""
    latest_ns = 0
    for one in passing:
        if one.offset_ns < latest_ns:
            one = msgspec.structs.replace(one, offset_ns=latest_ns)
        latest_ns = one.offset_ns
        yield one


class _Pieces:
    """A body that is taken a chunk at a time, block by block from the store."""

    def __init__(self, view: BodyView) -> None:
        self._stream = view.stream()
        self._held = b""

    def take(self, size_bytes: int) -> bytes:
        """The next bytes; fewer at the body's end."""
        taken, missing = [self._held[:size_bytes]], size_bytes - len(self._held)
        self._held = self._held[size_bytes:]
        while missing > 0 and (piece := next(self._stream, None)) is not None:
            taken.append(piece[:missing])
            self._held, missing = piece[missing:], missing - len(piece)
        return b"".join(taken)

    def all(self) -> Iterator[bytes]:
        if self._held:
            yield self._held
        yield from self._stream


def _uncoded(headers: Headers) -> Headers:
    return tuple((name, value) for name, value in headers if name.lower() != b"content-encoding")
