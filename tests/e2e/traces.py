"""
What is left of given bytes in the files of a data dir, and inside whatever is packed in them.

A file is searched as it is; of a database every value of every row as well, blocks and heads
unpacked.
`prints` are for what lies packed: pieces of rows as they stand in the file, which must be nowhere
once the rows are gone, not in the slack of a page either.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import zstandard

from storage import heads
from storage.chunks import packed, packs

Needles = Iterable[bytes]

_PRINT_BYTES = 20
_STEP_BYTES = 1000  # so that each page of 2 KB that held some of a value is found


def found(folder: Path, needles: Needles) -> list[str]:
    """Where the needles are: one line for each file or table column, [] is what one hopes for."""
    wanted = sorted(set(needles))
    lines = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            data = path.read_bytes()
        except FileNotFoundError:  # a segment that was read meanwhile
            continue
        lines += [f"{path.relative_to(folder)}: {needle!r}" for needle in wanted if needle in data]
    for path in sorted(folder.rglob("*.db")):
        lines += _in_tables(path, wanted)
    return lines


def _in_tables(path: Path, needles: list[bytes]) -> Iterator[str]:
    for table, column, value in values(path):
        for needle in needles:
            if needle in value:
                yield f"{path.name} {table}.{column}: {needle!r}"


def values(path: Path) -> Iterator[tuple[str, str, bytes]]:
    """Every text and blob of a database, with its table and column; blocks unpacked."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as conn:
        conn.execute("pragma query_only = on")
        # The search index gives no rows but for words; what it holds stands in its own tables.
        tables = conn.execute(
            "select name from sqlite_master where type = 'table' and rootpage > 0"
        ).fetchall()
        for (table,) in tables:
            rows = conn.execute(f'select * from "{table}"')
            columns = [column[0] for column in rows.description]
            for row in rows:
                for column, value in zip(columns, row, strict=True):
                    if isinstance(value, str):
                        yield table, column, value.encode()
                    elif isinstance(value, bytes):
                        yield table, column, _plain(table, column, value)


def _plain(table: str, column: str, data: bytes) -> bytes:
    if column in ("request_headers", "response_headers"):
        return b"\n".join(b": ".join(header) for header in heads.unpack(data))
    if table != "packed":
        return data
    try:
        return zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError:
        return data


def chunks(path: Path) -> set[bytes]:
    """All stored chunks that are of some body."""
    return {chunk for _, found in _packs(path) for chunk in found}


def frames(path: Path, kept: set[bytes]) -> set[bytes]:
    """The packs, as they stand in the file, that hold none of the chunks that are kept."""
    return {data for data, found in _packs(path) if not found & kept}


def _packs(path: Path) -> list[tuple[bytes, set[bytes]]]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as conn:
        conn.execute("begin")
        firsts = [first for (first,) in conn.execute("select first from packs").fetchall()]
        found = []
        for first in firsts:
            row = conn.execute(
                "select uses, data from packs join packed using (first) where first = ?", [first]
            ).fetchone()
            pack = packs.load(conn, first)
            if row and pack:
                uses = packed.unpack_uses(row[0], pack.count)
                found.append(
                    (row[1], {pack.chunk(index) for index, used in enumerate(uses) if used})
                )
    return found


def prints(gone: set[bytes], kept: set[bytes]) -> set[bytes]:
    """Pieces of what is gone, without those that occur in what is kept as well."""
    rest = b"".join(kept)
    pieces = set()
    for value in gone:
        for at in range(0, len(value) - _PRINT_BYTES + 1, _STEP_BYTES):
            pieces.add(value[at : at + _PRINT_BYTES])
    return {piece for piece in pieces if piece not in rest}
