"""A body that comes in pieces, over flushes and restarts."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import bodies, database
from storage.chunks.blocks import BLOCK_BYTES
from storage.errors import NotFound
from tests.storage.content import NOTHING, SIZES, counts, noise, rows, sweep, text


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
