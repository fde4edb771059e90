"""
What is left of given bytes in the files of a data dir, and inside whatever is packed in them.

A file is searched as it is; of a database every value of every row as well, blocks unpacked.
`prints` are for what lies packed: pieces of rows as they stand in the file, which must be nowhere
once the rows are gone, not in the slack of a page either.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import zstandard

Needles = Iterable[bytes]

_PRINT_BYTES = 20
_PRINTS = 8  # of each value


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
        for (table,) in conn.execute("select name from sqlite_master where type = 'table'"):
            rows = conn.execute(f'select * from "{table}"')
            columns = [column[0] for column in rows.description]
            for row in rows:
                for column, value in zip(columns, row, strict=True):
                    if isinstance(value, str):
                        yield table, column, value.encode()
                    elif isinstance(value, bytes):
                        yield table, column, _plain(value) if table == "blocks" else value


def _plain(data: bytes) -> bytes:
    try:
        return zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError:
        return data


def packed(path: Path) -> set[bytes]:
    """Digests and packed bytes of all blocks, as they stand in the file."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as conn:
        rows = conn.execute("select digest, data from blocks").fetchall()
    return {value for row in rows for value in row}


def prints(gone: set[bytes], kept: set[bytes]) -> set[bytes]:
    """Pieces of what is gone, without those that occur in what is kept as well."""
    rest = b"".join(kept)
    pieces = set()
    for value in gone:
        step = max(1, (len(value) - _PRINT_BYTES) // _PRINTS)
        for at in range(0, len(value) - _PRINT_BYTES + 1, step):
            pieces.add(value[at : at + _PRINT_BYTES])
    return {piece for piece in pieces if piece not in rest}
