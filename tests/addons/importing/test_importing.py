"""Imports as a whole: once, again, interrupted, refused; and no credential gets through."""

import gzip
import json

import pytest

from addons.disk import DiskLimits
from addons.importing import files, writing
from storage import imports, sessions, spool
from storage.errors import Busy, StoreError, Unreadable
from tests.addons.importing.house import House, same
from tests.addons.importing.samples import har, har_entry

KEY = "sk-ant-api03-invented-for-this-test-0123456789"
TWO = har(har_entry(url="https://a.example/1"), har_entry(url="https://a.example/2"))


# --- once and again ------------------------------------------------------------------------------


def test_a_file_is_a_session_of_its_own(house):
    found = house.bring(TWO, "a.har")
    (session,) = house.sessions()
    assert (session.id, session.name, session.origin) == (found.session_id, "a.har", "import")
    assert (session.traffic_count, session.is_recording, session.is_active) == (2, False, False)
    assert (found.imported, found.total, found.is_repeated) == (2, 2, False)
    assert list(spool.writers(house.datadir.spool)) == []
    assert list(house.datadir.run.glob(".*")) == []


def test_the_same_file_again_adds_nothing_whatever_its_name(house):
    first = house.bring(TWO, "a.har")
    again = house.bring(TWO, "b.har")
    assert (again.session_id, again.session_name) == (first.session_id, "a.har")
    assert (again.imported, again.total, again.is_repeated) == (0, 2, True)
    assert len(house.sessions()) == 1
    assert len(house.entries(first)) == 2


def test_other_bytes_are_another_file(house):
    assert house.bring(TWO).session_id != house.bring(TWO + b"\n").session_id


def test_a_file_whose_session_was_deleted_can_come_again(house):
    first = house.bring(TWO)
    house.store.change_sessions(sessions.delete, first.session_id).result()
    again = house.bring(TWO)
    assert (again.imported, again.is_repeated) == (2, False)
    assert len(house.entries(again)) == 2


def test_existing_entries_and_ids_are_not_touched(house):
    first = house.bring(TWO)
    before = house.exported(first.session_id)
    ids = {entry.id for entry in house.entries(first)}
    exported = house.bring(before, "exported.har")
    assert ids.isdisjoint(entry.id for entry in house.entries(exported))
    assert house.exported(first.session_id) == before


@pytest.mark.parametrize("name", ["/etc/passwd", "C:\\temp\\passwd", "../passwd"])
def test_of_a_name_the_last_part_counts(house, name):
    found = house.importer.import_file(house.put(TWO), name)
    assert found.session_name == "passwd"


# --- interrupted ---------------------------------------------------------------------------------


@pytest.mark.parametrize("spooled", [False, True])
def test_what_an_interrupted_import_left_goes_and_it_starts_afresh(house, spooled):
    """As a kill leaves it: a session that is not finished, and perhaps some of its records."""
    digest = files.digest(house.put(TWO))
    left = house.store.change_sessions(imports.begin, digest, "a.har").result()
    if spooled:
        writer = spool.SpoolWriter(house.datadir.spool, name=f"import-{digest[:32]}-left")
        source = house.importer
        for some in _records(house, left):
            writer.append(some)
            break  # the first entry's beginning
        writer.close()
        assert source is house.importer
    found = house.bring(TWO)
    assert found.session_id != left.id
    assert [session.id for session in house.sessions()] == [found.session_id]
    assert [entry.outcome for entry in house.entries(found)] == ["complete", "complete"]
    assert _quarantined(house) == []


def _records(house, session):
    from addons.harfile import HarFile
    from addons.redaction import Redactor
    from storage import ids

    exchange = next(HarFile(house.put(TWO)).items())
    entry = ids.at(exchange.opened.started_ns, 0, session.id)
    yield from writing.records(exchange, Redactor(bytes(32)), session.id, entry, None)


def _quarantined(house):
    return house.store.read().execute("select reason from quarantine").fetchall()


def test_an_import_that_fails_leaves_nothing(house):
    def fails(step, *_):
        if step == "writing":
            raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        house.bring(TWO, progress=fails)
    assert house.sessions() == []
    assert house.bring(TWO).imported == 2


def test_one_at_a_time(house):
    met = []

    def second(step, *_):
        if step == "writing":
            with pytest.raises(Busy) as caught:
                house.importer.import_file(house.folder / "a.har", "b")
            met.append(str(caught.value))

    assert house.bring(TWO, progress=second).imported == 2
    assert set(met) == {"another file is being imported: try again when that is done"}


def test_a_full_disk_imports_nothing(tmp_path):
    with House(tmp_path, DiskLimits(min_free_bytes=1 << 60)) as house:
        with pytest.raises(StoreError, match="nothing is imported; recording pauses: less than"):
            house.bring(TWO)
        assert house.sessions() == []


def test_the_progress_goes_to_the_end(house):
    steps = {}
    house.bring(
        TWO, progress=lambda step, done, total: steps.setdefault(step, []).append(done / total)
    )
    assert {"reading", "writing"} <= steps.keys()
    assert all(sorted(way) == way and way[0] >= 0 for way in steps.values())
    assert steps["reading"][-1] > 0.9


# --- credentials ---------------------------------------------------------------------------------


def test_a_key_in_a_head_is_cut_wherever_it_stands(house):
    """Also in what stands before the head in the file."""
    text = f"my key is {KEY}"
    found = house.bring(
        har(
            har_entry(post={"mimeType": "text/plain", "text": text}),
            har_entry(
                url=f"https://a.example/?token={KEY}",
                headers=[("X-Api-Key", KEY)],
                content={"text": text, "mimeType": "text/plain"},
                answer_headers=[("content-encoding", "gzip")],
            ),
        )
    )
    first, second = house.entries(found)
    stars = "*" * len(KEY)
    assert house.body(first, "request") == f"my key is {stars}".encode()
    assert second.request_headers == ((b"X-Api-Key", stars.encode()),)
    assert second.target == f"/?token={stars}".encode()
    assert KEY.encode() not in house.exported(found.session_id)
    assert {cut.kind for cut in house.cuts(second)} >= {"api-key", "query", "coded", "known-value"}
    for path in house.datadir.root.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()


def test_the_stars_of_another_recorder_are_no_secret(house):
    first = house.bring(
        har(
            har_entry(
                headers=[("Authorization", f"Bearer {KEY}"), ("Cookie", f"a={KEY}; b=c")],
                post={"mimeType": "text/plain", "text": f"{KEY} ********"},
            )
        )
    )
    again = house.bring(house.exported(first.session_id), "again.har")
    (before,), (after,) = house.entries(first), house.entries(again)
    assert after.request_headers == before.request_headers
    assert house.cuts(after) == house.cuts(before)
    assert house.body(after, "request") == house.body(before, "request")


# --- limits --------------------------------------------------------------------------------------


def test_more_entries_than_may_be_are_refused_before_anything_is_written(house):
    many = b'{"log":{"entries":[' + b",".join([b"{}"] * 10_001) + b"]}}"
    with pytest.raises(Unreadable, match="the file holds too much: more than 10,000 entries"):
        house.bring(many)
    assert house.sessions() == []


def test_a_body_that_is_too_long_is_a_gap(house, monkeypatch):
    monkeypatch.setattr(writing, "BODY_BYTES", 1000)
    entry = house.one(
        har(
            har_entry(content={"text": "a" * 1001}),
        )
    )
    assert (entry.outcome, house.body(entry)) == ("gap", b"")
    assert [gap.reason for gap in house.gaps(entry)] == ["body_too_long"]


def test_a_file_that_is_too_long_is_not_read_to_its_end(house):
    with pytest.raises(Unreadable, match="the file is too long"):
        files.digest(house.put(b"x" * 100), limit_bytes=99)


@pytest.mark.parametrize("kind", ["gzip", "zlib"])
def test_a_bomb_is_refused(house, kind):
    import zlib

    whole = har(har_entry(content={"text": "a" * 5_000_000}))
    data = gzip.compress(whole, mtime=0) if kind == "gzip" else zlib.compress(whole)
    with pytest.raises(Unreadable, match="the file claims to hold too much"):
        house.bring(data)
    assert (house.sessions(), list(house.datadir.run.glob(".*"))) == ([], [])


def test_contents_that_are_too_long_are_refused(house):
    path = house.put(gzip.compress(b"x" * 100, mtime=0))
    with (
        pytest.raises(Unreadable, match="the file's contents are too long"),
        files.plain(path, house.datadir.run, limit_bytes=99),
    ):
        pass


def test_damaged_compression_is_said(house):
    with pytest.raises(Unreadable, match="the file's compression is damaged"):
        house.bring(b"\x1f\x8bgarbage")


# --- our own export ------------------------------------------------------------------------------


def test_the_export_of_an_import_is_the_same(house):
    first = house.bring(TWO)
    before = json.loads(house.exported(first.session_id))["log"]["entries"]
    again = house.bring(house.exported(first.session_id), "again.har")
    after = json.loads(house.exported(again.session_id))["log"]["entries"]
    assert list(map(same, after)) == list(map(same, before))


def test_a_relation_between_entries_stays(house):
    found = house.bring(
        har(har_entry(_id="one"), har_entry(_id="two", _continues="one"), har_entry(_continues="x"))
    )
    first, second, third = house.entries(found)
    assert (second.continues, third.continues) == (first.id, None)
