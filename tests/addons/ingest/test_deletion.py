"""Records of what was deleted are dropped, whenever they come, and leave nothing behind."""

import pytest

from addons.ingest import Ingest
from storage import removal, sessions, traffic
from tests.addons.ingest.spooling import Log

CANARY = b"canary-7c1f"


@pytest.fixture(params=["same server", "server restarted"])
def again(request, datadir, ingest):
    """Ingest after the deletion: by the same object, or by a new one with no memory."""
    return ingest if request.param == "same server" else lambda: ingest(Ingest(datadir))


def count(db, table):
    return db.conn.execute(f"select count(*) from {table}").fetchone()[0]


def assert_nothing_is_left(db, datadir):
    for _ in range(50):
        removal.sweep(db)
    for table in ("entries", "pieces", "packs", "packed", "chunks", "bodies", "frames", "clocks",
                  "cuts", "gaps", "quarantine", "folds", "released"):  # fmt: skip
        assert count(db, table) == 0, table
    for path in datadir.root.rglob("*"):
        if path.is_file():
            assert CANARY not in path.read_bytes(), path


def streaming(log, session):
    """Two entries in the middle of their traffic, with something of everything."""
    entry = log.entry(session).chunk("request", CANARY * 10).end("request").response()
    entry.chunk("response", CANARY * 30_000).cut(hmac=CANARY.decode()).response()
    socket = log.entry(session, kind="websocket").message(CANARY).gap(detail=CANARY.decode())
    socket.message(CANARY * 50, final=False)
    return entry, socket


def go_on(entry, socket):
    """The rest of their traffic; some of it makes no sense."""
    entry.chunk("response", CANARY * 40_000).decoded("response", CANARY).response()
    entry.lose().end("response").chunk("response", CANARY).cut().close()
    socket.message(CANARY, final=True).message(CANARY).close()
    socket.gap(detail=CANARY.decode())


def test_a_session_that_is_deleted_before_its_records_come(db, datadir, session, again):
    log = Log(datadir)
    streams = streaming(log, session)
    sessions.delete(db, session)
    log.append()
    again()
    go_on(*streams)
    log.end()
    again()
    assert count(db, "removed_entries") == 0
    assert_nothing_is_left(db, datadir)


@pytest.mark.parametrize("swept", [False, True])
def test_a_session_that_is_deleted_while_it_streams(db, datadir, session, ingest, again, swept):
    log = Log(datadir)
    streams = streaming(log, session)
    log.append()
    ingest()
    assert count(db, "entries") == 2
    sessions.delete(db, session)
    if swept:
        while removal.sweep(db):
            pass
    go_on(*streams)
    log.append()
    again()
    log.end()
    again()
    assert_nothing_is_left(db, datadir)
    assert count(db, "removed_entries") == 0


def test_a_session_that_is_deleted_between_two_steps_of_a_backlog(db, datadir, session):
    log = Log(datadir)
    go_on(*streaming(log, session))
    log.end()
    ingest = Ingest(datadir)
    ingest._limit_bytes = 1
    for _ in range(6):
        ingest.step(db)
    sessions.delete(db, session)
    while ingest.step(db) == 0.0:
        pass
    assert_nothing_is_left(db, datadir)


def test_nothing_is_written_for_a_deleted_session_even_before_it_is_swept(
    db, datadir, session, ingest
):
    log = Log(datadir)
    entry, socket = streaming(log, session)
    log.append()
    ingest()
    sessions.delete(db, session)
    before = [count(db, table) for table in ("pieces", "frames", "cuts", "packs")]
    entry.chunk("response", CANARY).cut()
    socket.message(CANARY).message(CANARY)
    log.append()
    one = Ingest(datadir)
    one.step(db)
    assert [count(db, table) for table in ("pieces", "frames", "cuts", "packs")] == before
    assert one._tails[log.writer.name]._folds == {}
    log.end()


def test_an_entry_that_is_deleted_while_it_streams(db, datadir, session, ingest, again):
    log = Log(datadir)
    streams = streaming(log, session)
    log.append()
    ingest()
    for entry in streams:
        traffic.delete(db, entry.id)
    go_on(*streams)
    other = log.entry(session).exchange()
    log.end()
    again()
    assert sessions.get(db.conn, session).traffic_count == 1
    traffic.delete(db, other.id)
    assert_nothing_is_left(db, datadir)
    assert sessions.get(db.conn, session).total_bytes == 0


def test_other_sessions_keep_what_they_share(db, datadir, session, ingest):
    log = Log(datadir)
    kept = sessions.create(db, name="kept", now_ms=2).id
    one, two = log.entry(session), log.entry(kept)
    for entry in (one, two):
        entry.response().chunk("response", b"shared" * 100_000)
    log.append()
    ingest()
    sessions.delete(db, session)
    one.close()
    two.close()
    log.end()
    ingest()
    for _ in range(10):
        removal.sweep(db)
    found = traffic.get(db.conn, two.id)
    assert traffic.body(db.conn, found, "response").read() == b"shared" * 100_000
    assert count(db, "entries") == 1


def test_deletion_goes_on_beside_a_log_that_never_rests(db, datadir, session, ingest):
    log = Log(datadir)
    for _ in range(20):
        log.entry(session).exchange()
    log.append()
    ingest()
    sessions.delete(db, session)
    other = sessions.create(db, name="other", now_ms=2).id
    one = Ingest(datadir)
    one._swept_s = 0.0  # long ago
    log.entry(other).exchange()
    log.append()
    for _ in range(50):
        one.step(db)
        one._swept_s = 0.0
        log.entry(other).exchange()
        log.append()
    assert db.conn.execute("select swept from tombstones").fetchall() == [(1,)]
    log.end()


def test_an_id_that_was_dropped_is_not_an_open_entry(db, datadir, session, ingest):
    log = Log(datadir)
    entry = log.entry(session)
    sessions.delete(db, session)
    log.append()
    ingest()
    other = sessions.create(db, name="other", now_ms=2).id
    log.entry(other, id=entry.id).exchange()
    log.end()
    ingest()
    assert count(db, "entries") == 0
