import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.redaction import known
from addons.redaction.known import Index, Known, is_searchable, needles

RANDOM = random.Random(7)
SIGNS = (string.ascii_letters + string.digits + "-_").encode()


def token(size: int) -> bytes:
    return bytes(RANDOM.choices(SIGNS, k=size))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"sk-fake",
        b"undefined",
        b"Anonymous",
        b"1700000000",
        b"2026-11-22",
        b"x" * (known.MAX_BYTES + 1),
    ],
)
def test_what_occurs_by_chance_is_not_searched(value):
    assert not is_searchable(value)
    kept = Known()
    kept.learn(value)
    assert kept.index().present(b"is " + value) == []


@pytest.mark.parametrize("value", [b"sk-fake0", b"abcdefghijklmnop", b"0" * 16, b"pass w0rd"])
def test_the_rest_is(value):
    assert is_searchable(value)


def test_an_ordinary_token_has_four_needles():
    assert len(needles(token(108))) == 4


def test_a_value_that_is_no_text_has_no_json_form():
    assert b"\xff\xfe-aB3_dE9" in needles(b"\xff\xfe-aB3_dE9")


def test_long_forms_are_searched_in_pieces():
    value = token(10_000)
    pieces = needles(value)
    assert max(map(len, pieces)) <= known.MAX_NEEDLE_BYTES
    assert b"".join(pieces[:3]) == value


@pytest.mark.parametrize("count", [1, 5, 40])
@pytest.mark.parametrize("size", [8, 15, 31, 40, 71, 108, 400])
@pytest.mark.parametrize("padding", [0, 3, 2000])
def test_every_needle_is_found_at_every_alignment(count, size, padding):
    index, values = Index(), [token(size) for _ in range(count)]
    for value in values:
        index.add(value)
    for needle in needles(values[-1]):
        for at in range(padding, padding + 65, 1 if count > 5 else 13):
            data = b"." * at + needle + b"." * padding
            assert needle in index.present(data)
            assert index.value(needle) == values[-1]
    assert index.present(b"." * 5000) == []


@pytest.mark.parametrize("size", [16, 40, 100])
def test_every_needle_is_found_where_two_slices_of_long_data_meet(size, monkeypatch):
    monkeypatch.setattr("addons.redaction.known._SLICE_BYTES", 192)
    values = [bytes(random.Random(n).choices(b"ABCDEFGHjkmn2345", k=size)) for n in range(40)]
    index = Index()
    for value in values:
        index.add(value)
    for at in range(192 - size, 192 + 9):
        data = b"." * at + values[7] + b"." * 300
        assert values[7] in index.present(data)
        assert values[7] in index.present(data[: at + size])


def test_a_removed_value_is_not_found_and_leaves_the_others_alone():
    index, values = Index(), [b"sk-ant-api03-" + token(90) for _ in range(20)]
    for value in values:
        index.add(value)
    index.remove(values[3])
    index.remove(values[7])
    assert [v for v in values if not index.present(b"is " + v)] == [values[3], values[7]]
    for value in values[:3] + values[4:7] + values[8:]:
        index.remove(value)
    assert not any(index.present(b"is " + v) for v in values)
    assert index.hold(b"is " + values[0]) == 3 + len(values[0])


def test_a_form_of_two_values_stays_until_both_are_gone():
    plain = b'a"b/c-012345'
    escaped = b'a\\"b/c-012345'
    index = Index()
    index.add(plain)
    index.add(escaped)
    index.remove(plain)
    assert escaped in index.present(b"is " + escaped)
    index.remove(escaped)
    assert index.present(b"is " + escaped) == []


def test_the_value_unused_for_longest_makes_room():
    kept = Known()
    values = [token(20) for _ in range(known.MAX_VALUES)]
    for value in values:
        kept.learn(value)
    kept.learn(values[0])
    newest = token(20)
    kept.learn(newest)
    index = kept.index()
    missing = [v for v in (*values, newest) if not index.present(v)]
    assert missing == [values[1]]


@settings(deadline=None)
@given(st.binary(max_size=60), st.integers(0, 40))
def test_hold_is_the_longest_tail_that_may_go_on_to_a_needle(noise, size):
    value = b"abcabcabd-0123456789abcabcabd-0123456789"
    index = Index()
    index.add(value)
    data = noise + value[:size]
    expected = min(
        (at for at in range(len(data)) for n in needles(value)
         if n.startswith(data[at:]) and n != data[at:]),
        default=len(data),
    )  # fmt: skip
    assert index.hold(data) == expected
