"""Packs that are held give the bytes that their numbers stand for, and few of them are held."""

import random

import pytest

from storage import bodies, database
from storage.chunks import chains, packing, packs
from storage.chunks.held import Held
from storage.errors import StoreError
from tests.storage import damage


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


@pytest.fixture
def stored(db):
    """Runs by body, each in a pack of its own."""
    datas = [noise(100_000, seed) for seed in range(4)]
    return {data: chains.runs_of(db.conn, bodies.put(db, data).digest).runs for data in datas}


@pytest.fixture
def read(monkeypatch):
    """The first numbers of the packs that are read."""
    found = []
    load = packs.load

    def watched(conn, first):
        found.append(first)
        return load(conn, first)

    monkeypatch.setattr(packs, "load", watched)
    return found


def test_chunks_of_several_packs(db, stored, read):
    held = Held(db.conn, 8 << 20)
    every = [run for runs in stored.values() for run in runs]

    assert b"".join(held.chunks(every)) == b"".join(stored)
    assert b"".join(held.chunks(reversed(every))) == b"".join(reversed(stored))
    assert held.chunks([]) == []
    assert len(read) == len(set(read)) == 4


def test_the_one_that_was_not_used_for_longest_goes(db, stored, read):
    held = Held(db.conn, packs.PACK_BYTES + 250_000)  # three of these
    first, second, third, fourth = stored.values()
    for runs in (first, second, third, first, fourth, first):
        held.chunks(runs)
    assert len(read) == 4

    held.chunks(second)
    assert len(read) == 5


def test_one_is_held_however_little_may_be(db, stored, read):
    held = Held(db.conn, 1)
    for data, runs in stored.items():
        assert b"".join(held.chunks(runs)) == b"".join(held.chunks(runs)) == data
    assert len(read) == 4


def test_what_is_joined_meanwhile(db, stored, read):
    held = Held(db.conn, 8 << 20)
    first, second, third, _ = stored.values()
    held.chunks(second)
    packing.repack(db, is_resting=True)
    assert db.execute("select count(*) from packs").fetchone() == (1,)
    read.clear()

    assert b"".join(held.chunks(second + first)) == b"".join([*stored][1::-1])
    assert b"".join(held.chunks(third + second)) == b"".join([*stored][2:0:-1])
    assert read == [1]


def test_a_damaged_chunk_costs_the_bodies_it_hits(db, stored, read):
    bodies.put(db, noise(50_000, 9))
    packing.repack(db, is_resting=True)
    first, second, *_ = stored.values()
    digest = db.execute("select digest from bodies order by id limit 1").fetchone()[0]
    damage.first_chunk(db, digest)
    held = Held(db.conn, 8 << 20)
    read.clear()

    assert held.chunks(first) is None
    assert held.chunks(second + first[:1]) is None
    assert b"".join(held.chunks(second)) == [*stored][1]
    assert read == [1]


def test_a_chunk_that_is_not_there(db, stored):
    held = Held(db.conn, 8 << 20)
    with pytest.raises(packs.Missing):
        held.chunks([(100_000, 1)])
    with database.write(db):
        db.execute("update packs set count = count + 1 where first = 1")
    with pytest.raises(StoreError, match="how many chunks"):
        held.chunks(stored[next(iter(stored))])
