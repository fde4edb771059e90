"""Bodies for tests to store, and what these leave in the tables."""

import random

from storage import bodies
from storage.chunks.blocks import BLOCK_BYTES

SIZES = [1, 63, 64, 1000, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 5 * BLOCK_BYTES + 17]


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def text(size, seed=1):
    """Lines like events; a stream of these would be stored split."""
    words = random.Random(seed)
    line = b'line: {"type":"content_block_delta","delta":{"text":"%d"}}\n\n'
    return b"".join(line % words.getrandbits(20) for _ in range(size // 50 + 1))[:size]


def counts(db):
    return {
        name: db.execute(f"select count(*) from {name}").fetchone()[0]
        for name in ("bodies", "packs", "packed", "chunks", "pieces", "released")
    }


def sweep(db):
    while bodies.sweep_released(db, lambda: False):
        pass


NOTHING = {"bodies": 0, "packs": 0, "packed": 0, "chunks": 0, "pieces": 0, "released": 0}


def rows(db):
    """How many of the rows that every pack and chunk may have are there; the rest exactly."""
    found = counts(db)
    return {name: found[name] for name in ("bodies", "pieces", "released")}


def stored_bytes(db):
    """Plain bytes of all chunks."""
    return db.execute("select coalesce(sum(size_bytes), 0) from packs").fetchone()[0]
