"""
What is stored of a body that still grows: its full blocks, and the plain bytes behind them.

Table `pieces`, keyed by entry and part, numbered from 0 in the order of the bytes. Bytes are only
ever added at the end; when those behind the last block fill one, they become it.
"""

import sqlite3

from sqlite_utils import Database

from storage import blocks
from storage.blocks import BLOCK_BYTES

Piece = tuple[int, bytes | None, int]  # number, digest of the block (None: plain bytes), size


def layout(conn: sqlite3.Connection, entry_id: str, part: str) -> list[Piece]:
    """All pieces in order."""
    return conn.execute(
        f"""
        select number, block, coalesce(length(data), {BLOCK_BYTES}) from pieces
        where entry_id = ? and part = ? order by number
        """,
        [entry_id, part],
    ).fetchall()


def size(found: list[Piece]) -> int:
    """Bytes in all."""
    return sum(size_bytes for _, _, size_bytes in found)


def read(conn: sqlite3.Connection, entry_id: str, part: str, piece: Piece) -> bytes:
    """The bytes of one piece of the present layout. Raises StoreError."""
    number, block, _ = piece
    if block:
        return blocks.read(conn, block)
    row = conn.execute(
        "select data from pieces where entry_id = ? and part = ? and number = ?",
        [entry_id, part, number],
    ).fetchone()
    data: bytes = row[0]
    return data


def add_block(db: Database, entry_id: str, part: str, number: int, plain: bytes) -> None:
    """A full block; the piece is one use of it."""
    (digest, _), *_ = blocks.steps(blocks.put(db, plain))
    _add(db, entry_id, part, number, digest, None)


def add_bytes(db: Database, entry_id: str, part: str, number: int, data: bytes) -> None:
    _add(db, entry_id, part, number, None, data)


def take_tail(db: Database, entry_id: str, part: str) -> bytes:
    """The plain bytes behind the last block; they leave the table."""
    rows = db.execute(
        """
        delete from pieces where entry_id = ? and part = ? and block is null
        returning number, data
        """,
        [entry_id, part],
    ).fetchall()
    return b"".join(data for _, data in sorted(rows))


def take_blocks(db: Database, entry_id: str, part: str) -> bytes:
    """The recipe of the blocks, uses and all; every piece leaves the table."""
    rows = db.execute(
        "delete from pieces where entry_id = ? and part = ? returning number, block",
        [entry_id, part],
    ).fetchall()
    return b"".join(blocks.step(block, BLOCK_BYTES) for _, block in sorted(rows) if block)


def _add(
    db: Database, entry_id: str, part: str, number: int, block: bytes | None, data: bytes | None
) -> None:
    db.execute(
        "insert into pieces (entry_id, part, number, block, data) values (?, ?, ?, ?, ?)",
        [entry_id, part, number, block, data],
    )
