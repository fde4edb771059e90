"""
Bytes by their content: bodies of any size, each stored once.

A body is a list of blocks (its recipe); a block is at most 256 KB, addressed by the SHA-256 of its
plain bytes and kept as a zstd frame where that is shorter. Whatever reads a block proves it by its
digest. While a body still grows, its full blocks and the tail behind them lie in `pieces`.

Both bodies and blocks count their uses. A body that nobody uses is removed at once; most of its
blocks follow a slice at a time (`sweep_released`), because a transaction must stay short.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Literal, get_args

import msgspec
from sqlite_utils import Database

from storage import blocks, database, pieces
from storage.blocks import BLOCK_BYTES
from storage.errors import NotFound, StoreError
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

_RELEASED_AT_ONCE = 4  # blocks


# --- reading -------------------------------------------------------------------------------------


class BodyView:
    """
    Stored bytes, read a block at a time.

    `size_bytes` and `digest` are of the moment when the view was made; `digest` is None while the
    body still grows, and of nothing.
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

        Raises StoreError that names the digest if a block is damaged, NotFound if the body was
        deleted meanwhile.
        """
        start, stop = self._span(start, stop)
        return b"".join(self._read(start, stop)) if start < stop else b""

    def stream(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """As `read`, in pieces of at most 256 KB; memory stays flat."""
        start, stop = self._span(start, stop)
        while start < stop:
            # To the next border of blocks, so that none is read twice.
            end = min(stop, start - start % BLOCK_BYTES + BLOCK_BYTES)
            yield b"".join(self._read(start, end))
            start = end

    def _span(self, start: int, stop: int | None) -> tuple[int, int]:
        if start < 0 or (stop is not None and stop < 0):
            raise ValueError("a body is read from a place that is not negative")
        return start, self.size_bytes if stop is None else min(stop, self.size_bytes)


def nothing() -> BodyView:
    """The view of an empty body."""
    return BodyView(0, None, lambda start, stop: [])


def view(conn: sqlite3.Connection, digest: bytes) -> BodyView:
    """Raises NotFound."""
    row = conn.execute("select size_bytes, blocks from bodies where digest = ?", [digest])
    found = row.fetchone()
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
        except blocks.Missing:
            view(conn, digest)  # NotFound: then it was deleted meanwhile
            raise

    return BodyView(size_bytes, digest, read)


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
                spans = blocks.Spans([(piece, piece[2]) for piece in layout])
                return [
                    pieces.read(conn, entry_id, part, piece)[low:high]
                    for piece, low, high in spans.covering(start, stop)
                ]
        whole = finished()
        if whole.size_bytes < stop:
            raise NotFound(f"the {part} of entry {entry_id} was deleted")
        return [whole.read(start, stop)]

    return BodyView(pieces.size(pieces.layout(conn, entry_id, part)), None, read)


# --- writing -------------------------------------------------------------------------------------


def put(db: Database, data: bytes) -> Body | None:
    """Store `data` once more; None for nothing. Every `put` is one use, given back by `release`."""
    if not data:
        return None
    body = Body(digest=hashlib.sha256(data).digest(), size_bytes=len(data))
    if _use_again(db, body.digest):
        return body
    recipe = b""
    if len(data) <= BLOCK_BYTES:
        recipe = blocks.put(db, data, body.digest)
    else:
        for at in range(0, len(data), BLOCK_BYTES):
            recipe += blocks.put(db, data[at : at + BLOCK_BYTES])
    _insert(db, body, recipe)
    return body


def release(db: Database, digest: bytes) -> None:
    """One use less; with the last one the body goes. A digest that is not there is passed over."""
    row = db.execute("select uses, blocks from bodies where digest = ?", [digest]).fetchone()
    if row is None:
        return
    uses, recipe = row
    if uses > 1:
        db.execute("update bodies set uses = uses - 1 where digest = ?", [digest])
        return
    db.execute("delete from bodies where digest = ?", [digest])
    _release_recipe(db, recipe)


def sweep_released(db: Database, until: Callable[[], bool]) -> bool:
    """
    Let go of blocks of bodies that are no more, until `until()` says stop.

    It does one step at least. True if some may be left.
    """
    while True:
        row = db.execute("select id, blocks from released order by id limit 1").fetchone()
        if row is None:
            return False
        number, recipe = row
        db.execute("delete from released where id = ?", [number])
        _release_recipe(db, recipe)
        if until():
            return True


def _use_again(db: Database, digest: bytes) -> bool:
    return db.execute("update bodies set uses = uses + 1 where digest = ?", [digest]).rowcount == 1


def _insert(db: Database, body: Body, recipe: bytes) -> None:
    db.execute(
        "insert into bodies (digest, size_bytes, blocks, uses) values (?, ?, ?, 1)",
        [body.digest, body.size_bytes, recipe],
    )


def _release_recipe(db: Database, recipe: bytes) -> None:
    border = _RELEASED_AT_ONCE * blocks.STEP_BYTES
    for digest, _ in blocks.steps(recipe[:border]):
        blocks.release(db, digest)
    if recipe[border:]:
        db.execute("insert into released (blocks) values (?)", [recipe[border:]])


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
        self._tail_bytes = 0  # stored behind the last full block
        self._next = 0  # number of the next piece

    @classmethod
    def resume(cls, db: Database, entry_id: str, part: Part) -> "Growing":
        """Go on behind what is committed; reads it all once, for its hash. Raises StoreError."""
        self = cls(entry_id, part)
        for piece in pieces.layout(db.conn, entry_id, part):
            number, block, size_bytes = piece
            self._hash.update(pieces.read(db.conn, entry_id, part, piece))
            self.size_bytes += size_bytes
            self._tail_bytes = 0 if block else self._tail_bytes + size_bytes
            self._next = number + 1
        return self

    def append(self, data: bytes) -> None:
        """Take the next bytes, into memory only."""
        if data:
            self._hash.update(data)
            self._pending.append(data)
            self.size_bytes += len(data)

    def flush(self, db: Database) -> None:
        """Put what came since the last time into the tables; once per transaction."""
        rest = self._cut_blocks(db)
        if rest:
            pieces.add_bytes(db, self.entry_id, self.part, self._next, rest)
            self._next += 1
            self._tail_bytes += len(rest)

    def finish(self, db: Database) -> Body | None:
        """Make a body of it all; None if nothing came. Its pieces go."""
        if not self.size_bytes:
            return None
        rest = self._cut_blocks(db)
        tail = (pieces.take_tail(db, self.entry_id, self.part) if self._tail_bytes else b"") + rest
        recipe = pieces.take_blocks(db, self.entry_id, self.part) if self._next else b""
        body = Body(digest=self._hash.digest(), size_bytes=self.size_bytes)
        if _use_again(db, body.digest):
            _release_recipe(db, recipe)
        else:
            _insert(db, body, recipe + (blocks.put(db, tail) if tail else b""))
        return body

    def discard(self, db: Database) -> None:
        """Forget it all; the object is of no use any more."""
        discard(db, self.entry_id, self.part)

    def _cut_blocks(self, db: Database) -> bytes:
        """Store the full blocks of what came; returns the bytes behind them."""
        data = b"".join(self._pending)
        self._pending = []
        if self._tail_bytes + len(data) < BLOCK_BYTES:
            return data
        if self._tail_bytes:
            data = pieces.take_tail(db, self.entry_id, self.part) + data
            self._tail_bytes = 0
        full = len(data) - len(data) % BLOCK_BYTES
        for at in range(0, full, BLOCK_BYTES):
            block = data[at : at + BLOCK_BYTES]
            pieces.add_block(db, self.entry_id, self.part, self._next, block)
            self._next += 1
        return data[full:]


def discard(db: Database, entry_id: str, part: str) -> None:
    """Remove the pieces of a body that will not be finished, and their uses of blocks."""
    _release_recipe(db, pieces.take_blocks(db, entry_id, part))


# --- proving -------------------------------------------------------------------------------------


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """A body that cannot be read whole."""

    digest: bytes
    reason: str
    entry_ids: tuple[str, ...]  # whose body, or message, it is; ascending


def verify(conn: sqlite3.Connection) -> Iterator[Damage]:
    """Read every body and compare it with its digests; yields those that fail."""
    last = b""
    while True:
        rows = conn.execute(
            "select digest from bodies where digest > ? order by digest limit 100", [last]
        ).fetchall()
        for (last,) in rows:
            reason = _fault(conn, last)
            if reason:
                yield Damage(digest=last, reason=reason, entry_ids=_entry_ids(conn, last))
        if not rows:
            return


def _fault(conn: sqlite3.Connection, digest: bytes) -> str | None:
    try:
        body = view(conn, digest)
        whole = hashlib.sha256()
        size_bytes = 0
        for piece in body.stream():
            whole.update(piece)
            size_bytes += len(piece)
    except NotFound:
        return None  # deleted since it was listed
    except StoreError as error:
        return str(error)
    if size_bytes != body.size_bytes:
        return f"it has {size_bytes} bytes instead of {body.size_bytes}"
    if whole.digest() != digest:
        return "its bytes have another digest"
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
