"""
Which chunks of new bytes are stored already.

Agents send again what they sent before, so the chunk behind a known one is most likely the one that
followed it the last time: that is a comparison of bytes, and neither hashed nor cut. Only where
it fails the bytes are cut by their content, and each chunk is looked for by its key.

What is in memory are hints: what they lead to is compared byte for byte.
"""

import itertools
import weakref
from collections import Counter, OrderedDict
from collections.abc import Sequence

import msgspec
from sqlite_utils import Database

from storage import packing, packs
from storage.cutting import Cutter

_RECENT_NUMBERS = 200_000  # of chunks, in the recipes of the recent bodies together
_LONGEST = 16_384  # chunks; longer bodies are not remembered
_KEYS = 200_000
_CACHED_BYTES = 16 << 20

_PLACE_BITS = 32
_ASKED = 32  # chunks of a body that choose its base


class Matched(msgspec.Struct):
    numbers: list[int]
    fresh: list[bytes]  # chunks that are new; theirs are the numbers from `first` on
    first: int
    last_at: int = 0  # where the last chunk begins


class Memory:
    """What the writer of one database remembers between bodies."""

    def __init__(self) -> None:
        self.stamp = -1
        self.cache = packs.Cache(_CACHED_BYTES)
        self.keys: dict[int, int] = {}
        self.recent: OrderedDict[int, list[int]] = OrderedDict()  # by id of body
        self._owners: dict[int, int] = {}  # number -> body id and place in it
        self._numbers = 0

    def clear(self) -> None:
        self.__init__()  # type: ignore[misc]

    def remember(self, body_id: int, numbers: list[int]) -> None:
        if len(numbers) > _LONGEST:
            return
        self.recent[body_id] = numbers
        base = body_id << _PLACE_BITS
        self._owners.update(zip(numbers, range(base, base + len(numbers)), strict=True))
        self._numbers += len(numbers)
        while self._numbers > _RECENT_NUMBERS and len(self.recent) > 1:
            self.forget(next(iter(self.recent)))

    def forget(self, body_id: int) -> None:
        gone = self.recent.pop(body_id, None)
        if gone is None:
            return
        self._numbers -= len(gone)
        for number in gone:
            if self._owners.get(number, -1) >> _PLACE_BITS == body_id:
                del self._owners[number]

    def owner(self, number: int) -> tuple[int, int] | None:
        """The newest body with this chunk, and where in it."""
        found = self._owners.get(number)
        if found is None:
            return None
        return found >> _PLACE_BITS, found & (1 << _PLACE_BITS) - 1


_memories: "weakref.WeakKeyDictionary[Database, Memory]" = weakref.WeakKeyDictionary()


def memory(db: Database, stamp: int) -> Memory:
    """The memory of this connection; empty if what it holds was rolled back."""
    found = _memories.get(db)
    if found is None:
        found = _memories[db] = Memory()
    if found.stamp != stamp:
        found.clear()
        found.stamp = stamp
    return found


def match(db: Database, known: Memory, data: bytes, first: int) -> Matched:
    """Cut `data` into chunks; new ones are numbered from `first` on."""
    return _Match(db, known, data, first).run()


class _Match:
    def __init__(self, db: Database, known: Memory, data: bytes, first: int) -> None:
        self._db = db
        self._known = known
        self._data = data
        self._reader = packs.Reader(db.conn, known.cache)
        self._cutter = Cutter(data)
        self._fresh_keys: dict[int, int] = {}
        self._found = Matched(numbers=[], fresh=[], first=first)

    def run(self) -> Matched:
        at, data = 0, self._data
        while at < len(data):
            end = self._cutter.end(at)
            chunk = data[at:end]
            key = packing.key(chunk)
            number = self._stored(key, chunk)
            self._found.last_at = at
            if number is None:
                self._found.numbers.append(self._new(key, chunk))
                at = end
            else:
                self._found.numbers.append(number)
                at = self._follow(number, end)
        return self._found

    def _stored(self, key: int, chunk: bytes) -> int | None:
        number = self._fresh_keys.get(key)
        if number is not None:
            return number if self._found.fresh[number - self._found.first] == chunk else None
        number = self._known.keys.get(key)
        if number is None:
            row = self._db.execute("select number from chunks where key = ?", [key]).fetchone()
            if row is None:
                return None
            number = self._remember(key, row[0])
        return number if self._holds(number, chunk) else None

    def _holds(self, number: int, chunk: bytes) -> bool:
        found = self._reader.sound(number)
        return found is not None and found[0].chunk(found[1]) == chunk

    def _new(self, key: int, chunk: bytes) -> int:
        number = self._found.first + len(self._found.fresh)
        self._found.fresh.append(chunk)
        self._fresh_keys[key] = number
        return number

    def _remember(self, key: int, number: int) -> int:
        if len(self._known.keys) >= _KEYS:
            self._known.keys.clear()
        self._known.keys[key] = number
        return number

    def _follow(self, number: int, at: int) -> int:
        """Take the chunks that follow as they did before; returns where that ends."""
        owner = self._known.owner(number)
        if owner is None:
            return at
        body_id, place = owner
        order = self._known.recent[body_id]
        data, size_bytes, numbers = self._data, len(self._data), self._found.numbers
        pack: packs.Pack | None = None
        index = 0
        for number in itertools.islice(order, place + 1, None):
            if at >= size_bytes:
                break
            # Most of what follows lies in the same pack: this loop is nearly all that ingest does.
            index = number - pack.first if pack else -1
            if pack is None or not 0 <= index < pack.count or pack.bad:
                found = self._reader.sound(number)
                if found is None:
                    break
                pack, index = found
            low, high = pack.offsets[index], pack.offsets[index + 1]
            end = at + high - low
            if low == high or data[at:end] != pack.plain[low:high]:
                break
            numbers.append(number)
            self._found.last_at = at
            at = end
        return at


def forget(db: Database, body_id: int) -> None:
    """The body goes: its recipe is nobody's base any more."""
    found = _memories.get(db)
    if found is not None:
        found.forget(body_id)


def base(known: Memory, numbers: Sequence[int]) -> int | None:
    """The recent body that holds most of these chunks; None if there is none."""
    step = max(len(numbers) // _ASKED, 1)
    votes = Counter(
        owner[0] for number in numbers[::step] if (owner := known.owner(number)) is not None
    )
    return votes.most_common(1)[0][0] if votes else None
