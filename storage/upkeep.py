"""Work on what is stored that nobody waits for, in slices: done when there is nothing to ingest."""

import time

from sqlite_utils import Database

from storage import moving, packing


def step(db: Database, budget_ms: float = 30) -> bool:
    """One slice, in short transactions of its own; True while there is more to do at once."""
    end = time.monotonic() + budget_ms / 1000
    return moving.step(db, lambda: time.monotonic() >= end) or packing.repack(db)
