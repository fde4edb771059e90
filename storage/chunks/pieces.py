"""
What is stored of a body that still grows: its chunks so far, and the plain bytes behind them.

Table `pieces`, keyed by entry and part, numbered from 0 in the order of the bytes. Bytes are only
ever added at the end; when those behind the last chunk are many, they become chunks.
"""

import sqlite3

import msgspec
from sqlite_utils import Database

from storage.chunks import blocks, recipes
from storage.chunks.blocks import BLOCK_BYTES
from storage.chunks.recipes import Run


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """`block` and `runs` both None: plain bytes."""

    number: int
    size_bytes: int
    block: bytes | None  # digest of a full block of the first store
    runs: bytes | None  # a recipe without base


def layout(conn: sqlite3.Connection, entry_id: str, part: str) -> list[Piece]:
    """All pieces in order."""
    rows = conn.execute(
        f"""
        select number, coalesce(size_bytes, length(data), {BLOCK_BYTES}), block, runs from pieces
        where entry_id = ? and part = ? order by number
        """,
        [entry_id, part],
    )
    return [
        Piece(number=number, size_bytes=size_bytes, block=block, runs=runs)
        for number, size_bytes, block, runs in rows
    ]


def size(found: list[Piece]) -> int:
    """Bytes in all."""
    return sum(piece.size_bytes for piece in found)


def data(conn: sqlite3.Connection, entry_id: str, part: str, number: int) -> bytes:
    """The bytes of a piece that holds them itself."""
    row = conn.execute(
        "select data from pieces where entry_id = ? and part = ? and number = ?",
        [entry_id, part, number],
    ).fetchone()
    plain: bytes = row[0]
    return plain


def add_runs(
    db: Database, entry_id: str, part: str, number: int, runs: list[Run], size_bytes: int
) -> None:
    """Chunks; the piece is one use of each."""
    packed = recipes.pack((False, first, count) for first, count in runs)
    db.execute(
        "insert into pieces (entry_id, part, number, runs, size_bytes) values (?, ?, ?, ?, ?)",
        [entry_id, part, number, packed, size_bytes],
    )


def add_bytes(db: Database, entry_id: str, part: str, number: int, plain: bytes) -> None:
    db.execute(
        "insert into pieces (entry_id, part, number, data) values (?, ?, ?, ?)",
        [entry_id, part, number, plain],
    )


def take_tail(db: Database, entry_id: str, part: str) -> bytes:
    """The plain bytes behind the last chunk; they leave the table."""
    rows = db.execute(
        """
        delete from pieces where entry_id = ? and part = ? and data is not null
        returning number, data
        """,
        [entry_id, part],
    ).fetchall()
    return b"".join(plain for _, plain in sorted(rows))


def take_runs(db: Database, entry_id: str, part: str) -> list[Run]:
    """The chunks, uses and all; every piece leaves, and the first store's blocks with it."""
    rows = db.execute(
        "delete from pieces where entry_id = ? and part = ? returning number, runs, block",
        [entry_id, part],
    ).fetchall()
    found: list[Run] = []
    for _, runs, block in sorted(rows):
        if runs:
            found += recipes.own(recipes.unpack(runs))
        elif block:
            blocks.release(db, block)
    return recipes.joined(found)
