"""Segments of the spool go when their records are in the tables, and not before."""

import sqlite3

import pytest

from addons.ingest import Ingest
from storage import database, spool, traffic
from tests.addons.ingest.spooling import Log


def spooled(datadir, session, messages):
    """The log of a socket with so many messages, in segments of some of them; and its entry."""
    log = Log(datadir, segment_bytes=1000)
    entry = log.entry(session, kind="websocket")
    for number in range(messages):
        entry.message(b"%d" % number * 20)
    log.append()
    assert len(spool.segments(log.folder)) > 10
    return log, entry


def test_full_segments_go_as_soon_as_they_are_committed(db, datadir, session, ingest):
    log, entry = spooled(datadir, session, 200)
    ingest()
    assert len(spool.segments(log.folder)) == 1
    assert len(traffic.frames(db.conn, entry.id)) == 200
    log.end()


def test_no_segment_goes_before_its_records_are_durable(db, datadir, session, ingest):
    log, entry = spooled(datadir, session, 100)
    level, levels = "full", ["full"]  # of `pragma synchronous`: now, and at each commit
    left = len(spool.segments(log.folder))
    removed_behind = []  # the levels of the commits before segments went

    def watch(statement):  # what it raises nobody sees
        nonlocal level, left
        before, left = left, len(spool.segments(log.folder))
        if left < before:
            removed_behind.append(levels[-1])
        if statement.startswith("pragma synchronous ="):
            level = statement.rpartition(" ")[2]
        elif statement == "commit":
            levels.append(level)

    db.conn.set_trace_callback(watch)
    ingest()
    log.end()
    ingest()
    db.conn.set_trace_callback(None)

    assert not log.folder.exists()
    assert {"full", "normal"} == set(levels)
    assert set(removed_behind) == {"full"}
    assert len(traffic.frames(db.conn, entry.id)) == 100


class Watched:
    """A connection that notes for each commit the level that it had, and whether it wrote."""

    def __init__(self, conn, path):
        self.commits = []
        self._conn = conn
        self._path = path

    def execute(self, statement, *values):
        if statement != "commit":
            return self._conn.execute(statement, *values)
        (level,) = self._conn.execute("pragma synchronous").fetchone()
        before = database.log_bytes(self._path)
        done = self._conn.execute(statement, *values)
        self.commits.append((level, database.log_bytes(self._path) > before))
        return done

    def __getattr__(self, name):
        return getattr(self._conn, name)


def test_a_commit_that_is_to_wait_for_the_disk_has_something_to_write(db, datadir, session, ingest):
    """SQLite waits for no disk at the end of a transaction that changed no page."""
    log, entry = spooled(datadir, session, 100)
    real = db.conn
    db.conn = watched = Watched(real, datadir.database)
    ingest()
    log.end()
    ingest()
    db.conn = real

    assert not log.folder.exists()
    assert len(traffic.frames(db.conn, entry.id)) == 100
    assert set(watched.commits) == {(1, True), (2, True)}


class Full:
    """A connection that has room for one commit."""

    def __init__(self, conn):
        self._conn = conn
        self._commits = 0

    def execute(self, statement, *values):
        self._commits += statement == "commit"
        if self._commits == 2:
            raise sqlite3.OperationalError("database or disk is full")
        return self._conn.execute(statement, *values)

    def __getattr__(self, name):
        return getattr(self._conn, name)


def test_what_is_in_the_tables_is_told_though_it_could_not_be_made_durable(
    db, datadir, session, log
):
    """The commit that is to let the log go fails, as on a full disk."""
    entry = log.entry(session).chunk("request", b"question")
    log.append()
    told = []
    ingest = Ingest(datadir, lambda _, records: told.extend(records))
    real = db.conn
    db.conn = Full(real)
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        ingest.step(db)
    db.conn = real
    assert traffic.get(db.conn, entry.id).id == entry.id
    entry.chunk("request", b"more")
    log.append()
    while ingest.step(db) == 0.0:
        pass
    assert [record.kind for record in told] == ["open", "request-chunk", "request-chunk"]
