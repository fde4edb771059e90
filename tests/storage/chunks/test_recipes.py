"""Recipes: any list of chunks, with or without a base, comes back as it was."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.chunks import recipes

RUNS = st.lists(st.tuples(st.integers(1, 300), st.integers(1, 9)), max_size=12).map(recipes.joined)


def numbers(runs):
    return [number for first, count in runs for number in range(first, first + count)]


def resolved(steps, base):
    own = [(False, first, count) for first, count in base]
    return recipes.joined(recipes.own(recipes.rebase(steps, own)))


@settings(max_examples=200, deadline=None)
@given(runs=RUNS, base=RUNS)
def test_against_any_base(runs, base):
    steps = recipes.unpack(recipes.pack(recipes.against(runs, base)))
    assert resolved(steps, base) == runs


@settings(max_examples=200, deadline=None)
@given(runs=RUNS, base=RUNS, below=RUNS)
def test_without_the_base_between(runs, base, below):
    upper, lower = recipes.against(runs, base), recipes.against(base, below)
    assert resolved(recipes.rebase(upper, lower), below) == runs


def test_what_was_sent_before_is_a_few_bytes():
    base = [(first * 50, 20) for first in range(400)]
    steps = recipes.against([*base[:-1], (20_001, 3), (30_000, 5)], base)
    assert len(recipes.pack(steps)) < 20


def test_what_begins_alike_is_copied_up_to_where_it_differs():
    assert recipes.against([(1, 47), (51, 2)], [(1, 50)]) == [(True, 0, 47), (False, 51, 2)]
    assert recipes.against([(1, 50), (60, 2)], [(1, 47), (60, 2)]) == [
        (True, 0, 47), (False, 48, 3), (True, 47, 2)
    ]  # fmt: skip
    assert recipes.against([(1, 9)], [(1, 10)]) == [(True, 0, 9)]


def test_what_is_too_long_to_compare_shares_its_beginning():
    base = [(1, 10), (100, 60_000)]
    runs = [(1, 10), (500, 60_000)]
    assert recipes.against(runs, base) == [(True, 0, 10), (False, 500, 60_000)]


def test_cut_short():
    packed = recipes.pack([(False, 1000, 1000)])
    with pytest.raises(ValueError, match="cut short"):
        recipes.unpack(packed[:-1])
