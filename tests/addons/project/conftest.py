"""A data dir with a session that records."""

import os

import pytest

from storage import sessions
from storage.datadir import DataDir
from tests.addons.project.house import House


@pytest.fixture
def house(tmp_path):
    before = os.umask(0o077)
    house = House(DataDir(tmp_path / "data").prepare())
    house.session = sessions.create(house.db, name="run", origin="run", is_recording=True).id
    yield house
    house.db.close()
    os.umask(before)
