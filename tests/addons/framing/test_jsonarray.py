"""An array in pieces: whole, byte by byte and cut anywhere; the json module says what it holds."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.framing.jsonarray import Decoder
from tests.addons.framing.test_ndjson import values
from tests.addons.wire.feeding import byte_by_byte, split_at

CASES = {
    "as gemini writes it": (
        b'[{\n  "a": [1, 2]\n}\n,\r\n{\n  "b": {}\n}\n]\n',
        [b'{\n  "a": [1, 2]\n}', b'{\n  "b": {}\n}'],
    ),
    "empty": (b"[]", []),
    "empty, with white space": (b" [ \n ] ", []),
    "brackets in strings": (rb'["a]", "}{", ","]', [rb'"a]"', rb'"}{"', rb'","']),
    "escapes": (rb'["\"]", "\\", "\u005d\\\""]', [rb'"\"]"', rb'"\\"', rb'"\u005d\\\""']),
    "simple values": (b"[1,-2.5e3,true,null]", [b"1", b"-2.5e3", b"true", b"null"]),
    "nested": (b'[[[1],[2,[3]]],{"a":[{}]}]', [b"[[1],[2,[3]]]", b'{"a":[{}]}']),
    "what follows is no part of it": (b"[1] [2] x", [b"1"]),
    "a comma too many": (b"[1,,2,]", [b"1", b"2"]),
}
HOSTILE = [
    b"]",
    b"}}}}",
    b"[}1",
    b'"[1]"',
    b"1,2,3",
    b'["',
    b'["\\',
    b"\xff\xfe[\x00]",
    b"[" * 2_000,
    b"[" * 2_000 + b"]" * 3_000,
    b'[{"a":1]',
]


def read(chunks):
    decoder = Decoder()
    elements = [element for chunk in chunks for element in decoder.feed(chunk)]
    return elements + decoder.finish(), decoder.truncated


@pytest.mark.parametrize(("stream", "elements"), CASES.values(), ids=CASES)
def test_whole_byte_by_byte_and_cut_once(stream, elements):
    assert read([stream]) == (elements, False)
    assert read(byte_by_byte(stream)) == (elements, False)
    for at in range(len(stream)):
        assert read([stream[:at], stream[at:]]) == (elements, False)


@pytest.mark.parametrize(
    ("stream", "elements"),
    [
        (b"", []),
        (b"[", []),
        (b'[{"a":1}', [b'{"a":1}']),
        (b'[{"a":1},', [b'{"a":1}']),
        (b'[{"a":1},{"b":"x', [b'{"a":1}', b'{"b":"x']),
        (rb'["a\"', [rb'"a\"']),
    ],
)
def test_a_cut_array_gives_what_it_held(stream, elements):
    assert read([stream]) == (elements, True)
    assert read(byte_by_byte(stream)) == (elements, True)


def test_an_element_is_given_as_soon_as_it_ends():
    decoder = Decoder()

    assert decoder.feed(b'[{"a":1}') == []
    assert decoder.feed(b",") == [b'{"a":1}']
    assert decoder.feed(b"2]") == [b"2"]


@given(
    st.lists(values, max_size=5),
    st.booleans(),
    st.sampled_from([None, 0, 2]),
    st.lists(st.integers(0, 500), max_size=5),
)
def test_what_json_wrote_is_read(written, ascii_only, indent, cuts):
    text = json.dumps(written, ensure_ascii=ascii_only, indent=indent)
    stream = text.encode(errors="surrogatepass")

    elements, truncated = read(split_at(stream, cuts))
    assert [json.loads(each.decode(errors="surrogatepass")) for each in elements] == written
    assert not truncated


@given(
    st.lists(st.binary(max_size=20) | st.text('[]{},"\\ 1', max_size=9).map(str.encode), max_size=9)
)
def test_never_raises_and_chunking_changes_nothing(chunks):
    assert read(chunks) == read([b"".join(chunks)])


@pytest.mark.parametrize("stream", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_input_ends(stream):
    assert read([stream]) == read(byte_by_byte(stream))


def test_a_long_element_in_small_pieces():
    pieces = [b'"', *[b"x" * 10] * 50_000, b'"']

    assert read([b"[", *pieces, b"]"]) == ([b"".join(pieces)], False)
