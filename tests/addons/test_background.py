"""Reading the log and understanding it, a little at a time."""

import pytest

from addons.background import Background
from storage import sessions
from storage.datadir import DataDir
from tests.addons.project.house import House, text, user


@pytest.fixture
def datadir(tmp_path):
    return DataDir(tmp_path / "data").prepare()


@pytest.fixture
def house(datadir):
    made = House(datadir)
    made.session = sessions.create(made.db, name="s", is_recording=True).id
    yield made
    made.log.end()
    made.db.close()


def test_a_step_reads_or_understands(datadir, house):
    house.call([user("hello")], [text("hi")])
    house.log.append()
    background = Background(datadir)

    pauses = [background.step(house.db)]
    assert house.one("select count(*) from entries") == 1
    assert house.one("select count(*) from turns") == 0

    while house.one("select count(*) from turns") == 0:
        pauses.append(background.step(house.db))
    assert set(pauses) == {0.0}


def test_what_waits_is_understood_beside_an_empty_log(datadir, house):
    house.call([user("hello")], [text("hi")])
    house.read()
    background = Background(datadir)

    assert background.step(house.db) == 0.0
    assert house.one("select count(*) from turns") == 1
    while not (pause_s := background.step(house.db)):
        pass
    assert pause_s > 0
