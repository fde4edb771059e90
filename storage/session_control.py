"""What the proxy is told of the sessions by the control file (storage.control)."""

import sqlite3
import time
from collections.abc import Collection

import msgspec

from storage.control import Control, SessionControl

_DELETED_DAYS = 7  # how long the proxy is told of a deleted session
_DELETED_COUNT = 1000


def read(conn: sqlite3.Connection) -> Control:
    """What the proxy must know of the sessions; its generation is 0, the store counts it."""
    rows = conn.execute("select id, is_recording, word, is_finishing from sessions").fetchall()
    return Control(
        active=_active_id(conn),
        sessions={row[0]: _session_control(*row[1:]) for row in rows},
        deleted=_deleted(conn),
    )


def read_again(conn: sqlite3.Connection, known: Control, changed: Collection[str]) -> Control:
    """The same, when all but the sessions `changed` is as it was; they are read, and no others."""
    told = known.sessions
    now = {session_id: _one(conn, session_id) for session_id in changed}
    if any(told.get(session_id) != one for session_id, one in now.items()):
        told = {session_id: one for session_id, one in told.items() if session_id not in now}
        told |= {session_id: one for session_id, one in now.items() if one is not None}
    return msgspec.structs.replace(
        known, active=_active_id(conn), sessions=told, deleted=_deleted(conn)
    )


def _one(conn: sqlite3.Connection, session_id: str) -> SessionControl | None:
    row = conn.execute(
        "select is_recording, word, is_finishing from sessions where id = ?", [session_id]
    ).fetchone()
    return None if row is None else _session_control(*row)


def _session_control(is_recording: int, word: str, is_finishing: int) -> SessionControl:
    return SessionControl(recording=bool(is_recording), word=word, finishing=bool(is_finishing))


def _active_id(conn: sqlite3.Connection) -> str | None:
    row = conn.execute("select id from sessions where is_active = 1").fetchone()
    return row[0] if row else None


def _deleted(conn: sqlite3.Connection) -> tuple[str, ...]:
    """The ids that were deleted lately, newest last."""
    since_ms = time.time_ns() // 1_000_000 - _DELETED_DAYS * 86_400_000
    found = conn.execute(
        """
        select session_id from tombstones where deleted_ms >= ?
        order by deleted_ms desc, session_id desc limit ?
        """,
        [since_ms, _DELETED_COUNT],
    ).fetchall()
    return tuple(session_id for (session_id,) in reversed(found))
