"""
Packs: chunks compressed together, found by their numbers.

Chunks are numbered as they come and never numbered again; a pack holds those of a range of numbers,
one behind the other, as one zstd frame. It may be written again (`packing`): joined with
its neighbours, or without the chunks that nobody uses any more. Then it gets a new token, and what
was read under the old one is still right: a number stands for the same bytes for ever.

Damage within one byte of a pack costs nothing (`packed`), greater damage the chunks that cannot be
proved by their checksums any more.
"""

import os
import sqlite3
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import zstandard

from storage.chunks import packed
from storage.chunks.recipes import Run
from storage.errors import StoreError

PACK_BYTES = 512 << 10  # plain; a pack may be longer by a chunk

_CACHED_BYTES = 24 << 20


class Missing(StoreError):
    """A recipe names a chunk that is not there."""


class Moved(StoreError):
    """The chunk was packed anew since it was looked for: look again."""


class Place(NamedTuple):
    """Where chunks lie at present."""

    first: int
    numbers: int  # how many it stands for
    token: int
    size_bytes: int  # plain


class Pack:
    """The plain bytes of a pack, proved."""

    __slots__ = ("bad", "count", "crcs", "first", "offsets", "plain", "token")

    def __init__(
        self, first: int, token: int, sizes: Sequence[int], crcs: Sequence[int], plain: bytes,
        bad: frozenset[int] = frozenset(),
    ) -> None:  # fmt: skip
        self.first = first
        self.token = token
        self.count = len(sizes)
        self.offsets = list(accumulate(sizes, initial=0))
        self.crcs = crcs
        self.plain = plain
        self.bad = bad  # indexes of damaged chunks

    def span(self, low: int, high: int, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop` of the chunks `low` to `high`, all counted in this pack."""
        at = self.offsets[low]
        if self.bad:
            for index in range(low, high):
                hit = self.offsets[index] < at + stop and self.offsets[index + 1] > at + start
                if hit and index in self.bad:
                    raise StoreError(f"chunk {self.first + index} is damaged")
        return self.plain[at + start : at + stop]

    def chunk(self, index: int) -> bytes:
        return self.plain[self.offsets[index] : self.offsets[index + 1]]


class Cache:
    """Packs by their tokens, the least recently used ones forgotten."""

    def __init__(self, most_bytes: int = _CACHED_BYTES) -> None:
        self._most_bytes = most_bytes
        self._packs: OrderedDict[int, Pack] = OrderedDict()
        self._size_bytes = 0
        self._lock = threading.Lock()

    def get(self, token: int) -> Pack | None:
        with self._lock:
            found = self._packs.get(token)
            if found is not None:
                self._packs.move_to_end(token)
            return found

    def clear(self) -> None:
        with self._lock:
            self._packs.clear()
            self._size_bytes = 0

    def add(self, pack: Pack) -> None:
        with self._lock:
            if pack.token in self._packs:
                return
            self._packs[pack.token] = pack
            self._size_bytes += len(pack.plain)
            while self._size_bytes > self._most_bytes and len(self._packs) > 1:
                _, gone = self._packs.popitem(last=False)
                self._size_bytes -= len(gone.plain)


_read = Cache()  # of all readers of the process


def forget_all() -> None:
    """Read every pack anew: for those who measure."""
    _read.clear()


class Reader:
    """
    Finds chunks by number. Makes its queries as it needs them, each for itself.

    Without a `cache` every pack is read and proved anew.
    """

    def __init__(self, conn: sqlite3.Connection, cache: Cache | None = _read) -> None:
        self._conn = conn
        self._cache = cache or Cache(0)
        self._firsts: list[int] = []
        self._places: list[Place] = []
        self._last: Pack | None = None  # most of what is read lies where the last chunk lay

    def place(self, number: int) -> Place:
        """Raises Missing."""
        index = bisect_right(self._firsts, number) - 1
        if index >= 0:
            known = self._places[index]
            if number < known.first + known.numbers:
                return known
        row = self._conn.execute(
            """
            select first, count, token, size_bytes from packs
            where first <= ? order by first desc limit 1
            """,
            [number],
        ).fetchone()
        if row is None or number >= row[0] + row[1]:
            raise Missing(f"chunk {number} is missing")
        found = Place(*row)
        self._firsts.insert(index + 1, found.first)
        self._places.insert(index + 1, found)
        return found

    def pack(self, place: Place) -> Pack | None:
        """The pack that lies there; None if it was written anew meanwhile."""
        last = self._last
        if last is not None and last.token == place.token:
            return last
        found = self._last = self._pack(place)
        return found

    def _pack(self, place: Place) -> Pack | None:
        found = self._cache.get(place.token)
        if found is None:
            found = load(self._conn, place.first)
            if found is None or found.token != place.token:
                self.forget()
                return None
            self._cache.add(found)
        if found.count != place.numbers:
            raise StoreError(f"how many chunks there are from {place.first} on is damaged")
        return found

    def forget(self) -> None:
        """Look for all places again."""
        self._firsts.clear()
        self._places.clear()

    def sound(self, number: int) -> tuple[Pack, int] | None:
        """The pack with this chunk, and its index there; None if it is gone or damaged."""
        try:
            place = self.place(number)
        except Missing:
            return None
        try:
            pack = self.pack(place)
        except StoreError:
            return None
        if pack is None or number - place.first in pack.bad:
            return None
        return pack, number - place.first

    def whole(self, runs: Sequence[Run]) -> list[bytes] | None:
        """
        All bytes of these chunks; None if a pack was written anew meanwhile, or has damage.

        Raises Missing.
        """
        found = []
        low = high = 0  # numbers of the pack at hand
        offsets: list[int] = []
        plain = b""
        for first, count in runs:
            while count:
                if not low <= first < high:
                    pack = self.pack(self.place(first))
                    if pack is None or pack.bad:
                        return None
                    low, high = pack.first, pack.first + pack.count
                    offsets, plain = pack.offsets, pack.plain
                stop = min(first + count, high)
                found.append(plain[offsets[first - low] : offsets[stop - low]])
                count -= stop - first
                first = stop
        return found

    def segments(self, runs: Sequence[Run]) -> Iterator[tuple[Place, int, int, int]]:
        """
        Place, first index, last index and plain size of each stretch within one pack.

        Raises Missing, and Moved if a pack was written anew meanwhile.
        """
        place: Place | None = None
        for first, count in runs:
            while count:
                if place is None or not 0 <= first - place.first < place.numbers:
                    place = self.place(first)
                low = first - place.first
                taken = min(count, place.numbers - low)
                yield place, low, low + taken, self._size_bytes(place, low, low + taken)
                first, count = first + taken, count - taken

    def _size_bytes(self, place: Place, low: int, high: int) -> int:
        if high - low == place.numbers:
            return place.size_bytes
        pack = self.pack(place)
        if pack is None:
            raise Moved(f"chunk {place.first + low} lies elsewhere by now")
        return pack.offsets[high] - pack.offsets[low]


# --- a pack as it is stored -----------------------------------------------------------------------


def load(conn: sqlite3.Connection, first: int) -> Pack | None:
    """
    Read and prove the pack that begins with this number; None if there is none.

    Raises StoreError if nothing of it can be trusted; single damaged chunks are in `bad`.
    """
    row = conn.execute(
        """
        select p.token, p.sizes, p.crc, p.is_damaged, d.data
        from packs p join packed d on d.first = p.first
        where p.first = ?
        """,
        [first],
    ).fetchone()
    if row is None:
        return None
    token, directory, crc, is_damaged, data = row
    try:
        sizes, crcs = packed.read_directory(directory, first)
        plain = packed.decompress(data, sum(sizes))
    except (StoreError, zstandard.ZstdError):
        mended = packed.mended(directory, data, crc, first)
        if mended:
            return Pack(first, token, mended.sizes, mended.crcs, mended.plain)
        sizes, crcs = packed.read_directory(directory, first)
        plain = packed.salvaged(data, sum(sizes))
        is_damaged = True
    bad = packed.damaged(sizes, crcs, plain) if is_damaged else frozenset()
    return Pack(first, token, sizes, crcs, plain, bad)


def covering(conn: sqlite3.Connection, number: int) -> Pack:
    """
    Read and prove the pack that holds this chunk.

    Inside of one transaction. Raises Missing, and StoreError as `load`.
    """
    reader = Reader(conn, Cache(0))
    pack = reader.pack(reader.place(number))
    if pack is None:
        raise Missing(f"chunk {number} is missing")
    return pack


def token() -> int:
    """By chance, so that one of a transaction that was rolled back never comes again."""
    return int.from_bytes(os.urandom(8)) >> 1
