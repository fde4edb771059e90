"""Work on what is stored that nobody waits for, in slices: done when there is nothing to ingest."""

import time
from collections.abc import Callable

from sqlite_utils import Database

from storage import database
from storage.chunks import packing
from storage.chunks.moving import Mover
from storage.projection.keeping import LIVE
from storage.projection.writing import Tables

_REST_S = 30.0


class Upkeep:
    """
    Of one database; `rest_s` after the last new chunk the newest ones are packed well too, and the
    small parts of the search index are joined.
    """

    def __init__(self, rest_s: float = _REST_S) -> None:
        self._rest_s = rest_s
        self._next_number = -1
        self._changed_s = 0.0
        self._is_joined = False
        self._mover = Mover()

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
            self._is_joined = False
        is_resting = now - self._changed_s >= self._rest_s
        return (
            self._mover.step(db, lambda: time.monotonic() >= end or is_awaited())
            or packing.repack(db, is_resting=is_resting)
            or (is_resting and self._join(db))
        )

    def _join(self, db: Database) -> bool:
        if not self._is_joined:
            with database.write(db):
                self._is_joined = not Tables(db, LIVE).index.join()
        return not self._is_joined
