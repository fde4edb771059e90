"""A data dir, its writing connection and its store, all real."""

import os

import pytest
from sqlite_utils import Database

from storage import database
from storage.datadir import DataDir
from storage.schema import migrations
from storage.store import Store
from tests.storage.empty import with_database


@pytest.fixture
def datadir(tmp_path):
    before = os.umask(0o077)
    yield DataDir(tmp_path / "data").prepare()
    os.umask(before)


@pytest.fixture
def db(datadir):
    """The writing connection, in this thread."""
    with database.create(with_database(datadir).database) as db:
        yield db


@pytest.fixture
def store(datadir):
    with Store.open(with_database(datadir)) as store:
        yield store


@pytest.fixture(scope="module")
def shared_db():
    """In memory, for many examples of one test; each leaves nothing behind."""
    with Database(memory=True, execute_plugins=False) as db:
        migrations.apply(db)
        yield db


#: chunks, each followed by what happens to the body behind it
