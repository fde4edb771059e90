"""
Which chunks of new bytes are stored already.

Agents send again what they sent before, so behind a known chunk most likely come those that
followed it the last time: that is a comparison of bytes, and nothing is hashed or cut. Only where
it fails the bytes are cut by their content, and each chunk is looked for by its CRC-32 among those
that are recent.

Of what is older only some chunks can be found, landmarks (`packing.is_landmark`), by a key on the
disk. Around one of them most likely lie those that lay there the last time, so what was taken for
new before it is compared with these.

All that are hints: what they lead to is compared byte for byte.
"""

import weakref
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import msgspec
from sqlite_utils import Database
from zlib_ng.zlib_ng import crc32

from storage.chunks import packing, packs, recipes
from storage.chunks.cutting import Cutter
from storage.chunks.recipes import Run

if TYPE_CHECKING:
    from storage.chunks.gathering import Gathered

_RECENT_CHUNKS = 200_000  # in the recipes of the recent bodies together
_LONGEST = 16_384  # chunks; longer bodies are not remembered
_NUMBERS = 160_000  # chunks that are found by their CRC-32
_RECALLED = 80_000  # of these, in a new process: it takes some 10 ms
_CACHED_BYTES = 16 << 20
_NEAR_BYTES = 8 << 20

_LAST_RUNS = 4  # of a recent body, looked at before all others
_ASKED = 32  # chunks of a body that choose its base


class Matched(msgspec.Struct):
    """Bytes as chunks; the new ones have the numbers from `first` on."""

    first: int
    fresh: list[bytes] = []
    crcs: list[int] = []  # of the new ones
    runs: list[Run] = []
    last_at: int = 0  # where the last chunk begins

    def leave_last(self) -> None:
        """Without the last chunk: more may come behind it."""
        start, count = self.runs.pop()
        if count > 1:
            self.runs.append((start, count - 1))
        number = start + count - 1
        is_used = any(start <= number < start + count for start, count in self.runs)
        # With nothing fresh it may be the newest chunk of all, which was stored before.
        if self.fresh and number == self.first + len(self.fresh) - 1 and not is_used:
            self.fresh.pop()
            self.crcs.pop()


class Near:
    """Packs that were just used. A number stands for the same bytes for ever: none gets wrong."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._packs: list[packs.Pack] = []
        self._size_bytes = 0

    def find(self, number: int) -> packs.Pack | None:
        """The one with this chunk."""
        index = bisect_right(self._firsts, number) - 1
        if index >= 0:
            pack = self._packs[index]
            if number < pack.first + pack.count:
                return pack
        return None

    def add(self, pack: packs.Pack) -> None:
        self._size_bytes += len(pack.plain)
        if self._size_bytes > _NEAR_BYTES:
            self._firsts, self._packs, self._size_bytes = [], [], len(pack.plain)
        index = bisect_right(self._firsts, pack.first)
        self._firsts.insert(index, pack.first)
        self._packs.insert(index, pack)


class Numbers:
    """Those of recent chunks, by their CRC-32; those not used for long are forgotten."""

    def __init__(self) -> None:
        self._newer: dict[int, int] = {}
        self._older: dict[int, int] = {}

    def find(self, crc: int) -> int | None:
        number = self._newer.get(crc)
        if number is None:
            number = self._older.get(crc)
            if number is not None:
                self.add([crc], number)
        return number

    def add(self, crcs: Sequence[int], first: int) -> None:
        """Of chunks that are numbered from `first` on."""
        if len(self._newer) + len(crcs) > _NUMBERS // 2:
            self._older, self._newer = self._newer, {}
        newer = self._newer
        for number, crc in enumerate(crcs, first):
            newer[crc] = number


class Memory:
    """What the writer of one database remembers between bodies."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.stamp = -1
        self.gathered: Gathered | None = None  # of the present transaction
        self.reader: packs.Reader | None = None  # the same
        self.near = Near()  # the same
        self.cache = packs.Cache(_CACHED_BYTES)
        self.numbers = Numbers()
        self.recent: OrderedDict[int, list[Run]] = OrderedDict()  # by id of body
        self.depths: dict[int, int] = {}  # of the same
        self._sorted: dict[int, list[tuple[int, int]]] = {}  # of some of these, see `_place`
        self._owners: dict[int, int] = {}  # number of a chunk -> id of the newest body with it
        self._chunks = 0

    def recall(self, db: Database) -> None:
        """Begin with the newest chunks of what is stored."""
        self.clear()
        for first, crcs in packing.recent(db, _RECALLED):
            self.numbers.add(crcs, first)

    def remember(self, body_id: int, runs: list[Run], depth: int) -> None:
        count = sum(count for _, count in runs)
        if count > _LONGEST:
            return
        self.recent[body_id] = runs
        self.depths[body_id] = depth
        owners = self._owners
        for first, some in runs:
            for number in range(first, first + some):
                owners[number] = body_id
        self._chunks += count
        while self._chunks > _RECENT_CHUNKS and len(self.recent) > 1:
            self.forget(next(iter(self.recent)))

    def forget(self, body_id: int) -> None:
        gone = self.recent.pop(body_id, [])
        self.depths.pop(body_id, None)
        self._sorted.pop(body_id, None)
        self._chunks -= sum(count for _, count in gone)
        owners = self._owners
        for number in _numbers(gone):
            if owners.get(number) == body_id:
                del owners[number]

    def most_common_owner(self, numbers: Sequence[int]) -> int | None:
        """The newest body with most of these chunks; None: no recent one has any."""
        votes: dict[int, int] = {}
        for number in numbers:
            owner = self._owners.get(number)
            if owner is not None:
                votes[owner] = votes.get(owner, 0) + 1
        return max(votes, key=votes.__getitem__) if votes else None

    def following(self, number: int) -> list[Run] | None:
        """What came behind this chunk the last time; None if it is in no recent body."""
        body_id = self._owners.get(number)
        if body_id is None:
            return None
        runs = self.recent[body_id]
        index = self._place(body_id, number)
        first, count = runs[index]
        return [(number + 1, first + count - number - 1), *runs[index + 1 :]]

    def _place(self, body_id: int, number: int) -> int:
        """The index of a run of this body with a chunk that it has."""
        runs = self.recent[body_id]
        # What is sent again differs near its end: nearly always it is one of these.
        for index in chain((0,), range(max(len(runs) - _LAST_RUNS, 0), len(runs))):
            first, count = runs[index]
            if first <= number < first + count:
                return index
        order = self._sorted.get(body_id)
        if order is None:
            firsts = [first for first, _ in runs]
            order = self._sorted[body_id] = sorted(zip(firsts, range(len(runs)), strict=True))
        # Runs may overlap: then it can be in one that begins earlier.
        for at in range(bisect_right(order, (number, len(runs))) - 1, -1, -1):
            first, index = order[at]
            if number < first + runs[index][1]:
                return index
        raise AssertionError(f"body {body_id} has no chunk {number}")


_memories: "weakref.WeakKeyDictionary[Database, Memory]" = weakref.WeakKeyDictionary()


def memory(db: Database) -> Memory:
    """The memory of this connection."""
    found = _memories.get(db)
    if found is None:
        found = _memories[db] = Memory()
    return found


def match(db: Database, known: Memory, data: bytes) -> Matched:
    """Cut `data` into chunks; new ones are numbered as they will be gathered."""
    return _Match(db, known, data).run()


class _Match:
    def __init__(self, db: Database, known: Memory, data: bytes) -> None:
        assert known.gathered is not None
        assert known.reader is not None
        self._db = db
        self._known = known
        self._data = data
        self._gathered = known.gathered
        self._reader = known.reader
        self._cutter = Cutter(data)
        self._found = Matched(first=known.gathered.next_number)
        self._numbers: dict[int, int] = {}  # of the new chunks, by their CRC-32
        self._settled = 0  # how many of these are used more than once, or come before such a one

    def run(self) -> Matched:
        at, data, found, end_of = 0, self._data, self._found, self._cutter.end
        while at < len(data):
            end = end_of(at)
            chunk = data[at:end]
            crc = crc32(chunk)
            number = self._stored(crc, chunk)
            if number is None:
                number = self._numbers[crc] = found.first + len(found.fresh)
                found.fresh.append(chunk)
                found.crcs.append(crc)
            elif number < found.first and len(found.fresh) > self._settled:
                self._follow_back(number)
            recipes.append(found.runs, number, 1)
            found.last_at = at
            # What is new here was followed by nothing yet.
            at = self._follow(number, end) if number < found.first else end
        return found

    def _stored(self, crc: int, chunk: bytes) -> int | None:
        number = self._numbers.get(crc)
        if number is not None:
            if self._found.fresh[number - self._found.first] == chunk:
                self._settled = len(self._found.fresh)
                return number
        else:
            number = self._known.numbers.find(crc)
            if number is None and packing.is_landmark(crc):
                key = self._gathered.keys[crc] = packing.key(chunk)
                number = packing.landmark(self._db, key)
                if number is not None:
                    self._known.numbers.add([crc], number)
            if number is not None and self._holds(number, chunk):
                return number
        if number is not None:
            # Other bytes with the same CRC-32: under their key this one would stay for ever.
            self._gathered.keys.pop(crc, None)
        return None

    def _holds(self, number: int, chunk: bytes) -> bool:
        pack = self._pack(number)
        if pack is None or number - pack.first in pack.bad:
            return False
        return pack.chunk(number - pack.first) == chunk

    def _pack(self, number: int) -> packs.Pack | None:
        """The pack with this chunk; None if it is gone, or nothing can be read of it."""
        if number >= self._gathered.first:
            return self._gathered.find(number)[0]
        near = self._known.near
        pack = near.find(number)
        if pack is None:
            found = self._reader.sound(number)
            if found is None:
                return None
            pack = found[0]
            near.add(pack)
        return pack

    def _follow_back(self, number: int) -> None:
        """Take the chunks that lie before this one, instead of new ones with the same bytes."""
        found = self._found
        stop = number
        while len(found.fresh) > self._settled:
            start, count = found.runs[-1]
            newest = found.first + len(found.fresh) - 1
            if start + count - 1 != newest or not self._holds(number - 1, found.fresh[-1]):
                break
            number -= 1
            found.runs[-1:] = [(start, count - 1)] if count > 1 else []
            found.fresh.pop()
            crc = found.crcs.pop()
            self._numbers.pop(crc, None)
            self._known.numbers.add([crc], number)
        recipes.append(found.runs, number, stop - number)

    def _follow(self, number: int, at: int) -> int:
        """Take the chunks that follow as they did before; returns where that ends."""
        data, runs = self._data, self._found.runs
        pack: packs.Pack | None = None
        begins = ends = 0  # numbers of its chunks
        following = self._known.following(number)
        if following is None:
            return self._follow_numbers(number, at)
        for first, count in following:
            while count:
                if at >= len(data):
                    return at
                # Nearly all that ingest does with what was sent before are these few lines.
                if pack is None or not begins <= first < ends:
                    pack = self._pack(first)
                    if pack is None:
                        return at
                    begins, ends = pack.first, pack.first + pack.count
                stop = min(first + count, ends)
                low, high = first - begins, stop - begins
                start, end = pack.offsets[low], pack.offsets[high]
                if start == end or pack.bad or not data.startswith(pack.plain[start:end], at):
                    return self._follow_chunks(pack, low, high, at)
                recipes.append(runs, first, stop - first)
                self._found.last_at = at + pack.offsets[high - 1] - start
                at += end - start
                first, count = stop, count - (stop - first)
        return at

    def _follow_numbers(self, number: int, at: int) -> int:
        """As `_follow`, those that were new together with this one, in its pack."""
        pack = self._pack(number)
        if pack is None:
            return at
        return self._follow_chunks(pack, number + 1 - pack.first, pack.count, at)

    def _follow_chunks(self, pack: packs.Pack, low: int, high: int, at: int) -> int:
        """As `_follow`, up to the first chunk of these that is another one here."""
        for index in range(low, high):
            chunk = pack.chunk(index)
            if not chunk or index in pack.bad or not self._data.startswith(chunk, at):
                break
            recipes.append(self._found.runs, pack.first + index, 1)
            self._found.last_at = at
            at += len(chunk)
        return at


def _numbers(runs: Iterable[Run]) -> Iterator[int]:
    return chain.from_iterable([range(first, first + count) for first, count in runs])


def forget(db: Database, body_id: int) -> None:
    """The body goes: its recipe is nobody's base any more."""
    found = _memories.get(db)
    if found is not None:
        found.forget(body_id)


def base(known: Memory, runs: Sequence[Run]) -> int | None:
    """The recent body that holds most of these chunks; None if there is none."""
    step = max(len(runs) // _ASKED, 1)
    return known.most_common_owner([first + count - 1 for first, count in runs[::step]])
