"""
Moving bodies out of the first store, oldest entry first, a slice at a time.

Each body is one transaction with its blocks' release, so that after a crash it is in one store or
in the other; both are read meanwhile. What is damaged stays where it is, for `doctor` to name.
When nothing is left, the tables of the first store go.
"""

import sqlite3
from collections.abc import Callable

import msgspec
from sqlite_utils import Database

from storage import bodies, database, first
from storage.errors import StoreError

_DONE = "~~"  # behind every id of an entry, and every digest with the mark before it
_LEFT = "~"  # before the digests of bodies that no entry names
_VACUUM_PAGES = 256


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What is still in the first store."""

    bodies: int
    damaged: bool  # the rest could not be read, and stays


def progress(conn: sqlite3.Connection) -> Progress | None:
    """None: nothing was ever in the first store, or all has been moved."""
    if not first.is_there(conn):
        return None
    (moved,) = conn.execute("select moved from numbering").fetchone()
    (count,) = conn.execute("select count(*) from first_bodies").fetchone()
    return Progress(bodies=count, damaged=moved == _DONE)


def step(db: Database, until: Callable[[], bool]) -> bool:
    """One body or more, until `until()` says stop; False if there is nothing to move."""
    if not first.is_there(db.conn):
        return False
    while True:
        with database.write(db):
            more = _step(db)
            db.execute(f"pragma incremental_vacuum({_VACUUM_PAGES})").fetchall()
        if not more or until():
            return more


def _step(db: Database) -> bool:
    (moved,) = db.execute("select moved from numbering").fetchone()
    if moved == _DONE:
        return _end(db)
    if moved.startswith(_LEFT):
        _move_left(db, moved)
    else:
        _move_entry(db, moved)
    return True


def _move_entry(db: Database, after: str) -> None:
    """The next body of the entry behind this id, and on to the next entry behind the last one."""
    row = db.execute("select id from entries where id > ? order by id limit 1", [after]).fetchone()
    if row is None:
        _set_moved(db, _LEFT)
        return
    (entry_id,) = row
    digests = db.execute(
        """
        select digest from first_bodies where digest in (
            select request_digest from entries where id = :id
            union select response_digest from entries where id = :id
            union select request_decoded from entries where id = :id
            union select response_decoded from entries where id = :id)
        union all
        select * from (
            select b.digest from frames f join first_bodies b on b.digest = f.digest
            where f.entry_id = :id order by f.number limit 20)
        """,
        {"id": entry_id},
    ).fetchall()
    if not any(_move(db, digest) for (digest,) in dict.fromkeys(digests)):
        _set_moved(db, entry_id)


def _move_left(db: Database, after: str) -> None:
    row = db.execute(
        "select digest from first_bodies where digest > ? order by digest limit 1",
        [bytes.fromhex(after.removeprefix(_LEFT))],
    ).fetchone()
    if row is None:
        _set_moved(db, _DONE)
        return
    _move(db, row[0])
    _set_moved(db, _LEFT + row[0].hex())


def _move(db: Database, digest: bytes) -> bool:
    """False if it cannot be read."""
    (uses,) = db.execute("select uses from first_bodies where digest = ?", [digest]).fetchone()
    growing = bodies.Growing(f"moved {digest.hex()}", "request")
    try:
        with database.write(db):
            view = bodies.view(db.conn, digest)
            first.hide(db, digest)
            for data in view.stream():
                growing.append(data)
                growing.flush(db)
            growing.finish(db)
            first.remove(db, digest)
    except StoreError:
        return False
    db.execute("update bodies set uses = ? where digest = ?", [uses, digest])
    return True


def _end(db: Database) -> bool:
    """Take the tables away if nothing is in them; False: there is nothing more to do."""
    (is_left,) = db.execute(
        """
        select exists (select 1 from first_bodies) or exists (select 1 from first_released)
            or exists (select 1 from blocks)
        """
    ).fetchone()
    if is_left:
        return False
    for table in ("first_bodies", "first_released", "blocks"):
        db.execute(f"drop table {table}")
    db.execute("update numbering set is_moving = 0")
    return True


def _set_moved(db: Database, moved: str) -> None:
    db.execute("update numbering set moved = ?", [moved])
