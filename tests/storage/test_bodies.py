"""Content-addressed bodies: round trips, shared blocks, growth over restarts, damage."""

import contextlib
import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from storage import bodies, database
from storage.blocks import BLOCK_BYTES
from storage.errors import NotFound, StoreError
from storage.schema import migrations

SIZES = [1, 63, 64, 1000, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 5 * BLOCK_BYTES + 17]


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def text(size, seed=1):
    """Lines like events; a stream of these would be stored split."""
    words = random.Random(seed)
    line = b'line: {"type":"content_block_delta","delta":{"text":"%d"}}\n\n'
    return b"".join(line % words.getrandbits(20) for _ in range(size // 50 + 1))[:size]


def counts(db):
    return {
        name: db.execute(f"select count(*) from {name}").fetchone()[0]
        for name in ("bodies", "packs", "packed", "chunks", "pieces", "released")
    }


def sweep(db):
    while bodies.sweep_released(db, lambda: False):
        pass


NOTHING = {"bodies": 0, "packs": 0, "packed": 0, "chunks": 0, "pieces": 0, "released": 0}


def rows(db):
    """How many of the rows that every pack and chunk may have are there; the rest exactly."""
    found = counts(db)
    return {name: found[name] for name in ("bodies", "pieces", "released")}


def stored_bytes(db):
    """Plain bytes of all chunks."""
    return db.execute("select coalesce(sum(size_bytes), 0) from packs").fetchone()[0]


class TestPut:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("make", [noise, text])
    def test_round_trip(self, db, size, make):
        data = make(size)

        body = bodies.put(db, data)

        assert body.digest == hashlib.sha256(data).digest()
        assert body.size_bytes == size
        view = bodies.view(db.conn, body.digest)
        assert (view.size_bytes, view.digest) == (size, body.digest)
        assert view.read() == data
        pieces = list(view.stream())
        assert b"".join(pieces) == data
        assert max(map(len, pieces)) <= BLOCK_BYTES

    def test_nothing_is_no_body(self, db):
        assert bodies.put(db, b"") is None
        assert counts(db) == NOTHING
        assert bodies.nothing().read() == b""
        assert list(bodies.nothing().stream()) == []

    def test_the_same_again_is_stored_once(self, db):
        data = noise(3 * BLOCK_BYTES)
        assert bodies.put(db, data) == bodies.put(db, data)
        assert rows(db) == {"bodies": 1, "pieces": 0, "released": 0}
        assert stored_bytes(db) == len(data)

    def test_what_was_sent_before_costs_tens_of_bytes(self, db):
        data = b""
        for seed in range(8):
            data += noise(40_000, seed)
            last = bodies.put(db, data)
        assert stored_bytes(db) < len(data) + 8 * 4096
        recipe = "select length(recipe) from bodies where digest = ?"
        assert db.execute(recipe, [last.digest]).fetchone()[0] < 40

    def test_a_change_in_the_middle_costs_the_chunks_beside_it(self, db):
        before, after = noise(100_000, 2), noise(100_000, 3)
        bodies.put(db, before + after)
        stored = stored_bytes(db)
        changed = bodies.put(db, b"new" + before + b"inserted" + after)
        assert bodies.view(db.conn, changed.digest).read() == b"new" + before + b"inserted" + after
        assert stored_bytes(db) < stored + 6 * 4096

    def test_text_is_compressed_and_noise_is_not(self, db):
        bodies.put(db, text(BLOCK_BYTES))
        bodies.put(db, noise(BLOCK_BYTES))
        sizes = [size for (size,) in db.execute("select length(data) from packed order by 1")]
        assert sizes[0] < BLOCK_BYTES / 4
        assert sizes[1] < BLOCK_BYTES + 100


class TestRead:
    @pytest.mark.parametrize(
        ("start", "stop"),
        [
            (0, None),
            (0, 0),
            (5, 3),
            (0, 1),
            (BLOCK_BYTES - 1, BLOCK_BYTES + 1),
            (BLOCK_BYTES, 2 * BLOCK_BYTES),
            (1, 3 * BLOCK_BYTES),
            (3 * BLOCK_BYTES, None),
            (10**9, None),
            (7, 10**9),
        ],
    )
    def test_any_range(self, db, start, stop):
        data = noise(3 * BLOCK_BYTES + 5)
        view = bodies.view(db.conn, bodies.put(db, data).digest)
        assert view.read(start, stop) == data[start:stop]
        assert b"".join(view.stream(start, stop)) == data[start:stop]

    def test_refuses_negative_places(self, db):
        view = bodies.view(db.conn, bodies.put(db, b"abc").digest)
        with pytest.raises(ValueError, match="not negative"):
            view.read(-1)
        with pytest.raises(ValueError, match="not negative"):
            view.read(0, -1)

    def test_unknown(self, db):
        with pytest.raises(NotFound):
            bodies.view(db.conn, bytes(32))

    def test_deleted_while_it_is_read(self, db):
        body = bodies.put(db, noise(3 * BLOCK_BYTES))
        stream = bodies.view(db.conn, body.digest).stream()
        next(stream)
        bodies.release(db, body.digest)
        with pytest.raises(NotFound):
            next(stream)


class TestRelease:
    def test_the_last_use_takes_it_away(self, db):
        data = noise(2 * BLOCK_BYTES)
        digest = bodies.put(db, data).digest
        bodies.put(db, data)

        bodies.release(db, digest)
        assert bodies.view(db.conn, digest).read() == data

        bodies.release(db, digest)
        with pytest.raises(NotFound):
            bodies.view(db.conn, digest)
        sweep(db)
        assert counts(db) == NOTHING

    def test_of_what_is_not_there_is_nothing(self, db):
        bodies.release(db, bytes(32))
        assert counts(db) == NOTHING

    def test_a_long_one_goes_in_slices(self, db):
        digest = bodies.put(db, noise(11 * BLOCK_BYTES)).digest

        packs = counts(db)["packs"]
        bodies.release(db, digest)

        with pytest.raises(NotFound):
            bodies.view(db.conn, digest)
        steps = 1
        while bodies.sweep_released(db, lambda: True):
            steps += 1
        assert steps > 2 * packs
        assert counts(db) == NOTHING

    def test_stored_again_before_the_slices_came(self, db):
        data = noise(11 * BLOCK_BYTES)
        digest = bodies.put(db, data).digest
        bodies.release(db, digest)
        bodies.put(db, data)

        sweep(db)

        assert bodies.view(db.conn, digest).read() == data
        bodies.release(db, digest)
        sweep(db)
        assert counts(db) == NOTHING

    def test_leaves_what_others_share(self, db):
        same = noise(6 * BLOCK_BYTES)
        one = bodies.put(db, same + b"1").digest
        two = bodies.put(db, same + b"2").digest

        bodies.release(db, one)
        sweep(db)

        assert bodies.view(db.conn, two).read() == same + b"2"

    def test_a_body_of_equal_blocks(self, db):
        digest = bodies.put(db, bytes(9 * BLOCK_BYTES)).digest
        assert stored_bytes(db) < BLOCK_BYTES
        bodies.release(db, digest)
        sweep(db)
        assert counts(db) == NOTHING


class TestGrowing:
    def test_memory_only_until_the_flush(self, db):
        growing = bodies.Growing("e", "response")
        growing.append(b"abc")
        assert growing.size_bytes == 3
        assert counts(db) == NOTHING
        growing.flush(db)
        growing.flush(db)
        assert counts(db) == NOTHING | {"pieces": 1}

    def test_is_readable_as_it_grows(self, db):
        data = noise(2 * BLOCK_BYTES + 1000)
        growing = bodies.Growing("e", "response")
        for at in range(0, len(data), 100_000):
            growing.append(data[at : at + 100_000])
            growing.flush(db)
            view = bodies.growing(db.conn, "e", "response", bodies.nothing)
            assert (view.size_bytes, view.digest) == (growing.size_bytes, None)
            assert view.read() == data[: growing.size_bytes]
            assert b"".join(view.stream(7)) == data[7 : growing.size_bytes]
            assert view.read(99_990, 100_010) == data[99_990 : min(100_010, growing.size_bytes)]

    def test_a_view_outlives_the_growth(self, db):
        growing = bodies.Growing("e", "response")
        data = noise(BLOCK_BYTES + 5)
        growing.append(data[:1000])
        growing.flush(db)
        found = []
        view = bodies.growing(
            db.conn, "e", "response", lambda: bodies.view(db.conn, found[0].digest)
        )
        growing.append(data[1000:])
        found.append(growing.finish(db))
        assert view.read() == data[:1000]

    def test_a_view_of_what_was_deleted(self, db):
        growing = bodies.Growing("e", "response")
        growing.append(b"abc")
        growing.flush(db)
        view = bodies.growing(db.conn, "e", "response", bodies.nothing)
        growing.discard(db)
        with pytest.raises(NotFound, match="response of entry e"):
            view.read()

    def test_nothing_came(self, db):
        growing = bodies.Growing("e", "response")
        growing.append(b"")
        assert growing.finish(db) is None
        assert counts(db) == NOTHING

    @pytest.mark.parametrize("size", SIZES)
    def test_is_the_same_body_as_at_once(self, db, size):
        data = text(size)
        whole = bodies.put(db, data)
        before = rows(db)
        growing = bodies.Growing("e", "response")
        growing.append(data)

        assert growing.finish(db) == whole

        sweep(db)
        assert rows(db) == before
        for _ in range(2):
            bodies.release(db, whole.digest)
        sweep(db)
        assert counts(db) == NOTHING

    def test_what_was_stored_last_comes_again(self, db):
        data = noise(3 * BLOCK_BYTES)
        first = bodies.put(db, data)
        growing = bodies.Growing("e", "response")
        growing.append(data)
        growing.flush(db)
        assert growing.finish(db) == first

    def test_discard_gives_all_back(self, db):
        growing = bodies.Growing("e", "response")
        other = bodies.Growing("e", "request")
        growing.append(noise(9 * BLOCK_BYTES + 5))
        other.append(b"kept")
        growing.flush(db)
        other.flush(db)

        growing.discard(db)
        sweep(db)

        assert counts(db) == NOTHING | {"pieces": 1}
        assert other.finish(db).size_bytes == 4

    def test_little_is_left_in_memory(self, db):
        growing = bodies.Growing("e", "response")
        growing.append(noise(BLOCK_BYTES - 1))
        growing.flush(db)
        assert sum(map(len, growing._pending)) == 0


@pytest.fixture(scope="module")
def shared_db():
    with Database(memory=True, execute_plugins=False) as db:
        migrations.apply(db)
        yield db


#: chunks, each followed by what happens to the body behind it
STEPS = st.lists(
    st.tuples(
        st.one_of(
            st.binary(max_size=300),
            st.tuples(st.integers(0, 255), st.integers(0, 2 * BLOCK_BYTES)).map(
                lambda pair: bytes([pair[0]]) * pair[1]
            ),
            st.integers(0, 10**6).map(lambda seed: noise(BLOCK_BYTES // 2, seed)),
        ),
        st.sampled_from(["nothing", "flush", "resume", "rollback"]),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_any_chunks_flushed_and_resumed_anywhere(shared_db, steps):
    db = shared_db
    kept = bodies.put(db, b"kept" * 100_000)
    growing = bodies.Growing("e", "response")
    sent = b""
    stored = b""
    for chunk, then in steps:
        growing.append(chunk)
        sent += chunk
        if then == "rollback":  # the transaction failed: ingest goes back to what is committed
            with pytest.raises(ZeroDivisionError):
                fail_to_flush(db, growing)
            growing, sent = bodies.Growing.resume(db, "e", "response"), stored
        elif then != "nothing":
            growing.flush(db)
            stored = sent
        if then == "resume":
            growing = bodies.Growing.resume(db, "e", "response")
        assert growing.size_bytes == len(sent)

    body = growing.finish(db)

    if sent:
        assert body.digest == hashlib.sha256(sent).digest()
        assert bodies.view(db.conn, body.digest).read() == sent
        bodies.release(db, body.digest)
    else:
        assert body is None
    sweep(db)
    assert bodies.view(db.conn, kept.digest).read() == b"kept" * 100_000
    bodies.release(db, kept.digest)
    sweep(db)
    assert counts(db) == NOTHING


def fail_to_flush(db, growing):
    with database.write(db):
        growing.flush(db)
        raise ZeroDivisionError


@settings(max_examples=25, deadline=None)
@given(
    pool=st.lists(st.integers(0, 5), min_size=1, max_size=8),
    gone=st.lists(st.integers(0, 7), max_size=8),
)
def test_deletes_leave_other_bodies_whole(shared_db, pool, gone):
    """Bodies that share blocks, stored any number of times, released in any order."""
    db = shared_db
    parts = [noise(BLOCK_BYTES, seed) for seed in range(3)]
    stored = []
    for number in pool:
        data = b"".join(parts[: number % 3 + 1]) * (number // 3 + 1) + bytes([number])
        stored.append((bodies.put(db, data).digest, data))
    for number in gone:
        if number < len(stored):
            bodies.release(db, stored[number][0])
            stored[number] = (bytes(32), b"")
    sweep(db)
    for digest, data in stored:
        if data:
            assert bodies.view(db.conn, digest).read() == data
            bodies.release(db, digest)
    sweep(db)
    assert counts(db) == NOTHING


class TestVerify:
    def test_finds_nothing_where_all_is_well(self, db):
        for size in SIZES:
            bodies.put(db, noise(size))
        assert list(bodies.verify(db.conn)) == []

    def test_a_missing_pack(self, db):
        body = bodies.put(db, noise(2 * BLOCK_BYTES))
        db.execute("delete from packs where first = 1")
        (damage,) = bodies.verify(db.conn)
        assert damage.digest == body.digest
        assert damage.reason.endswith("chunk 1 is missing")

    def test_a_swapped_recipe(self, db):
        one, two = bodies.put(db, b"one"), bodies.put(db, b"two")
        recipe = db.execute("select recipe from bodies where digest = ?", [two.digest]).fetchone()
        db.execute("update bodies set recipe = ? where digest = ?", [recipe[0], one.digest])
        (damage,) = bodies.verify(db.conn)
        assert damage.digest == one.digest
        assert damage.reason.endswith("its bytes have another digest")

    def test_a_short_recipe(self, db):
        body = bodies.put(db, noise(2 * BLOCK_BYTES))
        db.execute("update bodies set recipe = substr(recipe, 1, 6)")
        (damage,) = bodies.verify(db.conn)
        assert damage.digest == body.digest
        assert damage.reason.endswith("its recipe has another checksum")

    def test_a_base_that_is_missing(self, db):
        first = bodies.put(db, b"".join(noise(5000, seed) + b"!" * 400 for seed in range(9)))
        for seed in range(3):
            data = b"".join(noise(5000, seed) + b"?" * 400 for seed in range(9)) + noise(9, seed)
            last = bodies.put(db, data)
        assert db.execute("select base from bodies where digest = ?", [last.digest]).fetchone()[0]
        db.execute("delete from bodies where digest <> ?", [last.digest])
        (damage,) = bodies.verify(db.conn)
        assert (damage.digest, first.digest != last.digest) == (last.digest, True)
        assert damage.reason.endswith("the recipe of its base is missing")

    def test_a_broken_frame_is_not_trusted_with_memory(self, db):
        body = bodies.put(db, text(BLOCK_BYTES))
        (data,) = db.execute("select data from packed").fetchone()
        # Frame header descriptor and content size (RFC 8878): claim 1 TB.
        db.execute(
            "update packed set data = ?",
            [data[:4] + b"\xe4" + (1 << 40).to_bytes(8, "little") + data[9:]],
        )
        (damage,) = bodies.verify(db.conn)
        assert damage.digest == body.digest

    def test_greater_damage_costs_what_is_compressed_with_it(self, db):
        """zstd has blocks of 128 KB: before the damaged one every byte is read, in every body."""
        data, other = text(250_000), noise(5000, 9)
        body, whole = bodies.put(db, data), bodies.put(db, other)
        (frame,) = db.execute("select data from packed where first = 1").fetchone()
        broken = bytearray(frame)
        broken[len(frame) * 3 // 4] ^= 16
        broken[len(frame) * 3 // 4 + 1] ^= 16
        db.execute("update packed set data = ? where first = 1", [bytes(broken)])

        (damage,) = bodies.verify(db.conn)

        assert damage.digest == body.digest
        assert bodies.view(db.conn, whole.digest).read() == other
        view = bodies.view(db.conn, body.digest)
        assert view.read(0, 120_000) == data[:120_000]
        found = []
        for at in range(0, len(data), 500):
            with contextlib.suppress(StoreError):
                assert view.read(at, at + 500) == data[at : at + 500]
                found.append(at)
        assert 0 < len(found) < len(data) // 500
        with pytest.raises(StoreError, match=body.digest.hex()):
            view.read()


@settings(max_examples=40, deadline=None)
@given(
    places=st.lists(st.integers(0, 10**9), min_size=1, max_size=3, unique=True),
    changed=st.integers(1, 255),
    compressed=st.booleans(),
)
def test_damage_is_mended_or_found_by_read_and_by_verify(shared_db, places, changed, compressed):
    db = shared_db
    data = text(5000) if compressed else noise(5000)
    body = bodies.put(db, data)
    (frame,) = db.execute("select data from packed").fetchone()
    assert (len(frame) < 5000) == compressed
    broken = bytearray(frame)
    for place in places:
        broken[place % len(frame)] ^= changed
    db.execute("update packed set data = ?", [bytes(broken)])
    try:
        found = list(bodies.verify(db.conn))
        if found:
            assert len(places) > 1
            assert [damage.digest for damage in found] == [body.digest]
            with pytest.raises(StoreError, match=body.digest.hex()):
                bodies.view(db.conn, body.digest).read()
        else:
            assert bodies.view(db.conn, body.digest).read() == data
    finally:
        bodies.release(db, body.digest)
        sweep(db)


def test_another_connection_reads_what_is_committed(datadir, db):
    conn = database.reader(datadir.database)
    try:
        for seed in range(5):
            with database.write(db):
                body = bodies.put(db, noise(300_000, seed))
                with pytest.raises(NotFound):
                    bodies.view(conn, body.digest)
            assert bodies.view(conn, body.digest).read() == noise(300_000, seed)
    finally:
        conn.close()
