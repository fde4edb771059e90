"""
Removing what sessions recorded, in slices that hold nobody up.

An entry goes from sight at once, a session with one row; what hangs on them is swept later by
`sweep`, which then gives the space back, so that nothing of it is left in any file. Until that is
done the marks stay unswept, and a restart goes on with it.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator

from sqlite_utils import Database

from storage import bodies, database, scrubbing
from storage.projection import forgetting, keeping

_VACUUM_PAGES = 128

# Rows that hang on an entry and hold no bodies, some of them at a time.
_HANGING = (
    """
    delete from clocks where (entry_id, side, first) in
        (select entry_id, side, first from clocks where entry_id = :id limit 200)
    """,
    """
    delete from cuts where (entry_id, number) in
        (select entry_id, number from cuts where entry_id = :id limit 200)
    """,
    "delete from gaps where id in (select id from gaps where entry_id = :id limit 200)",
    "delete from quarantine where id in (select id from quarantine where entry_id = :id limit 1)",
    "delete from folds where entry_id = :id",
)
# Rows of a session that belong to none of its entries.
_LOOSE = (
    "delete from gaps where id in (select id from gaps where session_id = :id limit 200)",
    "delete from quarantine where id in (select id from quarantine where session_id = :id limit 1)",
)


def remove_entry(db: Database, entry_id: str) -> None:
    """Take an entry out of sight; its bodies lose a use, the rest of it is swept."""
    # Not `delete ... returning outcome is null`: SQLite 3.40 answers 0 for NULL there.
    row = db.execute(
        """
        select writer, outcome is null,
            request_digest, response_digest, request_decoded, response_decoded
        from entries where id = ?
        """,
        [entry_id],
    ).fetchone()
    if row is None:
        return
    writer, is_open, *digests = row
    db.execute("delete from entries where id = ?", [entry_id])
    db.execute(
        "insert into removed_entries (entry_id, writer, is_open) values (?, ?, ?)",
        [entry_id, writer, is_open],
    )
    for digest in digests:
        if digest is not None:
            bodies.release(db, digest)
    for tables in keeping.sets(db):
        forgetting.forget_entry(tables, entry_id)


def sweep(
    db: Database, budget_ms: float = 30, is_awaited: Callable[[], bool] = lambda: False
) -> bool:
    """
    One slice of removing what hangs on removed entries and deleted sessions, and of giving the
    space back; in short transactions of its own, shorter if the writer `is_awaited`.

    True while there is more to do at once. False at the end, and also while a reader keeps the
    WAL from being emptied: then the next call tries again.
    """
    until = _clock(budget_ms / 3, is_awaited)  # the commit takes the rest
    if has_rows(db):
        with database.write(db, is_durable=False):
            more = _remove_rows(db, until)
            _set_next_page(db, 1)
            if more:
                return True
    if not _is_marked(db.conn):
        return False
    page = _next_page(db.conn)
    # Later it would move pages that were not scrubbed yet to where scrubbing has been.
    if page == 1:
        with database.write(db, is_durable=False):
            if _give_back(db, until):
                return True
    if not database.truncate_log(db):
        return False
    next_page = scrubbing.scrub(db, database.path_of(db), page, until)
    with database.write(db):
        _set_next_page(db, next_page or 1)
        if next_page is None:
            _mark_swept(db)
    return next_page is not None


def has_rows(db: Database) -> bool:
    """
    Whether rows may be left of something that was removed.

    If not, every page that it took is free, although the file may not be shorter yet.
    """
    (found,) = db.conn.execute(
        """
        select exists (select 1 from removed_entries where swept = 0)
            or exists (select 1 from projection where is_unmerged > 0)
            or exists (select 1 from tombstones t where swept = 0 and (
                exists (select 1 from entries where session_id = t.session_id)
                or exists (select 1 from gaps where session_id = t.session_id)
                or exists (select 1 from quarantine where session_id = t.session_id)))
        """
    ).fetchone()
    is_stale = any(forgetting.has_stale(tables) for tables in keeping.sets(db))
    released = bodies.has_released(db.conn)
    return bool(found) or released or is_stale or keeping.has_old(db.conn)


def _is_marked(conn: sqlite3.Connection) -> bool:
    """Whether something was removed whose traces may still be in the files."""
    (found,) = conn.execute(
        """
        select exists (select 1 from tombstones where swept = 0)
            or exists (select 1 from upkeep where is_unscrubbed = 1)
        """
    ).fetchone()
    return bool(found)


def _remove_rows(db: Database, until: Callable[[], bool]) -> bool:
    """True if time ran out."""
    for remove in (_sweep_sessions, _sweep_entries, _sweep_conversations, _sweep_old):
        for _ in remove(db):
            if until():
                return True
    return bodies.sweep_released(db, until)


def _sweep_sessions(db: Database) -> Iterator[None]:
    """Yields after each small step."""
    for (session_id,) in db.execute("select session_id from tombstones where swept = 0").fetchall():
        while True:
            row = db.execute(
                "select id from entries where session_id = ? limit 1", [session_id]
            ).fetchone()
            if row is None:
                break
            remove_entry(db, row[0])
            yield
        for statement in _LOOSE:
            while db.execute(statement, {"id": session_id}).rowcount:
                yield


def _sweep_entries(db: Database) -> Iterator[None]:
    """Yields after each small step."""
    while True:
        row = db.execute("select entry_id from removed_entries where swept = 0 limit 1").fetchone()
        if row is None:
            return
        (entry_id,) = row
        yield from _sweep_frames(db, entry_id)
        for part in bodies.PARTS:
            bodies.discard(db, entry_id, part)
        for statement in _HANGING:
            while db.execute(statement, {"id": entry_id}).rowcount:
                yield
        db.execute("update removed_entries set swept = 1 where entry_id = ?", [entry_id])
        db.execute("delete from removed_entries where entry_id = ? and is_open = 0", [entry_id])
        db.execute("update upkeep set is_unscrubbed = 1 where is_unscrubbed = 0")
        yield


def _sweep_conversations(db: Database) -> Iterator[None]:
    """
    What is stale goes, and is made again where turns are left of it. Yields after each small step.

    Then the words of what went leave the search index.
    """
    for tables in keeping.sets(db):
        is_changed = False
        for conversation_id in forgetting.stale(tables):
            is_changed = True
            while forgetting.remove_slice(tables, conversation_id):
                yield
        if is_changed:
            tables.index.mark_unmerged()
        while tables.index.is_unmerged() and tables.index.merge():
            yield
    keeping.renew_unknown(db)


def _sweep_old(db: Database) -> Iterator[None]:
    """The words of what was deleted also stand in sets of tables that are not read any more."""
    while keeping.drop_old(db):
        yield


def _sweep_frames(db: Database, entry_id: str) -> Iterator[None]:
    while True:
        rows = db.execute(
            """
            delete from frames where (entry_id, number) in
                (select entry_id, number from frames where entry_id = ? limit 20)
            returning digest
            """,
            [entry_id],
        ).fetchall()
        if not rows:
            return
        for (digest,) in rows:
            if digest is not None:
                bodies.release(db, digest)
        yield


def _give_back(db: Database, until: Callable[[], bool]) -> bool:
    """Shrink the file; True if time ran out."""
    while db.execute("pragma freelist_count").fetchone()[0]:
        db.execute(f"pragma incremental_vacuum({_VACUUM_PAGES})").fetchall()
        if until():
            return True
    return False


def _next_page(conn: sqlite3.Connection) -> int:
    (page,) = conn.execute("select next_page from upkeep").fetchone()
    return int(page)


def _set_next_page(db: Database, page: int) -> None:
    db.execute("update upkeep set next_page = :page where next_page <> :page", {"page": page})


def _mark_swept(db: Database) -> None:
    db.execute("update tombstones set swept = 1 where swept = 0")
    db.execute("update upkeep set is_unscrubbed = 0")


def _clock(budget_ms: float, is_awaited: Callable[[], bool]) -> Callable[[], bool]:
    end = time.monotonic() + budget_ms / 1000
    return lambda: time.monotonic() >= end or is_awaited()
