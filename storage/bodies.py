"""
Bytes by their content: bodies of any size, each stored once.

A body is cut into chunks by its content (`cutting`), which are stored once (`matching`), packed and
compressed together (`packs`, `packing`), and named by a recipe (`recipes`) that mostly says "as in
that other body, but". While a body still grows, what was cut so far and the tail behind it lie in
`pieces`.

Bodies count their uses. One that nobody uses is out of sight at once; it goes a slice at a time
(`sweep_released`), because a transaction must stay short.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, get_args

from sqlite_utils import Database

from storage.chunks import digests, first, matching, packing, pieces, recipes, recoding
from storage.chunks.chains import sealed, steps_of
from storage.chunks.gathering import flush, gathering, storing
from storage.chunks.matching import Memory
from storage.chunks.proving import verify
from storage.chunks.recipes import Run, Step
from storage.chunks.recoding import Coding
from storage.chunks.views import (
    PIECE_BYTES,
    BodyView,
    growing,
    nothing,
    piece_of,
    read_runs,
    view,
)
from storage.errors import StoreError
from storage.records import Body

__all__ = [  # read from here, as one module
    "BodyView", "flush", "gathering", "growing", "nothing", "verify", "view",
]  # fmt: skip

Part = Literal[
    "request",
    "response",
    "request-decoded",
    "response-decoded",
    "client-message",
    "server-message",
]

PARTS: tuple[Part, ...] = get_args(Part)

_MOST_DEPTH = 12  # bases behind a body: all their recipes are read with it

_IS_IT = digests.equal("digest", ":digest")


# --- writing -------------------------------------------------------------------------------------


def put(db: Database, data: bytes) -> Body | None:
    """Store `data` once more; None for nothing. Every `put` is one use, given back by `release`."""
    if not data:
        return None
    body = Body(digest=hashlib.sha256(data).digest(), size_bytes=len(data))
    if not _use_again(db, body.digest):
        with storing(db) as memory:
            _store_whole(db, memory, body, data)
    return body


def release(db: Database, digest: bytes) -> None:
    """
    One use less; with the last one the body goes out of sight, and `sweep_released` removes it.

    A digest that is not there is passed over.
    """
    row = db.execute(
        f"select id, uses from bodies where {_IS_IT} and uses > 0", {"digest": digest}
    ).fetchone()
    if row is None:
        if first.release(db, digest):
            discard(db, first.half(digest), "request")
        return
    body_id, uses = row
    db.execute("update bodies set uses = uses - 1 where id = ?", [body_id])
    if uses == 1:
        db.execute("insert into released (body) values (?)", [body_id])


def _use_again(db: Database, digest: bytes) -> bool:
    # Most are new: to look costs half of an update that finds nothing.
    known = db.conn.execute(f"select id from bodies where {_IS_IT}", {"digest": digest}).fetchone()
    if known is not None:
        db.execute("update bodies set uses = uses + 1 where id = ?", known)
        return True
    gathered = matching.memory(db).gathered
    is_moving = gathered is None or gathered.is_moving
    return is_moving and first.use_again(db, digest)


def _store_whole(db: Database, memory: Memory, body: Body, data: bytes) -> None:
    coding, plain = recoding.undone(data) or (None, data)
    _store(db, memory, body, [], plain, coding)


def _store(
    db: Database,
    memory: Memory,
    body: Body,
    cut: list[Run],
    rest: bytes,
    coding: Coding | None = None,
) -> None:
    """A new body, of which `cut` is stored as chunks, one use each, and `rest` is behind that."""
    gathered = memory.gathered
    assert gathered is not None
    found = matching.match(db, memory, rest)
    gathered.add(found.fresh, found.crcs)
    runs = recipes.joined([*cut, *found.runs]) if cut else found.runs
    base, depth, steps = _encode(db, memory, runs)
    gathered.count(recipes.own(steps), 1)
    gathered.count(cut, -1)
    body_id = db.conn.execute(
        """
        insert into bodies (digest, size_bytes, uses, depth, base, recipe, coding)
        values (?, ?, 1, ?, ?, ?, ?)
        """,
        [
            body.digest,
            body.size_bytes,
            depth,
            base,
            sealed(base, steps),
            recoding.pack(coding) if coding else None,
        ],
    ).lastrowid
    assert body_id is not None
    memory.remember(body_id, runs, depth)


def _encode(db: Database, memory: Memory, runs: list[Run]) -> tuple[int | None, int, list[Step]]:
    """Base, depth and steps of a short recipe."""
    plain: list[Step] = [(False, first, count) for first, count in runs]
    base = matching.base(memory, runs)
    if base is None:
        return None, 0, plain
    below = memory.depths[base]
    if below >= _MOST_DEPTH:
        return None, 0, plain
    steps = recipes.against(runs, memory.recent[base])
    # To depend on another body is worth it if that saves more than its name.
    if len(steps) + 2 > len(plain):
        return None, 0, plain
    return base, below + 1, steps


# --- removing ------------------------------------------------------------------------------------


def sweep_released(db: Database, until: Callable[[], bool]) -> bool:
    """
    Remove bodies that nobody uses, and chunks that are in none, until `until()` says stop.

    It does one step at least. True if some may be left.
    """
    flush(db)  # chunks are let go of where they lie: in the tables
    for sweep in (_sweep_bodies, packing.sweep, first.sweep):
        for _ in sweep(db):
            if until():
                return True
    return False


def has_released(conn: sqlite3.Connection) -> bool:
    """Whether `sweep_released` has something to do."""
    (found,) = conn.execute(
        """
        select exists (select 1 from released)
            or exists (select 1 from packs where is_dirty = 1 and (stage < 2 or is_dirty = 1))
        """
    ).fetchone()
    return bool(found) or first.has_released(conn)


def _sweep_bodies(db: Database) -> Iterator[None]:
    """Yields after each small step."""
    while True:
        row = db.execute("select id, body, runs from released order by id limit 1").fetchone()
        if row is None:
            return
        number, body_id, runs = row
        if body_id is not None:
            yield from _remove(db, body_id)
        else:
            yield from _let_go(db, number, recipes.own(recipes.unpack(runs)))
        db.execute("delete from released where id = ?", [number])
        yield


def _remove(db: Database, body_id: int) -> Iterator[None]:
    row = db.execute("select uses, base, recipe from bodies where id = ?", [body_id]).fetchone()
    if row is None or row[0]:
        return  # it came again meanwhile
    _, base, recipe = row
    try:
        steps = steps_of(db.conn, body_id, base, recipe)
    except ValueError:
        steps = []  # which chunks were its own is not known any more
    while True:
        above = db.execute("select id, recipe from bodies where base = ? limit 1", [body_id])
        dependant = above.fetchone()
        if dependant is None:
            break
        its_id, its_recipe = dependant
        _rebase(db, its_id, its_recipe, body_id, base, steps)
        yield
    db.execute("delete from bodies where id = ?", [body_id])
    matching.forget(db, body_id)
    release_runs(db, recipes.own(steps))


def _rebase(
    db: Database, body_id: int, recipe: bytes, old: int, base: int | None, below: list[Step]
) -> None:
    """Put a recipe on the base of its base, which goes."""
    try:
        steps = steps_of(db.conn, body_id, old, recipe)
    except ValueError:
        steps = []
    copied = [step for step in steps if step[0]]
    packing.count(db, recipes.own(recipes.rebase(copied, below)), 1)
    db.execute(
        "update bodies set base = ?, recipe = ? where id = ?",
        [base, sealed(base, recipes.rebase(steps, below)), body_id],
    )


def _let_go(db: Database, number: int, runs: list[Run]) -> Iterator[None]:
    while runs:
        start, count = runs[0]
        done = packing.count_some(db, start, count)
        runs[0:1] = [(start + done, count - done)] if done < count else []
        packed = recipes.pack((False, *run) for run in runs)
        db.execute("update released set runs = ? where id = ?", [packed, number])
        yield


def release_runs(db: Database, runs: Sequence[Run]) -> None:
    """These chunks lose a use each, a slice at a time."""
    if runs:
        packed = recipes.pack((False, start, count) for start, count in runs)
        db.execute("insert into released (runs) values (?)", [packed])


# --- growing -------------------------------------------------------------------------------------


class Growing:
    """
    A body that comes in chunks, over any number of transactions.

    Between transactions only its hash and some numbers are in memory. If the transaction of a
    `flush` or `finish` fails, the object is of no use any more: `resume` makes the next one.
    """

    def __init__(self, entry_id: str, part: Part) -> None:
        self.entry_id = entry_id
        self.part: Part = part
        self.size_bytes = 0
        self._head = b""  # its first bytes, without what is pending
        self._hash = hashlib.sha256()  # the same
        self._pending: list[bytes | memoryview] = []
        self._tail_bytes = 0  # stored behind the last chunk
        self._next = 0  # number of the next piece

    @classmethod
    def resume(cls, db: Database, entry_id: str, part: Part) -> "Growing":
        """Go on behind what is committed; reads it all once, for its hash. Raises StoreError."""
        self = cls(entry_id, part)
        layout = pieces.layout(db.conn, entry_id, part)
        if any(piece.block for piece in layout):
            return self._moved(db, layout)
        for piece in layout:
            for data in piece_of(db.conn, entry_id, part, piece, 0, piece.size_bytes):
                self._passed(data)
            self.size_bytes += piece.size_bytes
            self._tail_bytes = 0 if piece.runs else self._tail_bytes + piece.size_bytes
            self._next = piece.number + 1
        return self

    def _moved(self, db: Database, layout: list[pieces.Piece]) -> "Growing":
        """Out of the first store."""
        for piece in layout:
            for data in piece_of(db.conn, self.entry_id, self.part, piece, 0, piece.size_bytes):
                self.append(data)
        discard(db, self.entry_id, self.part)
        self.flush(db)
        return self

    def append(self, data: bytes | memoryview) -> None:
        """Take the next bytes, into memory only."""
        self.extend([data])

    def extend(self, pieces: Sequence[bytes | memoryview]) -> None:
        """As `append`, of pieces one behind the other."""
        self._pending += pieces
        self.size_bytes += sum(map(len, pieces))

    def flush(self, db: Database) -> None:
        """Put what came since the last time into the tables; once per transaction."""
        rest = self._cut(db)
        if rest:
            pieces.add_bytes(db, self.entry_id, self.part, self._next, rest)
            self._next += 1
            self._tail_bytes += len(rest)

    def finish(self, db: Database) -> Body | None:
        """Make a body of it all; None if nothing came. Its pieces go."""
        if not self.size_bytes:
            return None
        rest = self._take_pending()
        if self._tail_bytes:
            rest = pieces.take_tail(db, self.entry_id, self.part) + rest
        runs = pieces.take_runs(db, self.entry_id, self.part) if self._next else []
        body = Body(digest=self._hash.digest(), size_bytes=self.size_bytes)
        if _use_again(db, body.digest):
            release_runs(db, runs)
            return body
        may_be_coded = recoding.may_be_coded(self._head, self.size_bytes)
        coded = _whole(db, runs, rest, self.size_bytes) if may_be_coded else None
        with storing(db) as memory:
            if coded is None:
                _store(db, memory, body, runs, rest)
            else:
                release_runs(db, runs)
                _store_whole(db, memory, body, coded)
        return body

    def discard(self, db: Database) -> None:
        """Forget it all; the object is of no use any more."""
        discard(db, self.entry_id, self.part)

    def _take_pending(self) -> bytes:
        data = b"".join(self._pending)
        self._pending = []
        self._passed(data)
        return data

    def _passed(self, data: bytes) -> None:
        self._hash.update(data)
        if len(self._head) < recoding.HEAD_BYTES:
            self._head = (self._head + data[: recoding.HEAD_BYTES])[: recoding.HEAD_BYTES]

    def _cut(self, db: Database) -> bytes:
        """Store chunks of what came if it is much; returns the bytes behind them."""
        data = self._take_pending()
        if self._tail_bytes + len(data) < PIECE_BYTES:
            return data
        if self._tail_bytes:
            data = pieces.take_tail(db, self.entry_id, self.part) + data
            self._tail_bytes = 0
        with storing(db) as memory:
            found = matching.match(db, memory, data)
            found.leave_last()
            assert memory.gathered is not None
            memory.gathered.add(found.fresh, found.crcs)
            memory.gathered.count(found.runs, 1)
        pieces.add_runs(db, self.entry_id, self.part, self._next, found.runs, found.last_at)
        self._next += 1
        return data[found.last_at :]


def _whole(db: Database, runs: list[Run], rest: bytes, size_bytes: int) -> bytes | None:
    """All bytes of a body of which `runs` are stored; None if these are damaged already."""
    cut_bytes = size_bytes - len(rest)
    if not cut_bytes:
        return rest
    flush(db)
    try:
        return read_runs(db.conn, runs, cut_bytes, 0, cut_bytes) + rest
    except StoreError:
        return None


def discard(db: Database, entry_id: str, part: str) -> None:
    """Remove the pieces of a body that will not be finished, and their uses of chunks."""
    release_runs(db, pieces.take_runs(db, entry_id, part))
