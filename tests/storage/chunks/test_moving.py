"""What the first store holds is moved, is read meanwhile, and may be interrupted anywhere."""

import hashlib
import random

import pytest
from sqlite_utils import Database

from storage import bodies, database, sessions, traffic
from storage.bodies import Growing
from storage.chunks import blocks, first, moving
from storage.chunks.blocks import BLOCK_BYTES
from storage.chunks.moving import Mover
from storage.schema import migrations
from storage.upkeep import Upkeep
from tests.storage import recording

_FIRST = (
    "create table if not exists first_bodies (digest blob primary key, size_bytes integer not null,"
    " blocks blob not null, uses integer not null) strict, without rowid",
    "create table if not exists first_released (id integer primary key, blocks blob not null)"
    " strict",
    "create table if not exists blocks (digest blob primary key, size_bytes integer not null,"
    " uses integer not null, data blob not null) strict",
)


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


@pytest.fixture(params=[1 << 20, 100_000], ids=["whole", "in slices"])
def slices(request, monkeypatch):
    monkeypatch.setattr(moving, "_SLICE_BYTES", request.param)


def put_first(db, data, uses=1):
    """As the first store wrote it."""
    digest = hashlib.sha256(data).digest()
    recipe = b"".join(
        blocks.put(db, data[at : at + BLOCK_BYTES]) for at in range(0, len(data), BLOCK_BYTES)
    )
    db.execute("insert into first_bodies values (?, ?, ?, ?)", [digest, len(data), recipe, uses])
    return digest


@pytest.fixture
def old(db):
    """A database with sessions of the first store: by entry its body."""
    with database.write(db):
        for statement in _FIRST:
            db.execute(statement)
        db.execute("update numbering set is_moving = 1")
        session = sessions.create(db)
        found, data = {}, b""
        for seed in range(12):
            data += noise(50_000, seed)
            entry_id = recording.entry(db, session.id)
            digest = put_first(db, data, uses=1 + seed % 2)
            db.execute("update entries set request_digest = ? where id = ?", [digest, entry_id])
            found[entry_id] = data
        put_first(db, b"of nobody")
    return found


def assert_whole(db, old):
    for entry_id, data in old.items():
        entry = traffic.get(db.conn, entry_id)
        assert traffic.body(db.conn, entry, "request").read() == data
        assert b"".join(traffic.body(db.conn, entry, "request").stream(7)) == data[7:]


def move_all(db):
    count = 0
    while Mover().step(db, lambda: True):
        count += 1
        with database.write(db):
            bodies.sweep_released(db, lambda: False)
    return count


def test_the_migration_keeps_what_is_there():
    with Database(memory=True, execute_plugins=False) as db:
        migrations.apply(db, stop_before="m003_chunks")
        data = noise(2 * BLOCK_BYTES + 5)
        db.execute("alter table bodies rename to first_bodies")
        digest = put_first(db, data)
        db.execute("alter table first_bodies rename to bodies")
        migrations.apply(db)
        assert bodies.view(db.conn, digest).read() == data
        move_all(db)
        assert moving.progress(db.conn) is None
        assert bodies.view(db.conn, digest).read() == data
        bodies.release(db, digest)
        assert not bodies.sweep_released(db, lambda: False)
        assert db.execute("select count(*) from packs").fetchone() == (0,)


def test_a_new_database_has_nothing_to_move(db):
    assert moving.progress(db.conn) is None
    assert not Upkeep().step(db)


def test_both_stores_are_read_until_it_is_done(db, old, slices):
    assert_whole(db, old)
    steps, more = 0, True
    while more:
        more = Mover().step(db, lambda: True)
        steps += 1
        assert_whole(db, old)
        progress = moving.progress(db.conn)
        with database.write(db):
            bodies.sweep_released(db, lambda: False)
    assert steps > 13
    assert progress is None or progress.bodies == 0
    move_all(db)
    assert moving.progress(db.conn) is None
    tables = {name for (name,) in db.execute("select name from sqlite_master")}
    assert not tables & {"blocks", "first_bodies", "first_released"}
    assert list(bodies.verify(db.conn)) == []
    (size,) = db.execute("select sum(size_bytes) from packs").fetchone()
    assert size < 12 * 50_000 + 20_000  # each turn's news once


def test_moves_all_of_it_in_one_go_where_there_is_time(db, old):
    mover = Mover()
    assert not mover.step(db, lambda: False)
    with database.write(db):
        bodies.sweep_released(db, lambda: False)
    assert not mover.step(db, lambda: False)
    assert moving.progress(db.conn) is None
    assert_whole(db, old)


def test_uses_are_kept(db, old):
    move_all(db)
    uses = [uses for (uses,) in db.execute("select uses from bodies order by size_bytes")]
    assert uses == [1, *([1, 2] * 6)]


def test_goes_on_after_a_crash_at_any_step(datadir, old, db, slices):
    db.close()
    more, steps = True, 0
    while more:
        with database.create(datadir.database) as db:
            assert_whole(db, old)
            more = Mover().step(db, lambda: True)
            steps += 1
            with database.write(db):
                bodies.sweep_released(db, lambda: False)
            if first.is_there(db.conn):
                db.conn.execute("begin immediate")
                Mover()._step(db)  # and in the midst of the next one it is killed
    with database.create(datadir.database) as db:
        assert moving.progress(db.conn) is None
        assert_whole(db, old)
    assert steps > 13


def test_a_view_outlives_the_move(db, old):
    views = {
        entry_id: traffic.body(db.conn, traffic.get(db.conn, entry_id), "request")
        for entry_id in old
    }
    move_all(db)
    assert {entry_id: view.read() for entry_id, view in views.items()} == old


def test_deleted_and_stored_again_meanwhile(db, old):
    datas = list(old.values())
    with database.write(db):
        again = bodies.put(db, datas[0])
        bodies.release(db, again.digest)
        bodies.release(db, again.digest)
        assert first.recipe(db.conn, again.digest) is None
    del old[next(iter(old))]
    move_all(db)
    assert_whole(db, old)
    assert [damage.digest for damage in bodies.verify(db.conn)] == [again.digest]


def test_what_is_damaged_stays_and_is_named(db, old):
    broken = hashlib.sha256(b"of nobody").digest()
    db.execute("update blocks set data = x'00' where digest = ?", [broken])
    db.conn.commit()
    move_all(db)
    assert moving.progress(db.conn) == moving.Progress(bodies=1, damaged=True)
    assert [damage.digest for damage in bodies.verify(db.conn)] == [broken]
    assert_whole(db, old)
    assert not Mover().step(db, lambda: True)


def test_a_body_that_grows_goes_on(db, old):
    with database.write(db):
        step = blocks.put(db, noise(BLOCK_BYTES, 50))
        db.execute(
            "insert into pieces (entry_id, part, number, block) values ('e', 'response', 0, ?)",
            [step[:32]],
        )
        db.execute(
            "insert into pieces (entry_id, part, number, data) values ('e', 'response', 1, ?)",
            [b"tail"],
        )
        growing = bodies.growing(db.conn, "e", "response", bodies.nothing)
        assert growing.read() == noise(BLOCK_BYTES, 50) + b"tail"
    move_all(db)
    assert moving.progress(db.conn).bodies == 0
    with database.write(db):
        growing = bodies.Growing.resume(db, "e", "response")
        growing.append(b"more")
        whole = growing.finish(db)
    assert bodies.view(db.conn, whole.digest).read() == noise(BLOCK_BYTES, 50) + b"tailmore"
    move_all(db)
    assert moving.progress(db.conn) is None


def step_and_sweep(db, mover):
    more = mover.step(db, lambda: True)
    with database.write(db):
        bodies.sweep_released(db, lambda: False)
    return more


def test_a_large_body_is_moved_in_slices_by_one_who_remembers(db, old, monkeypatch):
    monkeypatch.setattr(moving, "_SLICE_BYTES", 70_000)
    monkeypatch.setattr(Growing, "resume", lambda db, *place: Growing(*place))  # reads no half
    mover, steps = Mover(), 0
    while step_and_sweep(db, mover):
        steps += 1
    assert_whole(db, old)
    assert steps > sum(len(data) for data in old.values()) // 70_000
    assert moving.progress(db.conn) is None
    assert list(bodies.verify(db.conn)) == []


def test_one_that_is_deleted_when_half_of_it_is_moved_leaves_nothing(db, old, monkeypatch):
    monkeypatch.setattr(moving, "_SLICE_BYTES", 70_000)
    mover = Mover()
    with database.write(db):
        entry_id = recording.entry(db, sessions.create(db).id)
        digest = put_first(db, noise(300_000, 99))
        db.execute("update entries set request_digest = ? where id = ?", [digest, entry_id])
    count = "select count(*) from pieces where entry_id = ?"
    while not db.execute(count, [first.half(digest)]).fetchone()[0]:
        assert step_and_sweep(db, mover)
    with database.write(db):
        bodies.release(db, digest)
    while step_and_sweep(db, mover):
        pass
    assert db.execute("select count(*) from pieces").fetchone() == (0,)
    assert_whole(db, old)
    (size,) = db.execute("select sum(size_bytes) from packs").fetchone()
    assert size < 12 * 50_000 + 20_000


def test_one_whose_end_is_damaged_stays_in_the_first_store(db, old, monkeypatch):
    monkeypatch.setattr(moving, "_SLICE_BYTES", 70_000)
    with database.write(db):
        data = noise(3 * BLOCK_BYTES, 77)
        digest = put_first(db, data)
        last = hashlib.sha256(data[2 * BLOCK_BYTES :]).digest()
        changed = db.execute("update blocks set data = x'00' where digest = ?", [last])
        assert changed.rowcount == 1
    move_all(db)
    assert moving.progress(db.conn) == moving.Progress(bodies=1, damaged=True)
    assert first.recipe(db.conn, digest) is not None
    assert db.execute("select count(*) from pieces").fetchone() == (0,)
    assert_whole(db, old)
