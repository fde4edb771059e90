"""A data dir and its database, with ingest beside it."""

import os

import pytest

from addons.ingest import Ingest
from storage import database, sessions
from storage.datadir import DataDir
from tests.addons.ingest.spooling import Log
from tests.storage.empty import with_database


@pytest.fixture
def datadir(tmp_path):
    before = os.umask(0o077)
    yield DataDir(tmp_path / "data").prepare()
    os.umask(before)


@pytest.fixture
def db(datadir):
    with database.create(with_database(datadir).database) as db:
        yield db


@pytest.fixture
def session(db):
    """The id of one that records."""
    return sessions.create(db, name="mine", is_recording=True, now_ms=1).id


@pytest.fixture
def log(datadir):
    """The spool of a proxy."""
    return Log(datadir)


@pytest.fixture
def ingest(datadir, db):
    """Runs ingest until nothing is left to do."""
    one = Ingest(datadir)

    def run(ingest=one):
        while ingest.step(db) == 0.0:
            pass

    return run
