"""Damage within a byte costs nothing and is mended when that is asked for; counts are recounted."""

import contextlib
import random
import re
import sqlite3

import pytest

from storage import bodies, database
from storage.chunks import chains, flaws, packed, packs, proving
from storage.errors import NotFound, StoreError
from tests.storage.content import noise, sweep, text


def found(db):
    return list(flaws.find(db.conn, proving.verify(db.conn)))


def named(db, stored):
    """Entries that use the bodies as often as they were put, so that nothing is miscounted."""
    for number, body in enumerate(stored):
        db.execute(
            """
            insert into frames (entry_id, number, side, opcode, offset_ns, size_bytes, digest)
            values (?, 0, 'request', 1, 0, 0, ?)
            """,
            [f"entry-{number:03}", body.digest],
        )


def flip(data, bit):
    broken = bytearray(data)
    broken[bit // 8] ^= 1 << bit % 8
    return bytes(broken)


def is_mended(db, contents):
    """Every body is read, with and without the repair, which leaves nothing to do."""
    packs.forget_all()
    assert list(proving.verify(db.conn)) == []
    mended = flaws.repair(db)
    assert found(db) == []
    assert list(proving.verify(db.conn)) == []
    for digest, data in contents.items():
        assert bodies.view(db.conn, digest).read() == data
    return mended


@pytest.fixture
def contents(db):
    """By digest the bytes: text, noise, and some that grew, each known by an entry."""
    grown = [noise(9000, 4) + text(3000 * size, 5) + noise(300, size) for size in range(1, 6)]
    every = [text(9000), noise(3000), *grown]
    stored = [bodies.put(db, data) for data in every]
    named(db, stored)
    return {body.digest: data for body, data in zip(stored, every, strict=True)}


def test_there_is_none(db, contents):
    assert found(db) == []
    assert flaws.repair(db) == []


def test_what_is_verified_is_counted_while_it_is(db, contents):
    told = []
    assert list(proving.verify(db.conn, lambda: told.append(1))) == []
    assert len(told) == proving.count(db.conn) == len(contents)


class TestFrames:
    @pytest.mark.parametrize("make", [text, noise], ids=["text", "noise"])
    def test_any_bit(self, db, make):
        """Header, literals, sequences, raw blocks, checksum: by sampling, and the ends wholly."""
        data = make(5_000)
        body = bodies.put(db, data)
        ((frame,),) = db.execute("select data from packed").fetchall()
        bits = 8 * len(frame)
        sample = random.Random(1).sample(range(bits), 40)
        for bit in {*range(9 * 8), *range(bits - 40, bits), *sample}:
            db.execute("update packed set data = ?", [flip(frame, bit)])
            packs.forget_all()
            assert bodies.view(db.conn, body.digest).read(100, 300) == data[100:300]
            (flaw,) = flaws._pack_flaws(db.conn)
            assert f"byte {bit // 8} of its frame changed by " in flaw.reason
        (_, mending) = flaw.mending
        assert mending[1] == (frame, 1)

    def test_the_entries_concerned(self, db, contents):
        (number, _), *_ = chains.runs_of(db.conn, list(contents)[2])[1]
        number = packs.Reader(db.conn).place(number).first
        (frame,) = db.execute("select data from packed where first = ?", [number]).fetchone()
        db.execute("update packed set data = ? where first = ?", [flip(frame, 777), number])
        (flaw,) = found(db)
        assert set(flaw.entry_ids) >= {f"entry-{entry:03}" for entry in range(2, 7)}
        assert is_mended(db, contents) == [flaw]
        now = db.execute("select data from packed where first = ?", [number]).fetchone()
        assert now == (frame,)

    def test_its_checksum(self, db, contents):
        db.execute("update packs set crc = crc + 1024 where first = 1")
        assert len(is_mended(db, contents)) == 1

    def test_what_the_table_says_of_it(self, db, contents):
        db.execute("update packs set count = count + 1, size_bytes = size_bytes + 8")
        flaws.repair(db)
        assert found(db) == []
        assert is_mended(db, contents) == []

    def test_written_anew_it_is_sound(self, db):
        """Upkeep mends what it joins, without being asked."""
        data = noise(300_000)
        body = bodies.put(db, data)
        named(db, [body])
        for first, frame in db.execute("select first, data from packed").fetchall():
            db.execute("update packed set data = ? where first = ?", [flip(frame, 5000), first])
        packs.forget_all()
        with database.write(db):
            bodies.packing._join(db, [1], 2)
        assert [flaw for flaw in found(db) if "from 1 on" in flaw.reason] == []
        assert bodies.view(db.conn, body.digest).read() == data

    def test_more_than_a_byte_costs_what_it_hits(self, db):
        whole, hit = noise(4000, 1), noise(4000, 2)
        kept, lost = bodies.put(db, whole), bodies.put(db, hit)
        named(db, [kept, lost])
        with database.write(db):
            bodies.packing._join(
                db, [first for (first,) in db.execute("select first from packs")], 1
            )
        (frame,) = db.execute("select data from packed").fetchone()
        at = frame.index(hit[1000:1010])
        db.execute("update packed set data = ?", [flip(flip(frame, 8 * at), 8 * at + 77)])
        packs.forget_all()
        for _ in range(2):
            (damage,) = proving.verify(db.conn)
            assert (damage.digest, damage.entry_ids) == (lost.digest, ("entry-001",))
            assert bodies.view(db.conn, kept.digest).read() == whole
            view = bodies.view(db.conn, lost.digest)
            with pytest.raises(StoreError, match="damaged"):
                view.read(1000, 1010)
            assert view.read(3990, 4000) == hit[3990:]
            assert flaws.repair(db) == []
            # Packed anew it is known as damaged all the same.
            with database.write(db):
                bodies.packing._join(db, [1], 2)
            packs.forget_all()


def test_what_is_damaged_is_stored_once_more_when_it_comes_again(db):
    data = noise(9000)
    lost = bodies.put(db, data)
    (frame,) = db.execute("select data from packed").fetchone()
    db.execute("update packed set data = ?", [flip(flip(frame, 33_000), 33_010)])
    packs.forget_all()
    bodies.matching._memories.clear()
    for number in range(3):
        again = bodies.put(db, data + bytes([number]))
        assert bodies.view(db.conn, again.digest).read() == data + bytes([number])
    assert [damage.digest for damage in proving.verify(db.conn)] == [lost.digest]
    (size,) = db.execute("select sum(size_bytes) from packs").fetchone()
    assert 9000 < size < 9000 + 6 * 4096


class TestDirectories:
    def test_any_bit(self, db, contents):
        (directory,) = db.execute("select sizes from packs where first = 1").fetchone()
        bits = 8 * len(directory)
        for bit in [*random.Random(2).sample(range(bits), 20), bits - 1]:
            db.execute("update packs set sizes = ? where first = 1", [flip(directory, bit)])
            packs.forget_all()
            for digest, data in contents.items():
                assert bodies.view(db.conn, digest).read() == data
            (flaw,) = flaws._pack_flaws(db.conn)
            assert f"byte {bit // 8} of its directory changed" in flaw.reason
        is_mended(db, contents)
        assert db.execute("select sizes from packs where first = 1").fetchone() == (directory,)

    def test_both_at_once(self, db, contents):
        directory, frame = db.execute(
            "select sizes, data from packs join packed using (first) where first = 1"
        ).fetchone()
        db.execute("update packs set sizes = ? where first = 1", [flip(directory, 30)])
        db.execute("update packed set data = ? where first = 1", [flip(frame, 3000)])
        assert len(is_mended(db, contents)) == 1


class TestRecipes:
    def test_any_bit_of_a_body_and_of_a_base(self, db, contents):
        rows = db.execute("select id, recipe, base from bodies").fetchall()
        assert sum(base is not None for *_, base in rows) >= 2
        for body_id, recipe, _ in rows:
            for bit in range(0, 8 * len(recipe), 5):
                broken = flip(recipe, bit)
                db.execute("update bodies set recipe = ? where id = ?", [broken, body_id])
                (flaw,) = flaws._recipe_flaws(db.conn)
                assert f"byte {bit // 8} of the recipe" in flaw.reason
            for digest, data in contents.items():
                assert bodies.view(db.conn, digest).read() == data
            is_mended(db, contents)

    def test_a_base_that_is_damaged_may_go(self, db, contents):
        base_id, digest = db.execute(
            "select id, digest from bodies where id in (select base from bodies)"
        ).fetchone()
        (recipe,) = db.execute("select recipe from bodies where id = ?", [base_id]).fetchone()
        db.execute("update bodies set recipe = ? where id = ?", [flip(recipe, 9), base_id])
        db.execute("delete from frames where digest = ?", [digest])
        bodies.release(db, digest)
        sweep(db)
        del contents[digest]
        assert is_mended(db, contents) == []

    def test_size_and_digest(self, db, contents):
        digests = list(contents)
        db.execute("update bodies set size_bytes = size_bytes + 64 where digest = ?", [digests[0]])
        db.execute(
            "update bodies set digest = ? where digest = ?", [flip(digests[1], 100), digests[1]]
        )
        reasons = {damage.digest: damage.reason for damage in proving.verify(db.conn)}
        assert "instead of" in reasons[digests[0]]
        assert "is missing" in reasons[digests[1]]
        flaws.repair(db)
        assert is_mended(db, contents) == []


@pytest.mark.parametrize("size_bytes", [0, -9000])
def test_a_size_of_nothing(db, contents, size_bytes):
    db.execute("update bodies set size_bytes = ?", [size_bytes])
    assert {damage.digest for damage in proving.verify(db.conn)} == set(contents)
    with pytest.raises(StoreError, match=f"its size is {size_bytes}"):
        bodies.view(db.conn, next(iter(contents)))
    flaws.repair(db)
    assert is_mended(db, contents) == []


def test_a_row_without_a_recipe(db, contents):
    """As one bit of the row's head makes it."""
    digest, *others = contents
    db.execute("pragma writable_schema = on")
    (sql,) = db.execute("select sql from sqlite_master where name = 'bodies'").fetchone()
    lax = re.sub(r"(recipe\s+blob) not null", r"\1", sql)
    db.execute("update sqlite_master set sql = ? where name = 'bodies'", [lax])
    db.conn.commit()
    db.execute("pragma writable_schema = reset")
    db.execute("update bodies set recipe = null where digest = ?", [digest])
    for _ in range(2):
        assert [damage.digest for damage in proving.verify(db.conn)] == [digest]
        flaws.repair(db)
    for other in others:
        assert bodies.view(db.conn, other).read() == contents[other]


def flipped_on_disk(path, sought, nth, byte):
    """One bit of the file, where these bytes are for the n-th time."""
    whole, at = path.read_bytes(), -1
    for _ in range(nth + 1):
        at = whole.index(sought, at + 1)
    path.write_bytes(flip(whole, 8 * (at + byte)))


@pytest.mark.parametrize("byte", [0, 4, 5, 31])
@pytest.mark.parametrize("nth", [0, 1], ids=["of the body", "of the message"])
def test_a_digest_on_the_disk(datadir, db, contents, nth, byte):
    digest, *_ = contents
    database.truncate_log(db)
    db.close()
    flipped_on_disk(datadir.database, digest, nth, byte)
    packs.forget_all()
    with database.create(datadir.database) as again:
        assert list(proving.verify(again.conn)) != []
        flaws.repair(again)
        assert bodies.view(again.conn, digest).read() == contents[digest]
        assert not bodies.has_released(again.conn)
        if nth == 0:
            assert is_mended(again, contents) == []
            assert proving.file_faults(again.conn, 3) == []


@pytest.mark.parametrize("byte", [0, 4])
def test_the_index_of_digests_on_the_disk(datadir, db, byte):
    data = noise(3000)
    body = bodies.put(db, data)
    named(db, [body])
    database.truncate_log(db)
    db.close()
    flipped_on_disk(datadir.database, body.digest[:5], 2, byte)
    packs.forget_all()
    with database.create(datadir.database) as again:
        (damage,) = proving.verify(again.conn)
        assert "not in its index" in damage.reason
        assert damage.entry_ids == ("entry-000",)
        flaws.repair(again)
        assert is_mended(again, {body.digest: data}) == []
        assert proving.file_faults(again.conn, 3) == []


class TestUses:
    def test_a_chunk_with_too_few_is_not_dropped(self, db, contents):
        (uses,) = db.execute("select uses from packs where first = 1").fetchone()
        db.execute("update packs set uses = zeroblob(length(uses))")
        assert "recipes name them" in found(db)[0].reason
        is_mended(db, contents)
        assert db.execute("select uses from packs where first = 1").fetchone() == (uses,)

    def test_a_chunk_with_too_many_goes_at_last(self, db, contents):
        before = db.execute("select sum(size_bytes) from packs").fetchone()
        (number,) = db.execute("select next_number from numbering").fetchone()
        gone = bodies.put(db, noise(9000, 70))
        bodies.packing.count(db, [(number, 9)], 1)
        bodies.release(db, gone.digest)
        sweep(db)
        assert db.execute("select sum(size_bytes) from packs").fetchone() > before
        is_mended(db, contents)
        sweep(db)
        assert db.execute("select sum(size_bytes) from packs").fetchone() == before
        is_mended(db, contents)

    def test_what_cannot_be_read_may_use_anything(self, db, contents):
        digest = next(iter(contents))
        db.execute("update bodies set recipe = x'0102030405060708' where digest = ?", [digest])
        assert found(db) == []
        del contents[digest]
        (damage,) = proving.verify(db.conn)
        assert damage.digest == digest

    def test_a_body_with_too_many_or_too_few(self, db, contents):
        first, second, third, *_ = contents
        db.execute("update bodies set uses = 5 where digest = ?", [first])
        db.execute("update bodies set uses = 0 where digest = ?", [second])
        db.execute("delete from frames where digest = ?", [third])
        assert [damage.digest for damage in proving.verify(db.conn)] == [second]
        del contents[third]
        flaws.repair(db)
        sweep(db)
        assert is_mended(db, contents) == []
        assert db.execute("select 1 from bodies where digest = ?", [third]).fetchone() is None

    def test_unreadable_ones_drop_nothing(self, db, contents):
        db.execute("update packs set uses = x'01'")
        assert packed.unpack_uses(b"\1", 3) == [1 << 30] * 3
        bodies.put(db, text(9000) + b"more")
        is_mended(db, contents)


def flips_of_the_file(path, contents, count):
    """Bits of the whole file: no body is ever wrong, and what cannot be read is named."""
    sound, source = path.read_bytes(), random.Random(count)
    for _ in range(count):
        path.write_bytes(flip(sound, source.randrange(8 * len(sound))))
        packs.forget_all()
        with (
            contextlib.suppress(StoreError, sqlite3.DatabaseError),
            contextlib.closing(database.reader(path)) as conn,
        ):
            faults = proving.file_faults(conn, 3)
            damages = list(proving.verify(conn))
            list(flaws.find(conn, damages))
            named = {damage.digest for damage in damages}
            for digest, data in contents.items():
                try:
                    view = bodies.view(conn, digest)
                    assert (view.read(), view.read(99, 999)) == (data, data[99:999])
                except (StoreError, NotFound, sqlite3.DatabaseError):
                    assert digest in named or faults


@pytest.mark.parametrize(
    "count", [4, pytest.param(400, marks=pytest.mark.fuzz)], ids=["some", "many"]
)
def test_a_bit_anywhere_in_the_file(datadir, db, contents, count):
    assert database.truncate_log(db)
    db.close()
    flips_of_the_file(datadir.database, contents, count)
