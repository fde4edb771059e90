"""Traffic entries: pages of them, one of them, and what hangs on it."""

import itertools
import sqlite3
import time
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec
from sqlite_utils import Database

from storage import bodies, clocks, entries, removal, sessions
from storage.bodies import BodyView
from storage.errors import Conflict, NotFound
from storage.records import Cut, Entry, EntryKind, Frame, Gap, Outcome, Side

_MIN_PREFIX = 4
_MAX_CANDIDATES = 5
_EACH = 100  # entries in memory while a session is streamed
_COUNTED = 10_000
_CLEARING_MS = 30

# --- entries -------------------------------------------------------------------------------------


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which entries; what is None does not matter.

    `status` from 1 to 5 is a class (4: 400 to 499). `text` is a part of host, path, query,
    content type or error, without regard to case; bodies and headers are not searched.
    """

    session_id: str | None = None
    host: str | None = None
    method: str | None = None
    status: int | None = None
    kind: EntryKind | None = None
    text: str | None = None
    outcome: Outcome | Literal["open"] | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """
    Some entries, in the order of their ids.

    `total` counts all that match, wherever the page begins: exactly without a filter or with the
    session alone, else up to 10 000. `next` is the `after` of the next page; None: there is none.
    """

    entries: list[Entry]
    total: int
    next: str | None


# A session goes from sight with its row, the rows of its entries a slice at a time.
_IN_SIGHT = "e.session_id not in (select session_id from tombstones where swept = 0)"
_CONDITIONS = {
    "session_id": "e.session_id = :session_id",
    "host": "e.host = lower(:host)",
    "method": "e.method = upper(:method)",
    "status": """
        case when :status < 10 then e.status between :status * 100 and :status * 100 + 99
            else e.status = :status end
    """,
    "kind": "e.kind = :kind",
    "text": """
        instr(
            lower(e.host || ' ' || cast(e.target as text) || ' ' || coalesce(e.content_type, '')
                || ' ' || coalesce(e.error, '')),
            lower(:text)
        )
    """,
    "outcome": "coalesce(e.outcome, 'open') = :outcome",
}


def page(
    conn: sqlite3.Connection,
    query: Query,
    *,
    after: str | None = None,
    limit: int = 100,
    newest_first: bool = True,
) -> Page:
    """The entries behind `after`, an entry's id; `limit` is at least 1."""
    given = {
        name: value for name, value in msgspec.structs.asdict(query).items() if value is not None
    }
    conditions = [_IN_SIGHT, *(_CONDITIONS[name] for name in given)]
    beyond = [] if after is None else ["e.id < :after" if newest_first else "e.id > :after"]
    rows = conn.execute(
        f"""
        {entries.SELECT} where {" and ".join([*conditions, *beyond])}
        order by e.id {"desc" if newest_first else "asc"} limit :limit
        """,
        given | {"after": after, "limit": limit + 1},
    ).fetchall()
    found = [entries.of_row(row) for row in rows[:limit]]
    is_all = after is None and len(rows) <= limit
    return Page(
        entries=found,
        total=len(rows) if is_all else _total(conn, given, conditions),
        next=found[-1].id if len(rows) > limit else None,
    )


def _total(conn: sqlite3.Connection, given: dict[str, object], conditions: list[str]) -> int:
    if given.keys() <= {"session_id"}:
        one = "where id = :session_id" if given else ""
        row = conn.execute(
            f"select coalesce(sum(traffic_count), 0) from sessions {one}", given
        ).fetchone()
    else:
        row = conn.execute(
            f"""
            select count(*) from
                (select 1 from entries e where {" and ".join(conditions)} limit {_COUNTED})
            """,
            given,
        ).fetchone()
    return int(row[0])


def get(conn: sqlite3.Connection, entry_id: str) -> Entry:
    """Raises NotFound."""
    row = conn.execute(f"{entries.SELECT} where e.id = ? and {_IN_SIGHT}", [entry_id]).fetchone()
    if row is None:
        raise NotFound("Traffic entry not found")
    return entries.of_row(row)


def find(conn: sqlite3.Connection, prefix: str) -> Entry:
    """
    The entry of an id or of a prefix of at least 4 characters.

    Raises NotFound; Conflict if several match.
    """
    prefix = prefix.strip().lower()
    if len(prefix) < _MIN_PREFIX:
        raise NotFound("Traffic entry not found")
    rows = conn.execute(
        f"""
        select e.id from entries e where e.id >= :from and e.id < :from || '~' and {_IN_SIGHT}
        order by e.id limit :limit
        """,
        {"from": prefix, "limit": _MAX_CANDIDATES + 1},
    ).fetchall()
    found = [entry_id for (entry_id,) in rows]
    if len(found) > 1 and prefix not in found:
        named = ", ".join(found[:_MAX_CANDIDATES])
        raise Conflict(f"{prefix!r} may be {named}{' ...' if found[_MAX_CANDIDATES:] else ''}")
    return get(conn, found[0] if found else prefix)


def each(conn: sqlite3.Connection, session_id: str) -> Iterator[Entry]:
    """All entries of a session, oldest first; those that come meanwhile too. Memory stays flat."""
    last = ""
    while True:
        rows = conn.execute(
            f"""
            {entries.SELECT} where e.session_id = :session_id and e.id > :last
            order by e.id limit {_EACH}
            """,
            {"session_id": session_id, "last": last},
        ).fetchall()
        for row in rows:
            yield entries.of_row(row)
        if len(rows) < _EACH:
            return
        last = rows[-1][0]


def delete(db: Database, entry_id: str) -> None:
    """Take an entry out of sight and of its session's counters; raises NotFound."""
    _uncount(db, get(db.conn, entry_id))
    removal.remove_entry(db, entry_id)


def clear(db: Database, session_id: str) -> int:
    """
    Delete the oldest entries of a session, as many as a short transaction takes; how many.

    Call it again until it returns 0. Raises NotFound for an unknown session.
    """
    sessions.get(db.conn, session_id)
    end = time.monotonic() + _CLEARING_MS / 1000
    count = 0
    for entry in itertools.takewhile(lambda _: time.monotonic() < end, each(db.conn, session_id)):
        _uncount(db, entry)
        removal.remove_entry(db, entry.id)
        count += 1
    return count


def _uncount(db: Database, entry: Entry) -> None:
    db.execute(
        """
        update sessions
        set traffic_count = traffic_count - 1, total_bytes = total_bytes - :size_bytes,
            updated_ms = max(updated_ms, :now)
        where id = :id
        """,
        {
            "size_bytes": entry.request_bytes + entry.response_bytes,
            "now": time.time_ns() // 1_000_000,
            "id": entry.session_id,
        },
    )


# --- what hangs on an entry ----------------------------------------------------------------------


def body(conn: sqlite3.Connection, entry: Entry, side: Side) -> BodyView:
    """
    A side's body as it was captured, also while it still grows.

    Raises NotFound if the entry was deleted meanwhile.
    """
    known = entry.request_body if side == "request" else entry.response_body
    if known:
        return bodies.view(conn, known.digest)
    view = bodies.growing(conn, entry.id, side, lambda: _finished(conn, entry.id, side))
    return view if view.size_bytes else _finished(conn, entry.id, side)


def _finished(conn: sqlite3.Connection, entry_id: str, side: Side) -> BodyView:
    row = conn.execute(f"select {side}_digest from entries where id = ?", [entry_id]).fetchone()
    if row is None:
        raise NotFound("Traffic entry not found")
    return bodies.view(conn, row[0]) if row[0] is not None else bodies.nothing()


def frames(
    conn: sqlite3.Connection,
    entry_id: str,
    *,
    side: Side | None = None,
    after: int | None = None,
    limit: int = 1000,
) -> list[Frame]:
    """
    The frames behind the one numbered `after`, in order; [] for an unknown entry.

    Of a WebSocket its messages, of both sides where `side` is None. Of an HTTP entry the chunks
    of one side's body, of the response where `side` is None.
    """
    row = conn.execute("select kind from entries where id = ?", [entry_id]).fetchone()
    if row is None:
        return []
    after = -1 if after is None else after
    if row[0] == "websocket":
        return _messages(conn, entry_id, side, after, limit)
    return list(itertools.islice(_chunks(conn, entry_id, side or "response", after), limit))


def _messages(
    conn: sqlite3.Connection, entry_id: str, side: Side | None, after: int, limit: int
) -> list[Frame]:
    rows = conn.execute(
        """
        select number, side, opcode, offset_ns, size_bytes, digest from frames
        where entry_id = :entry_id and number > :after and (:side is null or side = :side)
        order by number limit :limit
        """,
        {"entry_id": entry_id, "after": after, "side": side, "limit": limit},
    )
    return [
        Frame(
            number=number,
            side=its_side,
            opcode=opcode,
            offset_ns=offset_ns,
            size_bytes=size_bytes,
            body=entries.body(digest, size_bytes),
        )
        for number, its_side, opcode, offset_ns, size_bytes, digest in rows
    ]


def _chunks(conn: sqlite3.Connection, entry_id: str, side: Side, after: int) -> Iterator[Frame]:
    # Fetched one run at a time: a cursor that stays open would pin the WAL.
    while True:
        row = conn.execute(
            """
            select first, count, at_bytes, run from clocks
            where entry_id = ? and side = ? and first + count > ? order by first limit 1
            """,
            [entry_id, side, after + 1],
        ).fetchone()
        if row is None:
            return
        first, count, at_bytes, run = row
        for number, (offset_ns, size_bytes) in enumerate(
            clocks.decode(clocks.unsqueeze(run)), first
        ):
            if number > after:
                yield Frame(
                    number=number,
                    side=side,
                    offset_ns=offset_ns,
                    size_bytes=size_bytes,
                    at_bytes=at_bytes,
                )
            at_bytes += size_bytes
        after = first + count - 1


def cuts(conn: sqlite3.Connection, entry_id: str) -> list[Cut]:
    """What was redacted, in the order of the record."""
    return cuts_of(conn, [entry_id]).get(entry_id, [])


def cuts_of(conn: sqlite3.Connection, entry_ids: Sequence[str]) -> dict[str, list[Cut]]:
    """The same of several entries; of those alone that have cuts."""
    rows = conn.execute(
        """
        select entry_id, part, offset_bytes, length_bytes, kind, hmac, name, position from cuts
        where entry_id in (select value from json_each(?)) order by entry_id, number
        """,
        [msgspec.json.encode(entry_ids).decode()],
    )
    found: dict[str, list[Cut]] = {}
    for entry_id, part, offset_bytes, length_bytes, kind, hmac, name, position in rows:
        cut = Cut(
            part=part,
            offset_bytes=offset_bytes,
            length_bytes=length_bytes,
            kind=kind,
            hmac=hmac,
            name=name,
            index=position,
        )
        found.setdefault(entry_id, []).append(cut)
    return found


def gaps(conn: sqlite3.Connection, entry_id: str) -> list[Gap]:
    """What is missing of the entry, in the order in which it was noted."""
    rows = conn.execute(
        """
        select reason, records, size_bytes, started_ns, ended_ns, detail from gaps
        where entry_id = ? order by id
        """,
        [entry_id],
    )
    return [
        Gap(
            reason=reason,
            records=records,
            size_bytes=size_bytes,
            started_ns=started_ns,
            ended_ns=ended_ns,
            detail=detail,
        )
        for reason, records, size_bytes, started_ns, ended_ns, detail in rows
    ]
