"""Content-addressed bodies: round trips, ranges, shared chunks, deletes."""

import gc
import hashlib
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import bodies, database
from storage.chunks.blocks import BLOCK_BYTES
from storage.errors import NotFound
from tests.storage.content import NOTHING, SIZES, counts, noise, rows, stored_bytes, sweep, text


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

    def test_a_view_leaves_the_memory_with_its_packs(self, db):
        found = bodies.view(db.conn, bodies.put(db, noise(10_000)).digest)
        assert found.plain.read() == found.read()
        kept = weakref.ref(found)
        gc.disable()
        try:
            del found
            assert kept() is None
        finally:
            gc.enable()

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
