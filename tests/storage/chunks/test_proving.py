"""Bodies whose bytes on the disk changed: mended, or found and named."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import bodies
from storage.chunks.blocks import BLOCK_BYTES
from storage.errors import StoreError
from tests.storage.content import SIZES, noise, sweep, text


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
