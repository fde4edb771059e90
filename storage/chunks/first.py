"""
The bodies of the first store: lists of blocks (`blocks`), each a zstd frame of its own.

They are read as they are until they have been moved. While there is nothing to move the tables
are not there.
"""

import sqlite3
from collections.abc import Iterator

from sqlite_utils import Database

from storage.chunks import blocks

_RELEASED_EACH = 16  # blocks


def is_there(conn: sqlite3.Connection) -> bool:
    row = conn.execute("select is_moving from numbering").fetchone()
    return bool(row[0])


def recipe(conn: sqlite3.Connection, digest: bytes) -> tuple[int, bytes] | None:
    """Size and blocks of a body; None if it is not, or no more, in the first store."""
    if not is_there(conn):
        return None
    try:
        row = conn.execute(
            "select size_bytes, blocks from first_bodies where digest = ?", [digest]
        ).fetchone()
    except sqlite3.OperationalError:  # the last one was moved between the two questions
        return None
    return tuple(row) if row else None


def digests(conn: sqlite3.Connection) -> Iterator[bytes]:
    last = b""
    while is_there(conn):
        row = conn.execute(
            "select digest from first_bodies where digest > ? order by digest limit 1", [last]
        ).fetchone()
        if row is None:
            return
        (last,) = row
        yield last


def use_again(db: Database, digest: bytes) -> bool:
    if not is_there(db.conn):
        return False
    cursor = db.execute(
        "update first_bodies set uses = uses + 1 where digest = ? and uses > 0", [digest]
    )
    return cursor.rowcount == 1


def half(digest: bytes) -> str:
    """What the pieces of a body that is half moved stand under, in place of an entry's id."""
    return f"moved {digest.hex()}"


def release(db: Database, digest: bytes) -> bool:
    """
    One use less; with the last one the body goes, and its blocks a slice at a time.

    True if it went: then what was moved of it has to go too.
    """
    if not is_there(db.conn):
        return False
    row = db.execute("select uses from first_bodies where digest = ?", [digest]).fetchone()
    if row and row[0] > 1:
        db.execute("update first_bodies set uses = uses - 1 where digest = ?", [digest])
    elif row:
        remove(db, digest)
        return True
    return False


def hide(db: Database, digest: bytes) -> None:
    """Let no `use_again` find it: it is on its way."""
    db.execute("update first_bodies set uses = 0 where digest = ?", [digest])


def remove(db: Database, digest: bytes) -> None:
    db.execute(
        "insert into first_released (blocks) select blocks from first_bodies where digest = ?",
        [digest],
    )
    db.execute("delete from first_bodies where digest = ?", [digest])


def has_released(conn: sqlite3.Connection) -> bool:
    if not is_there(conn):
        return False
    return bool(conn.execute("select exists (select 1 from first_released)").fetchone()[0])


def sweep(db: Database) -> Iterator[None]:
    """Let go of the blocks of bodies that are no more. Yields after each small step."""
    while is_there(db.conn):
        row = db.execute("select id, blocks from first_released order by id limit 1").fetchone()
        if row is None:
            return
        number, steps = row
        border = _RELEASED_EACH * blocks.STEP_BYTES
        for digest, _ in blocks.steps(steps[:border]):
            blocks.release(db, digest)
        if steps[border:]:
            db.execute(
                "update first_released set blocks = ? where id = ?", [steps[border:], number]
            )
        else:
            db.execute("delete from first_released where id = ?", [number])
        yield
