"""The state of a data dir, counted."""

import sqlite3

from storage import database, health, ids, sessions, spool
from storage.health import GapCount
from storage.processes import Announcement, Process
from tests.storage import plans, recording


def test_of_a_fresh_data_dir(datadir, db):
    report = health.report(db.conn, datadir)

    assert report.sqlite_version == sqlite3.sqlite_version
    assert (report.sessions, report.entries, report.open_entries) == (0, 0, 0)
    assert (report.gaps, report.quarantined, report.unswept_sessions) == ((), 0, 0)
    assert (report.spool_lag_bytes, report.processes) == ({}, ())
    assert report.database_bytes > 0
    assert report.free_bytes > 0


def test_counts_what_is_there_and_what_is_missing(datadir, db):
    session = recording.session(db)
    recording.entry(db, session.id)
    recording.entry(db, session.id, outcome=None)
    for reason, size_bytes in [("queue_full", None), ("queue_full", 5), ("disk_low", None)]:
        db.execute(
            "insert into gaps values (?, 'w', null, null, ?, null, ?, null, null, null)",
            [ids.new(), reason, size_bytes],
        )
    recording.hang_on(db, "e", session.id, b"x")
    sessions.delete(db, sessions.create(db).id)

    report = health.report(db.conn, datadir)

    assert (report.sessions, report.entries, report.open_entries) == (1, 2, 1)
    assert report.gaps == (
        GapCount(reason="queue_full", count=4, size_bytes=9),
        GapCount(reason="disk_low", count=1, size_bytes=None),
    )
    assert (report.quarantined, report.unswept_sessions) == (2, 1)


def test_tells_how_far_ingest_is_behind_each_writer(datadir, db):
    writers = [spool.SpoolWriter(datadir.spool) for _ in range(2)]
    for writer in writers:
        writer.append([b"x" * 1000])
    db.execute(
        "insert into spool_positions (writer, segment, position) values (?, 1, 300)",
        [writers[0].name],
    )
    try:
        lag = health.report(db.conn, datadir).spool_lag_bytes
        assert lag == {writers[0].name: 700, writers[1].name: 1000}
    finally:
        for writer in writers:
            writer.close()


def test_names_the_processes(datadir, db):
    process = Process(role="proxy", pid=1, started_ms=2, version="0.1", degraded=("disk_low",))
    announcement = Announcement(datadir, process)
    assert health.report(db.conn, datadir).processes == (process,)
    announcement.withdraw()


def test_works_on_a_reader(datadir, db):
    conn = database.reader(datadir.database)
    try:
        assert health.report(conn, datadir).sessions == 0
    finally:
        conn.close()


def test_does_not_look_at_all_entries(datadir, db):
    with plans.of(db) as plan:
        health.report(db.conn, datadir)
    of_entries = [text for text in plan.texts if "entries" in text]
    assert of_entries == ["SCAN entries USING INDEX entries_open"]
