"""Reading the log and understanding it, a little at a time."""

import random
import time

import msgspec
import pytest

from addons.background import Background
from storage import bodies, drops, retention, sessions
from storage.datadir import DataDir
from storage.feed import Feed
from storage.retention import Keeper, Limits
from storage.store import Store
from tests.addons.ingest.spooling import Log
from tests.addons.live.speaking import claude
from tests.addons.live.speaking import user as said
from tests.addons.project.house import House, text, user
from tests.storage import recording


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


def test_an_agent_at_work_waits_for_no_backlog(datadir, house):
    """What came in its log is read and told between two pieces of another one."""
    feed = Feed()
    background = Background(datadir, feed)
    for number in range(50):  # more than one step reads
        backlog = claude(house.log, house.session, said(f"{number} " + 40_000 * "a"))
    house.log.append()
    background.step(house.db)

    agents = Log(datadir)
    own = claude(agents, house.session, said("hello"), conversation="own")
    agents.append()
    background.step(house.db)
    background.step(house.db)

    events = [msgspec.json.decode(event.data) for event in feed._rings["native"].events]
    assert own.id in {event["entryId"] for event in events if event["type"] == "turn.begun"}
    assert house.one("select count(*) from entries") < 51

    while background.step(house.db) == 0.0:
        pass
    assert house.one("select count(*) from entries") == 51
    events = [msgspec.json.decode(event.data) for event in feed._rings["native"].events]
    begun = [event["entryId"] for event in events if event["type"] == "turn.begun"]
    assert len(begun) == 51
    assert begun[-1] == backlog.id
    agents.end()


def test_what_waits_to_be_told_stays_short_beside_a_backlog(datadir, house, monkeypatch):
    monkeypatch.setattr("addons.live._MOST_WAITING_BYTES", 1000)
    monkeypatch.setattr("addons.live._WORK_S", 0)  # to tell takes longer than to read
    background = Background(datadir, Feed())
    for number in range(50):  # more than one step reads
        claude(house.log, house.session, said(f"{number} " + 40_000 * "a"))
    house.log.append()
    background.step(house.db)
    live, agents = background.live, Log(datadir)
    was_behind = 0

    for number in range(10):
        claude(agents, house.session, said(f"{number} " + 20_000 * "a"))
        claude(agents, house.session, said(f"{number} " + 20_000 * "b"))
        agents.append()
        is_behind, waiting_bytes = live.is_behind, live._entries.waiting_bytes
        background.step(house.db)
        was_behind += is_behind
        # How much one piece of the backlog is, is a matter of time: it is not read beside it.
        assert not is_behind or live._entries.waiting_bytes <= waiting_bytes

    assert was_behind
    while background.step(house.db) == 0.0:
        pass
    assert live._entries.waiting_bytes == 0
    assert house.one("select count(*) from entries") == 70
    agents.end()


def test_retention_is_told_when_there_is_nothing_else_to_do(datadir, house):
    house.call([user("hello")], [text("hi")])
    house.log.append()
    background = Background(datadir)
    told = []
    background.retention = lambda db, *, is_idle: told.append((db is house.db, is_idle))

    while not background.step(house.db):
        pass

    assert told[-1] == (True, True)
    assert set(told[:-1]) == {(True, False)}


def test_a_store_that_grew_too_large_shrinks_by_itself(datadir):
    feed = Feed()
    background = Background(datadir, feed)
    started_ms = time.time_ns() // 1_000_000
    with Store.open(datadir, background=background.step, feed=feed) as store:
        made = [store.call(_old_session, number).result() for number in range(5)]
        store.change_sessions(sessions.update, made[1], is_pinned=True).result()
        store.call(_age, made[1], 98).result()
        before = retention.state(store.read(), datadir).live_bytes
        limits = Limits(max_bytes=before - 700_000)
        background.retention = Keeper(store, limits).step

        def is_done():
            (unswept,) = (
                store.read().execute("select count(*) from tombstones where swept = 0").fetchone()
            )
            size_bytes = datadir.database.stat().st_size  # without the log, which is empty then
            return drops.count(store.read()) and not unswept and size_bytes <= limits.max_bytes

        deadline = time.monotonic() + 30
        while not is_done():
            assert time.monotonic() < deadline
            time.sleep(0.01)

        dropped = drops.page(store.read(), limit=9).drops
        assert [one.session_id for one in reversed(dropped)] == [made[0], made[2]]
        assert all(one.dropped_ms >= started_ms for one in dropped)
        left = {session.id for session in sessions.list_all(store.read())}
        assert left == {made[1], made[3], made[4]}
        assert list(bodies.verify(store.read())) == []
        events = [msgspec.json.decode(event.data) for event in feed._rings["native"].events]
        ended = [one for one in events if one["type"] == "session.deleted"]
        assert [(one["sessionId"], one["reason"]) for one in ended] == [
            (made[0], "retention.max_gb"),
            (made[2], "retention.max_gb"),
        ]


def _old_session(db, number):
    """Some 400 kB that compress no further, older than those with higher numbers."""
    session = sessions.create(db, name=f"n{number}", origin="automatic", is_recording=True)
    noise = random.Random(number).randbytes(400_000)
    recording.entry(db, session.id, kind="tunnel", request=noise)
    _age(db, session.id, 99 - number)
    return session.id


def _age(db, session_id, days):
    db.execute(
        "update sessions set updated_ms = ? where id = ?",
        [time.time_ns() // 1_000_000 - days * 86_400_000, session_id],
    )
