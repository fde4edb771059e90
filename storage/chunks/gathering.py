"""
What one transaction stores of new chunks, kept in memory until its end.

Then they are written as one pack instead of one for each body, and each pack in which uses changed
is written once. Chunks that are in no table yet are found here by their numbers.
"""

import contextlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from sqlite_utils import Database

from storage import database
from storage.chunks import matching, packing, packs
from storage.chunks.matching import Memory
from storage.chunks.packs import Pack
from storage.chunks.recipes import Run
from storage.errors import StoreError

_GATHERED_BYTES = 1 << 20  # of new chunks in memory, before they are written
_PACK_BYTES = 256 << 10  # of one pack; the newest short one may come in front of it


@contextlib.contextmanager
def gathering(db: Database) -> Iterator[None]:
    """
    Inside of one transaction: what is stored meanwhile is written at the end, as few long rows.

    Until then `flush` must come before anything of it is read. If a call that stores raises, the
    transaction is of no use any more. Inside another `gathering` it does nothing.
    """
    memory = matching.memory(db)
    if memory.gathered is not None:
        yield
        return
    _begin(db, memory)
    try:
        yield
        _write(db, memory)
    except BaseException:
        memory.clear()  # it is ahead of the tables
        raise
    finally:
        memory.gathered, memory.reader, memory.near = None, None, matching.Near()


def flush(db: Database) -> None:
    """Write what was gathered up to here."""
    memory = matching.memory(db)
    if memory.gathered is not None:
        _write(db, memory)
        _begin(db, memory)


@contextlib.contextmanager
def storing(db: Database) -> Iterator[Memory]:
    """What stores something: in a transaction, and gathered."""
    memory = matching.memory(db)
    if memory.gathered is not None:
        try:
            yield memory
        except BaseException:
            memory.clear()  # so that the end of the gathering fails too
            raise
        if memory.gathered.size_bytes >= _GATHERED_BYTES:
            flush(db)
        return
    with database.write(db), gathering(db):
        yield memory


def _begin(db: Database, memory: Memory) -> None:
    number, stamp, is_moving = db.conn.execute(
        "select next_number, stamp, is_moving from numbering"
    ).fetchone()
    if memory.stamp != stamp:
        memory.recall(db)  # a new process, or something was rolled back
        memory.stamp = stamp
    memory.reader, memory.near = packs.Reader(db.conn, memory.cache), matching.Near()
    memory.gathered = Gathered(db, memory, number, is_moving=bool(is_moving))


def _write(db: Database, memory: Memory) -> None:
    gathered = memory.gathered
    if gathered is None:
        raise StoreError("what was gathered is lost: an earlier write of this transaction failed")
    if not gathered.is_changed:
        return
    gathered.write()
    memory.stamp += 1
    db.conn.execute(
        "update numbering set next_number = ?, stamp = ?", [gathered.next_number, memory.stamp]
    )


class Gathered:
    """New chunks, numbered from `first` on, and uses that changed."""

    def __init__(self, db: Database, memory: Memory, first: int, *, is_moving: bool) -> None:
        self.first = first
        self.next_number = first
        self.size_bytes = 0
        self.is_changed = False
        self.is_moving = is_moving  # the first store has bodies
        # Of landmarks that were looked for, by their CRC-32; none of those that share it.
        self.keys: dict[int, int] = {}
        self._db = db
        self._numbers, self._cache = memory.numbers, memory.cache
        self._added: list[Pack] = []  # what came together
        self._firsts: list[int] = []
        self._sizes: list[int] = []
        self._crcs: list[int] = []
        self._uses: list[int] = []
        self._counter = packing.Counter(db)

    def add(self, chunks: Sequence[bytes], crcs: Sequence[int]) -> None:
        """Take new chunks under the next numbers; nobody uses them yet."""
        if not chunks:
            return
        sizes = list(map(len, chunks))
        pack = Pack(self.next_number, 0, sizes, crcs, b"".join(chunks))
        self._added.append(pack)
        self._firsts.append(self.next_number)
        self._sizes += sizes
        self._crcs += crcs
        self._uses += [0] * len(chunks)
        self._numbers.add(crcs, self.next_number)
        self.next_number += len(chunks)
        self.size_bytes += len(pack.plain)

    def find(self, number: int) -> tuple[Pack, int]:
        """Where one of the new chunks is, and its index there."""
        found = self._added[bisect_right(self._firsts, number) - 1]
        return found, number - found.first

    def count(self, runs: Iterable[Run], change: int) -> None:
        """Change the uses of chunks, new ones or others."""
        self.is_changed = True
        for start, count in runs:
            stop = start + count
            while start < min(stop, self.first):
                start = self._counter.change(start, min(stop, self.first), change)
            if start < stop:
                low, high = start - self.first, stop - self.first
                self._uses[low:high] = [uses + change for uses in self._uses[low:high]]

    def write(self) -> None:
        """Put it all into the tables."""
        self._counter.write()
        for pack, uses in self._parts():
            packing.add_landmarks(self._db, pack, self.keys)
            packing.add(self._db, self._cache, pack, uses)

    def _parts(self) -> Iterator[tuple[Pack, list[int]]]:
        """Chunks for one pack each, and their uses."""
        plain = b"".join([pack.plain for pack in self._added])
        low = at = size_bytes = 0
        for high, size in enumerate(self._sizes, 1):
            size_bytes += size
            if size_bytes >= _PACK_BYTES or high == len(self._sizes):
                sizes, crcs = self._sizes[low:high], self._crcs[low:high]
                data = plain[at : at + size_bytes]
                yield Pack(self.first + low, 0, sizes, crcs, data), self._uses[low:high]
                low, at, size_bytes = high, at + size_bytes, 0
