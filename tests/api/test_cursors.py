"""Cursors come back as they were given; anything else is refused."""

import pytest

from api import cursors
from storage.errors import ConfigError

PLACE = ("01a0-b.00001", 3, 4)


def test_they_come_back():
    text = cursors.encode(PLACE)
    assert text.isascii()
    assert not set(text) & set("+/=&? ")
    assert cursors.decode(text, tuple[str, int, int]) == PLACE
    assert cursors.encode(None) is cursors.decode(None, tuple[str]) is None


@pytest.mark.parametrize(
    "text", ["", "x", "%%%", "é", "AAAA", "k6E", "01a0-b.00001", "k" * 9999], ids=range(8)
)
def test_what_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="`after` is not the `next`"):
        cursors.decode(text, tuple[str, int, int])


def test_nor_does_one_of_another_list_fit():
    with pytest.raises(ConfigError):
        cursors.decode(cursors.encode(("a", "b")), tuple[str, int, int])
