"""
Consecutive entries of a session, read together: what an export of many thousands asks for.

A few statements read what hangs on all entries of a batch, in one state of the database, instead of
several statements for each.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from storage import clocks, database, entries, traffic
from storage.chunks import chains, digests, recipes, recoding
from storage.chunks.held import Held
from storage.chunks.recipes import Step
from storage.chunks.recoding import Coded
from storage.errors import StoreError
from storage.records import Cut, Entry

_MOST_ENTRIES = 64
_MOST_BYTES = 512 << 10  # of the bodies in a batch; one that is longer is left out
_MOST_CHUNKS = 4000  # of an answer
_HELD_BYTES = 6 << 20  # of packs: most of the memory of an export; 4 MB cost it a tenth more time
_MOST_BASES = 1000  # below one body


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """
    Some entries and what hangs on them.

    `bodies` are whole, proved, and by digest. One that is not there was left out because it is
    long or came zstd-coded, or could not be read: reading it alone tells why. `clocks` are, by
    entry, the moments and sizes of the chunks of its answer; None: there are too many.
    """

    entries: list[Entry]
    bodies: dict[bytes, bytes]
    clocks: dict[str, list[tuple[int, int]] | None]
    cuts: dict[str, list[Cut]]  # by entry; of those alone that have some
    gapped: set[str]  # ids of entries that have gaps


def each(conn: sqlite3.Connection, session_id: str) -> Iterator[Batch]:
    """All entries of a session, oldest first; those that come meanwhile too. Memory stays flat."""
    held = Held(conn, _HELD_BYTES)
    last = ""
    while True:
        with database.snapshot(conn):
            batch = _batch(conn, held, session_id, last)
        if not batch.entries:
            return
        last = batch.entries[-1].id
        yield batch
        del batch  # before the next one is read


class _Sealed(NamedTuple):
    """A recipe as it is stored."""

    body_id: int
    base: int | None
    recipe: bytes
    coding: bytes | None = None


def _sealed(body: str) -> str:
    return f"""
        {body}.id, {body}.base, case when {body}.uses > 0
            and {body}.size_bytes <= {_MOST_BYTES} then {body}.recipe end, {body}.coding
    """


_SELECT = f"""
    select {entries.COLUMNS}, {_sealed("b1")}, {_sealed("b2")}, c.count, c.run,
        exists (select 1 from cuts where entry_id = e.id),
        exists (select 1 from gaps where entry_id = e.id)
    from entries e
        left join bodies b1 on {digests.equal("b1.digest", "e.request_digest")}
        left join bodies b2 on {digests.equal("b2.digest", "e.response_digest")}
        left join clocks c on c.entry_id = e.id and c.side = 'response' and c.first = 0
    where e.session_id = ? and e.id > ? order by e.id limit {_MOST_ENTRIES}
"""
_BEHIND = slice(-12, None)  # the columns of an entry


def _batch(conn: sqlite3.Connection, held: Held, session_id: str, last: str) -> Batch:
    found = Batch(entries=[], bodies={}, clocks={}, cuts={}, gapped=set())
    cut: list[str] = []
    sealed_by_digest: dict[bytes, _Sealed] = {}
    size_bytes = 0
    cursor = conn.execute(_SELECT, [session_id, last])
    for row in cursor:
        entry = entries.of_row(row)
        asked, answered = entry.request_body, entry.response_body
        size_bytes += (asked.size_bytes if asked else 0) + (answered.size_bytes if answered else 0)
        if found.entries and size_bytes > _MOST_BYTES:
            break
        found.entries.append(entry)
        *sealed, count, run, is_cut, is_gapped = row[_BEHIND]
        for body, (body_id, base, recipe, coding) in ((asked, sealed[:4]), (answered, sealed[4:])):
            if body and recipe is not None:
                sealed_by_digest[body.digest] = _Sealed(body_id, base, recipe, coding)
        if run is not None:
            found.clocks[entry.id] = _clock(conn, entry.id, count, run)
        if is_cut:
            cut.append(entry.id)
        if is_gapped:
            found.gapped.add(entry.id)
    cursor.close()
    if cut:
        found.cuts.update(traffic.cuts_of(conn, cut))
    _read(conn, held, sealed_by_digest, found.bodies)
    return found


def _clock(
    conn: sqlite3.Connection, entry_id: str, count: int, run: bytes
) -> list[tuple[int, int]] | None:
    found = clocks.decode(clocks.unsqueeze(run))
    if count < clocks.RUN_CHUNKS:
        return found
    rows = conn.execute(
        """
        select first + count, run from clocks
        where entry_id = ? and side = 'response' and first > 0 order by first
        """,
        [entry_id],
    )
    for stop, more in rows:
        if stop > _MOST_CHUNKS:
            return None
        found += clocks.decode(clocks.unsqueeze(more))
    return found


# --- bodies ---------------------------------------------------------------------------------------


def _read(
    conn: sqlite3.Connection,
    held: Held,
    sealed_by_digest: dict[bytes, _Sealed],
    bodies: dict[bytes, bytes],
) -> None:
    """Add what can be read and is proved."""
    bases = {sealed.base for sealed in sealed_by_digest.values() if sealed.base}
    sealed_by_id = _bases(conn, bases) if bases else {}
    sealed_by_id |= {sealed.body_id: sealed for sealed in sealed_by_digest.values()}
    resolved: dict[int, list[Step]] = {}
    for digest, (body_id, base, recipe, sealed) in sealed_by_digest.items():
        try:
            coding = recoding.unpack(sealed) if sealed else None
            if isinstance(coding, Coded):
                continue
            if base is None:
                steps = chains.unsealed(base, recipe)
            else:
                steps = _resolved(body_id, sealed_by_id, resolved)
            parts = held.chunks(recipes.own(steps))
            if parts is None:
                continue
            data = b"".join(parts)
            if coding:
                data = recoding.again(coding, data)
        except (ValueError, KeyError, StoreError):
            continue
        if hashlib.sha256(data).digest() == digest:
            bodies[digest] = data


def _bases(conn: sqlite3.Connection, ids: Iterable[int]) -> dict[int, _Sealed]:
    """The recipes of these bodies and of all behind them."""
    rows = conn.execute(
        """
        with recursive chain (id, base, recipe) as (
            select id, base, recipe from bodies where id in (select value from json_each(?))
            union
            select b.id, b.base, b.recipe from chain join bodies b on b.id = chain.base
        )
        select id, base, recipe from chain
        """,
        [msgspec.json.encode(list(ids)).decode()],
    )
    return {row[0]: _Sealed(*row) for row in rows}


def _resolved(
    body_id: int, sealed_by_id: dict[int, _Sealed], resolved: dict[int, list[Step]]
) -> list[Step]:
    """The steps of a recipe without copies. Raises ValueError, and KeyError if a base is gone."""
    chain: list[_Sealed] = []
    at: int | None = body_id
    while at is not None and at not in resolved:
        if len(chain) > _MOST_BASES:
            raise ValueError("its bases are in a circle")
        chain.append(sealed_by_id[at])
        at = chain[-1].base
    for at, base, recipe, _ in reversed(chain):
        steps = chains.unsealed(base, recipe)
        resolved[at] = recipes.rebase(steps, resolved[base]) if base is not None else steps
    return resolved[body_id]
