"""
What retention dropped: a line for each session, so that what is gone is not missed in silence.

A user's own deletion leaves no such line. This list keeps names; `clear` forgets them.
"""

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

from sqlite_utils import Database

from storage.errors import NotFound
from storage.records import Origin, Record, Session

MOST = 10_000  # lines that are kept, the newest

Reason = Literal["retention.days", "retention.max_gb"]
type Place = tuple[int, str]  # dropped_ms and id: where a page ended


class Drop(Record, frozen=True, kw_only=True):
    """A session as it was when it went. Times are Unix milliseconds."""

    session_id: str
    name: str
    origin: Origin
    created_ms: int
    updated_ms: int
    traffic_count: int
    total_bytes: int
    reason: Reason
    dropped_ms: int


class Page(Record, frozen=True, kw_only=True):
    """Newest first. `next` is the `after` of the next page; None: there is none."""

    drops: list[Drop]
    total: int
    next: Place | None


_COLUMNS = """
    session_id, name, origin, created_ms, updated_ms, traffic_count, total_bytes, reason, dropped_ms
"""


def add(db: Database, session: Session, reason: Reason, now_ms: int) -> None:
    """In the transaction that deletes the session."""
    db.execute(
        f"""
        insert into drops ({_COLUMNS})
        values (:id, :name, :origin, :created_ms, :updated_ms, :traffic_count, :total_bytes,
            :reason, :now)
        """,
        {
            "id": session.id,
            "name": session.name,
            "origin": session.origin,
            "created_ms": session.created_ms,
            "updated_ms": session.updated_ms,
            "traffic_count": session.traffic_count,
            "total_bytes": session.total_bytes,
            "reason": reason,
            "now": now_ms,
        },
    )
    db.execute(
        """
        delete from drops where session_id in (
            select session_id from drops order by dropped_ms desc, session_id desc
            limit -1 offset :most)
        """,
        {"most": MOST},
    )


def page(conn: sqlite3.Connection, *, after: Place | None = None, limit: int) -> Page:
    """Those that were dropped before `after`, newest first; `limit` is at least 1."""
    beyond = "" if after is None else "where (dropped_ms, session_id) < (:dropped_ms, :id)"
    dropped_ms, session_id = after or (0, "")
    rows = conn.execute(
        f"""
        select {_COLUMNS} from drops {beyond}
        order by dropped_ms desc, session_id desc limit :limit
        """,
        {"dropped_ms": dropped_ms, "id": session_id, "limit": limit + 1},
    ).fetchall()
    found = [_drop(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return Page(drops=found, total=count(conn), next=None)
    end = (found[-1].dropped_ms, found[-1].session_id)
    return Page(drops=found, total=count(conn), next=end)


def count(conn: sqlite3.Connection) -> int:
    (found,) = conn.execute("select count(*) from drops").fetchone()
    return int(found)


def among(conn: sqlite3.Connection, session_ids: Iterable[str]) -> dict[str, Drop]:
    """Those of these sessions that retention dropped."""
    query = f"select {_COLUMNS} from drops where session_id = ?"
    rows = (conn.execute(query, [session_id]).fetchone() for session_id in session_ids)
    return {row[0]: _drop(row) for row in rows if row}


def session_not_found(conn: sqlite3.Connection, session_id: str) -> NotFound:
    """The error for a session that is not there; it says so if retention dropped it."""
    found = among(conn, [session_id]).get(session_id)
    return NotFound("Session not found", told(found) if found else None)


def told(drop: Drop) -> str:
    moment = datetime.fromtimestamp(drop.dropped_ms // 1000, tz=UTC)
    return f"{drop.reason} dropped it at {moment:%Y-%m-%dT%H:%M:%SZ}"


def clear(db: Database) -> int:
    """
    Forget what was dropped; how many that were.

    Their deletion then counts as not swept, so that the names leave the file too.
    """
    db.execute("update tombstones set swept = 0 where session_id in (select session_id from drops)")
    db.execute("update upkeep set next_page = 1")
    return db.execute("delete from drops").rowcount


def _drop(row: tuple[str, str, Origin, int, int, int, int, Reason, int]) -> Drop:
    return Drop(
        session_id=row[0],
        name=row[1],
        origin=row[2],
        created_ms=row[3],
        updated_ms=row[4],
        traffic_count=row[5],
        total_bytes=row[6],
        reason=row[7],
        dropped_ms=row[8],
    )
