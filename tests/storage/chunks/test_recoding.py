"""zstd-coded bodies are stored decoded where that gives the same bytes again."""

import random

import pytest
import zstandard

from storage import bodies
from storage.chunks import flaws, proving, recoding
from storage.errors import StoreError
from tests.storage.chunks.test_flaws import flip, named
from tests.storage.content import counts, noise, sweep, text


def coded(plain, level=3, *, size=True, checksum=False):
    compressor = zstandard.ZstdCompressor(level=level, write_checksum=checksum)
    stream = compressor.compressobj(size=len(plain) if size else -1)
    return stream.compress(plain) + stream.flush()


def words(size, seed=1):
    """Text that does not compress away."""
    source = random.Random(seed)
    return b" ".join(b"%x" % source.getrandbits(40) for _ in range(size // 10))[:size]


def coding(db, body):
    (found,) = db.execute("select coding from bodies where digest = ?", [body.digest]).fetchone()
    return found and recoding.unpack(found)


class TestUndone:
    @pytest.mark.parametrize("level", [1, 3, 6])
    @pytest.mark.parametrize("size", [True, False], ids=["sized", "unsized"])
    @pytest.mark.parametrize("checksum", [True, False], ids=["summed", "unsummed"])
    @pytest.mark.parametrize("size_bytes", [20_000, 262_144, 300_001])
    def test_what_it_came_as(self, level, size, checksum, size_bytes):
        plain = words(size_bytes)
        came = coded(plain, level, size=size, checksum=checksum)
        found, undone = recoding.undone(came)
        assert undone == plain
        assert recoding.again(found, plain) == came
        assert (found.library, found.plain_bytes) == (recoding.library(), size_bytes)

    @pytest.mark.parametrize(
        "came",
        [
            b"",
            b"{}" * 5000,
            coded(words(4000)),
            coded(words(20_000))[:-1],
            coded(words(20_000)) + b"!",
            coded(words(20_000)) * 2,
            coded(words(20_000), level=19),
            coded(bytes(20 << 20), level=1) + noise(5000),
            b"\x28\xb5\x2f\xfd" + noise(9000),
            coded(noise(2 << 20)),
        ],
        ids=["nothing", "plain", "short", "cut", "more", "twice", "19", "bomb", "noise", "long"],
    )
    def test_what_stays_as_it_is(self, came):
        assert recoding.undone(came) is None

    def test_how_it_was_coded_survives_a_flipped_bit(self):
        found, _ = recoding.undone(coded(words(20_000)))
        sealed = recoding.pack(found)
        for bit in range(8 * len(sealed)):
            assert recoding.unpack(flip(sealed, bit)) == found
        with pytest.raises(StoreError, match="how it was coded"):
            recoding.unpack(noise(30))


class TestStored:
    def test_what_is_sent_again_costs_what_is_new(self, db):
        plain, stored = words(60_000), []
        for number in range(8):
            plain = plain[: -len(b"tail")] + words(900, number + 5) + b"tail"
            came = coded(plain)
            stored.append((bodies.put(db, came), came))
        assert all(coding(db, body) for body, _ in stored)
        for body, came in stored:
            view = bodies.view(db.conn, body.digest)
            assert (view.size_bytes, body.size_bytes) == (len(came), len(came))
            assert view.read() == came
            assert view.read(1000, 1010) == came[1000:1010]
            assert b"".join(view.stream()) == came
        (size,) = db.execute("select sum(size_bytes) from packs").fetchone()
        assert size < len(plain) + 8 * 4096
        named(db, [body for body, _ in stored])
        assert list(proving.verify(db.conn)) == []
        assert flaws.repair(db) == []
        for body, _ in stored:
            bodies.release(db, body.digest)
        sweep(db)
        assert not any(counts(db).values())

    def test_as_it_grew(self, db):
        """Long enough to be cut before its end is known."""
        came = coded(words(900_000))
        growing = bodies.Growing("e", "request")
        for at in range(0, len(came), 100_000):
            growing.append(came[at : at + 100_000])
            growing.flush(db)
            view = bodies.growing(db.conn, "e", "request", bodies.nothing)
            assert view.read() == came[: at + 100_000]
        body = growing.finish(db)
        assert coding(db, body)
        assert bodies.view(db.conn, body.digest).read() == came
        sweep(db)
        (size,) = db.execute("select sum(size_bytes) from packs").fetchone()
        assert size == 900_000
        bodies.release(db, body.digest)
        sweep(db)
        assert not any(counts(db).values())

    def test_long_ones_that_look_coded(self, db):
        came = coded(words(900_000))[:4] + noise(700_000)
        growing = bodies.Growing("e", "request")
        growing.append(came)
        growing.flush(db)
        body = growing.finish(db)
        assert coding(db, body) is None
        assert bodies.view(db.conn, body.digest).read() == came

    def test_another_library_says_which_one_is_needed(self, db, monkeypatch):
        plain = words(20_000)
        body = bodies.put(db, coded(plain))
        known = coding(db, body)
        assert proving.foreign_codings(db.conn) == {}
        monkeypatch.setattr(zstandard, "ZSTD_VERSION", (9, 9, 9))
        assert proving.foreign_codings(db.conn) == {known.library: 1}
        # As long as it codes alike, all is well.
        assert bodies.view(db.conn, body.digest).read() == coded(plain)
        monkeypatch.setattr(recoding, "_BLOCK_BYTES", 1 << 30)
        monkeypatch.setattr(zstandard, "ZstdCompressor", lambda level, **rest: _other(**rest))
        (damage,) = proving.verify(db.conn)
        assert f"{known.library} gives its bytes again, zstd 9.9.9 does not" in damage.reason

    def test_damage(self, db):
        body = bodies.put(db, coded(words(20_000)))
        named(db, [body])
        (sealed,) = db.execute("select coding from bodies").fetchone()
        db.execute("update bodies set coding = ?", [flip(sealed, 99)])
        assert bodies.view(db.conn, body.digest).read() == coded(words(20_000))
        db.execute("update bodies set coding = ?", [noise(30)])
        (damage,) = proving.verify(db.conn)
        assert damage.reason.endswith("how it was coded is damaged")


_Compressor = zstandard.ZstdCompressor


def _other(**rest):
    return _Compressor(level=9, **rest)


def test_text_that_is_nearly_nothing(db):
    came = coded(text(3_000_000))
    body = bodies.put(db, came)
    assert bodies.view(db.conn, body.digest).read() == came
