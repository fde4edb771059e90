"""What the server does between its calls: read the spools, tell what came, understand it."""

from sqlite_utils import Database

from addons.ingest import Ingest
from addons.live import Live
from addons.project import Projection
from storage.datadir import DataDir
from storage.feed import Feed


class Background:
    """The background work of `Store.open`; what it sees goes into `feed`."""

    def __init__(self, datadir: DataDir, feed: Feed | None = None) -> None:
        self._projection = Projection()
        self.live = Live(feed or Feed(), self._projection)
        self._ingest = Ingest(datadir, self.live.took)

    def step(self, db: Database) -> float:
        """A little of all; the seconds until the next look. Raises as `Ingest.step`."""
        try:
            pause_s = self._ingest.step(db)
            is_busy = self._projection.step(db)
        finally:
            self.live.look(db)
        return 0.0 if is_busy else pause_s
