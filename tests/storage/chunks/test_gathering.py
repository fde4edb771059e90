"""What one transaction stores is written at its end, all of it or nothing."""

import random

import pytest

from storage import bodies, database
from storage.chunks import packing, packs
from storage.errors import StoreError


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def count(db, table):
    return db.execute(f"select count(*) from {table}").fetchone()[0]


def test_many_bodies_make_one_pack(db):
    datas = [noise(5000, seed) + noise(20_000) for seed in range(9)]

    with database.write(db), bodies.gathering(db):
        stored = [bodies.put(db, data) for data in datas]
        assert count(db, "packs") == 0

    assert count(db, "packs") == 1
    assert [bodies.view(db.conn, body.digest).read() for body in stored] == datas
    (size,) = db.execute("select size_bytes from packs").fetchone()
    assert size < 80_000  # what they have in common is there once
    assert list(bodies.verify(db.conn)) == []


def test_much_makes_several(db):
    data = noise(1_400_000)

    with database.write(db), bodies.gathering(db):
        body = bodies.put(db, data)
        assert count(db, "packs") == 6  # more than is kept in memory

    assert bodies.view(db.conn, body.digest).read() == data


def test_whatever_comes_together_its_packs_can_be_joined(db):
    datas = [noise(size, size) for size in (60_000, 250_000, 60_000, 255_000, 700_000, 300_000)]

    for number in range(3):
        with database.write(db), bodies.gathering(db):
            for data in datas:
                bodies.put(db, bytes((number,)) + data)
    while packing.repack(db, is_resting=True):
        pass

    assert db.execute("select max(size_bytes) from packs").fetchone()[0] < 1 << 20
    assert list(bodies.verify(db.conn)) == []


def test_what_was_flushed_can_be_read(db):
    with database.write(db), bodies.gathering(db):
        body = bodies.put(db, noise(9000))
        bodies.flush(db)
        assert bodies.view(db.conn, body.digest).read() == noise(9000)
        again = bodies.put(db, noise(9000) + b"more")

    assert bodies.view(db.conn, again.digest).read() == noise(9000) + b"more"
    assert list(bodies.verify(db.conn)) == []


def test_uses_of_what_is_new_and_of_what_is_not(db):
    old = bodies.put(db, noise(40_000))
    growing = bodies.Growing("e", "response")

    with database.write(db), bodies.gathering(db):
        growing.append(noise(40_000) + noise(400_000, 2))
        growing.flush(db)
        new = bodies.put(db, noise(400_000, 2) + noise(40_000))
        grown = growing.finish(db)
    for body in (old, new):
        bodies.release(db, body.digest)
    while bodies.sweep_released(db, lambda: False):
        pass

    assert bodies.view(db.conn, grown.digest).read() == noise(40_000) + noise(400_000, 2)
    bodies.release(db, grown.digest)
    while bodies.sweep_released(db, lambda: False):
        pass
    assert [count(db, table) for table in ("bodies", "packs", "packed", "chunks")] == [0] * 4


def test_after_a_failure_nothing_of_it_is_remembered(db):
    with pytest.raises(ZeroDivisionError), database.write(db), bodies.gathering(db):  # noqa: PT012
        bodies.put(db, noise(9000))
        raise ZeroDivisionError

    body = bodies.put(db, noise(9000))

    assert bodies.view(db.conn, body.digest).read() == noise(9000)
    assert list(bodies.verify(db.conn)) == []


def test_a_failed_write_fails_the_whole(db, monkeypatch):
    real = bodies.matching.base

    def failing(*_):
        raise ZeroDivisionError

    with pytest.raises(StoreError, match="is lost"), database.write(db), bodies.gathering(db):  # noqa: PT012
        bodies.put(db, noise(9000))
        monkeypatch.setattr(bodies.matching, "base", failing)
        with pytest.raises(ZeroDivisionError):
            bodies.put(db, noise(8000, 2))
        monkeypatch.setattr(bodies.matching, "base", real)

    assert count(db, "bodies") == 0
    assert bodies.put(db, noise(9000)) is not None
    assert list(bodies.verify(db.conn)) == []


def test_what_is_swept_in_the_transaction_that_stored_it_is_gone(db):
    with database.write(db), bodies.gathering(db):
        body = bodies.put(db, noise(40_000, 9))
        bodies.release(db, body.digest)
        while bodies.sweep_released(db, lambda: False):
            pass
    for table in ("bodies", "packs", "packed", "chunks", "released"):
        assert db.execute(f"select count(*) from {table}").fetchone() == (0,), table


def test_a_pack_whose_uses_were_lost_holds_nothing_up(db):
    """All of its counts zero and no mark of it, as damage may leave them."""
    bodies.put(db, b"x" * 3000)
    db.execute("update packs set uses = zeroblob(length(uses))")
    for seed in range(3):
        body = bodies.put(db, noise(3000, seed))
        assert bodies.view(db.conn, body.digest).read() == noise(3000, seed)
        while packing.repack(db, is_resting=True):
            pass


def test_a_pack_of_nothing_holds_nothing_up(db):
    packing.add(db, packs.Cache(), packs.Pack(1, 0, [3], [0], b"abc"), [0])
    db.execute("update numbering set next_number = 2")
    data = noise(3000)
    assert bodies.view(db.conn, bodies.put(db, data).digest).read() == data
    while packing.repack(db, is_resting=True):
        pass
