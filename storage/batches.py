"""
Consecutive entries of a session, read together: what an export of many thousands asks for.

A few statements read what hangs on all entries of a batch, in one state of the database, instead of
several statements for each.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from storage import chains, clocks, database, packs, recipes, traffic
from storage.errors import StoreError
from storage.recipes import Run, Step
from storage.records import Body, Entry

_MOST_ENTRIES = 64
_MOST_BYTES = 512 << 10  # of the bodies in a batch; one that is longer is left out
_MOST_CHUNKS = 4000  # of an answer
_CACHED_BYTES = 8 << 20  # of packs
_ASKED = 200  # bodies in one statement
_MOST_BASES = 1000  # below one body


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """
    What hangs on some entries.

    `bodies` are whole, proved, and by digest. One that is not there was left out because it is
    long, or could not be read: reading it alone tells why. `clocks` are, by entry, the moments and
    sizes of the chunks of its answer; None: there are too many.
    """

    bodies: dict[bytes, bytes]
    clocks: dict[str, list[tuple[int, int]] | None]
    cut: frozenset[str]  # ids of entries that have cuts
    gapped: frozenset[str]  # the same of gaps


NOTHING = Batch(bodies={}, clocks={}, cut=frozenset(), gapped=frozenset())


def each(conn: sqlite3.Connection, session_id: str) -> Iterator[list[Entry]]:
    """All entries of a session, oldest first, as many at once as `Reader.read` takes."""
    found: list[Entry] = []
    size_bytes = 0
    for entry in traffic.each(conn, session_id):
        more = sum(body.size_bytes for body in _bodies(entry))
        if found and (size_bytes + more > _MOST_BYTES or len(found) >= _MOST_ENTRIES):
            yield found
            found, size_bytes = [], 0
        found.append(entry)
        size_bytes += more
    if found:
        yield found


class Reader:
    """Reads what hangs on entries; for one export, and one thread."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self._cache = packs.Cache(_CACHED_BYTES)  # small, so that an export takes little memory

    def read(self, entries: Sequence[Entry]) -> Batch:
        """What hangs on these entries, of one state of the database."""
        conn = self._conn
        digests = [
            body.digest
            for entry in entries
            for body in _bodies(entry)
            if body.size_bytes <= _MOST_BYTES
        ]
        with database.snapshot(conn):
            return Batch(
                bodies=bodies_of(conn, digests, self._cache),
                clocks=_clocks(conn, entries),
                cut=_with(conn, "cuts", entries),
                gapped=_with(conn, "gaps", entries),
            )


def _bodies(entry: Entry) -> list[Body]:
    return [body for body in (entry.request_body, entry.response_body) if body]


def _clocks(
    conn: sqlite3.Connection, entries: Sequence[Entry]
) -> dict[str, list[tuple[int, int]] | None]:
    rows = conn.execute(
        f"""
        select entry_id, first + count, run from clocks
        where side = 'response' and entry_id in ({_places(entries)})
        order by entry_id, first
        """,
        [entry.id for entry in entries],
    )
    found: dict[str, list[tuple[int, int]] | None] = {}
    for entry_id, stop, run in rows:
        known = found.setdefault(entry_id, [])
        if stop > _MOST_CHUNKS or known is None:
            found[entry_id] = None
        else:
            known += clocks.decode(clocks.unsqueeze(run))
    return found


def _with(conn: sqlite3.Connection, table: str, entries: Sequence[Entry]) -> frozenset[str]:
    rows = conn.execute(
        f"select distinct entry_id from {table} where entry_id in ({_places(entries)})",
        [entry.id for entry in entries],
    )
    return frozenset(entry_id for (entry_id,) in rows)


def _places(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


# --- bodies ---------------------------------------------------------------------------------------


def bodies_of(
    conn: sqlite3.Connection, digests: Iterable[bytes], cache: packs.Cache
) -> dict[bytes, bytes]:
    """
    Whole bodies, proved, by digest; those that cannot be read are left out, and those that are
    stored decoded.

    Inside of one transaction, for it takes many statements less than reading them one by one.
    """
    reader = packs.Reader(conn, cache)
    found: dict[bytes, bytes] = {}
    for digest, runs in _runs_of_all(conn, list(dict.fromkeys(digests))):
        try:
            parts = reader.whole(runs)
        except StoreError:
            continue
        data = b"".join(parts or ())
        if hashlib.sha256(data).digest() == digest:
            found[digest] = data
    return found


def _runs_of_all(
    conn: sqlite3.Connection, digests: Sequence[bytes]
) -> Iterator[tuple[bytes, list[Run]]]:
    """The chunks of bodies; those of which the recipe is damaged are left out."""
    sealed_by_id: dict[int, tuple[int | None, bytes]] = {}
    ids: dict[bytes, int] = {}
    for some in _slices(digests):
        rows = conn.execute(
            f"""
            select id, digest, base, recipe from bodies
            where digest in ({", ".join("?" * len(some))}) and uses > 0
                and coding is null
            """,
            some,
        )
        for body_id, digest, base, recipe in rows:
            ids[digest] = body_id
            sealed_by_id[body_id] = base, recipe
    _add_bases(conn, sealed_by_id)
    resolved: dict[int, list[Step]] = {}
    for digest, body_id in ids.items():
        try:
            steps = _resolved(body_id, sealed_by_id, resolved)
        except (ValueError, KeyError):
            continue
        yield digest, recipes.own(steps)


def _add_bases(conn: sqlite3.Connection, sealed_by_id: dict[int, tuple[int | None, bytes]]) -> None:
    missing = {base for base, _ in sealed_by_id.values() if base} - sealed_by_id.keys()
    while missing:
        found: dict[int, tuple[int | None, bytes]] = {}
        for some in _slices(list(missing)):
            rows = conn.execute(
                f"select id, base, recipe from bodies where id in ({', '.join('?' * len(some))})",
                some,
            )
            found |= {body_id: (base, recipe) for body_id, base, recipe in rows}
        sealed_by_id |= found
        missing = {base for base, _ in found.values() if base} - sealed_by_id.keys()


def _resolved(
    body_id: int,
    sealed_by_id: dict[int, tuple[int | None, bytes]],
    resolved: dict[int, list[Step]],
) -> list[Step]:
    """The steps of a recipe without copies. Raises ValueError, and KeyError if a base is gone."""
    chain: list[tuple[int, int | None, bytes]] = []
    at: int | None = body_id
    while at is not None and at not in resolved:
        base, recipe = sealed_by_id[at]
        if len(chain) > _MOST_BASES:
            raise ValueError("its bases are in a circle")
        chain.append((at, base, recipe))
        at = base
    for at, base, recipe in reversed(chain):
        steps = chains.unsealed(base, recipe)
        resolved[at] = recipes.rebase(steps, resolved[base]) if base is not None else steps
    return resolved[body_id]


def _slices[T](values: Sequence[T]) -> Iterator[Sequence[T]]:
    for at in range(0, len(values), _ASKED):
        yield values[at : at + _ASKED]
