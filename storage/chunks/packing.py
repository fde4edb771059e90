"""
Writing packs: chunks in, uses counted, small packs joined, unused chunks out.

What comes is put into the newest pack (stage 0) until that has 64 KB (stage 1), and later the
background joins those into well-compressed ones of 512 KB (stage 2). Each of these is one
transaction: after a crash the old packs are there, or the new one.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256

from sqlite_utils import Database
from zlib_ng.zlib_ng import crc32

from storage import database
from storage.chunks import packed, packs
from storage.chunks.packs import PACK_BYTES, Pack
from storage.chunks.recipes import Run
from storage.errors import StoreError

_FRESH, _POOLED, _REPACKED, _LEFT = 0, 1, 2, 3
_LEVELS = (1, 2, 12, 12)  # of zstd, by stage: what ingest waits for is quick

_POOL_BYTES = 64 << 10
_LANDMARK_MASK = 3  # these bits of the CRC-32 are zero, so one chunk in four is one
_VACUUM_PAGES = 256  # given back with each pack
_COUNTED_PACKS = 64  # in memory at once
_SHORT_BYTES = PACK_BYTES // 2  # a repacked pack that is joined with what comes behind it
_MOST_NUMBERS = 4096  # that a joined pack spans: what is gone counts too


def key(chunk: bytes) -> int:
    """What landmarks are looked for by: short, for it is a hint. Who finds one compares bytes."""
    return int.from_bytes(sha256(chunk).digest()[:5])


def is_landmark(crc: int) -> bool:
    """Whether a chunk with this CRC-32 can be found by its key. Older stores have keys of all."""
    return not crc & _LANDMARK_MASK


def landmark(db: Database, its_key: int) -> int | None:
    """The number that its key leads to."""
    row = db.conn.execute("select number from chunks where key = ?", [its_key]).fetchone()
    number: int | None = row[0] if row else None
    return number


def add_landmarks(db: Database, pack: Pack, keys: Mapping[int, int]) -> None:
    """Keys of those among new chunks; some are known by the CRC-32."""
    rows = [
        (keys.get(crc) or key(pack.chunk(index)), pack.first + index)
        for index, crc in enumerate(pack.crcs)
        if is_landmark(crc)
    ]
    db.conn.executemany(
        # What has the key already is not the same bytes: it is damaged, as a rule.
        """
        insert into chunks (key, number) values (?, ?)
        on conflict (key) do update set number = excluded.number
        """,
        rows,
    )


def recent(db: Database, chunks: int) -> Iterator[tuple[int, Sequence[int]]]:
    """First number and CRC-32s of the packs of the newest chunks, oldest first."""
    found: list[tuple[int, Sequence[int]]] = []
    for first, sizes in db.conn.execute("select first, sizes from packs order by first desc"):
        if chunks <= 0:
            break
        with contextlib.suppress(StoreError):
            found.append((first, packed.read_directory(sizes, first)[1]))
            chunks -= len(found[-1][1])
    return reversed(found)


def add(db: Database, cache: packs.Cache, pack: Pack, uses: Sequence[int]) -> None:
    """
    Store new chunks.

    They are put together with what came last while that is short: what is new in one body is
    often like what was new in the one before.
    """
    parts = [(pack, uses)]
    row = db.conn.execute(
        "select first, uses, stage, is_dirty, token from packs order by first desc limit 1"
    ).fetchone()
    if row is not None:
        last, last_uses, stage, is_dirty, its_token = row
        old = None
        if stage == _FRESH and not is_dirty:
            old = cache.get(its_token) or _readable(db, last)
        if old is not None and pack.first + pack.count - last <= _MOST_NUMBERS:
            _delete(db, last)
            parts.insert(0, (old, packed.unpack_uses(last_uses, old.count)))
    size_bytes = sum(len(part.plain) for part, _ in parts)
    made = _insert_parts(db, _POOLED if size_bytes >= _POOL_BYTES else _FRESH, parts)
    if not parts[0][0].bad:
        cache.add(made)


def count(db: Database, runs: Iterable[Run], change: int) -> None:
    """Change the uses of chunks; those that come to none are left to `sweep`."""
    counter = Counter(db)
    for first, numbers in runs:
        stop = first + numbers
        while first < stop:
            first = counter.change(first, stop, change)
    counter.write()


def count_some(db: Database, first: int, numbers: int) -> int:
    """One use less of the chunks from `first` on that lie in one pack; how many these are."""
    counter = Counter(db)
    reached = counter.change(first, first + numbers, -1)
    counter.write()
    return reached - first


def sweep(db: Database) -> Iterator[None]:
    """Write packs again without the chunks that nobody uses. Yields after each pack."""
    while True:
        row = db.execute(
            """
            select first, stage, uses from packs
            where is_dirty = 1 and (stage < 2 or is_dirty = 1) limit 1
            """
        ).fetchone()
        if row is None:
            return
        _rewrite(db, *row)
        yield


def repack(db: Database, *, is_resting: bool = False) -> bool:
    """
    Join one row of neighbours into a pack that is better compressed; False if there is none.

    In a transaction of its own. What is at the end stays as it is until more has come, or until
    it `is_resting`: that nothing came for a while.
    """
    group = _group(db, is_resting=is_resting)
    if group is None:
        return False
    with database.write(db):
        _join(db, group, _REPACKED)
        db.execute(f"pragma incremental_vacuum({_VACUUM_PAGES})").fetchall()
    return True


def _group(db: Database, *, is_resting: bool) -> list[int] | None:
    """The oldest packs that are not joined yet and lie one behind the other."""
    # A short one before them was made at rest: it is joined again with what came since.
    rows = db.execute(
        """
        select first, size_bytes, count, stage, is_dirty from packs
        where first >= (
            select coalesce((select max(b.first) from packs b where b.first < a.first), a.first)
            from packs a where (stage < 2 or is_dirty = 1) and stage < 2 and is_dirty = 0
            order by a.first limit 1
        )
        order by first limit 4096
        """
    ).fetchall()
    group: list[int] = []
    size_bytes = 0
    has_new = False
    for first, more_bytes, numbers, stage, is_dirty in rows:
        is_long = bool(group) and first + numbers - group[0] > _MOST_NUMBERS
        is_short = stage < _REPACKED or (stage == _REPACKED and more_bytes < _SHORT_BYTES)
        is_border = is_dirty or not is_short
        if is_border or is_long or size_bytes >= PACK_BYTES:
            if has_new:
                return group
            group, size_bytes = [], 0
        if not is_border:
            group.append(first)
            size_bytes += more_bytes
            has_new = has_new or stage < _REPACKED
    return group if has_new and (is_resting or size_bytes >= PACK_BYTES) else None


# --- one pack -------------------------------------------------------------------------------------


def _insert(
    db: Database, first: int, stage: int, sizes: Sequence[int], crcs: Sequence[int],
    uses: Sequence[int], plain: bytes, *, is_damaged: bool = False,
) -> Pack:  # fmt: skip
    token, data = packs.token(), packed.compress(plain, _LEVELS[stage])
    db.execute(
        """
        insert into packs (first, count, size_bytes, stage, is_damaged, token, crc, uses, sizes)
        values (?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        [first, len(sizes), len(plain), stage, is_damaged, token, crc32(data),
         packed.pack_uses(uses), packed.directory(sizes, crcs)],
    )  # fmt: skip
    db.execute("insert into packed (first, data) values (?, ?)", [first, data])
    return Pack(first, token, sizes, crcs, plain)


def _delete(db: Database, first: int) -> None:
    db.execute("delete from packs where first = ?", [first])
    db.execute("delete from packed where first = ?", [first])


class Counter:
    """Changes the uses of chunks, pack by pack; `write` puts them into the table."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._uses: dict[int, list[int]] = {}
        self._lessened: set[int] = set()  # packs that may hold a chunk that nobody uses
        self._found = range(0)  # numbers of the pack that was asked about last

    def change(self, first: int, stop: int, by: int) -> int:
        """From `first` to `stop`, or to the end of a pack; returns where to go on."""
        if first not in self._found and not self._find(first):
            row = self._db.conn.execute("select min(first) from packs where first > ?", [first])
            (following,) = row.fetchone()
            return stop if following is None else min(stop, following)
        at, stop = self._found.start, min(stop, self._found.stop)
        uses = self._uses[at]
        low, high = first - at, stop - at
        if by > 0:
            uses[low:high] = [number + by for number in uses[low:high]]
        else:
            uses[low:high] = [max(number + by, 0) for number in uses[low:high]]
            self._lessened.add(at)
        return stop

    def write(self) -> None:
        for first, uses in self._uses.items():
            self._db.execute(
                "update packs set uses = ?, is_dirty = max(is_dirty, ?) where first = ?",
                [packed.pack_uses(uses), first in self._lessened and 0 in uses, first],
            )
        self._uses.clear()
        self._lessened.clear()
        self._found = range(0)

    def _find(self, number: int) -> bool:
        row = self._db.conn.execute(
            "select first, count, uses from packs where first <= ? order by first desc limit 1",
            [number],
        ).fetchone()
        if row is None or number >= row[0] + row[1]:
            return False
        first, count, uses = row
        if first not in self._uses:
            if len(self._uses) >= _COUNTED_PACKS:
                self.write()
            self._uses[first] = packed.unpack_uses(uses, count)
        self._found = range(first, first + count)
        return True


def _readable(db: Database, first: int) -> Pack | None:
    try:
        return packs.load(db.conn, first)
    except StoreError:
        return None


def _rewrite(db: Database, first: int, stage: int, its_uses: bytes) -> None:
    pack = _readable(db, first)
    _delete(db, first)  # if nobody can read it too: bytes may be in it that have to go
    if pack is None:
        return
    uses = packed.unpack_uses(its_uses, pack.count)
    dead = [index for index, number in enumerate(uses) if not number and pack.chunk(index)]
    db.conn.executemany(
        "delete from chunks where key = ? and number = ?",
        [(key(pack.chunk(index)), first + index) for index in dead],
    )
    if any(uses):
        _insert_parts(db, stage, [(pack, uses)])


def _join(db: Database, firsts: Sequence[int], stage: int) -> None:
    parts = []
    for first in firsts:
        row = db.execute("select uses from packs where first = ?", [first]).fetchone()
        pack = _readable(db, first)
        if pack is None:
            # It stays as it is, for `doctor` to show, and is not tried again.
            db.execute("update packs set stage = ? where first = ?", [_LEFT, first])
            return
        parts.append((pack, packed.unpack_uses(row[0], pack.count)))
    for first in firsts:
        _delete(db, first)
    _insert_parts(db, stage, parts)


def _insert_parts(db: Database, stage: int, parts: Sequence[tuple[Pack, Sequence[int]]]) -> Pack:
    """One pack of several; what nobody uses keeps its number and loses its bytes."""
    start = parts[0][0].first
    sizes: list[int] = []
    crcs: list[int] = []
    counts: list[int] = []
    plain = []
    is_damaged = False
    for pack, uses in parts:
        gap = pack.first - start - len(sizes)
        sizes += [0] * gap
        crcs += [0] * gap
        counts += [0] * gap
        if 0 not in uses and not pack.bad:
            plain.append(pack.plain)
            sizes += map(int.__sub__, pack.offsets[1:], pack.offsets)
            crcs += pack.crcs
            counts += uses
            continue
        for index, used in enumerate(uses):
            chunk = pack.chunk(index) if used else b""
            plain.append(chunk)
            sizes.append(len(chunk))
            # The old checksum, not one of these bytes: what is damaged stays known as such.
            crcs.append(pack.crcs[index] if used else 0)
            counts.append(used)
            is_damaged = is_damaged or bool(used and index in pack.bad)
    while counts and not counts[-1]:
        del sizes[-1], crcs[-1], counts[-1]
    return _insert(db, start, stage, sizes, crcs, counts, b"".join(plain), is_damaged=is_damaged)
