"""What is stored already is found: recent chunks by memory, older ones around their landmarks."""

import random
import zlib

import pytest

from storage import bodies, database
from storage.chunks import chains, matching, packing
from storage.chunks.cutting import Cutter


def cut(data):
    cutter, at, found = Cutter(data), 0, []
    while at < len(data):
        end = cutter.end(at)
        found.append(data[at:end])
        at = end
    return found


# Whole chunks can be put together in any order: they are cut the same.
_CHUNKS = cut(random.Random(1).randbytes(400_000))[:-1]
LANDMARKS = [chunk for chunk in _CHUNKS if packing.is_landmark(zlib.crc32(chunk))]
OTHERS = [chunk for chunk in _CHUNKS if not packing.is_landmark(zlib.crc32(chunk))]
A, B, C, D, E, F = OTHERS[:6]
L, M = LANDMARKS[:2]


def put(db, *chunks):
    """The numbers of the chunks that the body is made of."""
    body = bodies.put(db, b"".join(chunks))
    assert bodies.view(db.conn, body.digest).read() == b"".join(chunks)
    runs = chains.runs_of(db.conn, body.digest).runs
    return [number for first, count in runs for number in range(first, first + count)]


def forget(db):
    """As a new process."""
    matching._memories.clear()


def forget_keys(db):
    """As if so much had come since that only landmarks are found."""
    memory = matching.memory(db)
    memory.clear()
    (memory.stamp,) = db.execute("select stamp from numbering").fetchone()


def count(db, table):
    return db.execute(f"select count(*) from {table}").fetchone()[0]


def test_landmarks_alone_have_keys(db):
    put(db, *_CHUNKS)
    keys = {key for (key,) in db.execute("select key from chunks")}
    assert keys == {packing.key(chunk) for chunk in LANDMARKS}
    assert len(_CHUNKS) / 6 < len(keys) < len(_CHUNKS) / 3


def test_what_is_recent_is_found_one_by_one(db):
    assert put(db, A, B, C) == [1, 2, 3]
    assert put(db, C, A, D, B) == [3, 1, 4, 2]


def test_a_new_process_knows_what_is_recent(db):
    put(db, A, B, C, D)
    forget(db)
    assert put(db, D, B, E, A) == [4, 2, 5, 1]


def test_a_new_process_passes_damage_over(db):
    put(db, A, B)
    db.execute("update packs set sizes = zeroblob(3)")
    forget(db)
    assert put(db, C, A, B) == [3, 4, 5]


def test_what_is_not_used_for_long_is_forgotten(monkeypatch):
    monkeypatch.setattr(matching, "_NUMBERS", 40)
    numbers = matching.Numbers()
    for number in range(100):
        numbers.add([1000 + number], number)
        assert numbers.find(1000) == 0  # it is used
        assert numbers.find(1000 + number // 10 * 10) == number // 10 * 10
    assert numbers.find(1001) is None


def test_around_a_landmark(db):
    assert put(db, A, B, L, C, D) == [1, 2, 3, 4, 5]
    forget_keys(db)
    assert put(db, E, B, L, C, F) == [6, 2, 3, 4, 7]
    forget_keys(db)
    assert put(db, A, B, L, C, D, A) == [1, 2, 3, 4, 5, 1]


def test_without_a_landmark_it_is_stored_again(db):
    put(db, A, B)
    put(db, C)
    forget_keys(db)
    assert put(db, A, B, D) == [4, 5, 6]


def test_what_comes_twice_before_a_landmark_is_new(db):
    put(db, A, B, L)
    forget_keys(db)
    assert put(db, A, B, B, L, C) == [4, 5, 5, 3, 6]
    forget_keys(db)
    # What is new behind that is not.
    assert put(db, D, D, A, B, L) == [7, 7, 1, 2, 3]


def test_before_a_landmark_it_ends_where_other_bytes_are(db):
    put(db, A, L, M, B)
    put(db, C, D)
    forget_keys(db)
    # The landmark itself is found, so nothing before it is taken again.
    assert put(db, A, M, B, L) == [7, 3, 4, 2]
    forget_keys(db)
    assert put(db, D, A, L) == [8, 1, 2]


def test_a_landmark_that_was_stored_again_is_found_there(db):
    put(db, A, L, B)
    db.execute("delete from packs")
    forget_keys(db)
    assert put(db, C, L, D) == [4, 5, 6]
    forget_keys(db)
    assert put(db, E, C, L, D) == [7, 4, 5, 6]


def test_keys_of_all_chunks_of_an_older_store_go_with_them(db):
    body = bodies.put(db, b"".join(_CHUNKS))
    numbers = [(packing.key(chunk), number) for number, chunk in enumerate(_CHUNKS, 1)]
    db.conn.executemany("insert or replace into chunks (key, number) values (?, ?)", numbers)
    bodies.release(db, body.digest)
    while bodies.sweep_released(db, lambda: False):
        pass
    assert count(db, "chunks") == 0


# CRC-32's own polynomial, lowest bit first: added anywhere it changes no checksum.
_POLYNOMIAL = (0xEDB88320 << 1 | 1).to_bytes(5, "little")
TWIN = bytes(byte ^ _POLYNOMIAL[at] if at < 5 else byte for at, byte in enumerate(L))


@pytest.mark.parametrize(
    "datas", [(L, TWIN), (C + L, TWIN), (L + TWIN, A), (TWIN + L, L + A)], ids=range(4)
)
@pytest.mark.parametrize("is_known", [False, True], ids=["new", "known"])
def test_landmarks_with_the_same_checksum_have_their_own_keys(db, datas, is_known):
    assert zlib.crc32(TWIN) == zlib.crc32(L)
    stored = [bodies.put(db, B + L)] if is_known else []
    forget_keys(db)
    with database.write(db), bodies.gathering(db):
        stored += [bodies.put(db, data) for data in datas]

    assert [bodies.view(db.conn, body.digest).read() for body in stored[-2:]] == list(datas)
    keys = {key for (key,) in db.execute("select key from chunks")}
    assert keys == {packing.key(L), packing.key(TWIN)}
    for body in stored:
        bodies.release(db, body.digest)
    while bodies.sweep_released(db, lambda: False):
        pass
    assert count(db, "chunks") == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_last_chunk_of_a_growing_body_is_left(db, seed):
    """Also where what was taken for new turned out to be there."""
    chance = random.Random(seed)
    put(db, *_CHUNKS)
    forget_keys(db)
    growing = bodies.Growing("e", "response")
    whole = b""
    while len(whole) < 600_000:
        start = chance.randrange(len(_CHUNKS))
        data = b"".join(_CHUNKS[start : start + 4]) + chance.randbytes(chance.randrange(900))
        growing.append(data)
        growing.flush(db)
        whole += data
    body = growing.finish(db)
    assert bodies.view(db.conn, body.digest).read() == whole
    assert list(bodies.verify(db.conn)) == []


def test_what_followed_anywhere_in_a_recent_body():
    runs = [(first, 3) for first in range(10, 300, 10)]
    memory = matching.Memory()
    memory.remember(1, runs, 0)
    for index, (first, _) in enumerate(runs):
        assert memory.following(first + 1) == [(first + 2, 1), *runs[index + 1 :]]
    memory.forget(1)
    assert memory.following(11) is None
