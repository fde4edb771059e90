"""
Packs in memory, for one who reads many bodies one behind the other.

A chunk's number stands for the same bytes for ever, so a pack that was read once is right for as
long as it is held, wherever its chunks lie by now: nobody has to look where that is. Whether a body
still exists tells its recipe.
"""

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from operator import attrgetter

from storage.chunks import packs
from storage.chunks.recipes import Run


class Held:
    """The packs that were used last, up to so many bytes; of one thread."""

    def __init__(self, conn: sqlite3.Connection, most_bytes: int) -> None:
        self._conn = conn
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._firsts: list[int] = []
        self._packs: list[_Pack] = []
        self._bodies = 0

    def chunks(self, runs: Iterable[Run]) -> list[bytes] | None:
        """
        The bytes of these chunks in as many pieces as there are; None if one is damaged.

        Inside of one transaction. Raises StoreError.
        """
        found = []
        self._bodies += 1
        firsts = self._firsts
        low = high = 0  # numbers of the pack at hand
        offsets: list[int] = []
        plain = b""
        bad: frozenset[int] = frozenset()
        for first, count in runs:
            stop = first + count
            while first < stop:
                if not low <= first < high:
                    index = bisect_right(firsts, first) - 1
                    pack = self._packs[index] if index >= 0 else None
                    if pack is None or first >= pack.stop:
                        pack = self._read(first)
                    pack.used = self._bodies
                    low, high, offsets, plain = pack.first, pack.stop, pack.offsets, pack.plain
                    bad = pack.bad
                end = stop if stop < high else high
                if bad and not bad.isdisjoint(range(first - low, end - low)):
                    return None
                found.append(plain[offsets[first - low] : offsets[end - low]])
                first = end
        return found

    def _read(self, number: int) -> "_Pack":
        while self._packs and self._size_bytes + packs.PACK_BYTES > self._most_bytes:
            self._drop(self._packs.index(min(self._packs, key=attrgetter("used"))))
        pack = _Pack(packs.covering(self._conn, number))
        at = bisect_left(self._firsts, pack.first)
        while at < len(self._packs) and self._firsts[at] < pack.stop:
            self._drop(at)  # it was joined of that one
        self._firsts.insert(at, pack.first)
        self._packs.insert(at, pack)
        self._size_bytes += len(pack.plain)
        return pack

    def _drop(self, index: int) -> None:
        self._size_bytes -= len(self._packs[index].plain)
        del self._firsts[index], self._packs[index]


class _Pack:
    __slots__ = ("bad", "first", "offsets", "plain", "stop", "used")

    def __init__(self, read: packs.Pack) -> None:
        self.first = read.first  # number of its first chunk
        self.stop = read.first + read.count
        self.offsets = read.offsets
        self.plain = read.plain
        self.bad = read.bad  # indexes of damaged chunks
        self.used = 0  # for the how many-eth body at last
