"""What the server does between its calls: read the spools, tell what came, understand it."""

from collections.abc import Callable
from typing import Protocol

from sqlite_utils import Database

from addons.ingest import Ingest
from addons.live import Live
from addons.project import Projection, pricing
from storage.datadir import DataDir
from storage.feed import Feed


class Keeping(Protocol):
    """What sees to it that the store stays within its limits."""

    def __call__(self, db: Database, *, is_idle: bool) -> None: ...


class Background:
    """
    The background work of `Store.open`; what it sees goes into `feed`.

    `is_awaited` says whether a call waits for a step to end; until that is set none does.
    `retention` is called after each step, and told whether there was nothing else to do.
    """

    def __init__(self, datadir: DataDir, feed: Feed | None = None) -> None:
        self.is_awaited: Callable[[], bool] = lambda: False
        self._projection = Projection(lambda: self.is_awaited(), pricing.ready)
        self.live = Live(feed or Feed(), self._projection, lambda: self.is_awaited())
        self._ingest = Ingest(datadir, self.live.took, lambda: self.is_awaited())
        self.retention: Keeping = _keep_all
        self._has_read = False
        self._has_caught_up = False

    def step(self, db: Database) -> float:
        """
        A little of what there is to do; the seconds until the next look. Raises as `Ingest.step`.

        Reading, telling what was read, and understanding take turns: a call waits for one of them,
        never for two. Between two of them logs that are not far behind are looked at, so that an
        agent at work waits no longer either; but not while much waits to be told, for that is in
        memory.
        """
        try:
            pause_s = self._step(db)
            self.retention(db, is_idle=pause_s > 0)
            return pause_s
        finally:
            self.live.look(db)

    def _step(self, db: Database) -> float:
        may_catch_up = not self._has_caught_up and not self.live.is_behind
        self._has_caught_up = may_catch_up and self._ingest.catch_up(db)
        if self._has_caught_up or self.live.tell(db):
            return 0.0
        pause_s = 0.0 if self._has_read else self._ingest.step(db)
        self._has_read = not self._has_read and not pause_s
        if self._has_read:
            return 0.0
        return 0.0 if self._projection.step(db) else pause_s


def _keep_all(db: Database, *, is_idle: bool) -> None:
    """A store without limits."""
