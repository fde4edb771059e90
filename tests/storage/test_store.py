"""The writer thread: order, transactions, locks by others, faults, and the control file."""

import logging
import random
import sqlite3
import threading
import time
from concurrent.futures import wait

import msgspec
import pytest

from storage import database, sessions
from storage.control import ControlReader
from storage.datadir import DataDir
from storage.errors import Busy, NotFound, StoreError
from storage.store import Store

SECONDS = 60


def entomb(db, name, *, fail=None):
    db.execute("insert into tombstones values (?, 1, 0)", [name])
    if fail:
        raise fail
    return name


def tombs(store):
    rows = store.read().execute("select session_id from tombstones order by session_id")
    return [name for (name,) in rows]


def told(datadir):
    reader = ControlReader(datadir.control)
    state = reader.current()
    assert reader.degraded is None
    return state


class Steps:
    """A background step that counts, and does what a test says."""

    def __init__(self, pause_s=0.01, fail=None):
        self.pause_s, self.fail = pause_s, fail
        self.count = 0
        self.ran = threading.Semaphore(0)

    def __call__(self, db):
        self.count += 1
        self.ran.release()
        if self.fail:
            raise self.fail
        return self.pause_s

    def wait(self, count=1):
        for _ in range(count):
            assert self.ran.acquire(timeout=SECONDS)


class TestCall:
    def test_commits_before_it_answers(self, store):
        assert store.call(entomb, "a").result(SECONDS) == "a"
        assert tombs(store) == ["a"]

    def test_a_failed_one_changes_nothing(self, store):
        with pytest.raises(NotFound, match="no such"):
            store.call(entomb, "a", fail=NotFound("no such")).result(SECONDS)
        with pytest.raises(ZeroDivisionError):
            store.call(entomb, "b", fail=ZeroDivisionError()).result(SECONDS)
        assert store.call(entomb, "c").result(SECONDS) == "c"
        assert tombs(store) == ["c"]

    def test_what_sqlite_says_is_a_store_error(self, store):
        store.call(entomb, "a").result(SECONDS)
        with pytest.raises(StoreError, match="UNIQUE"):
            store.call(entomb, "a").result(SECONDS)

    def test_from_many_threads(self, store):
        def work(name):
            for number in range(20):
                store.call(entomb, f"{name}-{number:02}").result(SECONDS)
                assert f"{name}-{number:02}" in tombs(store)

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(tombs(store)) == 80

    def test_a_cancelled_one_does_not_run(self, store):
        gate = threading.Event()
        blocking = store.call(lambda db: gate.wait(SECONDS))
        cancelled = store.call(entomb, "a")
        assert cancelled.cancel()
        gate.set()
        blocking.result(SECONDS)
        store.call(entomb, "b").result(SECONDS)
        assert tombs(store) == ["b"]


class TestOpen:
    def test_a_second_server_refuses(self, datadir, store):
        with pytest.raises(Busy, match="another server runs"):
            Store.open(datadir)

    def test_the_next_one_finds_all(self, datadir):
        with Store.open(datadir) as store:
            store.call(entomb, "a").result(SECONDS)
        with Store.open(datadir) as store:
            assert tombs(store) == ["a"]

    def test_a_broken_database_says_so_and_frees_the_lock(self, datadir):
        datadir.database.write_bytes(b"x" * 10_000)
        for _ in range(2):
            with pytest.raises(StoreError, match="no sound database"):
                Store.open(datadir)

    def test_reading_only_reads(self, datadir, store):
        store.call(entomb, "a").result(SECONDS)
        with Store.reading(datadir) as reading:
            assert tombs(reading) == ["a"]
            with pytest.raises(StoreError, match="reading only"):
                reading.call(entomb, "b")

    def test_reading_of_nothing_says_so(self, tmp_path):
        with Store.reading(DataDir(tmp_path)) as reading, pytest.raises(StoreError):
            reading.read()


class TestClose:
    def test_finishes_what_waits_and_leaves_no_log(self, datadir):
        store = Store.open(datadir)
        futures = [store.call(entomb, f"{number}") for number in range(50)]
        store.close()

        assert wait(futures, timeout=0).not_done == set()
        assert not list(datadir.root.glob("wirescribe.db-*"))
        for refused in (lambda: store.call(entomb, "x"), store.read):
            with pytest.raises(StoreError, match="closed"):
                refused()

    def test_readers_go_with_their_threads(self, store):
        found = []

        def look():
            found.append(len(store._readers))
            store.read()
            found.append(len(store._readers))

        for _ in range(3):
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
        assert found == [0, 1] * 3


class TestBackground:
    def test_runs_when_no_call_waits(self, datadir):
        steps = Steps()
        with Store.open(datadir, background=steps) as store:
            steps.wait(5)
            assert store.degraded is None

    def test_calls_go_ahead(self, datadir):
        order = []
        gate, inside = threading.Event(), threading.Event()

        def step(db):
            order.append("step")
            inside.set()
            gate.wait(SECONDS)
            return 0.0

        with Store.open(datadir, background=step) as store:
            assert inside.wait(SECONDS)
            futures = [store.call(lambda db: order.append("call")) for _ in range(3)]
            gate.set()
            wait(futures, SECONDS)
        assert order[:4] == ["step", "call", "call", "call"]

    def test_it_sees_that_a_call_waits(self, datadir):
        seen = []
        gate, inside = threading.Event(), threading.Event()

        def step(db):
            inside.set()
            gate.wait(SECONDS)
            seen.append(store.is_awaited())
            return 60.0

        with Store.open(datadir, background=step) as store:
            assert inside.wait(SECONDS)
            assert not store.is_awaited()
            waiting = store.call(lambda db: None)
            gate.set()
            waiting.result(SECONDS)
            assert seen == [True]
            assert not store.is_awaited()

    def test_a_flood_of_calls_does_not_starve_it(self, datadir):
        steps = Steps(pause_s=0.0)
        flood = threading.Event()
        with Store.open(datadir, background=steps) as store:

            def call_again(_=None):
                if not flood.is_set():
                    store.call(lambda db: None).add_done_callback(call_again)

            for _ in range(3):
                call_again()
            steps.wait(3)
            flood.set()

    def test_a_fault_neither_ends_the_thread_nor_stays_unseen(self, datadir, caplog):
        steps = Steps(fail=ValueError("boom"))
        with Store.open(datadir, background=steps) as store:
            with caplog.at_level(logging.ERROR, logger="wirescribe"):
                steps.wait(2)
            assert store.call(entomb, "a").result(SECONDS) == "a"
            assert "boom" in store.degraded
            assert [record.name for record in caplog.records] == ["wirescribe"]
            assert caplog.records[0].exc_info is not None

            steps.fail = None
            while steps.ran.acquire(blocking=False):  # of those that failed
                pass
            steps.wait(2)
            assert store.degraded is None

    def test_what_sqlite_says_is_told_with_the_file_and_what_to_do(self, datadir, monkeypatch):
        monkeypatch.setattr("storage.store._BACK_OFF_S", (0.01, 0.01))

        def step(db):
            db.execute("pragma writable_schema = on")
            db.execute("delete from sqlite_master where name = 'tombstones'")
            db.execute("pragma writable_schema = reset")
            steps.ran.release()
            db.execute("select * from tombstones")

        steps = Steps()
        with Store.open(datadir, background=step) as store:
            steps.wait(2)
            assert store.degraded.startswith(
                f"recorded traffic waits to be read: {datadir.database} is no sound database "
                "(malformed database schema (tombstones_unswept)"
            )
            assert store.degraded.endswith(database.REMEDY)

    def test_a_transaction_that_it_left_open_is_rolled_back(self, datadir):
        def step(db):
            db.conn.execute("insert into tombstones values ('half', 1, 0)")
            raise ValueError

        with Store.open(datadir, background=step) as store:
            store.call(entomb, "a").result(SECONDS)
            assert tombs(store) == ["a"]


class TestLockedByAnotherProcess:
    @pytest.fixture
    def other(self, datadir):
        with Store.open(datadir):
            pass
        conn = sqlite3.connect(datadir.database, isolation_level=None, check_same_thread=False)
        yield conn
        conn.close()

    def test_a_call_waits_and_readers_do_not(self, datadir, other):
        with Store.open(datadir) as store:
            other.execute("begin exclusive")

            future = store.call(entomb, "a")

            assert tombs(store) == []
            time.sleep(2.5)  # longer than SQLite waits by itself
            assert not future.done()
            other.execute("commit")
            assert future.result(SECONDS) == "a"

    def test_in_the_end_it_fails_and_says_why(self, datadir, other):
        with Store.open(datadir, patience_s=0.0) as store:
            other.execute("begin immediate")
            with pytest.raises(StoreError, match="kept locked by another process"):
                store.call(entomb, "a").result(SECONDS)
            other.execute("commit")
            assert store.call(entomb, "b").result(SECONDS) == "b"

    def test_the_background_step_is_tried_again(self, datadir, other):
        done = threading.Event()

        def step(db):
            db.execute("begin immediate")
            entomb(db, "step")
            db.conn.commit()
            done.set()
            return 60.0

        other.execute("begin immediate")
        with pytest.raises(StoreError, match="kept locked"):
            Store.open(datadir, patience_s=0.0)
        release = threading.Timer(1.5, lambda: other.execute("commit"))
        release.start()
        with Store.open(datadir, background=step) as store:
            assert done.wait(SECONDS)
            release.join()
            assert tombs(store) == ["step"]


class TestLog:
    def test_stays_short(self, datadir, store):
        def grow(db, number):
            data = random.Random(number).randbytes(1 << 20)
            db.execute(
                "insert into quarantine (id, writer, segment, position, reason, payload)"
                " values (?, 'w', 1, 1, 'test', ?)",
                [str(number), data],
            )

        sizes = []
        for number in range(40):
            store.call(grow, number).result(SECONDS)
            sizes.append(database.log_bytes(datadir.database))
        assert max(sizes) < 2 * database.CHECKPOINT_BYTES
        assert datadir.database.stat().st_size > 30 << 20


class TestControlFile:
    def test_is_written_at_the_start_from_the_database(self, datadir):
        with Store.open(datadir) as store:
            one = store.change_sessions(sessions.create).result(SECONDS)
        datadir.control.unlink()

        with Store.open(datadir, automatic=False):
            state = told(datadir)

        assert state.sessions[one.id].word == one.word
        assert state.automatic is False

    def test_is_replaced_before_the_future_resolves(self, datadir, store):
        one = store.change_sessions(sessions.create).result(SECONDS)
        before = told(datadir)
        assert one.id in before.sessions

        store.change_sessions(sessions.activate, one.id).result(SECONDS)

        assert told(datadir).active == one.id
        assert told(datadir).generation == before.generation + 1
        assert told(datadir).automatic is True

    def test_what_the_proxy_need_not_know_leaves_it(self, datadir, store):
        one = store.change_sessions(sessions.create).result(SECONDS)
        before = told(datadir)

        store.change_sessions(sessions.update, one.id, name="another").result(SECONDS)
        assert told(datadir) == before

        datadir.control.unlink()
        store.change_sessions(sessions.update, one.id, name="a third").result(SECONDS)
        assert told(datadir).sessions == before.sessions

    def test_what_calls_and_steps_changed_before_is_told_with_the_next_change(self, datadir, store):
        one, two = (store.change_sessions(sessions.create).result(SECONDS).id for _ in range(2))
        store.call(sessions.delete, one).result(SECONDS)
        store.call(sessions.update, two, is_recording=True).result(SECONDS)
        three = store.call(sessions.create).result(SECONDS).id
        with pytest.raises(ZeroDivisionError):
            store.call(lambda db: sessions.create(db) and 1 / 0).result(SECONDS)

        store.change_sessions(sessions.update, three, name="three").result(SECONDS)

        state = told(datadir)
        assert {key: one.recording for key, one in state.sessions.items()} == {
            two: True, three: False,
        }  # fmt: skip
        assert state.deleted == (one,)

    def test_generations_go_on_after_a_restart(self, datadir):
        with Store.open(datadir) as store:
            for _ in range(3):
                store.change_sessions(sessions.create).result(SECONDS)
        before = told(datadir).generation
        with Store.open(datadir):
            assert told(datadir).generation == before + 1

    def test_a_failed_change_leaves_it(self, datadir, store):
        before = told(datadir)
        with pytest.raises(NotFound):
            store.change_sessions(sessions.activate, "nobody").result(SECONDS)
        assert told(datadir) == before

    def test_a_call_leaves_it(self, datadir, store):
        before = told(datadir)
        store.call(sessions.create).result(SECONDS)
        assert told(datadir) == before

    def test_a_deletion_of_traffic_always_has_a_new_generation(self, datadir, store):
        before = told(datadir)
        store.delete_traffic(lambda db: None).result(SECONDS)
        assert told(datadir) == msgspec.structs.replace(before, generation=before.generation + 1)

    def test_what_could_not_be_written_is_tried_again(self, datadir, store):
        datadir.control.unlink()
        datadir.control.mkdir()  # a rename onto a folder fails
        with pytest.raises(StoreError, match=r"control\.json"):
            store.change_sessions(sessions.create, name="kept").result(SECONDS)
        assert "does not know the newest sessions" in store.degraded
        assert [session.name for session in sessions.list_all(store.read())] == ["kept"]

        datadir.control.rmdir()
        store.call(lambda db: None).result(SECONDS)
        end = time.monotonic() + SECONDS
        while store.degraded is not None:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert len(told(datadir).sessions) == 1


def test_what_could_not_be_rolled_back_takes_nothing_in(datadir, monkeypatch):
    """A transaction that stays open would keep all that comes later out of the file."""
    monkeypatch.setattr("storage.store._BACK_OFF_S", (0.01, 0.01))
    refusals = iter(range(3))

    def authorizer(action, what, *_):
        is_refused = (
            action == sqlite3.SQLITE_TRANSACTION
            and what == "ROLLBACK"
            and next(refusals, None) is not None
        )
        return sqlite3.SQLITE_DENY if is_refused else sqlite3.SQLITE_OK

    def background(db):
        steps.append(db.conn.in_transaction)
        if len(steps) == 1:
            db.conn.set_authorizer(authorizer)
            with database.write(db, is_durable=False):
                entomb(db, "lost", fail=KeyError("lost"))
        ran.release()
        return 10.0

    steps = []
    ran = threading.Semaphore(0)
    with Store.open(datadir, background=background) as store:
        assert ran.acquire(timeout=SECONDS)
        assert store.call(entomb, "kept").result(SECONDS) == "kept"
        assert tombs(store) == ["kept"]
        assert store.degraded is None
    assert steps == [False, False]
