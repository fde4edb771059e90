"""What the server does between its calls: read the spools, then understand what came."""

from sqlite_utils import Database

from addons.ingest import Ingest
from addons.project import Projection
from storage.datadir import DataDir


class Background:
    """The background work of `Store.open`."""

    def __init__(self, datadir: DataDir) -> None:
        self._ingest = Ingest(datadir)
        self._projection = Projection()

    def step(self, db: Database) -> float:
        """A little of both; the seconds until the next look. Raises as `Ingest.step`."""
        pause_s = self._ingest.step(db)
        return 0.0 if self._projection.step(db) else pause_s
