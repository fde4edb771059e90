"""A background step that somebody waits for ends at the next record or entry."""

import pytest

from addons.background import Background
from storage import sessions
from storage.datadir import DataDir
from tests.addons.project.house import House, text, user

_ENTRIES = 4


@pytest.fixture
def datadir(tmp_path):
    return DataDir(tmp_path / "data").prepare()


@pytest.fixture
def house(datadir):
    made = House(datadir)
    made.session = sessions.create(made.db, name="s", is_recording=True).id
    for number in range(_ENTRIES):
        made.call([user(f"hello {number}")], [text("hi")])
    made.log.append()
    yield made
    made.log.end()
    made.db.close()


def test_it_does_one_thing_and_in_the_end_all(datadir, house):
    background = Background(datadir)
    background.is_awaited = lambda: True
    ended, turns = [], []
    while not (pause_s := background.step(house.db)):
        ended.append(house.one("select count(*) from entries where outcome is not null"))
        turns.append(house.one("select count(*) from turns"))
    assert pause_s > 0
    assert ended[-1] == turns[-1] == _ENTRIES
    steps = [after - before for before, after in zip([0, *turns], turns, strict=False)]
    assert max(steps) == 1


def test_deletion_goes_on_a_little_at_a_time(datadir, house):
    house.read()
    house.project()
    sessions.delete(house.db, house.session)
    background = Background(datadir)
    background.is_awaited = lambda: True
    while not background.step(house.db):
        pass
    for table in ("entries", "turns", "messages", "bodies"):
        assert house.one(f"select count(*) from {table}") == 0
