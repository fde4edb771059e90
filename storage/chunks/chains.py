"""
What bodies are made of: their chunks, by their own recipes and those of the bases behind them.

A recipe has a checksum. Damage within one byte of it is undone as it is read, and the digest of the
body proves it.
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from storage.chunks import digests, flips, packs, recipes, recoding
from storage.chunks.recipes import Run, Step
from storage.chunks.recoding import Coding
from storage.errors import StoreError


class Found(NamedTuple):
    """A body, and the chunks of its bytes, or of what these decode to."""

    size_bytes: int
    runs: list[Run]
    coding: Coding | None


def runs_of(conn: sqlite3.Connection, digest: bytes) -> Found | None:
    """None if there is no such body. Raises StoreError."""
    links = _chain(conn, f"{digests.equal('digest', ':value')} and uses > 0", digest)
    if not links:
        return None
    try:
        return _found(links)
    except ValueError as error:
        mended = _mended(conn, links)
        if mended:
            return _found(mended.links)
        raise StoreError(f"body {digest.hex()} is damaged: {error}") from error
    except StoreError as error:
        raise StoreError(f"body {digest.hex()} is damaged: {error}") from error


class _Link(NamedTuple):
    """A body, or a base behind it."""

    digest: bytes
    size_bytes: int
    base: int | None
    recipe: bytes  # sealed
    coding: bytes | None  # sealed


class _Mended(NamedTuple):
    link: int  # index of the link that was damaged
    place: int  # of the byte in its recipe
    links: list[_Link]  # without the damage


def _chain(conn: sqlite3.Connection, where: str, value: bytes | int) -> list[_Link]:
    # One statement, so that no base is taken away between two. In a damaged row may be anything.
    rows = conn.execute(
        f"""
        with recursive chain (number, digest, size_bytes, base, recipe, coding) as (
            select 0, digest, size_bytes, base, recipe, coding from bodies where {where}
            union all
            select number + 1, b.digest, b.size_bytes, b.base, b.recipe, null
            from chain join bodies b on b.id = chain.base
            where number < 1000
        )
        select digest, size_bytes, base, coalesce(cast(recipe as blob), x''), coding
        from chain order by number
        """,
        {"value": value},
    )
    return [_Link(*row) for row in rows]


def _found(links: Sequence[_Link]) -> Found:
    """Raises ValueError, or StoreError for how it was coded."""
    coding = links[0].coding
    return Found(links[0].size_bytes, _runs(links), recoding.unpack(coding) if coding else None)


def _runs(links: Sequence[_Link]) -> list[Run]:
    """Raises ValueError."""
    steps = unsealed(links[0].base, links[0].recipe)
    for link in links[1:]:
        steps = recipes.rebase(steps, unsealed(link.base, link.recipe))
    if any(is_copy for is_copy, _, _ in steps):
        raise ValueError("the recipe of its base is missing")
    return recipes.joined(recipes.own(steps))


def steps_of(conn: sqlite3.Connection, body_id: int, base: int | None, recipe: bytes) -> list[Step]:
    """The steps of this body alone, damage within one byte undone. Raises ValueError."""
    try:
        return unsealed(base, recipe)
    except ValueError:
        found = mended(conn, body_id)
        if found is None:
            raise
        return unsealed(base, found[1])


def mended(conn: sqlite3.Connection, body_id: int) -> tuple[int, bytes] | None:
    """Which byte of the recipe of this body is damaged, and the recipe without that; else None."""
    found = _mended(conn, _chain(conn, "id = :value", body_id))
    return (found.place, found.links[0].recipe) if found and found.link == 0 else None


def _mended(conn: sqlite3.Connection, links: list[_Link]) -> _Mended | None:
    """Damage within one byte undone, which the digest of the body proves."""
    wrong = [
        index for index, link in enumerate(links) if not flips.is_sound(link.recipe, link.base or 0)
    ]
    if len(wrong) != 1:
        return None
    (index,) = wrong
    link = links[index]
    for place, proposed in flips.proposals(link.recipe, link.base or 0):
        sound = [*links[:index], link._replace(recipe=proposed), *links[index + 1 :]]
        with contextlib.suppress(ValueError, StoreError):
            if proof(conn, _found(sound))[0] == links[0].digest:
                return _Mended(index, place, sound)
    return None


def proof(conn: sqlite3.Connection, found: Found) -> tuple[bytes, int]:
    """Digest and size of the body that these chunks give. Raises StoreError."""
    whole, total = hashlib.sha256(), 0
    plain = []
    reader = packs.Reader(conn)
    for place, low, high, size_bytes in reader.segments(found.runs):
        pack = reader.pack(place)
        if pack is None:
            raise packs.Moved("it was packed anew meanwhile")
        data = pack.span(low, high, 0, size_bytes)
        if found.coding:
            plain.append(data)
        else:
            whole.update(data)
            total += size_bytes
    if found.coding:
        coded = recoding.again(found.coding, b"".join(plain))
        return hashlib.sha256(coded).digest(), len(coded)
    return whole.digest(), total


def sealed(base: int | None, steps: Sequence[Step]) -> bytes:
    packed = recipes.pack(steps)
    return packed + flips.seal(packed, base or 0)


def unsealed(base: int | None, sealed: bytes) -> list[Step]:
    """Raises ValueError."""
    if not flips.is_sound(sealed, base or 0):
        raise ValueError("its recipe has another checksum")
    return recipes.unpack(sealed[:-4])
