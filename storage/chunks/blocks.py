"""
Blocks: what bodies are made of, addressed by the SHA-256 of their plain bytes.

A block has at most 256 KB, is kept as a zstd frame where that is shorter, and is proved by its
digest whenever it is read. A recipe is a sequence of steps: digest, then plain size as 4 bytes.
"""

import hashlib
import sqlite3
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

import zstandard
from sqlite_utils import Database

from storage.errors import StoreError

BLOCK_BYTES = 256 << 10
STEP_BYTES = 32 + 4

_LEVEL = 3
_MIN_COMPRESSED = 64  # a zstd frame of less is seldom shorter

_local = threading.local()  # a compressor must not be shared by threads


class Missing(StoreError):
    """A recipe names a block that is not there."""


def put(db: Database, plain: bytes, digest: bytes | None = None) -> bytes:
    """Store a block, or use it once more; returns its step of a recipe."""
    digest = digest or hashlib.sha256(plain).digest()
    found = db.execute("update blocks set uses = uses + 1 where digest = ?", [digest]).rowcount
    if not found:
        db.execute(
            "insert into blocks (digest, size_bytes, uses, data) values (?, ?, 1, ?)",
            [digest, len(plain), _compress(plain)],
        )
    return step(digest, len(plain))


def read(conn: sqlite3.Connection, digest: bytes) -> bytes:
    """The plain bytes, proved. Raises Missing, and StoreError that names a damaged block."""
    row = conn.execute("select size_bytes, data from blocks where digest = ?", [digest]).fetchone()
    if row is None:
        raise Missing(f"block {digest.hex()} is missing")
    size_bytes, data = row
    try:
        plain: bytes = data if len(data) == size_bytes else _decompress(data, size_bytes)
    except zstandard.ZstdError as error:
        raise StoreError(f"block {digest.hex()} is damaged: {error}") from error
    if hashlib.sha256(plain).digest() != digest:
        raise StoreError(f"block {digest.hex()} is damaged: its bytes have another digest")
    return plain


def release(db: Database, digest: bytes) -> None:
    """One use less; with the last one the block goes."""
    # `uses` stands before the long column: to look at it reads one page.
    row = db.execute("select uses from blocks where digest = ?", [digest]).fetchone()
    if row and row[0] > 1:
        db.execute("update blocks set uses = uses - 1 where digest = ?", [digest])
    elif row:
        db.execute("delete from blocks where digest = ?", [digest])


def step(digest: bytes, size_bytes: int) -> bytes:
    """A block's step of a recipe."""
    return digest + size_bytes.to_bytes(4)


def steps(recipe: bytes) -> list[tuple[bytes, int]]:
    """Digest and plain size of each block."""
    parts = [recipe[at : at + STEP_BYTES] for at in range(0, len(recipe), STEP_BYTES)]
    return [(part[:32], int.from_bytes(part[32:])) for part in parts]


class Spans[K]:
    """Things that lie one behind the other, each with its size: which of them make up a range?"""

    def __init__(self, things: Sequence[tuple[K, int]]) -> None:
        self._things = things
        self._ends = list(accumulate(size for _, size in things))

    def covering(self, start: int, stop: int) -> Iterator[tuple[K, int, int]]:
        """Each thing of the range, and where in it the range begins and ends."""
        for index in range(bisect_right(self._ends, start), len(self._things)):
            key, size = self._things[index]
            at = self._ends[index] - size
            if at >= stop:
                return
            yield key, max(start - at, 0), min(stop - at, size)


def _compress(plain: bytes) -> bytes:
    if len(plain) < _MIN_COMPRESSED:
        return plain
    compressor = getattr(_local, "compressor", None)
    if compressor is None:
        compressor = _local.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    packed: bytes = compressor.compress(plain)
    return packed if len(packed) < len(plain) else plain


def _decompress(data: bytes, size_bytes: int) -> bytes:
    # A damaged frame's own word on its size is not trusted with memory.
    if size_bytes > BLOCK_BYTES or zstandard.frame_content_size(data) != size_bytes:
        raise zstandard.ZstdError("its frame tells another size")
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=size_bytes)
