"""The set of projected tables that is read: made, renewed, swapped, and cleaned of what is gone."""

import itertools
import sqlite3
from collections.abc import Sequence, Set

import msgspec
from sqlite_utils import Database

from storage.projection import forgetting, tables
from storage.projection.writing import Tables
from storage.records import Record

LIVE, NEXT = "", "next_"
OLD = "old_"  # and a number: several may wait to be removed

_DROPPED = 100  # rows at a time
_QUEUED = 300  # entries at a time

# In a queue, behind the id of an entry: the entries that follow it wait too, all of them or, with
# an id behind the mark, those of one session. It sorts behind that entry and before all others.
_MARK = "!"


class State(Record, frozen=True, kw_only=True):
    """`entries` are those that a rebuild began with; `result` says how the last one ended."""

    version: int
    generation: int
    is_building: bool = False
    is_forced: bool = False
    entries: int = 0
    result: str | None = None


class Size(Record, frozen=True, kw_only=True):
    """What a set holds, to compare two of them."""

    turns: int
    conversations: int
    messages: int
    tool_calls: int
    notes: int


def state(conn: sqlite3.Connection) -> State | None:
    """None: this database has no projected tables yet."""
    names = State.__struct_fields__
    row = conn.execute(f"select {', '.join(names)} from projection").fetchone()
    if row is None:
        return None
    return msgspec.convert(dict(zip(names, row, strict=True)), State, strict=False)


def ensure(db: Database) -> None:
    """
    Have tables of this version. Those of another are thrown away, and every entry is queued.

    Called when a database is opened for writing, in its transaction.
    """
    known = state(db.conn)
    if known is not None and known.version == tables.VERSION:
        return
    generation = (known.generation if known else 0) + 1
    for prefix in (LIVE, NEXT):
        _discard(db, prefix)
    tables.create(db, LIVE, generation)
    _set(db, State(version=tables.VERSION, generation=generation))
    _queue_all(db, LIVE)


def sets(db: Database) -> list[Tables]:
    """The sets that entries go to: the one that is read, and the one that a rebuild fills."""
    found = [Tables(db, LIVE)]
    return [*found, Tables(db, NEXT)] if _known(db).is_building else found


def enqueue(db: Database, entry_ids: Sequence[str]) -> None:
    """Have entries taken up by the sets that they go to."""
    if not entry_ids:
        return
    (is_building,) = db.conn.execute("select is_building from projection").fetchone()
    for prefix in (LIVE, NEXT) if is_building else (LIVE,):
        db.conn.executemany(
            f"insert into {prefix}unprojected (entry_id) values (?) on conflict do nothing",
            [(entry_id,) for entry_id in entry_ids],
        )


# --- rebuild -------------------------------------------------------------------------------------


def begin(db: Database, *, is_forced: bool) -> State:
    """Start a set beside the one that is read, for which every entry that ended waits."""
    known = _known(db)
    _discard(db, NEXT)
    tables.create(db, NEXT, known.generation + 1)
    _queue_all(db, NEXT)
    begun = State(
        version=known.version,
        generation=known.generation + 1,
        is_building=True,
        is_forced=is_forced,
        entries=left(db.conn, NEXT),
    )
    _set(db, begun)
    return begun


def renew_unknown(db: Database) -> None:
    """
    Rebuild if words are to leave the search index and cannot be read any more.

    The index forgets only words that it is told, so the whole set goes.
    """
    if db.conn.execute("select 1 from projection where is_unmerged = 2").fetchone():
        begin(db, is_forced=True)
        db.execute("update projection set is_unmerged = 1")


def abandon(db: Database, result: str) -> None:
    """Throw the new set away; the old one stays as it is."""
    _discard(db, NEXT)
    _set(db, msgspec.structs.replace(_known(db), is_building=False, result=result))


def swap(db: Database, result: str) -> None:
    """Read the new set from now on; the old one waits for `drop_old`."""
    _discard(db, LIVE)
    tables.rename(db, NEXT, LIVE)
    _set(
        db,
        msgspec.structs.replace(
            _known(db), version=tables.VERSION, is_building=False, result=result
        ),
    )


def has_old(conn: sqlite3.Connection) -> bool:
    """Whether there is something of a set that was swapped out or thrown away."""
    return bool(_old(conn))


def drop_old(db: Database) -> bool:
    """Remove a little of the sets that were swapped out or thrown away; False: there is none."""
    prefixes = _old(db.conn)
    return bool(prefixes) and tables.drop_slice(db, prefixes[0], _DROPPED)


def _discard(db: Database, prefix: str) -> None:
    """Have a set removed in slices. Several may wait for that."""
    taken = _old(db.conn)
    free = (f"{OLD}{number}_" for number in itertools.count())
    tables.rename(db, prefix, next(name for name in free if name not in taken))


def _old(conn: sqlite3.Connection) -> list[str]:
    rows = conn.execute(
        "select name from sqlite_master where type = 'table' and name glob ?", [OLD + "[0-9]*"]
    ).fetchall()
    return sorted({OLD + name.removeprefix(OLD).partition("_")[0] + "_" for (name,) in rows})


def _known(db: Database) -> State:
    known = state(db.conn)
    assert known is not None  # `ensure` has run
    return known


def size(conn: sqlite3.Connection, prefix: str) -> Size:
    counts = {
        name: conn.execute(f"select count(*) from {prefix}{name}").fetchone()[0]
        for name in Size.__struct_fields__
    }
    return Size(**counts)


def left(conn: sqlite3.Connection, prefix: str) -> int:
    """How many entries a set still waits for; what comes behind a mark is counted as it stands."""
    (count,) = conn.execute(f"select count(*) from {prefix}unprojected").fetchone()
    marks = conn.execute(
        f"select entry_id from {prefix}unprojected where instr(entry_id, '{_MARK}')"
    ).fetchall()
    return int(count) - len(marks) + sum(_beyond(conn, mark) for (mark,) in marks)


def _beyond(conn: sqlite3.Connection, mark: str) -> int:
    after, _, session_id = mark.partition(_MARK)
    only = "session_id = :session and" if session_id else ""
    (count,) = conn.execute(
        f"select count(*) from entries where {only} id > :after",
        {"session": session_id, "after": after} if session_id else {"after": after},
    ).fetchone()
    return int(count)


def stale(conn: sqlite3.Connection) -> int:
    """How many conversations of the set that is read wait to be made again."""
    sql = "select count(*) from stale where unfinished is null"
    return int(conn.execute(sql).fetchone()[0])


def requeue_session(db: Database, session_id: str) -> None:
    """Have all conversations of a session made again."""
    live = Tables(db, LIVE)
    found = db.conn.execute(
        "select distinct conversation_id from turns where session_id = ?", [session_id]
    ).fetchall()
    for (conversation_id,) in found:
        forgetting.make_stale(live, conversation_id)
    live.enqueue(_MARK + session_id)


def _queue_all(db: Database, prefix: str) -> None:
    """Every entry that ended, and the open sockets of which turns were put down already."""
    if db.execute("select 1 from entries limit 1").fetchone():
        Tables(db, prefix).enqueue(_MARK)


def is_mark(entry_id: str) -> bool:
    """Whether what stands in a queue is no entry, but stands for many: see `queue_more`."""
    return _MARK in entry_id


def queue_more(tables: Tables, mark: str, begun: Set[str]) -> None:
    """
    Put some of the entries that a mark stands for into the queue, and the mark behind them.

    Of those that are open, only the ones of which turns are in the set that is read, or will be:
    these are `begun`.
    """
    after, _, session_id = mark.partition(_MARK)
    only = "e.session_id = :session and" if session_id else ""
    values: dict[str, str | int] = {"after": after, "limit": _QUEUED}
    found = tables.db.execute(
        f"""
        select e.id, e.kind <> 'tunnel', e.outcome is not null
            or exists (select 1 from turns t where t.id > e.id || '.' and t.id < e.id || '/')
        from entries e where {only} e.id > :after order by e.id limit :limit
        """,
        values | {"session": session_id} if session_id else values,
    ).fetchall()
    tables.done(mark)
    for entry_id, is_read, has_turns in found:
        if is_read and (has_turns or entry_id in begun):
            tables.enqueue(entry_id)
    if found:
        tables.enqueue(found[-1][0] + _MARK + session_id)


def _set(db: Database, state: State) -> None:
    names = State.__struct_fields__
    changes = ", ".join(f"{name} = excluded.{name}" for name in names)
    db.conn.execute(
        f"""
        insert into projection (one, {", ".join(names)}) values (1, {", ".join("?" * len(names))})
        on conflict (one) do update set {changes}
        """,
        [getattr(state, name) for name in names],
    )
