import base64
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.exports import strings
from storage.errors import NotFound, StoreError


def whole(pieces, *, is_text):
    """The JSON value, and what the generator returned."""
    made = strings.quoted(pieces, is_text=is_text)
    out = []
    while True:
        try:
            out.append(next(made))
        except StopIteration as end:
            return json.loads(b"".join(out)), end.value


def cut(data, places):
    borders = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[low:high] for low, high in itertools.pairwise(borders)]


@given(st.text(), st.lists(st.integers(min_value=0), max_size=8))
def test_text_comes_back_wherever_it_was_cut(text, places):
    assert whole(cut(text.encode(), places), is_text=True) == (text, None)


@given(st.binary(), st.lists(st.integers(min_value=0), max_size=8))
def test_bytes_come_back_wherever_they_were_cut(data, places):
    found, fault = whole(cut(data, places), is_text=False)

    assert (base64.b64decode(found, validate=True), fault) == (data, None)


def test_what_is_no_utf8_is_replaced():
    assert whole([b"a\xff", b"b\xe2\x82"], is_text=True) == ("a�b�", None)


@pytest.mark.parametrize("error", [StoreError("block is damaged"), NotFound("it is gone")])
@pytest.mark.parametrize("is_text", [True, False])
def test_a_store_that_fails_ends_the_string(error, is_text):
    def pieces():
        yield b"abcd"
        raise error

    found, fault = whole(pieces(), is_text=is_text)

    assert found == ("abcd" if is_text else base64.b64encode(b"abc").decode())
    assert fault == str(error)


def test_no_other_error_is_swallowed():
    def pieces():
        yield b"abcd"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        whole(pieces(), is_text=True)
