import gzip

import brotli
import pytest
import zstandard

from addons.entrylog import Closing, EntryLog
from addons.ingest import Ingest
from addons.redaction import Redactor
from storage import bodies, envelope, ids, sessions, spool, traffic
from storage.errors import StoreError
from storage.records import EntryOpened, Gap, ResponseHead, Timing
from tests.addons.ingest.spooling import STARTED_NS, Log

MS = 1_000_000


def rows(db, statement, *values):
    return db.conn.execute(statement, values).fetchall()


def body(db, entry_id, side):
    return traffic.body(db.conn, traffic.get(db.conn, entry_id), side).read()


def gaps(db):
    return rows(
        db, "select entry_id, reason, records, size_bytes, session_id from gaps order by id"
    )


def quarantine(db):
    return rows(db, "select entry_id, reason, session_id from quarantine order by id")


@pytest.fixture
def log(datadir):
    return Log(datadir)


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


# --- what is missing or makes no sense -----------------------------------------------------------


def test_gaps_that_the_proxy_noted(db, log, session, ingest):
    log.gap(reason="disk_low", records=3, size_bytes=50, started_ns=1, ended_ns=2, detail="d")
    entry = log.entry(session).gap(records=2, size_bytes=9).close()
    log.end()
    ingest()
    assert gaps(db) == [
        (None, "disk_low", 3, 50, None),
        (entry.id, "queue_full", 2, 9, session),
    ]
    assert traffic.get(db.conn, entry.id).outcome == "gap"


def test_missing_numbers_are_a_gap_of_their_entry(db, log, session, ingest):
    entry = log.entry(session).lose(2).response().lose().close()
    log.end()
    ingest()
    assert gaps(db) == [
        (entry.id, "records_missing", 2, None, session),
        (entry.id, "records_missing", 1, None, session),
    ]
    assert traffic.get(db.conn, entry.id).outcome == "gap"


def test_damage_is_a_gap_with_its_place(db, log, session, ingest):
    log.entry(session).response().chunk("response", b"x" * 100).close()
    log.end()
    path = spool.segment_path(log.folder, 1)
    data = bytearray(path.read_bytes())
    data[data.index(b"xxxx")] ^= 1
    path.write_bytes(data)
    ingest()
    found = rows(db, "select reason, detail, records from gaps order by id")
    assert [(reason, records) for reason, _, records in found] == [
        ("spool_damaged", None),
        ("records_missing", 1),
    ]
    assert found[0][1].startswith("segment 1 from byte ")
    assert rows(db, "select outcome from entries") == [("gap",)]


BAD = {
    "unknown kind 'nonsense'": lambda entry: entry.pack("nonsense", a_gap()),
    "Expected `bytes`, got `str`": lambda entry: entry.pack("response", a_gap()),
    "a second response head": lambda entry: entry.response().response(),
    "a chunk after the end of the request": lambda entry: entry.end("request").chunk(
        "request", b"late"
    ),
    "decoded text after the end of the request": lambda entry: entry.end("request").decoded(
        "request", b"late"
    ),
    "a second end of the response": lambda entry: entry.end("response").end("response"),
    "a second open of this entry": lambda entry: entry.pack("open", opened(entry)),
    "Expected `int` <= 15": lambda entry: entry.message(b"x", opcode=99),
    "Invalid enum value 'vanished'": lambda entry: entry.close(outcome="vanished"),
}


def a_gap():
    return Gap(reason="r")


def opened(entry):
    return EntryOpened(
        kind="http", way="proxy", started_ns=1, session=None, client="c", method="GET",
        scheme="https", host="h", port=1,
    )  # fmt: skip


@pytest.mark.parametrize("reason", BAD)
def test_a_record_that_makes_no_sense_goes_whole_into_the_quarantine(
    db, log, session, ingest, reason
):
    entry = log.entry(session)
    BAD[reason](entry)
    payload = log.records[-1]
    entry.cut()
    entry.close()
    log.end()
    ingest()
    ((entry_id, found, its_session, segment, position, kept),) = rows(
        db, "select entry_id, reason, session_id, segment, position, payload from quarantine"
    )
    assert (entry_id, its_session) == (entry.id, session)
    assert found.startswith(reason)
    assert b"".join(payload)[16:] == kept
    assert (segment, position > 0) == (1, True)
    assert len(traffic.cuts(db.conn, entry.id)) == 1
    assert traffic.get(db.conn, entry.id).outcome == "gap"
    assert gaps(db) == []


def test_records_seen_twice_or_late_are_put_away(db, log, session, ingest):
    entry = log.entry(session).response()
    log.records.append(log.records[-1])
    entry.close()
    entry.cut()
    log.end()
    ingest()
    assert [reason for _, reason, _ in quarantine(db)] == [
        "number 1 was seen already, or comes out of order",
        "the entry is closed already",
    ]


def test_records_without_their_open_are_put_away(db, log, session, ingest):
    entry = log.entry(session).response().close()
    del log.records[0]
    log.end()
    ingest()
    assert quarantine(db) == [(entry.id, "its entry is unknown", None)] * 2
    assert rows(db, "select count(*) from entries") == [(0,)]


def test_an_entry_whose_state_is_lost_takes_no_more(db, log, session, ingest):
    entry = log.entry(session).response()
    log.append()
    ingest()
    db.conn.execute("delete from folds")
    db.conn.commit()
    entry.close()
    log.append()
    ingest()
    assert quarantine(db) == [(entry.id, "how far its entry was is lost", None)]
    log.end()


def test_an_entry_belongs_to_one_writer(db, datadir, session, ingest):
    first, second = Log(datadir), Log(datadir)
    entry = first.entry(session)
    first.append()
    ingest()
    again = second.entry(session, id=entry.id).response()
    second.end()
    ingest()
    assert [reason for _, reason, _ in quarantine(db)] == [
        "a second open of this entry",
        f"its entry came from the writer {first.writer.name}",
    ]
    assert again.id == entry.id
    first.end()


def test_nobodys_records_are_gaps_or_put_away(db, log, ingest):
    log.records.append(spool.pack(spool.NIL, 0, "cut", 0, Gap(reason="r")))
    log.records.append(spool.pack(spool.NIL, 1, "gap", 0, opened(None)))
    log.end()
    ingest()
    assert [entry_id for entry_id, _, _ in quarantine(db)] == [None, None]


@pytest.mark.parametrize("automatic", [True, False])
def test_values_that_no_column_takes_do_not_stop_the_log(db, log, session, ingest, automatic):
    good = [log.entry(session).exchange() for _ in range(3)]
    bad = log.entry(None if automatic else session, started_ns=1 << 63).response()
    good += [log.entry(session).exchange() for _ in range(3)]
    log.end()
    ingest()
    assert len(rows(db, "select 1 from entries where outcome = 'complete'")) == len(good)
    assert {entry_id for entry_id, _, _ in quarantine(db)} == {bad.id}
    assert len(quarantine(db)) == 2
    assert not log.folder.exists()


def test_a_close_with_impossible_numbers_is_put_away_and_its_entry_closed_later(
    db, log, session, ingest
):
    entry = log.entry(session).response().chunk("response", b"kept")
    log.append()
    ingest()
    entry.close(response_bytes=1 << 70 >> 7)
    log.end()
    ingest()
    assert traffic.get(db.conn, entry.id).outcome == "proxy_killed"
    assert body(db, entry.id, "response") == b"kept"
    assert len(quarantine(db)) == 1


def test_an_unknown_payload_is_put_away_whole(db, log, session, ingest):
    log.records.append(envelope._framed(b"\x91\x01", b""))
    log.end()
    ingest()
    assert rows(db, "select payload, entry_id from quarantine") == [(b"\x91\x01", None)]


@pytest.mark.parametrize("is_resumed", [False, True], ids=["at-once", "resumed"])
@pytest.mark.parametrize("side", ["request", "response"])
def test_less_stored_than_crossed_is_a_gap(db, datadir, log, session, ingest, side, is_resumed):
    entry = log.entry(session).response().chunk(side, b"abc").end(side, 3)
    if is_resumed:
        log.append()
        ingest()
    entry.close(**{f"{side}_bytes": 5})
    log.end()
    ingest(Ingest(datadir))

    found = traffic.get(db.conn, entry.id)
    stored = found.request_body if side == "request" else found.response_body
    assert (found.outcome, stored.size_bytes) == ("gap", 3)
    assert [reason for _, reason, *_ in gaps(db)] == ["bytes_missing"]


def test_damaged_pieces_are_a_gap_and_the_entry_goes_on(db, datadir, log, session, ingest):
    entry = log.entry(session).response().chunk("response", b"z" * 300_000)
    log.append()
    ingest()
    db.conn.execute("update packed set data = x'00'")
    db.conn.commit()
    entry.chunk("response", b"rest").close()
    log.end()
    ingest(Ingest(datadir))
    assert traffic.get(db.conn, entry.id).outcome == "gap"
    assert body(db, entry.id, "response") == b"rest"
    assert [reason for _, reason, *_ in gaps(db)] == ["pieces_damaged"]


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_the_text_beside_a_cut_coded_body_is_whole(db, datadir, session, ingest, coding):
    """By the real redaction: it offers text from the cut on, and ingest puts the rest before it."""
    key = b"sk-ant-api03-invented-for-this-test-0123456789"
    text = b"".join(b'data: {"n":%d}\n\n' % n for n in range(20_000))
    text = text[:200_000] + key + text[200_000:]
    compress = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstandard.compress}[coding]
    coded = compress(text)
    entry = EntryLog(Redactor(b"k" * 32), 0)
    head = EntryOpened(
        kind="http", way="proxy", started_ns=STARTED_NS, session=session, client="c", method="GET",
        scheme="https", host="h", port=443, headers=((b"x-api-key", key),),
    )  # fmt: skip
    entry.open(1, head)
    entry.end(2, "request")
    entry.response(3, ResponseHead(status=200, headers=((b"Content-Encoding", coding.encode()),)))
    for at in range(0, len(coded), 1000):
        entry.chunk(4 + at, ("response", coded[at : at + 1000]))
    entry.end(10**6, "response")
    entry.close(10**6, Closing(outcome="complete"))
    writer = spool.SpoolWriter(datadir.spool)
    writer.append(entry.take())
    writer.close()

    ingest()

    found = traffic.get(db.conn, entry.text_id)
    assert found.marks == ("cut_coded",)
    decoded = bodies.view(db.conn, found.response_decoded.digest).read()
    assert decoded == text.replace(key, b"*" * len(key))
    stored = body(db, entry.text_id, "response")
    assert len(stored) == len(coded)
    assert found.response_wire_hmac
