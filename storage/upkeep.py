"""Work on what is stored that nobody waits for, in slices: done when there is nothing to ingest."""

import time
from collections.abc import Callable

from sqlite_utils import Database

from storage import moving, packing

_REST_S = 30.0


class Upkeep:
    """Of one database; `rest_s` after the last new chunk the newest ones are packed well too."""

    def __init__(self, rest_s: float = _REST_S) -> None:
        self._rest_s = rest_s
        self._next_number = -1
        self._changed_s = 0.0

    def step(
        self, db: Database, budget_ms: float = 30, is_awaited: Callable[[], bool] = lambda: False
    ) -> bool:
        """
        One slice, in short transactions of its own, shorter if the writer `is_awaited`.

        True while there is more to do at once.
        """
        now = time.monotonic()
        end = now + budget_ms / 1000
        (next_number,) = db.execute("select next_number from numbering").fetchone()
        if next_number != self._next_number:
            self._next_number, self._changed_s = next_number, now
        return moving.step(db, lambda: time.monotonic() >= end or is_awaited()) or packing.repack(
            db, is_resting=now - self._changed_s >= self._rest_s
        )
