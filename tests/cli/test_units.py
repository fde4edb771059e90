import pytest

from cli import units


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1234, "1.2 kB"),
        (9_949, "9.9 kB"),
        (9_950, "10 kB"),
        (34_567, "35 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (5_000_000_000, "5.0 GB"),
        (7_000_000_000_000_000, "7000 TB"),
    ],
)
def test_sizes_have_three_digits_at_most(size_bytes, shown):
    assert units.size(size_bytes) == shown


def test_counts_agree_with_their_noun():
    assert units.count(1, "entry", "entries") == "1 entry"
    assert units.count(0, "entry", "entries") == "0 entries"
    assert units.count(12345, "entry", "entries") == "12,345 entries"
