"""The queue and its threads: what they lose is a gap, what they keep is whole."""

import os
import threading
import time

import msgspec
import pytest

from addons.disk import DiskGuard, DiskLimits
from addons.entrylog import Closing, EntryLog
from addons.redaction import Redactor
from addons.scribe import Scribe
from storage import spool
from storage.datadir import DataDir
from storage.errors import StoreError
from storage.records import EntryOpened, Gap, ResponseHead
from tests.addons.running import read_spool

KEY = b"k" * 32


class Verdict:
    """A disk guard that a test sets."""

    def __init__(self):
        self.says = None

    def verdict(self):
        return self.says

    def sentence(self, verdict):
        return f"paused: {verdict}"


@pytest.fixture
def datadir(tmp_path):
    return DataDir(tmp_path / "data").prepare()


@pytest.fixture
def begin(datadir):
    """Makes a scribe that is stopped in the end."""
    made = []

    def begin(**more):
        writer = spool.SpoolWriter(datadir.spool)
        scribe = Scribe(writer, Redactor(KEY), **more)
        scribe.writer = writer
        made.append(scribe)
        scribe.start()
        return scribe

    yield begin
    for scribe in made:
        if not scribe._stop.is_set():
            scribe.stop()


def opened(**more):
    return EntryOpened(
        kind=more.pop("kind", "http"),
        way="proxy",
        started_ns=1,
        session=None,
        client="c",
        method="POST",
        scheme="https",
        host="api.anthropic.com",
        port=443,
        target=b"/v1/messages",
        **more,
    )


class Entry:
    def __init__(self, scribe, **more):
        self.scribe = scribe
        self.log = scribe.new_log(time.monotonic_ns())
        self.put(EntryLog.open, opened(**more))

    def put(self, step, content, size=0):
        self.scribe.put(self.log, step, time.monotonic_ns(), content, size)

    def chunk(self, data, side="response"):
        self.put(EntryLog.chunk, (side, data), len(data))

    def message(self, data, from_client=True):
        self.put(EntryLog.message, (from_client, 1, data), len(data))

    def respond(self):
        self.put(EntryLog.response, ResponseHead(status=200))

    def close(self, outcome="complete"):
        self.put(EntryLog.end, "response")
        self.put(EntryLog.close, Closing(outcome=outcome))


def entries(datadir):
    return [entry for entry in read_spool(datadir) if entry.opened]


def nobody(datadir):
    """The gaps that belong to no entry."""
    return [gap for entry in read_spool(datadir) if not entry.opened for gap in entry.gaps]


def eventually(condition):
    end = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def test_what_is_put_is_on_disk_soon_without_any_further_step(begin, datadir):
    entry = Entry(begin())
    entry.respond()
    entry.chunk(b"one")
    (found,) = eventually(lambda: [e for e in entries(datadir) if e.chunks["response"]])
    assert found.body("response") == b"one"
    assert found.closed is None


def test_a_new_segment_parts_what_was_put_from_what_follows(begin, datadir, monkeypatch):
    scribe = begin()
    writer, begin_segment = scribe.writer, scribe.writer.begin_segment
    refusals = iter([StoreError("not now"), None])

    def part():
        if (refusal := next(refusals)) is not None:
            raise refusal
        begin_segment()

    monkeypatch.setattr(writer, "begin_segment", part)
    Entry(scribe).close()
    scribe.begin_segment()
    eventually(lambda: spool.segments(writer.folder) == [1, 2])
    later = Entry(scribe)
    later.close()
    scribe.stop()
    first, second = (spool.segment_path(writer.folder, n).read_bytes() for n in (1, 2))
    assert later.log.id not in first
    assert later.log.id in second


def test_everything_queued_is_written_before_stop_returns(begin, datadir):
    scribe = begin()
    entry = Entry(scribe)
    for number in range(5000):
        entry.chunk(b"%d " % number)
    entry.close()
    scribe.stop()
    (found,) = entries(datadir)
    assert found.body("response") == b"".join(b"%d " % number for number in range(5000))
    assert found.outcome == "complete"
    assert [number for *_, number in found.records] == list(range(len(found.records)))
    assert not spool.SpoolReader(datadir.spool / scribe.writer.name).is_live()


def test_long_chunk_is_cut_into_records_and_has_one_time(begin, datadir):
    scribe = begin()
    entry = Entry(scribe, kind="websocket")
    data = os.urandom(spool.MAX_DATA * 2 + 5)
    entry.chunk(data)
    entry.message(data)
    entry.close()
    scribe.stop()
    (found,) = entries(datadir)
    assert [size for size, *_ in found.chunks["response"]] == [len(data), 0, 0]
    assert found.body("response") == data == found.messages[0][2]
    assert len(found.messages) == 1


def test_full_queue_leaves_a_gap_and_never_waits(begin, datadir):
    scribe = begin(queue_bytes=100_000)
    blocked, free = threading.Event(), threading.Event()
    real = scribe.writer.append

    def append(buffers):
        blocked.set()
        assert free.wait(60)
        real(buffers)

    scribe.writer.append = append
    entry = Entry(scribe)
    filler = Entry(scribe, kind="websocket")
    entry.chunk(b"a" * 1000)
    assert blocked.wait(20)
    started = time.monotonic()
    for _ in range(100):
        entry.chunk(b"b" * 10_000)
    while filler.log.missed is None:
        filler.message(b"")
    late = Entry(scribe)
    assert time.monotonic() - started < 50  # the disk is away for longer
    assert any("gap" in trouble for trouble in scribe.troubles)
    free.set()
    eventually(lambda: scribe._put_bytes == scribe._done_bytes)
    entry.close()
    filler.close()
    late.close()
    scribe.tick()
    after = Entry(scribe)
    after.close()
    scribe.stop()
    found = entries(datadir)
    assert [e.id for e in found] == [each.log.text_id for each in (entry, filler, after)]
    assert found[1].gaps[0].records == 1
    first = found[0]
    (gap,) = first.gaps
    kept = len(first.body("response"))
    assert gap.reason == "queue_full"
    assert gap.size_bytes == 1_001_000 - kept
    assert first.closed.dropped_bytes == gap.size_bytes
    assert first.closed.response_bytes == 1_001_000
    assert first.body("response") == (b"a" * 1000 + b"b" * 1_000_000)[:kept]
    assert first.outcome == "gap"
    assert "response" not in first.ends
    (gap,) = nobody(datadir)
    assert (gap.reason, gap.records) == ("queue_full", 1)


def test_entry_that_ends_while_the_queue_is_full_keeps_its_gap(begin, datadir):
    scribe = begin(queue_bytes=10_000)
    free = threading.Event()
    real = scribe.writer.append

    def append(buffers):
        assert free.wait(60)
        real(buffers)

    scribe.writer.append = append
    entry, filler = Entry(scribe), Entry(scribe, kind="websocket")
    while entry.log.missed is None:
        entry.chunk(b"x" * 1000)
    while filler.log.missed is None:  # until not even a gap fits
        filler.message(b"")
    entry.close()
    free.set()
    scribe.stop()
    found = entries(datadir)[0]
    assert found.outcome == "gap"
    (gap,) = found.gaps
    assert gap.size_bytes == found.closed.dropped_bytes == 1000


def test_entry_that_never_got_on_record_does_not_fill_the_queue(begin, datadir):
    scribe = begin(queue_bytes=10_000)
    free = threading.Event()
    real = scribe.writer.append

    def append(buffers):
        assert free.wait(60)
        real(buffers)

    scribe.writer.append = append
    filler = Entry(scribe, kind="websocket")
    while filler.log.missed is None:
        filler.message(b"")
    late = Entry(scribe)
    for _ in range(100):
        late.chunk(b"y" * 1000)
    assert scribe._put_bytes - scribe._done_bytes <= 10_000
    free.set()
    eventually(lambda: scribe._put_bytes == scribe._done_bytes)
    scribe.tick()
    scribe.stop()
    (gap,) = nobody(datadir)
    assert (gap.reason, gap.records, gap.size_bytes) == ("queue_full", 101, 100_000)


def test_disk_that_refuses_is_tried_again_and_nothing_is_lost(begin, datadir):
    scribe = begin()
    real, refused = scribe.writer.append, []

    def append(buffers):
        if len(refused) < 3:
            refused.append(True)
            raise StoreError("the disk is full")
        real(buffers)

    scribe.writer.append = append
    entry = Entry(scribe)
    entry.chunk(b"one")
    eventually(lambda: any("full" in trouble for trouble in scribe.troubles))
    entry.chunk(b"two")
    entry.close()
    eventually(lambda: entries(datadir) and entries(datadir)[0].closed)
    (found,) = entries(datadir)
    assert found.body("response") == b"onetwo"
    assert found.outcome == "complete"
    eventually(lambda: scribe.troubles == ())


def test_stop_gives_up_on_a_disk_that_refuses_for_ever(begin, datadir, monkeypatch):
    monkeypatch.setattr("addons.scribe.STOP_RETRIES_S", 0.1)
    scribe = begin()

    def append(buffers):
        raise StoreError("the disk is full")

    scribe.writer.append = append
    Entry(scribe).close()
    scribe.stop()
    assert entries(datadir) == []


def test_pause_for_a_low_disk_is_a_gap_and_ends_by_itself(begin, datadir, monkeypatch):
    monkeypatch.setattr("addons.scribe.LOOK_AT_DISK_S", 0.0)
    guard = Verdict()
    scribe = begin(guard=guard)
    going = Entry(scribe, kind="websocket")
    body = Entry(scribe)
    ending = Entry(scribe)
    going.message(b"before")
    body.chunk(b"before")
    eventually(lambda: len(entries(datadir)) == 3)
    guard.says = "disk_low"
    unseen = Entry(scribe)
    unseen.chunk(b"unseen")
    going.message(b"lost!")
    body.chunk(b"lost!")
    ending.close()
    eventually(lambda: scribe.troubles == ("paused: disk_low",))
    eventually(lambda: scribe._put_bytes == scribe._done_bytes)
    guard.says = None
    eventually(lambda: scribe.troubles == ())
    unseen.close()
    going.message(b"after")
    body.chunk(b"after")
    body.close()
    scribe.stop()
    found = {entry.id: entry for entry in entries(datadir)}
    assert unseen.log.text_id not in found
    socket = found[going.log.text_id]
    assert [data for _, _, data, *_ in socket.messages] == [b"before", b"after"]
    assert (socket.gaps[0].reason, socket.gaps[0].size_bytes) == ("disk_low", 5)
    half = found[body.log.text_id]
    assert half.body("response") == b"before"  # what came after has no place in the body
    assert half.closed.dropped_bytes == 10
    assert half.closed.response_bytes == 16
    assert found[ending.log.text_id].closed is not None
    begun, gap = nobody(datadir)
    assert (begun.reason, begun.size_bytes) == ("disk_low", None)
    assert gap.reason == "disk_low"
    assert gap.size_bytes == 10 + len(b"unseen")
    assert gap.started_ns < gap.ended_ns
    assert b"unseen" not in b"".join(p.read_bytes() for p in datadir.spool.rglob("*.spool"))


def test_pause_that_lasts_to_the_end_is_on_record_too(begin, datadir, monkeypatch):
    monkeypatch.setattr("addons.scribe.LOOK_AT_DISK_S", 0.0)
    guard = Verdict()
    guard.says = "spool_full"
    scribe = begin(guard=guard)
    Entry(scribe).close()
    # Before its end already: a kill -9 in the pause leaves that much.
    (begun,) = eventually(lambda: nobody(datadir))
    assert (begun.reason, begun.records, begun.ended_ns) == ("spool_full", None, None)
    scribe.stop()
    _, gap = nobody(datadir)
    assert gap.reason == "spool_full"
    assert gap.records > 0


def test_tail_that_cannot_be_settled_is_a_gap_and_takes_no_other_entry_along(
    begin, datadir, monkeypatch
):
    monkeypatch.setattr("addons.scribe.SETTLE_S", 0.0)
    scribe = begin()

    def broken(*_):
        raise ValueError("broken on purpose")

    monkeypatch.setattr("addons.redaction.stream.PlainBody.settle", broken)
    monkeypatch.setattr("addons.redaction.stream.PlainBody.finish", broken)
    entry = Entry(scribe, headers=((b"x-api-key", b"sk-abcdefgh-1234567890"),))
    entry.chunk(b"up to here sk-abcdefgh")
    sound = Entry(scribe, kind="websocket")
    sound.message(b"fine")
    entry.chunk(b" and on")
    eventually(lambda: any(found.gaps for found in entries(datadir)))
    entry.close()
    sound.put(EntryLog.close, Closing(outcome="complete"))
    scribe.stop()
    first, second = entries(datadir)
    assert first.gaps[0].reason == "capture_failed"
    assert first.outcome == "gap"
    assert second.texts == [(True, "fine")]
    assert second.outcome == "complete"


def test_step_that_fails_is_a_gap_and_no_raw_bytes(begin, datadir, monkeypatch):
    scribe = begin()

    def body(*_, **__):
        raise ValueError("broken on purpose, my secret")

    monkeypatch.setattr(Redactor, "body", body)
    broken, sound = Entry(scribe), Entry(scribe, kind="websocket")
    broken.chunk(b"raw bytes")
    broken.chunk(b"more of it")
    sound.message(b"fine")
    broken.close()
    sound.close()
    scribe.stop()
    first, second = entries(datadir)
    assert [gap.reason for gap in first.gaps] == ["capture_failed"]
    assert first.gaps[0].detail == "ValueError"
    assert first.outcome == "gap"
    assert first.body("response") == b""
    assert second.outcome == "complete"
    everything = b"".join(path.read_bytes() for path in datadir.spool.rglob("*.spool"))
    assert b"raw bytes" not in everything
    assert b"my secret" not in everything


def test_head_that_fails_leaves_nothing_of_its_entry(begin, datadir, monkeypatch):
    scribe = begin()

    def head(*_):
        raise ValueError

    monkeypatch.setattr(Redactor, "request_head", head)
    entry = Entry(scribe)
    entry.chunk(b"raw bytes")
    entry.close()
    scribe.stop()
    assert entries(datadir) == []
    assert [gap.reason for gap in nobody(datadir)] == ["capture_failed"]


def test_close_whose_words_fail_still_closes(begin, datadir, monkeypatch):
    scribe = begin()

    def text(*_):
        raise ValueError

    entry = Entry(scribe)
    monkeypatch.setattr(Redactor, "text", text)
    entry.put(EntryLog.close, Closing(outcome="upstream_error", error="words"))
    scribe.stop()
    (found,) = entries(datadir)
    assert (found.outcome, found.closed.error) == ("upstream_error", None)


def test_silent_entry_leaves_no_further_record(begin, datadir):
    scribe = begin()
    entry = Entry(scribe)
    entry.chunk(b"before")
    eventually(lambda: entries(datadir) and entries(datadir)[0].chunks["response"])
    entry.log.silent = True
    entry.chunk(b"after")
    entry.close()
    scribe.stop()
    (found,) = entries(datadir)
    assert found.body("response") == b"before"
    assert found.closed is None


def test_fault_of_the_event_loop_is_a_gap(begin, datadir):
    scribe = begin()
    entry = Entry(scribe)
    scribe.fault(entry.log, RuntimeError("secret words"))
    scribe.fault(None, RuntimeError())
    entry.close()
    scribe.stop()
    (found,) = entries(datadir)
    assert found.gaps == [
        Gap(
            reason="capture_failed",
            started_ns=found.gaps[0].started_ns,
            detail="RuntimeError",
        )
    ]
    assert found.outcome == "gap"
    assert len(nobody(datadir)) == 1


def test_cuts_and_fingerprint_of_a_body(begin, datadir):
    scribe = begin()
    secret = b"sk-ant-api03-" + b"a8Kd" * 10
    entry = Entry(scribe, headers=((b"X-Api-Key", secret),))
    entry.put(EntryLog.chunk, ("request", b"key: " + secret[:20]), 25)
    entry.put(EntryLog.chunk, ("request", secret[20:] + b" end"), len(secret) - 16)
    entry.put(EntryLog.end, "request")
    entry.close()
    scribe.stop()
    (found,) = entries(datadir)
    assert found.body("request") == b"key: " + b"*" * len(secret) + b" end"
    assert found.ends["request"].wire_hmac
    assert found.ends["request"].size_bytes == len(secret) + 9
    cut = next(cut for cut in found.cuts if cut.part == "request-body")
    assert (cut.offset_bytes, cut.length_bytes) == (5, len(secret))
    assert {cut.hmac for cut in found.cuts} == {cut.hmac}


def test_tail_of_a_silent_body_gets_on_record(begin, datadir):
    secret = b"sk-ant-api03-" + b"a8Kd" * 10
    entry = Entry(begin(), headers=((b"X-Api-Key", secret),))
    entry.chunk(b"the next word begins as the key does: s")
    entry.chunk(secret[:20], side="request")
    (found,) = eventually(lambda: [e for e in entries(datadir) if e.body("response")[-1:] == b"s"])
    assert found.closed is None
    assert [size for size, *_ in found.chunks["response"]] == [39, 0]
    (found,) = eventually(lambda: [e for e in entries(datadir) if e.body("request")])
    assert found.body("request") == b"*" * 20
    entry.chunk(b"o it does")
    entry.chunk(secret[20:], side="request")
    entry.close()
    (found,) = eventually(lambda: [e for e in entries(datadir) if e.closed])
    assert found.body("response") == b"the next word begins as the key does: so it does"
    assert found.body("request") == b"*" * len(secret)
    assert found.outcome == "complete"


def test_disk_guard_looks_at_free_space_and_at_the_whole_spool(datadir):
    assert (
        DiskGuard(datadir.spool, DiskLimits(min_free_bytes=1, max_spool_bytes=0)).verdict() is None
    )
    huge = DiskGuard(datadir.spool, DiskLimits(min_free_bytes=1 << 60))
    assert huge.verdict() == "disk_low"
    assert "free" in huge.sentence("disk_low")
    full = DiskGuard(datadir.spool, DiskLimits(min_free_bytes=0, max_spool_bytes=1000))
    assert full.verdict() is None
    folder = datadir.spool / "writer"
    folder.mkdir()
    (folder / "0000000001.spool").write_bytes(bytes(2000))
    assert full.verdict() == "spool_full"
    (folder / "0000000001.spool").write_bytes(bytes(990))
    assert full.verdict() == "spool_full"  # within the margin
    (folder / "0000000001.spool").write_bytes(bytes(900))
    assert full.verdict() is None
    assert msgspec.to_builtins(DiskLimits()) == {
        "min_free_bytes": 512 << 20,
        "max_spool_bytes": 8 << 30,
    }


SECRET = b"sk-ant-api03-invented-for-this-test-0123456789"
HEADERS = ((b"x-api-key", SECRET),)


def test_key_of_a_head_that_is_not_recorded_is_cut_where_it_comes_again(begin, datadir):
    scribe = begin()
    scribe.learn(opened(headers=HEADERS), time.monotonic_ns())
    entry = Entry(scribe)
    entry.respond()
    entry.chunk(b"it is " + SECRET + b", is it not")
    entry.close()
    scribe.stop()

    (found,) = entries(datadir)
    assert found.body("response") == b"it is " + b"*" * len(SECRET) + b", is it not"
    assert nobody(datadir) == []


def test_key_of_a_head_in_a_pause_is_cut_where_it_comes_again(begin, datadir, monkeypatch):
    monkeypatch.setattr("addons.scribe.LOOK_AT_DISK_S", 0.0)
    guard = Verdict()
    guard.says = "disk_low"
    scribe = begin(guard=guard)
    Entry(scribe, headers=HEADERS).close()
    eventually(lambda: scribe._put_bytes == scribe._done_bytes)
    guard.says = None
    eventually(lambda: scribe.troubles == ())
    entry = Entry(scribe)
    entry.respond()
    entry.chunk(SECRET)
    entry.close()
    scribe.stop()

    (found,) = entries(datadir)
    assert found.body("response") == b"*" * len(SECRET)
