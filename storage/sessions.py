"""
Capture sessions, and their deletion.

At most one session is active (an index of the table sees to that). What may record is told to the
proxy by the control file: whoever changes a session uses `Store.change_sessions`.
"""

import secrets
import sqlite3
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlite_utils import Database

from storage import at_once, drops, ids
from storage.errors import Conflict, NotFound
from storage.records import Origin, Record, Session
from storage.removal import sweep as sweep

_MIN_PREFIX = 4
_MAX_CANDIDATES = 5

# What is told of a session to the proxy, or shown in its list; and which row has its id.
_EVENTS = (
    ("insert", "new"),
    ("update of name, is_active, is_recording, is_finishing, is_pinned, word", "new"),
    ("delete", "old"),
)

type Place = tuple[int, str]  # created_ms and id: where a page ended


class Page(Record, frozen=True, kw_only=True):
    """Newest first. `next` is the `after` of the next page; None: there is none."""

    sessions: list[Session]
    total: int
    next: Place | None


# What somebody may mean by a text, the likeliest first: programs give an id. Names have no index.
_MEANT = (
    "id = :id",
    "name = :name",
    "id >= :id and id < :id || '~' and length(:id) >= :least",
)
_NAMES = Session.__struct_fields__
_COLUMNS = ", ".join(_NAMES)


def list_all(conn: sqlite3.Connection) -> list[Session]:
    """All sessions, newest first."""
    source = "select * from sessions order by created_ms desc, id desc"
    return [_session(row) for row in at_once.rows(conn, _NAMES, source, {})]


def page(conn: sqlite3.Connection, *, after: Place | None = None, limit: int) -> Page:
    """Those that were made before `after`, newest first; `limit` is at least 1."""
    beyond = "" if after is None else "where (created_ms, id) < (:created_ms, :id)"
    created_ms, session_id = after or (0, "")
    rows = at_once.rows(
        conn,
        _NAMES,
        f"select * from sessions {beyond} order by created_ms desc, id desc limit :limit",
        {"created_ms": created_ms, "id": session_id, "limit": limit + 1},
    )
    found = [_session(row) for row in rows[:limit]]
    (total,) = conn.execute("select count(*) from sessions").fetchone()
    if len(rows) <= limit:
        return Page(sessions=found, total=total, next=None)
    end = (found[-1].created_ms, found[-1].id)
    return Page(sessions=found, total=total, next=end)


def get(conn: sqlite3.Connection, session_id: str) -> Session:
    """Raises NotFound, which says so if retention dropped it."""
    row = conn.execute(f"select {_COLUMNS} from sessions where id = ?", [session_id]).fetchone()
    if row is None:
        raise drops.session_not_found(conn, session_id)
    return _session(row)


def active(conn: sqlite3.Connection) -> Session | None:
    row = conn.execute(f"select {_COLUMNS} from sessions where is_active = 1").fetchone()
    return _session(row) if row else None


def by_key(conn: sqlite3.Connection, key: str) -> Session | None:
    """The automatic session that gathers what `key` names, if there is one."""
    row = conn.execute(f"select {_COLUMNS} from sessions where key = ?", [key]).fetchone()
    return _session(row) if row else None


def key_of(conn: sqlite3.Connection, session_id: str) -> str | None:
    """What an automatic session gathers; None for all others. Raises NotFound."""
    row = conn.execute("select key from sessions where id = ?", [session_id]).fetchone()
    if row is None:
        raise NotFound("Session not found")
    key: str | None = row[0]
    return key


def is_named(conn: sqlite3.Connection, session_id: str) -> bool:
    """Whether a user or a first prompt has given it its name."""
    row = conn.execute("select is_named from sessions where id = ?", [session_id]).fetchone()
    return row is not None and bool(row[0])


def find(conn: sqlite3.Connection, text: str) -> Session:
    """
    The session that a user means by its id, its exact name, or a prefix of its id.

    A prefix has at least 4 characters. Raises NotFound; Conflict if several match.
    """
    text = text.strip()
    asked = {"id": text.lower(), "name": text, "least": _MIN_PREFIX}
    for meant in _MEANT:
        # The plus: else all rows are looked up one by one, in the order of the index.
        query = f"select {_COLUMNS} from sessions where {meant} order by +created_ms desc, id desc"
        found = [_session(row) for row in conn.execute(query, asked).fetchall()]
        if len(found) == 1:
            return found[0]
        if found:
            raise Conflict(f"{text!r} may be {_candidates(found)}: say which by its id")
    raise drops.session_not_found(conn, text.lower())


def default_name(now: datetime) -> str:
    """
    The automatic name: "Session 2/28/2026, 3:00:00 PM".

    Seed document 002 has this en-US form; with a plain space, where newer ICU has U+202F.
    """
    hour, half = (now.hour % 12 or 12), ("AM" if now.hour < 12 else "PM")
    return f"Session {now.month}/{now.day}/{now.year}, {hour}:{now:%M:%S} {half}"


def create(
    db: Database,
    *,
    name: str | None = None,
    origin: Origin = "user",
    is_recording: bool = False,
    key: str | None = None,
    now_ms: int | None = None,
) -> Session:
    """
    A new session, not active. No name, or a blank one: the automatic name of `now_ms`.

    Raises Conflict if `key` has a session already.
    """
    now_ms = _now_ms() if now_ms is None else now_ms
    if key is not None and by_key(db.conn, key):
        raise Conflict(f"there is a session of the key {key!r} already")
    session_id = ids.new()
    db.execute(
        """
        insert into sessions
            (id, name, is_named, is_recording, word, origin, key, created_ms, updated_ms)
        values (:id, :name, :is_named, :is_recording, :word, :origin, :key, :now, :now)
        """,
        {
            "id": session_id,
            "name": _name(name, now_ms),
            "is_named": origin != "automatic",
            "is_recording": is_recording,
            "word": secrets.token_hex(8),
            "origin": origin,
            "key": key,
            "now": now_ms,
        },
    )
    return get(db.conn, session_id)


def update(
    db: Database,
    session_id: str,
    *,
    name: str | None = None,
    is_active: bool | None = None,
    is_recording: bool | None = None,
    is_pinned: bool | None = None,
    used: Collection[str] = (),
) -> Session:
    """
    Change what is given; None leaves as it is, a blank `name` asks for the automatic one.

    `is_active` true is `activate`, false leaves no session active if this one was. An explicit
    `is_recording` has the last word. Always touches `updated_ms`. Raises NotFound.
    """
    before = get(db.conn, session_id)
    if is_active:
        before = activate(db, session_id, used=used)
    now_ms = _now_ms()
    db.execute(
        """
        update sessions
        set name = :name, is_named = is_named or :is_named, is_active = :is_active,
            is_recording = :is_recording, is_pinned = :is_pinned,
            is_finishing = is_finishing and not :is_asked, updated_ms = max(updated_ms, :now)
        where id = :id
        """,
        {
            "is_asked": is_recording is not None,
            "name": before.name if name is None else _name(name, now_ms),
            "is_named": name is not None,
            "is_active": before.is_active if is_active is None else is_active,
            "is_recording": before.is_recording if is_recording is None else is_recording,
            "is_pinned": before.is_pinned if is_pinned is None else is_pinned,
            "now": now_ms,
            "id": session_id,
        },
    )
    return get(db.conn, session_id)


def name_by_prompt(db: Database, session_id: str, name: str) -> None:
    """Name an automatic session by what it is about; a name that somebody gave stays."""
    db.execute(
        "update sessions set name = ?, is_named = 1 where id = ? and is_named = 0",
        [name, session_id],
    )


def move_entry(db: Database, entry_id: str, to: str) -> None:
    """
    Put an entry that ended into another session, and count it there.

    An automatic session that is left without entries goes: nothing in the log knows its id.
    """
    row = db.execute(
        """
        select session_id, request_bytes + response_bytes,
            (started_ns + coalesce(duration_ns, 0)) / 1000000
        from entries where id = ?
        """,
        [entry_id],
    ).fetchone()
    if row is None or row[0] == to:
        return
    before, size_bytes, ended_ms = row
    for session_id, sign in ((before, -1), (to, 1)):
        db.execute(
            """
            update sessions
            set traffic_count = traffic_count + :sign,
                total_bytes = total_bytes + :sign * :size_bytes,
                updated_ms = max(updated_ms, :ended_ms)
            where id = :id
            """,
            {"sign": sign, "size_bytes": size_bytes, "ended_ms": ended_ms, "id": session_id},
        )
    for table, column in (("entries", "id"), ("gaps", "entry_id"), ("quarantine", "entry_id")):
        db.execute(f"update {table} set session_id = ? where {column} = ?", [to, entry_id])
    db.execute(
        "delete from sessions where id = ? and traffic_count = 0 and origin = 'automatic'", [before]
    )


def activate(db: Database, session_id: str, *, used: Collection[str] = ()) -> Session:
    """
    Make this session the active one, and recording.

    The one that was active before stops recording too, unless its id is in `used`: then an agent
    that is tagged with it goes on. What is open in it at that moment may end there (`finishing` of
    the control file). Raises NotFound, and then nothing has changed.
    """
    get(db.conn, session_id)
    now_ms = _now_ms()
    before = active(db.conn)
    if before and before.id != session_id:
        db.execute(
            """
            update sessions
            set is_active = 0, is_recording = is_recording and :is_used,
                is_finishing = is_recording and not :is_used, updated_ms = max(updated_ms, :now)
            where id = :id
            """,
            {
                "is_used": before.id in used,
                "now": now_ms,
                "id": before.id,
            },
        )
    db.execute(
        """
        update sessions
        set is_active = 1, is_recording = 1, is_finishing = 0,
            updated_ms = max(updated_ms, :now)
        where id = :id
        """,
        {"now": now_ms, "id": session_id},
    )
    return get(db.conn, session_id)


def delete(db: Database, session_id: str) -> None:
    """
    Forget the session, now and for good; `sweep` removes what it recorded.

    Raises NotFound.
    """
    get(db.conn, session_id)
    db.execute("delete from sessions where id = ?", [session_id])
    db.execute(
        "insert into tombstones (session_id, deleted_ms) values (?, ?)", [session_id, _now_ms()]
    )


def watch(db: Database, name: str) -> set[str]:
    """
    From now on the ids of sessions that this connection makes, changes or deletes come into this
    set; also those of a transaction that is rolled back, but none that only counted traffic.

    Who takes them clears it. `name` is the watcher's; a second one takes the place of the first.
    """
    changed: set[str] = set()
    function = f"session_changed_{name}"
    db.conn.create_function(function, 1, changed.add)
    for number, (event, row) in enumerate(_EVENTS):
        db.conn.execute(
            f"""
            create temp trigger if not exists {function}_{number} after {event} on main.sessions
            begin select {function}({row}.id); end
            """
        )
    return changed


def _session(row: Sequence[Any]) -> Session:
    return Session(
        id=row[0], name=row[1], is_active=bool(row[2]), is_recording=bool(row[3]),
        created_ms=row[4], updated_ms=row[5], traffic_count=row[6], total_bytes=row[7],
        origin=row[8], word=row[9], is_pinned=bool(row[10]),
    )  # fmt: skip


def _candidates(found: list[Session]) -> str:
    named = [f"{session.id} ({session.name})" for session in found[:_MAX_CANDIDATES]]
    more = len(found) - len(named)
    return ", ".join(named) + (f" or {more} more" if more else "")


def _name(name: str | None, now_ms: int) -> str:
    if name and name.strip():
        return name
    return default_name(datetime.fromtimestamp(now_ms / 1000, tz=UTC).astimezone())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
