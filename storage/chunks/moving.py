"""
Moving bodies out of the first store, oldest entry first, a slice at a time.

Of a large body each slice is a transaction, the last one with the release of its blocks, so that
after a crash it is in one store or in the other; both are read meanwhile. What is damaged stays
where it is, for `doctor` to name. When nothing is left, the tables of the first store go.
"""

import sqlite3
from collections.abc import Callable
from typing import Literal

import msgspec
from sqlite_utils import Database

from storage import bodies, database
from storage.bodies import Growing
from storage.chunks import digests, first
from storage.errors import StoreError

_DONE = "~~"  # behind every id of an entry, and every digest with the mark before it
_LEFT = "~"  # before the digests of bodies that no entry names
_VACUUM_PAGES = 256
_SLICE_BYTES = 1 << 20

type _Outcome = Literal["begun", "moved", "damaged"]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What is still in the first store."""

    bodies: int
    damaged: bool  # the rest could not be read, and stays


def progress(conn: sqlite3.Connection) -> Progress | None:
    """None: nothing was ever in the first store, or all has been moved."""
    if not first.is_there(conn):
        return None
    (moved,) = conn.execute("select moved from numbering").fetchone()
    try:
        (count,) = conn.execute("select count(*) from first_bodies").fetchone()
    except sqlite3.OperationalError:
        if first.is_there(conn):
            raise
        return None  # the last one was moved between the two questions
    return Progress(bodies=count, damaged=moved == _DONE)


class Mover:
    """
    Moves what is in the first store, a step at a time.

    Of a large body that is half moved its hash is in memory; who has it not reads that half again.
    """

    def __init__(self) -> None:
        self._begun: tuple[bytes, Growing] | None = None

    def step(self, db: Database, until: Callable[[], bool]) -> bool:
        """A slice or more, until `until()` says stop; False if there is nothing to move."""
        if not first.is_there(db.conn):
            return False
        while True:
            try:
                with database.write(db):
                    more = self._step(db)
                    db.execute(f"pragma incremental_vacuum({_VACUUM_PAGES})").fetchall()
            except BaseException:
                self._begun = None  # it may be ahead of the tables
                raise
            if not more or until():
                return more

    def _step(self, db: Database) -> bool:
        (moved,) = db.execute("select moved from numbering").fetchone()
        if moved == _DONE:
            _end(db)
            return False
        if moved.startswith(_LEFT):
            self._move_left(db, moved)
        else:
            self._move_entry(db, moved)
        return True

    def _move_entry(self, db: Database, after: str) -> None:
        """The next of the entry behind this id, and on to the next entry behind the last one."""
        row = db.execute(
            "select id from entries where id > ? order by id limit 1", [after]
        ).fetchone()
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
        for (digest,) in dict.fromkeys(digests):
            if self._move(db, digest) != "damaged":
                return
        _set_moved(db, entry_id)

    def _move_left(self, db: Database, after: str) -> None:
        row = db.execute(
            "select digest from first_bodies where digest > ? order by digest limit 1",
            [bytes.fromhex(after.removeprefix(_LEFT))],
        ).fetchone()
        if row is None:
            _set_moved(db, _DONE)
        elif self._move(db, row[0]) != "begun":
            _set_moved(db, _LEFT + row[0].hex())

    def _move(self, db: Database, digest: bytes) -> _Outcome:
        """A slice of a body."""
        growing, self._begun = self._growing(db, digest), None
        try:
            with database.write(db):
                if not _go_on(db, digest, growing):
                    self._begun = (digest, growing)
                    return "begun"
        except StoreError:
            bodies.discard(db, growing.entry_id, growing.part)
            return "damaged"
        return "moved"

    def _growing(self, db: Database, digest: bytes) -> Growing:
        if self._begun is not None and self._begun[0] == digest:
            return self._begun[1]
        return Growing.resume(db, first.half(digest), "request")


def _go_on(db: Database, digest: bytes, growing: Growing) -> bool:
    """Whether that was the last slice. Raises StoreError if the body cannot be read."""
    view = bodies.view(db.conn, digest)
    stop = min(growing.size_bytes + _SLICE_BYTES, view.size_bytes)
    for data in view.stream(growing.size_bytes, stop):
        growing.append(data)
        growing.flush(db)
    if stop < view.size_bytes:
        return False
    (uses,) = db.execute("select uses from first_bodies where digest = ?", [digest]).fetchone()
    first.hide(db, digest)
    body = growing.finish(db)
    if body is None or body.digest != digest:
        raise StoreError(f"body {digest.hex()} is damaged: its bytes have another digest")
    first.remove(db, digest)
    db.execute(
        f"update bodies set uses = :uses where {digests.equal('digest', ':digest')}",
        {"uses": uses, "digest": digest},
    )
    return True


def _end(db: Database) -> None:
    """Take the tables away if nothing is in them; what could not be read stays."""
    (is_left,) = db.execute(
        """
        select exists (select 1 from first_bodies) or exists (select 1 from first_released)
            or exists (select 1 from blocks)
        """
    ).fetchone()
    if is_left:
        return
    for table in ("first_bodies", "first_released", "blocks"):
        db.execute(f"drop table {table}")
    db.execute("update numbering set is_moving = 0")


def _set_moved(db: Database, moved: str) -> None:
    db.execute("update numbering set moved = ?", [moved])
