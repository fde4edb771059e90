"""JSON on disk, item by item."""

import json
import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.importing.document import LONG_BYTES, BrokenJson, Reader, Texts, _sound_end, decoded


def mapped(data: bytes):
    found = mmap.mmap(-1, len(data))
    found.write(data)
    return found


def values(data: bytes):
    """The items of a list, as JSON reads them."""
    reader = Reader(mapped(data))
    assert reader.opens(b"[")
    found = []
    for _ in reader.items():
        value = reader.value(Texts(reader.document))
        found.append(json.loads(value))
    reader.finish()
    return found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=5), st.sampled_from([None, 1]), st.booleans())
def test_the_items_are_what_json_says(items, indent, ascii_only):
    assert values(json.dumps(items, indent=indent, ensure_ascii=ascii_only).encode()) == items


@pytest.mark.parametrize(
    "data",
    [b"[", b"[1", b"[1,", b'["a', b"[1 2]", b"[}", b"[1]]", b"[1] x", b"[,]", b"[:]", b'[{"a":1]'],
)
def test_what_is_no_list_is_said_with_its_place(data):
    with pytest.raises((BrokenJson, json.JSONDecodeError)) as caught:
        values(data)
    if isinstance(caught.value, BrokenJson):
        assert 0 < caught.value.at_bytes <= len(data)


@given(st.text(st.sampled_from(list('a"\\ü世😀\n\u0001\ud83d')), max_size=30), st.data())
def test_a_string_can_be_read_in_two_pieces(text, data):
    for ascii_only in (True, False):
        raw = json.dumps(text, ensure_ascii=ascii_only).encode("utf-8", "replace")[1:-1]
        at = data.draw(st.integers(0, len(raw)))
        end = _sound_end(raw[:at]) if at < len(raw) else at
        pieces = (raw[:end], raw[end:])
        assert "".join(decoded(b'"' + piece + b'"', str) for piece in pieces) == decoded(
            b'"' + raw + b'"', str
        )


def test_long_strings_stay_behind_and_are_read_in_pieces():
    long = "\\😀ü" * LONG_BYTES
    reader = Reader(mapped(json.dumps({"short": "\0000", "long": long}).encode()))
    texts = Texts(reader.document)
    value = reader.value(texts)
    assert len(value) < 100
    found = json.loads(value)
    pieces = list(texts.pieces(found["long"]))
    assert len(pieces) > 10
    assert "".join(pieces) == long


def test_a_string_of_escapes_alone_is_no_burden():
    reader = Reader(mapped(b'"' + b"\\n" * 3_000_000 + b'"'))
    texts = Texts(reader.document)
    name = json.loads(reader.value(texts))
    assert sum(map(len, texts.pieces(name))) == 3_000_000
