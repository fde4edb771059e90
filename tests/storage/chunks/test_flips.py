"""Damage within one byte is found by its checksum, wherever it is."""

import random

import pytest

from storage.chunks import flips

DATA = random.Random(1).randbytes(300)


@pytest.mark.parametrize("start", [0, 7, 1 << 31])
def test_what_is_sound_is_sound(start):
    for size in (0, 1, 300):
        sealed = DATA[:size] + flips.seal(DATA[:size], start)
        assert flips.is_sound(sealed, start)
        assert list(flips.proposals(sealed, start)) == []
    assert not flips.is_sound(sealed, start + 1)
    assert not flips.is_sound(b"abc")


@pytest.mark.parametrize("size", [0, 1, 50, 300])
def test_every_bit_is_found(size):
    sealed = DATA[:size] + flips.seal(DATA[:size], 5)
    for bit in range(8 * len(sealed)):
        broken = bytearray(sealed)
        broken[bit // 8] ^= 1 << bit % 8
        assert not flips.is_sound(bytes(broken), 5)
        assert list(flips.proposals(bytes(broken), 5)) == [(bit // 8, sealed)]


def test_every_change_of_a_byte_is_found():
    sealed = DATA + flips.seal(DATA)
    for changed in range(1, 256):
        broken = bytearray(sealed)
        broken[changed] ^= changed
        assert (changed, sealed) in list(flips.proposals(bytes(broken)))


def test_a_proposal_always_has_the_right_checksum():
    source = random.Random(2)
    for _ in range(300):
        for _, proposed in flips.proposals(source.randbytes(300)):
            assert flips.is_sound(proposed)


def test_it_is_fast_enough_to_read_with():
    """A pack of the most bytes, damaged in its first one."""
    data = random.Random(3).randbytes(256 << 10)
    broken = bytes([data[0] ^ 1]) + data[1:] + flips.seal(data)
    assert next(flips.proposals(broken)) == (0, data + flips.seal(data))
