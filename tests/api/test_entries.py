"""Heads as the API shows them."""

import pytest

from api import entries


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ((), {}),
        (((b"A", b"1"), (b"b", b"\xc3\xa9")), {"A": "1", "b": "é"}),
        (((b"A", b"1"), (b"b", b"\xe9")), {"A": "1", "b": "é"}),
        (((b"A", b"1"), (b"b", b"2"), (b"a", b"\xe9")), {"A": ["1", "é"], "b": "2"}),
    ],
    ids=["none", "utf-8", "latin-1", "again"],
)
def test_headers_by_name(headers, shown):
    assert entries.header_map(headers) == shown
    assert list(entries.header_map(headers)) == list(shown)
