"""An empty database, made once for each process: its migrations take longer than most tests."""

import functools
import tempfile
from pathlib import Path

from storage import database
from storage.datadir import DataDir


def with_database(datadir: DataDir) -> DataDir:
    """The data dir; if it had no database, with one as `database.create` leaves it behind."""
    if not datadir.database.exists():
        datadir.database.touch(mode=0o600)
        datadir.database.write_bytes(_made())
    return datadir


@functools.cache
def _made() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.db"
        database.create(path).close()
        return path.read_bytes()
