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
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Literal, get_args

import msgspec
from sqlite_utils import Database

from storage import blocks, database, first, matching, packing, packs, pieces, recipes
from storage.blocks import BLOCK_BYTES
from storage.errors import NotFound, StoreError
from storage.matching import Memory
from storage.recipes import Run, Step
from storage.records import Body

Part = Literal[
    "request",
    "response",
    "request-decoded",
    "response-decoded",
    "client-message",
    "server-message",
]

PARTS: tuple[Part, ...] = get_args(Part)

PIECE_BYTES = 256 << 10  # of a stream, and of a growing body's plain tail

_MOST_DEPTH = 12  # bases behind a body: all their recipes are read with it
_TRIES = 5  # to read what is packed anew meanwhile


# --- reading -------------------------------------------------------------------------------------


class BodyView:
    """
    Stored bytes, read as they are wanted.

    `size_bytes` and `digest` are of the moment when the view was made; `digest` is None while the
    body still grows, and of nothing. What is read whole is proved by it, a part of it by the
    checksums of its chunks.
    """

    def __init__(
        self, size_bytes: int, digest: bytes | None, read: Callable[[int, int], list[bytes]]
    ) -> None:
        self.size_bytes = size_bytes
        self.digest = digest
        self._read = read

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """
        The bytes from `start` to before `stop`, as far as there are any.

        Raises StoreError that names the digest if they are damaged, NotFound if the body was
        deleted meanwhile.
        """
        start, stop = self._span(start, stop)
        if start >= stop:
            return b""
        data = b"".join(self._read(start, stop))
        if self.digest and stop - start == self.size_bytes:
            self._prove(hashlib.sha256(data).digest())
        return data

    def stream(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """As `read`, in pieces of at most 256 KB; memory stays flat."""
        start, stop = self._span(start, stop)
        whole = hashlib.sha256() if self.digest and stop - start == self.size_bytes > 0 else None
        while start < stop:
            end = min(stop, start + PIECE_BYTES)
            data = b"".join(self._read(start, end))
            if whole:
                whole.update(data)
                # Before the last piece is given away, for it cannot be taken back.
                if end == stop:
                    self._prove(whole.digest())
            yield data
            start = end

    def _prove(self, digest: bytes) -> None:
        if self.digest and digest != self.digest:
            raise StoreError(f"body {self.digest.hex()} is damaged: its bytes have another digest")

    def _span(self, start: int, stop: int | None) -> tuple[int, int]:
        if start < 0 or (stop is not None and stop < 0):
            raise ValueError("a body is read from a place that is not negative")
        return start, self.size_bytes if stop is None else min(stop, self.size_bytes)


def nothing() -> BodyView:
    """The view of an empty body."""
    return BodyView(0, None, lambda start, stop: [])


def view(conn: sqlite3.Connection, digest: bytes) -> BodyView:
    """Raises NotFound, and StoreError if its recipe is damaged."""
    return _view(conn, digest, packs.Reader(conn))


def _view(conn: sqlite3.Connection, digest: bytes, reader: packs.Reader) -> BodyView:
    found = _recipe(conn, digest)
    if found is None:
        return _first_view(conn, digest)
    size_bytes, runs = found
    layout = _Layout(reader, runs, size_bytes)

    def read(start: int, stop: int) -> list[bytes]:
        try:
            return layout.read(start, stop)
        except StoreError as error:
            if not _exists(conn, digest):
                raise NotFound(f"body {digest.hex()} was deleted") from error
            raise StoreError(f"body {digest.hex()} is damaged: {error}") from error

    return BodyView(size_bytes, digest, read)


def _first_view(conn: sqlite3.Connection, digest: bytes) -> BodyView:
    found = first.recipe(conn, digest)
    if found is None:
        raise NotFound(f"there is no body {digest.hex()}")
    size_bytes, recipe = found
    spans = blocks.Spans(blocks.steps(recipe))

    def read(start: int, stop: int) -> list[bytes]:
        try:
            return [
                blocks.read(conn, block)[low:high]
                for block, low, high in spans.covering(start, stop)
            ]
        except (blocks.Missing, sqlite3.OperationalError) as error:
            # It was deleted meanwhile, or moved: then the view of its new form gives the bytes.
            if first.recipe(conn, digest) is None:
                return [view(conn, digest).read(start, stop)]
            raise StoreError(f"body {digest.hex()} is damaged: {error}") from error
        except StoreError as error:
            raise StoreError(f"body {digest.hex()} is damaged: {error}") from error

    return BodyView(size_bytes, digest, read)


class _Layout:
    """Chunks one behind the other, and where each of them is at present."""

    def __init__(self, reader: packs.Reader, runs: Sequence[Run], size_bytes: int) -> None:
        self._reader = reader
        self._runs = runs
        self._size_bytes = size_bytes
        self._segments: list[tuple[packs.Place, int, int, int]] = []
        self._ends: list[int] = []

    def read(self, start: int, stop: int) -> list[bytes]:
        """Raises StoreError."""
        for _ in range(_TRIES):
            found = self._read(start, stop) if self._ends or self._look() else None
            if found is not None:
                return found
            self._ends = []
        raise StoreError("it is packed anew again and again")

    def _look(self) -> bool:
        self._reader.forget()
        try:
            self._segments = list(self._reader.segments(self._runs))
        except packs.Moved:
            return False
        self._ends = list(accumulate(size_bytes for *_, size_bytes in self._segments))
        total = self._ends[-1] if self._ends else 0
        if total != self._size_bytes:
            raise StoreError(f"it has {total} bytes instead of {self._size_bytes}")
        return True

    def _read(self, start: int, stop: int) -> list[bytes] | None:
        found = []
        for index in range(bisect_right(self._ends, start), len(self._segments)):
            place, low, high, size_bytes = self._segments[index]
            at = self._ends[index] - size_bytes
            if at >= stop:
                break
            pack = self._reader.pack(place)
            if pack is None:
                return None
            found.append(pack.span(low, high, max(start - at, 0), min(stop - at, size_bytes)))
        return found


def _recipe(conn: sqlite3.Connection, digest: bytes) -> tuple[int, list[Run]] | None:
    """Size and chunks of a body; None if there is none. Raises StoreError."""
    # One statement, so that no base is taken away between two.
    rows = conn.execute(
        """
        with recursive chain (number, size_bytes, base, recipe) as (
            select 0, size_bytes, base, recipe from bodies where digest = ? and uses > 0
            union all
            select number + 1, b.size_bytes, b.base, b.recipe
            from chain join bodies b on b.id = chain.base
            where number < 1000
        )
        select size_bytes, base, recipe from chain order by number
        """,
        [digest],
    ).fetchall()
    if not rows:
        return None
    try:
        steps = _unsealed(rows[0][1], rows[0][2])
        for _, base, recipe in rows[1:]:
            steps = recipes.rebase(steps, _unsealed(base, recipe))
    except ValueError as error:
        raise StoreError(f"body {digest.hex()} is damaged: {error}") from error
    if any(is_copy for is_copy, _, _ in steps):
        raise StoreError(f"body {digest.hex()} is damaged: the recipe of its base is missing")
    return rows[0][0], recipes.joined(recipes.own(steps))


def _sealed(base: int | None, steps: Sequence[Step]) -> bytes:
    packed = recipes.pack(steps)
    return zlib.crc32(packed, base or 0).to_bytes(4) + packed


def _unsealed(base: int | None, sealed: bytes) -> list[Step]:
    """Raises ValueError."""
    if zlib.crc32(sealed[4:], base or 0) != int.from_bytes(sealed[:4]):
        raise ValueError("its recipe has another checksum")
    return recipes.unpack(sealed[4:])


def _exists(conn: sqlite3.Connection, digest: bytes) -> bool:
    row = conn.execute("select 1 from bodies where digest = ? and uses > 0", [digest]).fetchone()
    return row is not None or first.recipe(conn, digest) is not None


def growing(
    conn: sqlite3.Connection, entry_id: str, part: Part, finished: Callable[[], BodyView]
) -> BodyView:
    """
    The view of what is stored by now of a body that still grows.

    `finished` finds the whole body should it have ended when the view is read.
    """

    def read(start: int, stop: int) -> list[bytes]:
        with database.snapshot(conn):
            layout = pieces.layout(conn, entry_id, part)
            if pieces.size(layout) >= stop:
                spans = blocks.Spans([(piece, piece.size_bytes) for piece in layout])
                return [
                    piece
                    for where, low, high in spans.covering(start, stop)
                    for piece in _piece(conn, entry_id, part, where, low, high)
                ]
        whole = finished()
        if whole.size_bytes < stop:
            raise NotFound(f"the {part} of entry {entry_id} was deleted")
        return [whole.read(start, stop)]

    return BodyView(pieces.size(pieces.layout(conn, entry_id, part)), None, read)


def _piece(
    conn: sqlite3.Connection, entry_id: str, part: str, piece: pieces.Piece, start: int, stop: int
) -> list[bytes]:
    if piece.block:
        return [blocks.read(conn, piece.block)[start:stop]]
    if piece.runs:
        runs = recipes.own(recipes.unpack(piece.runs))
        return _Layout(packs.Reader(conn), runs, piece.size_bytes).read(start, stop)
    return [pieces.data(conn, entry_id, part, piece.number)[start:stop]]


# --- writing -------------------------------------------------------------------------------------


def put(db: Database, data: bytes) -> Body | None:
    """Store `data` once more; None for nothing. Every `put` is one use, given back by `release`."""
    if not data:
        return None
    body = Body(digest=hashlib.sha256(data).digest(), size_bytes=len(data))
    if not _use_again(db, body.digest):
        with database.write(db):
            _store(db, body, [], data)
    return body


def release(db: Database, digest: bytes) -> None:
    """
    One use less; with the last one the body goes out of sight, and `sweep_released` removes it.

    A digest that is not there is passed over.
    """
    row = db.execute(
        "select id, uses from bodies where digest = ? and uses > 0", [digest]
    ).fetchone()
    if row is None:
        first.release(db, digest)
        return
    body_id, uses = row
    db.execute("update bodies set uses = uses - 1 where id = ?", [body_id])
    if uses == 1:
        db.execute("insert into released (body) values (?)", [body_id])


def _use_again(db: Database, digest: bytes) -> bool:
    known = db.execute("update bodies set uses = uses + 1 where digest = ?", [digest]).rowcount
    return known == 1 or first.use_again(db, digest)


def _store(db: Database, body: Body, cut: list[Run], rest: bytes) -> None:
    """A new body, of which `cut` is stored as chunks, one use each, and `rest` is behind that."""
    memory, found = _cut(db, rest)
    held = recipes.joined([*cut, (found.first, len(found.fresh))])
    runs = recipes.joined([*cut, *found.runs])
    base, depth, steps = _encode(db, memory, runs)
    own = recipes.own(steps)
    if own != held:
        packing.count(db, own, 1)
        packing.count(db, held, -1)
    body_id = db.execute(
        """
        insert into bodies (digest, size_bytes, uses, depth, base, recipe)
        values (?, ?, 1, ?, ?, ?)
        """,
        [body.digest, body.size_bytes, depth, base, _sealed(base, steps)],
    ).lastrowid
    assert body_id is not None
    memory.remember(body_id, runs)


def _cut(db: Database, data: bytes, *, keep_last: bool = True) -> tuple[Memory, matching.Matched]:
    """Chunks of `data`; new ones are stored. Without `keep_last` the last one is left out."""
    number, stamp = db.execute("select next_number, stamp from numbering").fetchone()
    memory = matching.memory(db, stamp)
    found = matching.match(db, memory, data, number)
    if not keep_last:
        found.leave_last()
    if found.fresh:
        packing.add(db, number, found.fresh)
        packing.pool(db)
    memory.stamp = stamp + 1
    db.execute(
        "update numbering set next_number = ?, stamp = ?",
        [number + len(found.fresh), memory.stamp],
    )
    return memory, found


def _encode(
    db: Database, memory: Memory, runs: list[Run]
) -> tuple[int | None, int, list[Step]]:
    """Base, depth and steps of a short recipe."""
    plain: list[Step] = [(False, first, count) for first, count in runs]
    base = matching.base(memory, runs)
    if base is None:
        return None, 0, plain
    row = db.execute("select depth from bodies where id = ?", [base]).fetchone()
    if row is None or row[0] >= _MOST_DEPTH:
        return None, 0, plain
    steps = recipes.against(runs, memory.recent[base])
    # To depend on another body is worth it if that saves more than its name.
    if len(steps) + 2 > len(plain):
        return None, 0, plain
    return base, row[0] + 1, steps


# --- removing ------------------------------------------------------------------------------------


def sweep_released(db: Database, until: Callable[[], bool]) -> bool:
    """
    Remove bodies that nobody uses, and chunks that are in none, until `until()` says stop.

    It does one step at least. True if some may be left.
    """
    for sweep in (_sweep_bodies, packing.sweep, first.sweep):
        for _ in sweep(db):
            if until():
                return True
    return False


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
        steps = _unsealed(base, recipe)
    except ValueError:
        steps = []  # which chunks were its own is not known any more
    while True:
        above = db.execute("select id, recipe from bodies where base = ? limit 1", [body_id])
        dependant = above.fetchone()
        if dependant is None:
            break
        _rebase(db, *dependant, body_id, base, steps)
        yield
    db.execute("delete from bodies where id = ?", [body_id])
    matching.forget(db, body_id)
    release_runs(db, recipes.own(steps))


def _rebase(
    db: Database, body_id: int, recipe: bytes, old: int, base: int | None, below: list[Step]
) -> None:
    """Put a recipe on the base of its base, which goes."""
    try:
        steps = _unsealed(old, recipe)
    except ValueError:
        steps = []
    copied = [step for step in steps if step[0]]
    packing.count(db, recipes.own(recipes.rebase(copied, below)), 1)
    db.execute(
        "update bodies set base = ?, recipe = ? where id = ?",
        [base, _sealed(base, recipes.rebase(steps, below)), body_id],
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
        self._hash = hashlib.sha256()
        self._pending: list[bytes] = []
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
            for data in _piece(db.conn, entry_id, part, piece, 0, piece.size_bytes):
                self._hash.update(data)
            self.size_bytes += piece.size_bytes
            self._tail_bytes = 0 if piece.runs else self._tail_bytes + piece.size_bytes
            self._next = piece.number + 1
        return self

    def _moved(self, db: Database, layout: list[pieces.Piece]) -> "Growing":
        """Out of the first store."""
        for piece in layout:
            for data in _piece(db.conn, self.entry_id, self.part, piece, 0, piece.size_bytes):
                self.append(data)
        discard(db, self.entry_id, self.part)
        self.flush(db)
        return self

    def append(self, data: bytes) -> None:
        """Take the next bytes, into memory only."""
        if data:
            self._hash.update(data)
            self._pending.append(data)
            self.size_bytes += len(data)

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
        rest = b"".join(self._pending)
        self._pending = []
        if self._tail_bytes:
            rest = pieces.take_tail(db, self.entry_id, self.part) + rest
        runs = pieces.take_runs(db, self.entry_id, self.part) if self._next else []
        body = Body(digest=self._hash.digest(), size_bytes=self.size_bytes)
        if _use_again(db, body.digest):
            release_runs(db, runs)
        else:
            _store(db, body, runs, rest)
        return body

    def discard(self, db: Database) -> None:
        """Forget it all; the object is of no use any more."""
        discard(db, self.entry_id, self.part)

    def _cut(self, db: Database) -> bytes:
        """Store chunks of what came if it is much; returns the bytes behind them."""
        data = b"".join(self._pending)
        self._pending = []
        if self._tail_bytes + len(data) < PIECE_BYTES:
            return data
        if self._tail_bytes:
            data = pieces.take_tail(db, self.entry_id, self.part) + data
            self._tail_bytes = 0
        _, found = _cut(db, data, keep_last=False)
        own = found.runs
        held = recipes.joined([(found.first, len(found.fresh))])
        if own != held:
            packing.count(db, own, 1)
            packing.count(db, held, -1)
        pieces.add_runs(db, self.entry_id, self.part, self._next, own, found.last_at)
        self._next += 1
        return data[found.last_at :]


def discard(db: Database, entry_id: str, part: str) -> None:
    """Remove the pieces of a body that will not be finished, and their uses of chunks."""
    release_runs(db, pieces.take_runs(db, entry_id, part))


# --- proving -------------------------------------------------------------------------------------


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """A body that cannot be read whole."""

    digest: bytes
    reason: str
    entry_ids: tuple[str, ...]  # whose body, or message, it is; ascending


def verify(conn: sqlite3.Connection) -> Iterator[Damage]:
    """Read every body and compare it with its digest; yields those that fail."""
    cache = packs.Cache()  # of its own: what others read before proves nothing of the file
    last = 0
    while True:
        rows = conn.execute(
            "select id, digest from bodies where id > ? and uses > 0 order by id limit 100", [last]
        ).fetchall()
        for last, digest in rows:
            reason = _fault(conn, digest, packs.Reader(conn, cache))
            if reason:
                yield Damage(digest=digest, reason=reason, entry_ids=_entry_ids(conn, digest))
        if not rows:
            break
    for digest in first.digests(conn):
        reason = _fault(conn, digest, packs.Reader(conn, cache))
        if reason:
            yield Damage(digest=digest, reason=reason, entry_ids=_entry_ids(conn, digest))


def _fault(conn: sqlite3.Connection, digest: bytes, reader: packs.Reader) -> str | None:
    try:
        for _ in _view(conn, digest, reader).stream():
            pass
    except NotFound:
        return None  # deleted since it was listed
    except StoreError as error:
        return str(error)
    return None


def _entry_ids(conn: sqlite3.Connection, digest: bytes) -> tuple[str, ...]:
    rows = conn.execute(
        """
        select id from entries
        where :digest in (request_digest, response_digest, request_decoded, response_decoded)
        union
        select entry_id from frames where digest = :digest
        order by 1
        """,
        {"digest": digest},
    )
    return tuple(entry_id for (entry_id,) in rows)
