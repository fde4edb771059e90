"""
Damage that costs nothing, because reading undoes it, and counts that are wrong.

Each flaw knows how it is mended: `repair` does that. Nothing is written unless it is asked for.
"""

import sqlite3
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any

import msgspec
from sqlite_utils import Database

from storage import database
from storage.chunks import chains, first, flips, packed, packs, proving, recipes
from storage.chunks.recipes import Run, Step
from storage.errors import StoreError

_PACKS = 1024  # whose chunks are counted at once
_NAMED = 20  # entries of a damaged pack


class Flaw(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not what it was and can be mended; every body is read right."""

    reason: str
    entry_ids: tuple[str, ...] = ()  # whose bodies it is part of, the first ones; ascending
    mending: tuple[tuple[str, tuple[Any, ...]], ...]  # statements and their parameters


def find(conn: sqlite3.Connection, damages: Iterable[proving.Damage]) -> Iterator[Flaw]:
    """
    What is wrong and can be mended; beside a server, each part as of one moment.

    `damages` are what `verify` found; some of them are of this kind.
    """
    yield from _recipe_flaws(conn)
    missing = set(proving.missing(conn))
    for damage in damages:
        if damage.digest not in missing:
            yield from _index_flaw(conn, damage)
        yield from _head_flaw(conn, damage.digest, missing)
    yield from _pack_flaws(conn)
    with database.snapshot(conn):
        found = list(_body_uses(conn, is_exact=not missing))
    yield from found
    start: int | None = 0
    while start is not None:
        with database.snapshot(conn):
            found, start = _chunk_uses(conn, start)
        yield from found


def repair(db: Database) -> list[Flaw]:
    """Mend what can be, each flaw in a transaction or savepoint; returns what was mended."""
    mended = []
    # Twice: chunks are counted by the recipes, so what is wrong with those comes first.
    for _ in range(2):
        found = list(find(db.conn, list(proving.verify(db.conn))))
        for flaw in found:
            with database.write(db):
                for statement, values in flaw.mending:
                    db.execute(statement, list(values))
        mended += [flaw for flaw in found if flaw not in mended]
    packs.forget_all()
    with database.write(db):
        db.execute("update numbering set stamp = stamp + 1")  # what the writer remembers may lie
    return mended


def _pack_flaws(conn: sqlite3.Connection) -> Iterator[Flaw]:
    found: list[tuple[range, Flaw]] = []
    last = -1
    while True:
        row = conn.execute(
            """
            select p.first, p.count, p.size_bytes, p.sizes, p.crc, d.data
            from packs p join packed d on d.first = p.first
            where p.first > ? order by p.first limit 1
            """,
            [last],
        ).fetchone()
        if row is None:
            break
        last = row[0]
        flaw = _pack_flaw(*row)
        if flaw:
            found.append((range(last, last + row[1]), flaw))
    if found:
        concerned = _concerned(conn, [numbers for numbers, _ in found])
        for (_, flaw), entry_ids in zip(found, concerned, strict=True):
            yield msgspec.structs.replace(flaw, entry_ids=entry_ids)


def _pack_flaw(
    first: int, count: int, size_bytes: int, directory: bytes, crc: int, data: bytes
) -> Flaw | None:
    mended = packed.mended(directory, data, crc, first)
    if mended is None:
        return None  # `verify` names the bodies that it costs
    whole = (len(mended.sizes), sum(mended.sizes), mended.directory, mended.crc)
    if whole == (count, size_bytes, directory, crc) and mended.data == data:
        return None
    places = [
        *_changed("its frame", data, mended.data),
        *_changed("its directory", directory, mended.directory),
    ]
    return Flaw(
        reason=f"the pack of the chunks from {first} on: "
        + (", ".join(places) or "what the table says of it is wrong"),
        mending=(
            (
                """
                update packs set count = ?, size_bytes = ?, sizes = ?, crc = ?
                where first = ?
                """,
                (*whole, first),
            ),
            ("update packed set data = ? where first = ?", (mended.data, first)),
        ),
    )


def _changed(what: str, damaged: bytes, sound: bytes) -> list[str]:
    return [
        f"byte {place} of {what} changed by {was ^ now:08b}"
        for place, (was, now) in enumerate(zip(sound, damaged, strict=True))
        if was != now
    ]


def _concerned(conn: sqlite3.Connection, damaged: list[range]) -> list[tuple[str, ...]]:
    """By damaged pack, entries with a body that has chunks in it."""
    found: list[set[str]] = [set() for _ in damaged]
    for digest in proving.digests(conn):
        try:
            known = chains.runs_of(conn, digest)
        except StoreError:
            continue
        runs = known.runs if known else []
        for numbers, entry_ids in zip(damaged, found, strict=True):
            if len(entry_ids) < _NAMED and any(
                first < numbers.stop and first + count > numbers.start for first, count in runs
            ):
                entry_ids.update(proving.entry_ids(conn, digest)[:_NAMED])
    return [tuple(sorted(entry_ids)[:_NAMED]) for entry_ids in found]


def _recipe_flaws(conn: sqlite3.Connection) -> Iterator[Flaw]:
    last = 0
    while rows := conn.execute(
        """
        select id, digest, base, coalesce(cast(recipe as blob), x'') from bodies
        where id > ? order by id limit 100
        """,
        [last],
    ).fetchall():
        for last, digest, base, recipe in rows:
            if flips.is_sound(recipe, base or 0):
                continue
            mended = chains.mended(conn, last)
            if mended:
                place, sound = mended
                yield Flaw(
                    reason=f"byte {place} of the recipe of body {digest.hex()} changed",
                    entry_ids=proving.entry_ids(conn, digest),
                    mending=(("update bodies set recipe = ? where id = ?", (sound, last)),),
                )


def _index_flaw(conn: sqlite3.Connection, damage: proving.Damage) -> Iterator[Flaw]:
    """A digest that is another one in the index than in the row."""
    if proving.is_lost(conn, damage.digest):
        yield Flaw(
            reason=damage.reason, entry_ids=damage.entry_ids, mending=(("reindex bodies", ()),)
        )


def _head_flaw(conn: sqlite3.Connection, digest: bytes, missing: set[bytes]) -> Iterator[Flaw]:
    """A size or a digest that is not that of the bytes, which are sound."""
    try:
        known = chains.runs_of(conn, digest)
        found, size_bytes = chains.proof(conn, known) if known else (b"", 0)
    except StoreError:
        return
    if found == digest or found in missing:
        yield Flaw(
            reason=f"the table names body {found.hex()} wrongly; its bytes are sound",
            entry_ids=proving.entry_ids(conn, found),
            mending=(
                (
                    "update bodies set digest = ?, size_bytes = ? where digest = ?",
                    (found, size_bytes, digest),
                ),
            ),
        )


# --- uses -----------------------------------------------------------------------------------------


def _body_uses(conn: sqlite3.Connection, *, is_exact: bool) -> Iterator[Flaw]:
    """
    Each body is used as often as entries and messages name it.

    If it is not exact some name bodies that are not there: one of these may be meant.
    """
    if first.is_there(conn):
        return  # the same body may be in both stores
    rows = conn.execute(
        f"""
        with named as (
            select digest, count(*) as uses from ({proving.NAMES.replace("union", "union all")})
            where digest is not null group by digest
        )
        select id, b.digest, b.uses, coalesce(n.uses, 0)
        from bodies b left join named n on n.digest = b.digest
        where b.uses <> coalesce(n.uses, 0)
            or b.uses = 0 and not exists (select 1 from released where body = b.id)
        """
    )
    for body_id, digest, uses, counted in rows:
        if counted < uses and not is_exact:
            continue
        mending: list[tuple[str, tuple[Any, ...]]] = [
            ("update bodies set uses = ? where id = ?", (counted, body_id))
        ]
        if not counted:
            mending.append(("insert into released (body) values (?)", (body_id,)))
        yield Flaw(
            reason=f"body {digest.hex()} is used {counted} times, not {uses}",
            entry_ids=proving.entry_ids(conn, digest),
            mending=tuple(mending),
        )


def _chunk_uses(conn: sqlite3.Connection, start: int) -> tuple[list[Flaw], int | None]:
    """Each chunk is used as often as recipes name it; packs from `start` on, and where to go on."""
    rows = conn.execute(
        """
        select first, count, uses from packs where first >= ?
        order by first limit ?
        """,
        [start, _PACKS],
    ).fetchall()
    if not rows:
        return [], None
    begin, stop = rows[0][0], rows[-1][0] + rows[-1][1]
    counted, is_exact = _count(conn, begin, stop)
    found = []
    for number, numbers, uses in rows:
        actual = counted[number - begin : number - begin + numbers]
        stored = packed.unpack_uses(uses, numbers)
        if not is_exact:  # what cannot be read may name more
            actual = list(map(max, actual, stored))
        if actual != stored:
            wrong = sum(map(int.__ne__, actual, stored))
            found.append(
                Flaw(
                    reason=f"the uses of {wrong} chunks from {number} on are not as often as "
                    "recipes name them",
                    mending=(
                        (
                            "update packs set uses = ?, is_dirty = ? where first = ?",
                            (packed.pack_uses(actual), int(0 in actual), number),
                        ),
                    ),
                )
            )
    return found, stop


def _count(conn: sqlite3.Connection, begin: int, stop: int) -> tuple[list[int], bool]:
    """How often the chunks in between are named, and whether all that may name them was read."""
    changes = array("q", bytes(8 * (stop - begin + 1)))
    is_exact = True
    for runs in _all_runs(conn):
        if runs is None:
            is_exact = False
            continue
        for number, count in runs:
            low, high = max(number, begin), min(number + count, stop)
            if low < high:
                changes[low - begin] += 1
                changes[high - begin] -= 1
    return list(accumulate(changes))[:-1], is_exact


def _all_runs(conn: sqlite3.Connection) -> Iterator[list[Run] | None]:
    """Of whatever holds chunks, those that it names itself; None if they cannot be read."""
    for base, recipe in conn.execute(
        "select base, coalesce(cast(recipe as blob), x'') from bodies"
    ):
        yield _own(lambda: chains.unsealed(base, recipe))  # noqa: B023 - called at once
    for (runs,) in conn.execute(
        """
        select runs from pieces where runs is not null
        union all select runs from released where runs is not null
        """
    ):
        yield _own(lambda: recipes.unpack(runs))  # noqa: B023 - called at once


def _own(read: Callable[[], list[Step]]) -> list[Run] | None:
    try:
        return recipes.own(read())
    except ValueError:
        return None
