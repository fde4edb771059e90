"""Lines of JSON: read whole, byte by byte and cut anywhere; the json module says what they hold."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.framing.ndjson import Decoder
from tests.addons.wire.feeding import byte_by_byte, split_at

CASES = {
    "two lines": (b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
    "crlf": (b"1\r\n2\r\n", [b"1", b"2"]),
    "empty lines": (b"\n1\n\r\n \n2\n\n", [b"1", b"2"]),
    "a newline in a text is escaped": (rb'"a\nb"' + b"\n", [rb'"a\nb"']),
    "other separators are text": (
        '"a\u2028b\x0bc\x85"\n'.encode(),
        ['"a\u2028b\x0bc\x85"'.encode()],
    ),
    "no json is no matter": (b"hello\n\xff\xfe\n", [b"hello", b"\xff\xfe"]),
    "nothing": (b"", []),
}

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def read(chunks):
    decoder = Decoder()
    lines = [line for chunk in chunks for line in decoder.feed(chunk)]
    return lines + decoder.finish(), decoder.truncated


@pytest.mark.parametrize(("stream", "lines"), CASES.values(), ids=CASES)
def test_whole_byte_by_byte_and_cut_once(stream, lines):
    assert read([stream]) == (lines, False)
    assert read(byte_by_byte(stream)) == (lines, False)
    for at in range(len(stream)):
        assert read([stream[:at], stream[at:]]) == (lines, False)


@pytest.mark.parametrize(
    ("stream", "lines"),
    [(b'{"a":1}\n{"b"', [b'{"a":1}', b'{"b"']), (b"1\n2", [b"1", b"2"]), (b" 1 ", [b"1"])],
)
def test_a_line_without_an_end_is_given_and_said_to_be(stream, lines):
    assert read([stream]) == (lines, True)


def test_white_space_behind_the_last_line_is_no_line():
    assert read([b"1\n \r"]) == ([b"1"], False)


def test_a_line_is_given_with_its_newline():
    decoder = Decoder()

    assert decoder.feed(b"1") == []
    assert decoder.feed(b"\n2") == [b"1"]
    assert decoder.feed(b"\n") == [b"2"]


@given(
    st.lists(values, max_size=5),
    st.booleans(),
    st.sampled_from(["\n", "\r\n"]),
    st.lists(st.integers(0, 500), max_size=5),
)
def test_what_json_wrote_is_read(written, ascii_only, end, cuts):
    text = "".join(json.dumps(value, ensure_ascii=ascii_only) + end for value in written)
    stream = text.encode(errors="surrogatepass")

    lines, truncated = read(split_at(stream, cuts))
    assert [json.loads(line.decode(errors="surrogatepass")) for line in lines] == written
    assert not truncated


@given(
    st.lists(st.binary(max_size=20) | st.text("\r\n 1{", max_size=9).map(str.encode), max_size=9)
)
def test_never_raises_and_chunking_changes_nothing(chunks):
    assert read(chunks) == read([b"".join(chunks)])


def test_a_long_line_in_small_pieces():
    pieces = [b"x" * 10] * 50_000

    assert read([*pieces, b"\n"]) == ([b"x" * 500_000], False)
