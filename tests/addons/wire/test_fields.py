"""Foreign JSON, its broken signs included: what can be read is read, nothing raises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.wire import fields

SIGNS = {
    "pair": (rb"a\ud83d\ude00b", "a\U0001f600b"),
    "half in front": (rb"a\ud83d", "a\ufffd"),
    "half behind": (rb"\ude00a", "\ufffda"),
    "two halves in front": (rb"\uD83D\ud83d\ude00", "\ufffd\U0001f600"),
    "backslash and a word": (rb"\\ud83d", r"\ud83d"),
    "no utf-8": (b"a\xff", "a\ufffd"),
    "half, coded": (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
}


@pytest.mark.parametrize(("coded", "text"), SIGNS.values(), ids=SIGNS)
def test_a_broken_sign_costs_no_more_than_itself(coded, text):
    body = b'{"a": [{"b": "' + coded + b'"}], "c": 1}'

    opened = fields.read_object(body)
    assert opened is not None
    (inner,) = fields.read_array(opened["a"])
    assert fields.read_text(fields.read_object(inner)["b"]) == text
    assert fields.read_integer(opened["c"]) == 1


@given(st.one_of(st.binary(max_size=40), st.text(max_size=20), st.text('\ud83d\\u{}[]"1a')))
def test_nothing_raises(value):
    for read in (
        fields.read_object,
        fields.read_array,
        fields.read_text,
        fields.read_integer,
        fields.read_number,
        fields.read_boolean,
        fields.kind_of,
    ):
        read(value)


def test_depth_is_no_error():
    assert fields.read_array(b"[" * 100_000 + b"]" * 100_000) is None


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63)], ids=["most", "least"])
def test_an_integer_fits_into_64_bits(value):
    beyond = value + (1 if value > 0 else -1)
    assert fields.read_integer(str(value)) == value
    assert fields.read_integer(str(beyond)) is None
