"""
How long what was recorded is kept: `retention.days` and `retention.max_gb`.

A session is as old as its `updated_ms`: its last traffic, its import, or a user's last change of
it. The oldest goes first, the way that a user's deletion goes, and leaves a line in storage.drops.

Some never go: pinned ones, the active one, one that a user has told to record, one that a
`wirescribe run` is at work in, and those that something is still open in. (`is_recording` alone
keeps nothing: of sessions that were made by `run` or by themselves it stays on for ever.)
"""

import logging
import sqlite3
import time
from collections.abc import Collection
from concurrent.futures import Future

import msgspec
from sqlite_utils import Database

from storage import drops, processes, removal, sessions
from storage.chunks import moving
from storage.datadir import DataDir
from storage.drops import Reason
from storage.errors import StoreError
from storage.projection import keeping
from storage.records import Record, Session
from storage.store import Store

_DAY_MS = 86_400_000
_FRESH_MS = 15 * 60_000  # an agent that waits for its user; `max_gb` takes nothing from under it
_LOOK_S = 60.0
_ROUND_S = 0.2  # between looks while something goes

_log = logging.getLogger("wirescribe")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """None: no limit."""

    days: float | None = None
    max_bytes: int | None = None  # of the database, without its free pages


class State(Record, frozen=True, kw_only=True):
    """How the store stands to its limits. `is_exceeded`: by bytes, and nothing more may go."""

    limits: Limits
    live_bytes: int
    is_exceeded: bool
    dropped: int  # sessions in storage.drops


_MAY_GO = """
    is_active = 0 and is_finishing = 0 and is_pinned = 0
    and (is_recording = 0 or origin <> 'user')
    and (key is null or key not like 'importing:%' or updated_ms < :now - 86400000)
    and id not in (select session_id from entries where writer >= '' and outcome is null)
"""  # the writer takes it to the index of open entries, which are few


def state(conn: sqlite3.Connection, datadir: DataDir) -> State:
    """With the limits of the server that runs, or ran last."""
    days, max_bytes = conn.execute("select max_days, max_bytes from upkeep").fetchone()
    limits = Limits(days=days, max_bytes=max_bytes)
    live_bytes = _live_bytes(conn)
    is_exceeded = limits.max_bytes is not None and live_bytes > limits.max_bytes
    return State(
        limits=limits,
        live_bytes=live_bytes,
        is_exceeded=is_exceeded and not _is_any_going(conn, datadir),
        dropped=drops.count(conn),
    )


def set_limits(db: Database, limits: Limits) -> None:
    """For `state` to tell."""
    db.execute(
        "update upkeep set max_days = :days, max_bytes = :max_bytes",
        {"days": limits.days, "max_bytes": limits.max_bytes},
    )


def due(
    db: Database, limits: Limits, at_work: Collection[str], now_ms: int
) -> tuple[str, Reason] | None:
    """
    The session that is to go next, and by which limit; None: none, or not now.

    For `max_gb` only where it is known what deletions before gave back, and nothing is in the
    file that goes by itself: the first store, a rebuild's second set of tables.
    """
    if limits.days is not None:
        latest_ms = now_ms - int(limits.days * _DAY_MS)
        if session_id := _oldest(db.conn, latest_ms, at_work, now_ms):
            return session_id, "retention.days"
    if limits.max_bytes is None or _live_bytes(db.conn) <= limits.max_bytes or not _is_settled(db):
        return None
    session_id = _oldest(db.conn, now_ms - _FRESH_MS, at_work, now_ms, holds_traffic=True)
    return (session_id, "retention.max_gb") if session_id else None


def drop_due(
    db: Database, limits: Limits, at_work: Collection[str], now_ms: int | None = None
) -> Session | None:
    """Delete the session that is due, if one is, and note it. For `Store.change_sessions`."""
    now_ms = _now_ms() if now_ms is None else now_ms
    found = due(db, limits, at_work, now_ms)
    if found is None:
        return None
    session_id, reason = found
    session = sessions.get(db.conn, session_id)
    drops.add(db, session, reason, now_ms)
    sessions.delete(db, session_id)
    return session


def at_work(datadir: DataDir) -> frozenset[str]:
    """The sessions that a `wirescribe run` is tagged with that still runs."""
    return frozenset(one.session for one in processes.running(datadir) if one.session)


class Keeper:
    """
    Keeps a store within its limits, in the writer thread beside the background work.

    It looks about once a minute, and begins when all that was recorded has been read: what waits
    in the spool may be younger than its session looks.
    """

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._call: Future[Session | None] | None = None  # that deletes
        self._is_round = False  # something went, and more may have to
        self._look_s = 0.0  # the next one, on the monotonic clock

    def step(self, db: Database, *, is_idle: bool) -> None:
        """Between other work; what fails here is logged, and tried again at the next look."""
        now_s = time.monotonic()
        if now_s < self._look_s or not (is_idle or self._is_round):
            return
        self._look_s = now_s + _ROUND_S
        try:
            self._is_round = self._look(db)
        except Exception as error:  # noqa: BLE001 - what is kept too long must not stop ingest
            _log.error("retention: nothing could be dropped", exc_info=error)
            self._is_round, self._call = False, None
        if not self._is_round:
            self._look_s = now_s + _LOOK_S

    def _look(self, db: Database) -> bool:
        """True while a deletion is on its way or more may have to go."""
        if self._call is not None:
            if not self._call.done():
                return True
            call, self._call = self._call, None
            self._told(call)
        if self._limits == Limits():
            return False
        working = at_work(self._store.datadir)
        if due(db, self._limits, working, _now_ms()) is None:
            return self._limits.max_bytes is not None and removal.has_rows(db)
        # By the queue of calls, as a user's deletion: the control file follows, the feed is told.
        self._call = self._store.change_sessions(drop_due, self._limits, working)
        return True

    def _told(self, call: Future[Session | None]) -> None:
        try:
            session = call.result()
        except StoreError as error:  # the store says so by itself, and tries again
            _log.warning("retention: %s", error)
            return
        if session is not None:
            _log.info("retention: dropped session %s", session.id)


def _oldest(
    conn: sqlite3.Connection,
    latest_ms: int,
    working: Collection[str],
    now_ms: int,
    *,
    holds_traffic: bool = False,
) -> str | None:
    """The oldest session that was last used before `latest_ms` and may go."""
    rows = conn.execute(
        f"""
        select id from sessions
        where updated_ms < :latest and {_MAY_GO} and traffic_count >= :least
        order by updated_ms, id
        """,
        {"latest": latest_ms, "now": now_ms, "least": int(holds_traffic)},
    )
    return next((session_id for (session_id,) in rows if session_id not in working), None)


def _is_any_going(conn: sqlite3.Connection, datadir: DataDir) -> bool:
    """Whether a deletion is on its way or may come."""
    (is_unswept,) = conn.execute(
        "select exists (select 1 from tombstones where swept = 0)"
    ).fetchone()
    now_ms = _now_ms()
    oldest = _oldest(conn, now_ms - _FRESH_MS, at_work(datadir), now_ms, holds_traffic=True)
    return bool(is_unswept) or oldest is not None


def _is_settled(db: Database) -> bool:
    if removal.has_rows(db):
        return False
    projection = keeping.state(db.conn)
    if projection is not None and projection.is_building:
        return False
    unmoved = moving.progress(db.conn)
    return unmoved is None or unmoved.damaged


def _live_bytes(conn: sqlite3.Connection) -> int:
    """What the database takes without pages that are free already, in bytes."""
    counted = [
        int(conn.execute(f"pragma {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    ]
    return (counted[0] - counted[1]) * counted[2]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
