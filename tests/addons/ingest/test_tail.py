"""Where a step ends when more is in the log than it takes."""

import pytest

from addons.ingest import Ingest
from addons.ingest.tail import begun_late, span_bytes
from storage import spool
from tests.addons.ingest.spooling import Log


def entry(log, session, size_bytes, *, is_open=False):
    made = log.entry(session).chunk("request", b"q" * size_bytes).end("request", size_bytes)
    if not is_open:
        made.close(request_bytes=size_bytes)
    return made


def found(log):
    log.append()
    return spool.SpoolReader(log.folder).read()


@pytest.fixture
def log(datadir):
    log = Log(datadir)
    yield log
    log.end()


def test_an_entry_that_begins_late_and_goes_on_is_left_to_the_next_step(log, session):
    entry(log, session, 9000)
    late = entry(log, session, 500, is_open=True)
    assert begun_late(found(log)).entry == late.raw


@pytest.mark.parametrize("late_bytes", [500, 20_000], ids=["ends", "is most of it"])
def test_an_entry_that_ends_or_is_most_of_what_was_read_is_taken(log, session, late_bytes):
    entry(log, session, 9000)
    entry(log, session, late_bytes, is_open=late_bytes > 9000)
    assert begun_late(found(log)) is None


def test_entries_that_run_beside_each_other_are_taken(log, session):
    first = entry(log, session, 9000, is_open=True)
    entry(log, session, 500, is_open=True)
    first.response().close(request_bytes=9000)
    assert begun_late(found(log)) is None
    entry(log, session, 500, is_open=True)
    first.response()
    assert begun_late(found(log)) is None


def test_behind_damage_nothing_is_left(log, session):
    records = [spool.Damage(segment=0, offset=0, size_bytes=10, reason="zeros")]
    assert begun_late(records) is None
    assert span_bytes(records) == 10


def test_what_begins_and_ends_in_a_backlog_is_written_once(log, db, datadir, session, monkeypatch):
    monkeypatch.setattr("addons.ingest._WORK_S", 60)  # however slow the machine is
    for number in range(30):
        entry(log, session, 60_000 + number)
    log.append()
    written = []
    db.conn.set_trace_callback(written.append)
    one = Ingest(datadir)
    while one.step(db) == 0.0:
        pass
    db.conn.set_trace_callback(None)
    assert db.conn.execute("select count(*) from entries").fetchone() == (30,)
    assert written.count("commit") > 1
    assert not any(text.startswith(("update entries", "insert into pieces")) for text in written)
