"""Background work without a store's thread: each step is the test's."""

import pytest

from addons.background import Background
from storage import database, sessions
from storage.datadir import DataDir
from storage.feed import Feed
from tests.addons.ingest.spooling import Log
from tests.storage.empty import with_database


@pytest.fixture
def datadir(tmp_path):
    return DataDir(tmp_path / "data").prepare()


@pytest.fixture
def db(datadir):
    with database.create(with_database(datadir).database) as db:
        yield db


@pytest.fixture
def feed():
    return Feed()


@pytest.fixture
def background(datadir, feed):
    return Background(datadir, feed)


@pytest.fixture
def session(db):
    return sessions.create(db, name="mine", is_recording=True, now_ms=1).id


@pytest.fixture
def log(datadir):
    return Log(datadir)


@pytest.fixture
def go(db, background, log):
    """Brings what was logged through all steps, until nothing is left to do."""

    def run(background=background):
        log.append()
        while background.step(db) == 0.0:
            pass

    return run
