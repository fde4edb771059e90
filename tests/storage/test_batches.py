"""Entries read together: the same as each alone, whatever is wrong with one of them."""

import random

import pytest

from storage import batches, database, traffic
from storage.chunks import chains, packing
from storage.records import Cut, Gap
from tests.har.recording import MS, Recording
from tests.storage import damage
from tests.storage.chunks.test_recoding import coded, words
from tests.storage.chunks.test_splitting import streamed


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


@pytest.fixture
def recording(tmp_path):
    with Recording(tmp_path) as made:
        yield made


@pytest.fixture
def db(recording):
    found = database.create(recording.datadir.database)
    yield found
    found.conn.close()


def asked(recording, datas):
    """Digests of the bodies of requests, which were brought in."""
    ids = [recording.http(request=data, chunks=[]) for data in datas]
    recording.ingest()
    return [recording.entry(entry_id).request_body.digest for entry_id in ids]


def bodies_of(recording):
    found = {}
    for batch in batches.each(recording.conn, recording.session.id):
        found |= batch.bodies
    return found


def test_bodies_of_many(recording, db):
    datas = [noise(30_000)[: 3000 * n] + noise(500, n) + noise(9000, 99) for n in range(1, 12)]
    digests = asked(recording, [*datas, *datas])
    assert db.execute("select max(depth) from bodies").fetchone()[0] > 3

    assert bodies_of(recording) == dict(zip(digests, datas, strict=False))


def test_what_cannot_be_read_is_left_out(recording, db):
    digests = asked(recording, [noise(90_000, seed) for seed in range(4)])
    damage.first_chunk(db, digests[1])
    with database.write(db):
        db.execute("update bodies set recipe = x'00000000ff' where digest = ?", [digests[2]])
        db.execute("update bodies set uses = 0 where digest = ?", [digests[3]])

    assert list(bodies_of(recording)) == [digests[0]]


def test_streams_are_joined_again(recording, db):
    """What came zstd-coded is left out: it may be long."""
    said = [noise(400, seed).hex().encode() for seed in range(4)]
    datas = [streamed(said[0]), coded(words(9000)), *map(streamed, said[1:])]
    digests = asked(recording, datas)
    damage.first_chunk(db, digests[3])
    with database.write(db):
        db.execute("update bodies set coding = x'00' where digest = ?", [digests[4]])

    assert bodies_of(recording) == {digests[0]: datas[0], digests[2]: datas[2]}


def test_a_base_that_is_gone_or_in_a_circle(recording, db):
    kept, wrong = asked(recording, [noise(9000, n) for n in range(2)])
    (own,) = db.execute("select id from bodies where digest = ?", [wrong]).fetchone()
    for base in (own, 999):
        recipe = chains.sealed(base, [(True, 0, 1)])
        with database.write(db):
            db.execute("update bodies set base = ?, recipe = ? where id = ?", [base, recipe, own])
        assert list(bodies_of(recording)) == [kept]


def test_bytes_that_are_not_those_of_the_digest(recording, db):
    kept, wrong = asked(recording, [noise(9000, n) for n in range(2)])
    with database.write(db):
        db.execute(
            """
            update bodies set (base, recipe) =
                (select base, recipe from bodies where digest = ?)
            where digest = ?
            """,
            [kept, wrong],
        )

    assert list(bodies_of(recording)) == [kept]


def test_packs_that_are_written_anew_meanwhile(recording, db, monkeypatch):
    monkeypatch.setattr(batches, "_MOST_BYTES", 1)  # an entry in each
    datas = [noise(200_000, n % 3) + noise(200_000, n) for n in range(6)]
    digests = asked(recording, datas)
    found = {}
    for batch in batches.each(recording.conn, recording.session.id):
        assert len(batch.entries) == 1
        found |= batch.bodies
        with database.write(db):
            packing.repack(db, is_resting=True)

    assert found == dict(zip(digests, datas, strict=True))


def test_batches_hold_every_entry_once(recording):
    ids = [recording.http(request=noise(150_000, n)) for n in range(5)]
    ids += [recording.http(request=noise(2_000_000)), recording.websocket([]), recording.http()]
    recording.ingest()

    found = list(batches.each(recording.conn, recording.session.id))

    assert [entry.id for batch in found for entry in batch.entries] == ids
    assert [len(batch.entries) for batch in found] == [3, 2, 1, 2]
    assert found[0].entries[0] == recording.entry(ids[0])
    assert len(found[2].bodies) == 1  # without the long one
    assert not recording.conn.in_transaction


def test_what_hangs_on_them(recording):
    chunks = [(n * MS, b"%d" % n) for n in range(600)]
    cut = Cut(part="request-body", offset_bytes=0, length_bytes=1, kind="known", hmac="ab")
    one = recording.http(chunks=chunks, gaps=(Gap(reason="queue_full"),))
    many = recording.http(chunks=[(n, b"x") for n in range(4001)], cuts=(cut,))
    none = recording.http(chunks=[])
    recording.ingest()

    (batch,) = batches.each(recording.conn, recording.session.id)

    assert batch.clocks == {one: [(at, len(data)) for at, data in chunks], many: None}
    assert batch.gapped == {one}
    assert batch.cuts == {many: [cut]}
    assert none in {entry.id for entry in batch.entries}
    assert traffic.gaps(recording.conn, many) == []
