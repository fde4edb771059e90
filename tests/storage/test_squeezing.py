"""Small values come back as they were, in any thread, and damage is told."""

import hashlib
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.projection import known
from storage.squeezing import Squeezer

WORDS = Squeezer(b"anthropic-ratelimit-requests-remaining")


@given(data=st.binary(max_size=300))
def test_any_bytes_come_back(data):
    assert WORDS.unsqueeze(WORDS.squeeze(data)) == data


def test_what_is_known_takes_little():
    data = b"anthropic-ratelimit-requests-remaining" * 20
    assert len(WORDS.squeeze(data)) < 25


def test_what_is_not_known_takes_one_byte_more():
    assert WORDS.squeeze(b"q7#") == b"\x00q7#"


def test_each_thread_has_its_own():
    data = b"x-ratelimit-requests-remaining: 7"
    found = []
    content = WORDS.squeeze(data)
    threads = [
        threading.Thread(target=lambda: found.append(WORDS.unsqueeze(content))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [data] * 4


@pytest.mark.parametrize("content", [b"", b"\x01a", b"\x02", b"\x02abc"], ids=bytes.hex)
def test_damage_is_told(content):
    with pytest.raises(ValueError, match="value"):
        WORDS.unsqueeze(content)


def test_details_are_read_against_what_they_were_made_with():
    """If this fails, raise the version of the projection: details that are there get unreadable."""
    expected = "fefe405eff25c54a1358d80a51f88333ad758254c95bc5aadc25e07571e3bf3d"
    assert hashlib.sha256(known.DETAILS).hexdigest() == expected
