"""
Sessions that files were imported into: one file, one session, however often it is imported.

A session's key says which file it is of (`import:` and the file's SHA-256), and only once all of
the file is on record. Until then it is `importing:` and the same: what an interrupted import left
is deleted by the next one, which starts afresh.
"""

import sqlite3

import msgspec
from sqlite_utils import Database

from storage import sessions
from storage.errors import Conflict
from storage.records import Session


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the file that is not imported."""

    number: int  # in the file, from 0
    reason: str


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one file."""

    session_id: str
    session_name: str
    imported: int  # entries that this import added
    total: int  # entries of the file, as far as it can be read; of a repeated one, of its session
    skipped: tuple[Skipped, ...] = ()
    fault: str | None = None  # where and why the file cannot be read to its end
    is_repeated: bool = False  # it was imported before, and nothing was added


class HarFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a HAR file says of itself."""

    version: str
    creator: str
    entry_count: int


def finished(conn: sqlite3.Connection, digest: str) -> Session | None:
    """The session of a file that was imported before."""
    return sessions.by_key(conn, f"import:{digest}")


def begin(db: Database, digest: str, name: str) -> Session:
    """
    A session for a file. One that an interrupted import left is deleted.

    To be called by `Store.change_sessions`, and by one import at a time.
    """
    key = f"importing:{digest}"
    if left := sessions.by_key(db.conn, key):
        sessions.delete(db, left.id)
    return sessions.create(db, name=name, origin="import", key=key)


def finish(db: Database, session_id: str, digest: str) -> None:
    """All of the file is on record. Raises Conflict if the session was deleted meanwhile."""
    done = db.execute(
        "update sessions set key = :key where id = :id",
        {"key": f"import:{digest}", "id": session_id},
    )
    if not done.rowcount:
        raise Conflict("the session was deleted while the file was imported into it")
