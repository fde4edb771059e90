"""What is missing or makes no sense is told, and stops nothing."""

import gzip

import brotli
import pytest
import zstandard

from addons.entrylog import Closing, EntryLog
from addons.ingest import Ingest
from addons.redaction import Redactor
from storage import bodies, envelope, spool, traffic
from storage.records import EntryOpened, Gap, ResponseHead
from tests.addons.ingest.looking import body, gaps, quarantine, rows
from tests.addons.ingest.spooling import STARTED_NS, Log


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
