"""Entries read together: the same as each alone, whatever is wrong with one of them."""

import random

from storage import batches, bodies, chains, packs, traffic
from storage.records import Gap
from tests.har.recording import MS, Recording
from tests.storage import damage


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def test_bodies_of_many(db):
    datas = [noise(30_000)[: 3000 * n] + noise(500, n) + noise(9000, 99) for n in range(1, 12)]
    stored = {bodies.put(db, data).digest: data for data in datas}
    assert db.execute("select max(depth) from bodies").fetchone()[0] > 3

    found = batches.bodies_of(db.conn, [*stored, *stored, b"unknown"], packs.Cache())

    assert found == stored


def test_what_cannot_be_read_is_left_out(db):
    digests = [bodies.put(db, noise(90_000, seed)).digest for seed in range(4)]
    damage.first_chunk(db, digests[1])
    db.execute("update bodies set recipe = x'00000000ff' where digest = ?", [digests[2]])
    bodies.release(db, digests[3])
    packs.forget_all()

    assert list(batches.bodies_of(db.conn, digests, packs.Cache())) == [digests[0]]


def test_a_base_that_is_gone_or_in_a_circle(db):
    kept, wrong = (bodies.put(db, noise(9000, n)).digest for n in range(2))
    (own,) = db.execute("select id from bodies where digest = ?", [wrong]).fetchone()
    for base in (own, 999):
        recipe = chains.sealed(base, [(True, 0, 1)])
        db.execute("update bodies set base = ?, recipe = ? where id = ?", [base, recipe, own])
        assert list(batches.bodies_of(db.conn, [kept, wrong], packs.Cache())) == [kept]


def test_batches_hold_every_entry_once(tmp_path):
    with Recording(tmp_path) as recording:
        ids = [recording.http(request=noise(150_000, n)) for n in range(5)]
        ids += [recording.http(request=noise(2_000_000)), recording.websocket([]), recording.http()]
        recording.ingest()

        found = list(batches.each(recording.conn, recording.session.id))

        assert [entry.id for entries in found for entry in entries] == ids
        assert [len(entries) for entries in found] == [3, 2, 1, 2]
        batch = batches.Reader(recording.conn).read(found[2])
        assert len(batch.bodies) == 1  # without the long one
        assert not recording.conn.in_transaction


def test_what_hangs_on_them(tmp_path):
    chunks = [(n * MS, b"%d" % n) for n in range(600)]
    with Recording(tmp_path) as recording:
        one = recording.http(chunks=chunks, gaps=(Gap(reason="queue_full"),))
        many = recording.http(chunks=[(n, b"x") for n in range(4001)])
        recording.ingest()
        entries = [recording.entry(entry_id) for entry_id in (one, many)]

        batch = batches.Reader(recording.conn).read(entries)

        assert batch.clocks[one] == [(at, len(data)) for at, data in chunks]
        assert batch.clocks[many] is None
        assert batch.gapped == {one}
        assert batch.cut == set()
        assert traffic.gaps(recording.conn, many) == []
