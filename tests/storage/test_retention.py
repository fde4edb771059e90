"""Which session goes, and which never does."""

import os
import random

import pytest

from storage import drops, ids, removal, retention, sessions
from storage.chunks import moving
from storage.control import ControlReader
from storage.processes import Announcement, Process
from storage.projection import keeping
from storage.retention import Keeper, Limits
from storage.store import Store
from tests.storage import plans, recording

DAY = 86_400_000
NOW = 1_795_000_000_000
NOTHING = frozenset()
OLD = Limits(days=1)
LARGE = Limits(max_bytes=1)


def used(db, days_ago, *, traffic=b"x", name="s", **changes):
    """A session that was last used then; returns its id."""
    made = sessions.create(db, name=name, origin="run", is_recording=True, now_ms=NOW - 99 * DAY)
    if traffic:
        recording.entry(db, made.id, request=traffic)
    changes = {"updated_ms": NOW - int(days_ago * DAY)} | changes
    for column, value in changes.items():
        db.execute(f"update sessions set {column} = ? where id = ?", [value, made.id])
    return made.id


def due(db, limits, working=NOTHING):
    return retention.due(db, limits, working, NOW)


def drop_all(db, limits):
    """Names of what goes, as it goes, each swept before the next."""
    names = []
    while session := retention.drop_due(db, limits, NOTHING, NOW):
        names.append(session.name)
        while removal.sweep(db):
            pass
    return names


def test_without_limits_nothing_goes(db):
    used(db, 1000)
    assert due(db, Limits()) is None


def test_after_so_many_days_the_oldest_goes_first(db):
    for days in (3, 0.9, 5, 1.1):
        used(db, days, name=f"{days}")
    assert drop_all(db, OLD) == ["5", "3", "1.1"]
    assert [one.name for one in sessions.list_all(db.conn)] == ["0.9"]
    found = drops.page(db.conn, limit=9).drops
    assert {(one.reason, one.dropped_ms) for one in found} == {("retention.days", NOW)}
    assert db.execute("select count(*) from entries").fetchone() == (1,)


def test_a_session_without_traffic_ages_but_frees_nothing(db):
    empty = used(db, 3, traffic=b"")
    assert due(db, LARGE) is None
    assert due(db, OLD) == (empty, "retention.days")


@pytest.mark.parametrize(
    "changes",
    [
        {"is_pinned": 1},
        {"is_active": 1},
        {"is_finishing": 1},
        {"origin": "user"},
        {"key": "importing:ab", "updated_ms": NOW - DAY // 2},
    ],
    ids=["pinned", "active", "finishing", "told to record", "importing"],
)
@pytest.mark.parametrize("limits", [Limits(days=0.1), LARGE], ids=["days", "bytes"])
def test_some_never_go(db, changes, limits):
    used(db, 50, **changes)
    assert due(db, limits) is None
    second = used(db, 40)
    assert due(db, limits)[0] == second


def test_a_session_with_an_open_entry_never_goes(db):
    kept = used(db, 50)
    entry_id = recording.entry(db, kept, outcome=None)
    assert due(db, OLD) is None
    db.execute("update entries set outcome = 'complete' where id = ?", [entry_id])
    assert due(db, OLD) == (kept, "retention.days")


def test_a_session_that_a_run_is_at_work_in_never_goes(datadir, db):
    kept, other = used(db, 50), used(db, 40)
    process = Process(role="run", pid=os.getpid(), started_ms=1, version="1", session=kept)
    announcement = Announcement(datadir, process)
    assert due(db, OLD, retention.at_work(datadir)) == (other, "retention.days")
    announcement.withdraw()
    assert due(db, OLD, retention.at_work(datadir)) == (kept, "retention.days")


def test_a_look_reads_no_entries_but_open_ones(db):
    used(db, 50)
    with plans.of(db) as plan:
        assert due(db, OLD)
        assert due(db, LARGE)
    assert plan.text.count("SEARCH entries USING INDEX entries_open") == 2
    assert "SCAN entries" not in plan.text


def test_an_import_that_was_interrupted_goes(db):
    left = used(db, 50, key="importing:ab")
    assert due(db, OLD) == (left, "retention.days")


class TestBytes:
    def fill(self, db, days_ago, name):
        """A session of some 600 kB that compress no further."""
        noise = random.Random(name).randbytes(600_000)
        return used(db, days_ago, traffic=noise, name=name)

    def test_the_oldest_go_until_it_fits_and_no_more(self, db):
        for days in (4, 3, 2, 1):
            self.fill(db, days, f"{days}")
        db.execute("update sessions set is_pinned = 1 where name = '3'")
        live_bytes = retention._live_bytes(db.conn)

        assert drop_all(db, Limits(max_bytes=live_bytes)) == []
        assert drop_all(db, Limits(max_bytes=live_bytes - 10_000)) == ["4"]
        assert drop_all(db, Limits(max_bytes=live_bytes - 700_000)) == ["2"]
        assert retention._live_bytes(db.conn) < live_bytes - 1_150_000
        (reason,) = {one.reason for one in drops.page(db.conn, limit=9).drops}
        assert reason == "retention.max_gb"

    def test_the_next_waits_until_the_former_is_swept(self, db):
        first, second = self.fill(db, 4, "4"), self.fill(db, 3, "3")
        assert retention.drop_due(db, LARGE, NOTHING, NOW).id == first
        assert due(db, LARGE) is None
        while removal.has_rows(db):
            removal.sweep(db)
        assert due(db, LARGE) == (second, "retention.max_gb")

    def test_what_was_used_just_now_stays(self, db):
        used(db, 14 / 24 / 60)
        assert due(db, LARGE) is None
        older = used(db, 16 / 24 / 60)
        assert due(db, LARGE)[0] == older

    def test_what_goes_by_itself_is_waited_for(self, db, monkeypatch):
        used(db, 9)
        keeping.begin(db, is_forced=False)
        assert due(db, LARGE) is None
        keeping.abandon(db, "no")
        while removal.has_rows(db):
            removal.sweep(db)
        assert due(db, LARGE) is not None
        unmoved = moving.Progress(bodies=3, damaged=False)
        monkeypatch.setattr(moving, "progress", lambda conn: unmoved)
        assert due(db, LARGE) is None


class TestState:
    def state(self, db, datadir, **limits):
        retention.set_limits(db, Limits(**limits))
        return retention.state(db.conn, datadir)

    def test_of_a_store_without_a_server_so_far(self, datadir, db):
        found = retention.state(db.conn, datadir)
        assert (found.limits, found.is_exceeded, found.dropped) == (Limits(), False, 0)
        assert found.live_bytes > 0

    def test_the_limits_are_those_of_the_latest_server(self, datadir, db):
        assert self.state(db, datadir, days=2.5).limits == Limits(days=2.5)
        assert self.state(db, datadir, max_bytes=7).limits == Limits(max_bytes=7)

    def test_a_limit_is_exceeded_once_nothing_may_go(self, datadir, db):
        session_id = used(db, 9)
        assert not self.state(db, datadir, max_bytes=1).is_exceeded
        sessions.update(db, session_id, is_pinned=True)
        assert self.state(db, datadir, max_bytes=1).is_exceeded
        assert not self.state(db, datadir, max_bytes=1 << 40).is_exceeded
        assert not self.state(db, datadir, days=1).is_exceeded
        sessions.delete(db, recording.session(db).id)  # what it took is not given back yet
        assert not self.state(db, datadir, max_bytes=1).is_exceeded


class TestKeeper:
    """Driven by hand in the writer thread of a real store."""

    def run(self, store, keeper, *, is_idle=True, times=20):
        for _ in range(times):
            keeper._look_s = min(keeper._look_s, 0.0)
            store.call(lambda db: keeper.step(db, is_idle=is_idle)).result()

    def test_drops_as_a_user_deletes(self, datadir):
        with Store.open(datadir) as store:
            old = [store.call(used, days).result() for days in (60, 50)]
            kept = store.change_sessions(sessions.create).result().id
            keeper = Keeper(store, OLD)

            self.run(store, keeper, is_idle=False)
            assert drops.count(store.read()) == 0  # what waits in the spool may be of these
            self.run(store, keeper)

            assert [one.session_id for one in drops.page(store.read(), limit=9).drops] == old[::-1]
            assert ControlReader(datadir.control).current().deleted == tuple(old)
            assert set(ControlReader(datadir.control).current().sessions) == {kept}

    def test_looks_once_a_minute(self, datadir):
        with Store.open(datadir) as store:
            keeper = Keeper(store, OLD)
            store.call(lambda db: keeper.step(db, is_idle=True)).result()
            old = store.call(used, 50).result()
            for _ in range(3):
                store.call(lambda db: keeper.step(db, is_idle=True)).result()
            assert sessions.get(store.read(), old)

    def test_a_failure_ends_nothing(self, datadir, monkeypatch, caplog):
        with Store.open(datadir) as store:
            store.call(used, 50).result()
            keeper = Keeper(store, OLD)
            with monkeypatch.context() as broken:
                broken.setattr(drops, "add", lambda *_: 1 / 0)
                self.run(store, keeper)
            assert "nothing could be dropped" in caplog.text
            self.run(store, keeper)
            assert drops.count(store.read()) == 1


def test_moved_traffic_makes_a_session_younger(db):
    source, target = used(db, 50), used(db, 50, traffic=b"")
    ended_ns = (NOW - DAY) * 1_000_000
    entry_id = recording.entry(
        db, source, id=ids.new(), started_ns=ended_ns - 5_000_000, duration_ns=5_000_000
    )
    sessions.move_entry(db, entry_id, target)
    assert sessions.get(db.conn, target).updated_ms == NOW - DAY
