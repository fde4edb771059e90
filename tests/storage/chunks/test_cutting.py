"""Cuts: the same wherever the bytes stand, and only changed beside what changed."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.chunks.cutting import MAX_BYTES, MIN_BYTES, Cutter


def chunks(data):
    cutter, at, found = Cutter(data), 0, []
    while at < len(data):
        end = cutter.end(at)
        found.append(data[at:end])
        at = end
    return found


@pytest.mark.parametrize("size", [0, 1, MIN_BYTES, MAX_BYTES, 65_536, 65_537, 300_001])
def test_all_bytes_are_in_chunks_of_bounded_size(size):
    data = random.Random(size).randbytes(size)
    found = chunks(data)
    assert b"".join(found) == data
    assert all(MIN_BYTES < len(chunk) <= MAX_BYTES for chunk in found[:-1])


@pytest.mark.parametrize("byte", [0, 10, 32, 65, 61, 255])
def test_equal_bytes_are_cut_at_the_most(byte):
    data = bytes([byte]) * (MAX_BYTES * 40)
    assert {len(chunk) for chunk in chunks(data)} == {MAX_BYTES}


def test_are_as_long_as_the_measurements_assume():
    found = chunks(random.Random(1).randbytes(500_000))
    assert 600 < 500_000 / len(found) < 1000


def test_never_change_from_one_version_to_the_next():
    """Stored chunks are found again only while they are cut as before."""
    found = chunks(random.Random(2).randbytes(6000))
    assert [len(chunk) for chunk in found] == [
        367,
        1182,
        258,
        706,
        1041,
        356,
        341,
        299,
        532,
        753,
        165,
    ]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), at=st.integers(0, 100_000), new=st.binary(max_size=50))
def test_a_change_moves_only_the_cuts_beside_it(seed, at, new):
    data = random.Random(seed).randbytes(100_000)
    before, after = set(chunks(data)), chunks(data[:at] + new + data[at:])
    assert sum(chunk not in before for chunk in after) < 30


@settings(max_examples=30, deadline=None)
@given(size=st.integers(0, 200_000), windows=st.lists(st.integers(0, 200_000), max_size=5))
def test_a_cut_depends_on_nothing_before_its_chunk(size, windows):
    data = random.Random(size).randbytes(size)
    cutter = Cutter(data)
    for start in [min(start, size) for start in windows]:
        assert cutter.end(start) - start == Cutter(data[start:]).end(0)
