import gc

import pytest

from addons.ingest import Ingest
from addons.ingest.folding import Fold
from storage import ids, sessions, spool, traffic
from storage.errors import StoreError
from storage.records import Timing
from tests.addons.ingest.looking import body, gaps, quarantine, rows
from tests.addons.ingest.spooling import STARTED_NS, Log

MS = 1_000_000


# --- what becomes of an entry --------------------------------------------------------------------


def test_an_exchange_becomes_an_entry_with_bodies_clock_and_counters(db, log, session, ingest):
    entry = log.entry(session, marks=("started_late",), continues="other")
    entry.chunk("request", b"ques").chunk("request", b"tion").cut().end("request", 8)
    entry.response()
    entry.chunk("response", b"answer").chunk("response", b"", size=4).chunk("response", b"more", 0)
    entry.end("response", 10, wire_hmac="f00")
    entry.close(
        request_bytes=8, response_bytes=10, server="1.2.3.4:443", tls_version="TLSv1.3",
        dropped_bytes=0,
    )  # fmt: skip
    log.end()
    ingest()
    found = traffic.get(db.conn, entry.id)
    assert found.session_id == session
    assert found.target == b"/v1/messages?beta=true"
    assert found.request_headers == ((b"Host", b"api.example.com"), (b"X-Odd", b"\xff"))
    assert (found.marks, found.continues) == (("started_late",), "other")
    assert (found.status, found.reason, found.response_http_version) == (200, b"OK", "HTTP/1.1")
    assert found.outcome == "complete"
    assert (found.request_bytes, found.response_bytes) == (8, 10)
    assert (found.server, found.tls_version) == ("1.2.3.4:443", "TLSv1.3")
    assert found.response_wire_hmac == "f00"
    assert found.timing == Timing(
        connect_started_ns=1, connected_ns=2, tls_done_ns=3, request_done_ns=4 * MS,
        response_head_ns=5 * MS, first_byte_ns=6 * MS, last_byte_ns=7 * MS, closed_ns=10 * MS,
    )  # fmt: skip
    assert body(db, entry.id, "request") == b"question"
    assert body(db, entry.id, "response") == b"answermore"
    chunks = traffic.frames(db.conn, entry.id, side="response")
    assert [(one.offset_ns, one.size_bytes, one.at_bytes) for one in chunks] == [
        (6 * MS, 6, 0),
        (7 * MS, 4, 6),
    ]
    (cut,) = traffic.cuts(db.conn, entry.id)
    assert (cut.part, cut.offset_bytes, cut.length_bytes) == ("request-body", 3, 4)
    assert rows(db, "select content_type, duration_ns, writer from entries") == [
        ("text/event-stream", 10 * MS, log.writer.name)
    ]
    counted = sessions.get(db.conn, session)
    assert (counted.traffic_count, counted.total_bytes) == (1, 18)
    assert STARTED_NS // MS <= counted.updated_ms <= STARTED_NS // MS + 10
    assert quarantine(db) == []
    assert gaps(db) == []
    for table in ("folds", "pieces", "spool_positions"):
        assert rows(db, f"select count(*) from {table}") == [(0,)]
    assert not log.folder.exists()


def test_an_entry_that_ended_leaves_the_memory_at_once(log, session, ingest):
    log.entry(session).chunk("request", b"ask").end("request", 3).response().close()
    log.entry(session).chunk("request", b"left open")
    log.end()
    gc.collect()
    gc.disable()
    try:
        ingest()
        assert [one for one in gc.get_objects() if isinstance(one, Fold)] == []
    finally:
        gc.enable()


def test_an_open_entry_shows_what_it_has_by_now(db, log, session, ingest):
    entry = log.entry(session).chunk("request", b"ask").end("request", 3).response()
    log.append()
    ingest()
    entry.chunk("response", b"part")
    log.append()
    ingest()
    found = traffic.get(db.conn, entry.id)
    assert found.outcome is None
    assert found.status == 200
    assert (found.request_bytes, found.response_bytes) == (3, 4)
    assert found.timing.first_byte_ns == 4 * MS
    assert body(db, entry.id, "request") == b"ask"
    assert body(db, entry.id, "response") == b"part"
    assert len(traffic.frames(db.conn, entry.id, side="response")) == 1
    assert sessions.get(db.conn, session).total_bytes == 7
    log.end()


@pytest.mark.parametrize("limit_bytes", [100_000, 4 << 20])
def test_bodies_longer_than_a_step_and_a_clock_longer_than_a_run(
    db, datadir, log, session, ingest, limit_bytes
):
    entry = log.entry(session).response()
    data = [bytes([number % 251]) * 5000 for number in range(700)]
    for one in data:
        entry.chunk("response", one)
    entry.end("response", 3_500_000).close()
    log.end()
    one = Ingest(datadir)
    one._limit_bytes = limit_bytes
    ingest(one)
    assert body(db, entry.id, "response") == b"".join(data)
    chunks = traffic.frames(db.conn, entry.id, side="response")
    assert [one.number for one in chunks] == list(range(700))
    assert [one.at_bytes for one in chunks] == [number * 5000 for number in range(700)]
    assert rows(db, "select first, count from clocks") == [(0, 256), (256, 256), (512, 188)]


def test_messages_become_frames_and_long_ones_are_put_together(db, log, session, ingest):
    entry = log.entry(session, kind="websocket").response(101)
    entry.message(b"hello").message(b"", from_client=False, opcode=2)
    entry.message(b"a" * 10, from_client=False, opcode=2, final=False)
    entry.message(b"between")
    entry.message(b"b" * 10, from_client=False, opcode=2)
    entry.close(close_code=1000, close_reason="bye", request_bytes=12, response_bytes=20)
    log.end()
    ingest()
    frames = traffic.frames(db.conn, entry.id)
    assert [(one.number, one.side, one.opcode, one.size_bytes) for one in frames] == [
        (0, "request", 1, 5),
        (1, "response", 2, 0),
        (2, "request", 1, 7),
        (3, "response", 2, 20),
    ]
    assert frames[3].offset_ns == 6 * MS
    found = traffic.get(db.conn, entry.id)
    assert (found.message_count, found.close_code, found.close_reason) == (4, 1000, "bye")
    assert (found.request_bytes, found.response_bytes) == (12, 20)


def test_a_coded_body_that_was_cut_keeps_its_decoded_text_beside_it(db, log, session, ingest):
    entry = log.entry(session).chunk("request", b"\x1f\x8b***")
    entry.decoded("request", b"key=").decoded("request", b"***").end("request", 5, cut_coded=True)
    entry.close()
    log.end()
    ingest()
    found = traffic.get(db.conn, entry.id)
    assert found.marks == ("cut_coded",)
    assert found.request_decoded.size_bytes == 7
    assert body(db, entry.id, "request") == b"\x1f\x8b***"


def test_a_tunnel_counts_the_bytes_that_its_end_tells(db, log, session, ingest):
    entry = log.entry(session, kind="tunnel").close(request_bytes=100, response_bytes=2000)
    log.end()
    ingest()
    found = traffic.get(db.conn, entry.id)
    assert (found.request_bytes, found.response_bytes) == (100, 2000)
    assert sessions.get(db.conn, session).total_bytes == 2100


# --- which session -------------------------------------------------------------------------------


def test_without_a_session_entries_gather_by_day(db, log, ingest):
    day_ns = 86_400_000_000_000
    for started_ns in (STARTED_NS, STARTED_NS + 1, STARTED_NS + day_ns):
        log.entry(None, started_ns=started_ns).exchange()
    log.end()
    ingest()
    found = sessions.list_all(db.conn)
    assert [(one.name, one.origin, one.is_recording, one.is_active) for one in found] == [
        ("Other traffic, 23 Nov 2026", "automatic", True, False),
        ("Other traffic, 22 Nov 2026", "automatic", True, False),
    ]
    assert [one.traffic_count for one in found] == [1, 2]


def test_an_unknown_session_is_marked_and_its_entries_gathered(db, log, ingest):
    entry = log.entry(ids.new(), marks=("x",)).exchange()
    log.end()
    ingest()
    found = traffic.get(db.conn, entry.id)
    assert found.marks == ("x", "unknown_session")
    assert sessions.get(db.conn, found.session_id).origin == "automatic"


def test_an_automatic_session_that_the_user_paused_takes_nothing(db, log, ingest):
    log.entry(None).exchange()
    log.append()
    ingest()
    (session,) = sessions.list_all(db.conn)
    sessions.update(db, session.id, is_recording=False)
    late = log.entry(None).exchange()
    log.end()
    ingest()
    assert rows(db, "select count(*) from entries where id = ?", late.id) == [(0,)]
    assert sessions.get(db.conn, session.id).traffic_count == 1
    assert quarantine(db) == []


# --- a writer that ends --------------------------------------------------------------------------


def test_what_a_dead_writer_left_open_is_closed_with_what_was_there(db, log, session, ingest):
    entry = log.entry(session).chunk("request", b"ask").end("request", 3).response()
    entry.chunk("response", b"half")
    socket = log.entry(session, kind="websocket").message(b"beg", final=False)
    log.append()
    ingest()
    assert traffic.get(db.conn, entry.id).outcome is None
    log.end()
    ingest()
    found = traffic.get(db.conn, entry.id)
    assert found.outcome == "proxy_killed"
    assert found.timing.closed_ns == 4 * MS
    assert body(db, entry.id, "response") == b"half"
    (frame,) = traffic.frames(db.conn, socket.id)
    assert (frame.size_bytes, frame.side) == (3, "request")
    assert gaps(db) == [(socket.id, "message_unfinished", None, None, session)]
    assert not log.folder.exists()
    assert rows(db, "select count(*) from pieces") == [(0,)]


def test_a_torn_end_is_a_gap_and_the_entry_is_closed(db, log, session, ingest):
    entry = log.entry(session).response().chunk("response", b"x" * 100)
    log.end()
    path = spool.segment_path(log.folder, 1)
    path.write_bytes(path.read_bytes()[:-30])
    ingest()
    assert traffic.get(db.conn, entry.id).outcome == "proxy_killed"
    ((entry_id, reason, _, size_bytes, _),) = gaps(db)
    assert (entry_id, reason) == (None, "spool_damaged")
    assert size_bytes > 70
    assert body(db, entry.id, "response") == b""


def test_writers_whose_folder_is_gone_are_finished_too(db, datadir, session, ingest):
    log = Log(datadir)
    entry = log.entry(session).response()
    log.append()
    ingest()
    log.end()
    for path in log.folder.iterdir():
        path.unlink()
    log.folder.rmdir()
    ingest(Ingest(datadir))
    assert traffic.get(db.conn, entry.id).outcome == "proxy_killed"
    assert rows(db, "select * from spool_positions") == []


def test_a_folder_that_vanishes_is_no_reason_to_stop(db, datadir, session, ingest):
    log, other = Log(datadir), Log(datadir)
    log.entry(session).response()
    log.append()
    ingest()
    for path in log.folder.iterdir():
        path.unlink()
    log.folder.rmdir()
    entry = other.entry(session).exchange()
    other.end()
    ingest()
    assert traffic.get(db.conn, entry.id).outcome == "complete"
    with pytest.raises(StoreError):
        log.end()


def test_a_name_that_is_used_again_at_once_is_gone_on_with(db, datadir, session, ingest):
    log = Log(datadir, name="w")
    entry = log.entry(session).response()
    log.end()
    one = Ingest(datadir)
    one.step(db)
    again = Log(datadir, name="w")
    again.records.append(entry_record(entry, b"more"))
    again.append()
    ingest(one)
    assert traffic.get(db.conn, entry.id).response_bytes == 4
    again.end()


def entry_record(entry, data):
    return spool.pack_chunk(entry.raw, entry.number, "response-chunk", 0, len(data), data)


def test_only_open_entries_are_in_memory(db, datadir, log, session, ingest):
    one = Ingest(datadir)
    entries = [log.entry(session).response() for _ in range(20)]
    log.append()
    ingest(one)
    folds = one._tails[log.writer.name]._folds
    assert len(folds) == 20
    for entry in entries[1:]:
        entry.close()
    log.append()
    ingest(one)
    assert set(folds) == {entries[0].raw}
    log.end()


def test_writers_take_turns(db, datadir, session):
    logs = [Log(datadir) for _ in range(3)]
    for log in logs:
        for _ in range(40):
            log.entry(session).chunk("request", b"x" * 10_000).close()
        log.append()
    ingest = Ingest(datadir)
    ingest._limit_bytes = 50_000
    for _ in range(3):
        ingest.step(db)
    assert rows(db, "select count(distinct writer) from entries") == [(3,)]
    for log in logs:
        log.end()


def test_logs_in_which_little_waits_are_read_beside_a_backlog(db, datadir, session, monkeypatch):
    for name in ("_WORK_S", "_LITTLE_S"):  # however slow the machine is
        monkeypatch.setattr(f"addons.ingest.{name}", 60.0)
    logs = [Log(datadir) for _ in range(4)]
    for number, log in enumerate(logs):
        for _ in range(1 if number else 40):
            log.entry(session).chunk("request", b"x" * 10_000).close()
        log.append()
    ingest = Ingest(datadir)
    ingest._limit_bytes = 50_000
    ingest.step(db)
    ingest.step(db)
    assert rows(db, "select count(distinct writer) from entries") == [(4,)]
    for log in logs:
        log.end()
