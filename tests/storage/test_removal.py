"""What is deleted leaves no trace in any file, and others' bytes are left alone."""

import random
import threading
import uuid

import pytest

from storage import bodies, database, raw, removal, sessions, traffic
from storage.chunks import packed
from storage.chunks.blocks import BLOCK_BYTES
from storage.store import Store
from tests.storage import recording


@pytest.fixture
def canary():
    """Bytes that are nowhere else; no two runs of them compress away into a reference."""
    return b"CANARY-" + uuid.uuid4().hex.encode() + b"-"


def traces(datadir, canary):
    """The files of the data dir that hold the canary, as it is or packed."""
    found = [
        path.name
        for path in datadir.root.rglob("*")
        if path.is_file() and canary in path.read_bytes()
    ]
    conn = database.reader(datadir.database)
    try:
        frames = conn.execute("select data from packed").fetchall()
    finally:
        conn.close()
    plain = [packed.decompressor().decompress(data) for (data,) in frames]
    return found + ["packed" for data in plain if canary in data]


def record(db, session_id, canary, *, seed=0):
    """A session's traffic of every shape, the canary in all of it."""
    source = random.Random(seed)
    with database.write(db):
        noise = source.randbytes(3 * BLOCK_BYTES)
        first = recording.entry(
            db,
            session_id,
            target=b"/v1/" + canary,
            request_headers=recording.pack([(b"x-test", canary * 200)]),
            request=canary + source.randbytes(100),  # too short to be compressed
            response=noise[:BLOCK_BYTES] + canary * 50 + noise,  # stays plain
        )
        recording.entry(db, session_id, error=canary.decode(), response=canary * 3000)
        recording.hang_on(db, first, session_id, canary)
        messages = [("request", canary + bytes([n])) for n in range(200)]
        recording.socket(db, session_id, messages, outcome=None)
        growing = bodies.Growing(first, "response")
        growing.append(noise[:100_000] + canary)
        growing.flush(db)
    with database.write(db):
        growing.append(source.randbytes(BLOCK_BYTES) + canary * 10)
        growing.flush(db)


def sweep_all(db):
    count = 1
    while removal.sweep(db):
        count += 1
    return count


def rows(db):
    names = [
        "entries", "bodies", "packs", "packed", "chunks", "released", "pieces", "clocks", "frames",
        "cuts", "gaps", "quarantine", "folds",
    ]  # fmt: skip
    return {name: db.execute(f"select count(*) from {name}").fetchone()[0] for name in names}


class TestSweep:
    def test_of_nothing_is_nothing(self, db):
        assert removal.sweep(db) is False

    def test_a_deleted_session_leaves_nothing(self, datadir, db, canary):
        session = sessions.create(db, name=canary.decode())
        record(db, session.id, canary)
        assert traces(datadir, canary)
        size = sum(path.stat().st_size for path in datadir.root.glob("wirescribe.db*"))

        with database.write(db):
            sessions.delete(db, session.id)
        sweep_all(db)

        assert set(rows(db).values()) == {0}
        assert traces(datadir, canary) == []
        left = sum(path.stat().st_size for path in datadir.root.glob("wirescribe.db*"))
        assert left < size / 2
        assert db.execute("select swept from tombstones").fetchall() == [(1,)]
        # The open socket may still send: its records are dropped.
        assert db.execute("select is_open, swept from removed_entries").fetchall() == [(1, 1)]

    def test_pages_that_were_taken_again_meanwhile_hold_no_trace(self, datadir, db, canary):
        """Freed pages are reused by what is recorded beside the sweep."""
        kept = sessions.create(db, name="kept")
        gone = sessions.create(db, name="gone")
        record(db, gone.id, canary)
        with database.write(db):
            sessions.delete(db, gone.id)
        ids, seed = [], 100
        more = True
        while more:
            more = removal.sweep(db, budget_ms=0)
            if seed < 160:
                seed += 1
                with database.write(db):
                    data = random.Random(seed).randbytes(seed * 97)
                    ids.append((recording.entry(db, kept.id, response=data), data))

        assert traces(datadir, canary) == []
        for entry_id, data in ids:
            entry = traffic.get(db.conn, entry_id)
            assert traffic.body(db.conn, entry, "response").read() == data
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
        assert list(bodies.verify(db.conn)) == []

    def test_what_others_share_stays(self, datadir, db, canary):
        one, two = sessions.create(db), sessions.create(db)
        shared = random.Random(3).randbytes(6 * BLOCK_BYTES)
        recording.entry(db, one.id, request=shared, response=shared + canary)
        kept = recording.entry(db, two.id, request=shared + b"2")
        with database.write(db):
            sessions.delete(db, one.id)

        sweep_all(db)

        assert traces(datadir, canary) == []
        entry = traffic.get(db.conn, kept)
        assert traffic.body(db.conn, entry, "request").read() == shared + b"2"
        assert sessions.get(db.conn, two.id).traffic_count == 1

    def test_goes_on_after_a_crash_at_any_step(self, datadir, canary):
        db = database.create(datadir.database)
        session = sessions.create(db)
        record(db, session.id, canary)
        with database.write(db):
            sessions.delete(db, session.id)
        more, steps = True, 0
        while more:
            more = removal.sweep(db, budget_ms=0)
            steps += 1
            db.close()  # and a new process
            db = database.create(datadir.database)

        assert steps > 20
        assert traces(datadir, canary) == []
        assert set(rows(db).values()) == {0}
        db.close()

    def test_waits_for_readers_and_then_goes_on(self, datadir, db, canary):
        session = sessions.create(db)
        record(db, session.id, canary)
        conn = database.reader(datadir.database)
        try:
            with database.snapshot(conn):
                assert traffic.page(conn, traffic.Query()).entries
                with database.write(db):
                    sessions.delete(db, session.id)
                sweep_all(db)
                assert db.execute("select swept from tombstones").fetchall() == [(0,)]
            sweep_all(db)
        finally:
            conn.close()
        assert db.execute("select swept from tombstones").fetchall() == [(1,)]
        assert traces(datadir, canary) == []

    def test_a_slice_is_short(self, db):
        session = sessions.create(db)
        with database.write(db):
            for seed in range(10):
                data = random.Random(seed).randbytes(4_000_000)
                recording.entry(db, session.id, response=data)
        with database.write(db):
            sessions.delete(db, session.id)
        seen = []
        db.conn.set_trace_callback(lambda statement: seen.append(statement.lower()))
        sweep_all(db)
        db.conn.set_trace_callback(None)
        # A claim on the clock belongs to bench/; here: the work is cut into many transactions.
        assert seen.count("begin immediate") >= 4

    def test_an_entry_alone(self, datadir, db, canary):
        session = sessions.create(db)
        kept = recording.entry(db, session.id, response=b"kept")
        gone = recording.socket(db, session.id, [("request", canary), ("response", b"kept")])

        with database.write(db):
            traffic.delete(db, gone)
        sweep_all(db)

        assert traces(datadir, canary) == []
        assert rows(db)["entries"] == 1
        assert db.execute("select count(*) from removed_entries").fetchone() == (0,)
        entry = traffic.get(db.conn, kept)
        assert traffic.body(db.conn, entry, "response").read() == b"kept"

    def test_a_marker_goes_when_its_writer_is_done(self, db):
        session = sessions.create(db)
        entry_id = recording.entry(db, session.id, outcome=None)
        with database.write(db):
            traffic.delete(db, entry_id)
        sweep_all(db)
        assert db.execute("select count(*) from removed_entries").fetchone() == (1,)
        (writer,) = db.execute("select writer from removed_entries").fetchone()
        raw.forget_writer(db, writer)
        assert db.execute("select count(*) from removed_entries").fetchone() == (0,)


def test_beside_a_server_that_goes_on(datadir, canary):
    """Through the store: other sessions are written and read while one is swept."""
    done = threading.Event()

    def background(db):
        more = removal.sweep(db)
        if not more and db.execute("select 1 from tombstones where swept = 1").fetchone():
            done.set()
        return 0.0 if more else 0.01

    with Store.open(datadir, background=background) as store:
        gone = store.change_sessions(sessions.create, name=canary.decode()).result()
        kept = store.change_sessions(sessions.create, name="kept").result()
        store.call(record, gone.id, canary).result()
        assert traces(datadir, canary)

        store.change_sessions(sessions.delete, gone.id).result()
        for number in range(100):
            data = random.Random(number).randbytes(5000)
            store.call(recording.entry, kept.id, request=data).result()
            assert traffic.page(store.read(), traffic.Query(session_id=kept.id)).entries
        assert done.wait(60)

        assert traces(datadir, canary) == []
        assert gone.id in datadir.control.read_text()  # the proxy must know of it
        assert list(bodies.verify(store.read())) == []
        assert sessions.get(store.read(), kept.id).traffic_count == 100
    assert traces(datadir, canary) == []
