"""Whatever stops ingest, and wherever: the tables come out as if nothing had."""

import contextlib
import random
import shutil
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from addons.ingest import Ingest
from storage import database, ids
from storage.datadir import DataDir
from storage.records import Gap
from tests.addons.ingest.spooling import Log, Records
from tests.addons.ingest.tables import dump

KNOWN = "0199aaaa-0000-7000-8000-000000000001"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A data dir with an empty database that knows one session."""
    datadir = DataDir(tmp_path_factory.mktemp("template") / "data").prepare()
    with database.create(datadir.database) as db:
        db.conn.execute(
            """
            insert into sessions (id, name, word, origin, is_recording, created_ms, updated_ms)
            values (?, 'known', '', 'user', 1, 1, 1)
            """,
            [KNOWN],
        )
        db.conn.commit()
        database.truncate_log(db)
    return datadir


def fresh(template, tmp_path_factory):
    return copied(template, tmp_path_factory.mktemp("run") / "data")


def copied(datadir, root):
    shutil.copytree(datadir.root, root)
    return DataDir(root)


@contextlib.contextmanager
def opened(datadir):
    """Its database; without fsync, for here no machine ends but only transactions."""
    with database.create(datadir.database) as db:
        db.conn.execute("pragma synchronous = off").fetchall()
        yield db


def finish(db, ingest):
    while ingest.step(db) == 0.0:
        pass


def log_of(datadir, records, name="w"):
    log = Log(datadir, name=name, segment_bytes=4000)
    log.records = list(records)
    return log


def undisturbed(template, tmp_path_factory, records):
    datadir = fresh(template, tmp_path_factory)
    log_of(datadir, records).end()
    with opened(datadir) as db:
        finish(db, Ingest(datadir))
        return dump(db)


# --- any entries, any interleaving ---------------------------------------------------------------

SIDES = st.sampled_from(["request", "response"])
DATA = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"same" * 30, b"A" * 3000, bytes(300_000), b"long" * 200_000]),
)
STEPS = st.one_of(
    st.tuples(st.just("chunk"), SIDES, DATA),
    st.tuples(st.just("decoded"), SIDES, DATA),
    st.tuples(st.just("end"), SIDES, st.integers(0, 100)),
    st.tuples(st.just("response"), st.just(200)),
    st.builds(
        lambda data, client, final: ("message", data, {"from_client": client, "final": final}),
        DATA,
        st.booleans(),
        st.booleans(),
    ),
    st.tuples(st.just("cut")),
    st.tuples(st.just("gap")),
    st.tuples(st.just("lose"), st.integers(1, 3)),
    st.tuples(st.just("close"), st.just("complete")),
)


@st.composite
def logs(draw):
    """Records of some entries, sensible or not, in any order between the entries."""
    log = Records()
    entries = []
    for _ in range(draw(st.integers(1, 25))):
        choice = draw(st.integers(-2, len(entries) - 1))
        if choice == -1 or not entries:
            session = draw(st.sampled_from([KNOWN, None, ids.new()]))
            entries.append(log.entry(session))
        elif choice == -2:
            log.gap()
        else:
            name, *given = draw(STEPS)
            named = given.pop() if given and isinstance(given[-1], dict) else {}
            getattr(entries[choice], name)(*given, **named)
    return log.records


@given(records=logs(), data=st.data())
@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_server_that_ends_between_any_records_doubles_and_loses_nothing(
    template, tmp_path_factory, records, data
):
    expected = undisturbed(template, tmp_path_factory, records)
    datadir = fresh(template, tmp_path_factory)
    log = log_of(datadir, [])
    with opened(datadir) as db:
        while records:
            count = data.draw(st.integers(1, len(records)))
            log.records, records = records[:count], records[count:]
            log.append()
            for _ in range(data.draw(st.integers(0, 3))):
                ingest = Ingest(datadir)
                ingest._limit_bytes = data.draw(st.sampled_from([1, 500, 1 << 20]))
                for _ in range(data.draw(st.integers(0, 3))):
                    ingest.step(db)
        log.end()
        finish(db, Ingest(datadir))
        assert dump(db) == expected


def test_a_step_that_takes_too_long_stops_and_goes_on_there(
    template, tmp_path_factory, monkeypatch
):
    records = eventful()
    expected = undisturbed(template, tmp_path_factory, records)
    datadir = fresh(template, tmp_path_factory)
    log_of(datadir, records).end()
    monkeypatch.setattr("addons.ingest._WORK_S", 0.0)
    with opened(datadir) as db:
        ingest = Ingest(datadir)
        ingest.step(db)
        (count,) = db.conn.execute("select count(*) from entries").fetchone()
        assert count == 1
        finish(db, ingest)
        assert dump(db) == expected


def odd_chunks():
    """Many chunks of one answer, and all that can go wrong among them."""
    log = Records()
    entry, other = log.entry(KNOWN), log.entry(KNOWN)
    entry.chunk("request", b"ask" * 40_000).end("request", 120_000).response()
    for number in range(300):  # more than a run of the clock
        entry.chunk("response", b"piece %d" % number)
    entry.chunk("response", b"", 7).chunk("response", b"tail", 0)
    entry.now_ns -= 50_000_000  # the clock of a chunk may go backwards
    entry.chunk("response", b"earlier").lose(2).chunk("response", b"behind a gap")
    log.records.append(log.records[-1])  # once more
    entry.pack("response-chunk", Gap(reason="no chunk"))
    entry.chunk("response", b"after what makes no sense")
    other.chunk("response", b"of another").chunk("request", b"and its other side")
    entry.chunk("response", b"last").end("response").chunk("response", b"too late")
    entry.close()
    log.entry(ids.new()).chunk("request", b"of an unknown session").close()
    return log.records


def test_chunks_that_come_together_are_as_one_by_one(template, tmp_path_factory, monkeypatch):
    records = odd_chunks()
    together = undisturbed(template, tmp_path_factory, records)
    monkeypatch.setattr("addons.ingest._MOST_RECORDS", 1)
    assert undisturbed(template, tmp_path_factory, records) == together
    reasons = [reason for *_, reason, _ in together["quarantine"]]
    assert len(reasons) == 3
    (answer,) = {row["response_bytes"] for row in together["entries"]} - {0, 10}
    assert answer > 300 * len(b"piece 0")


@given(records=logs(), others=logs(), data=st.data())
@settings(
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_the_order_of_writers_does_not_matter(template, tmp_path_factory, records, others, data):
    found = []
    for together in (True, False):
        datadir = fresh(template, tmp_path_factory)
        with opened(datadir) as db:
            for name, mine in [("a", records), ("b", others)]:
                log_of(datadir, mine, name).end()
                if not together:
                    finish(db, Ingest(datadir))
            finish(db, Ingest(datadir))
            found.append(dump(db))
    assert found[0] == found[1]


# --- a database that refuses ---------------------------------------------------------------------


class Failing:
    """
    A connection that fails once: at its `position`-th statement, before or after it runs.

    Of equal statements in a row (each chunk of a body is looked for) two count.
    """

    def __init__(self, conn, position, *, before):
        self._conn = conn
        self._left = position
        self._before = before
        self._last = []
        self.failed = False

    def execute(self, statement, *values):
        return self._run(self._conn.execute, statement, *values)

    def executemany(self, statement, *values):
        return self._run(self._conn.executemany, statement, *values)

    def _run(self, call, statement, *values):
        is_counted = self._last != [statement] * 2
        self._last = [*self._last[-1:], statement]
        self._left -= is_counted
        fails = is_counted and self._left == 0
        if fails and (self._before or statement.startswith("begin")):
            self._fail()
        found = call(statement, *values)
        if fails:
            self._fail()
        return found

    def _fail(self):
        self.failed = True
        raise sqlite3.OperationalError("disk I/O error")

    def __getattr__(self, name):
        return getattr(self._conn, name)


def eventful():
    """Records with something of everything, some of it wrong."""
    log = Records()
    whole = log.entry(None)
    # More than is gathered before chunks are written, so that a body fails in its middle as well.
    whole.exchange(response=(random.Random(2).randbytes(100_000), b"y" * 1000))
    socket = log.entry(KNOWN, kind="websocket").response(101).message(b"hello")
    socket.message(b"one", final=False).cut().message(b"two")
    log.gap()
    slow = log.entry(KNOWN).chunk("request", b"ask").decoded("request", b"***").lose()
    slow.end("request", 3, cut_coded=True).response().response()
    slow.chunk("response", b"z" * 270_000).chunk("response", b"tail")
    log.entry(ids.new()).exchange()
    slow.close()
    return log.records


@pytest.mark.parametrize("before", [True, False])
def test_a_failure_at_any_statement_changes_nothing(template, tmp_path_factory, before):
    records = eventful()
    expected = undisturbed(template, tmp_path_factory, records)
    logged = fresh(template, tmp_path_factory)
    log_of(logged, records).end()
    position, failed = 0, True
    while failed:
        position += 1
        datadir = copied(logged, logged.root.with_name(str(position)))
        with opened(datadir) as db:
            real = db.conn
            db.conn = failing = Failing(real, position, before=before)
            ingest = Ingest(datadir)
            ingest._limit_bytes = 5000  # several steps, so that folds live on between
            try:
                finish(db, ingest)
            except sqlite3.OperationalError:
                assert not real.in_transaction
            failed = failing.failed
            db.conn = real
            finish(db, ingest)
            assert dump(db) == expected, position
    assert position > 100


def test_a_locked_database_is_waited_for(template, tmp_path_factory):
    datadir = fresh(template, tmp_path_factory)
    records = eventful()
    log = log_of(datadir, records[:10])
    log.append()
    with opened(datadir) as db:
        ingest = Ingest(datadir)
        finish(db, ingest)
        log.records = records[10:]
        log.end()
        other = sqlite3.connect(datadir.database, isolation_level=None)
        other.execute("begin immediate")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            ingest.step(db)
        other.execute("rollback")
        other.close()
        finish(db, ingest)
        assert dump(db) == undisturbed(template, tmp_path_factory, records)


def test_a_full_disk_is_waited_for(template, tmp_path_factory):
    datadir = fresh(template, tmp_path_factory)
    records = eventful()
    log = log_of(datadir, records)
    log.end()
    with opened(datadir) as db:
        (pages,) = db.conn.execute("pragma page_count").fetchone()
        db.conn.execute(f"pragma max_page_count = {pages + 10}").fetchall()
        ingest = Ingest(datadir)
        with pytest.raises(sqlite3.OperationalError, match="full"):
            finish(db, ingest)
        db.conn.execute("pragma max_page_count = 1000000").fetchall()
        finish(db, ingest)
        assert dump(db) == undisturbed(template, tmp_path_factory, records)


def test_known_sessions_are_not_mistaken(template, tmp_path_factory):
    """The oracle above is itself looked at: it holds what was logged."""
    found = undisturbed(template, tmp_path_factory, eventful())
    assert [entry["outcome"] for entry in found["entries"]] == [
        "complete",
        "proxy_killed",
        "gap",
        "complete",
    ]
    assert len(found["frames"]) == 2
    assert len(found["quarantine"]) == 1
    assert sorted(row[2] for row in found["gaps"]) == ["queue_full", "records_missing"]
    assert found["folds"] == found["pieces"] == found["spool_positions"] == []
    assert {row[3]: row[6] for row in found["sessions"]} == {None: 2, "other:2026-11-22": 2}
