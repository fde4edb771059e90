"""Each stream is read whole, byte by byte and cut anywhere; chunking changes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.framing.sse import Decoder, Event

CASES = {
    "one event": (b"data: a\n\n", [Event(name="message", data="a")]),
    "named": (b"event: ping\ndata: {}\n\n", [Event(name="ping", data="{}")]),
    "crlf": (b"event: x\r\ndata: 1\r\n\r\n", [Event(name="x", data="1")]),
    "cr": (b"data: 1\r\rdata: 2\r\r", [Event(name="message", data=d) for d in "12"]),
    "several data lines": (b"data: a\ndata:b\ndata\n\n", [Event(name="message", data="a\nb\n")]),
    "one blank only is dropped": (b"data:  a\n\n", [Event(name="message", data=" a")]),
    "bom": (b"\xef\xbb\xbfdata: a\n\n", [Event(name="message", data="a")]),
    "comment": (b": hello\ndata: a\n\n", [Event(name="message", data="a")]),
    "no data, no event": (b"event: x\n\ndata: a\n\n", [Event(name="message", data="a")]),
    "id stays": (
        b"id: 7\ndata: a\n\ndata: b\n\n",
        [Event(name="message", data="a", id="7"), Event(name="message", data="b", id="7")],
    ),
    "id with nul is ignored": (b"id: 7\0\ndata: a\n\n", [Event(name="message", data="a")]),
    "retry": (
        b"retry: 1500\ndata: a\n\ndata: b\n\n",
        [Event(name="message", data="a", retry_ms=1500), Event(name="message", data="b")],
    ),
    "retry that is no number": (b"retry: 1s\ndata: a\n\n", [Event(name="message", data="a")]),
    "unknown field": (b"foo: 1\ndata: a\n\n", [Event(name="message", data="a")]),
    "broken utf-8": (b"data: \xff\n\n", [Event(name="message", data="\ufffd")]),
    "other separators are text": (
        "data: a\u2028b\x0bc\x1dd\n\n".encode(),
        [Event(name="message", data="a\u2028b\x0bc\x1dd")],
    ),
}


def read(chunks):
    decoder = Decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.finish(), decoder.truncated


@pytest.mark.parametrize(("stream", "expected"), CASES.values(), ids=CASES)
def test_whole_and_byte_by_byte(stream, expected):
    assert read([stream]) == (expected, False)
    assert read([bytes((byte,)) for byte in stream]) == (expected, False)
    for at in range(len(stream)):
        assert read([stream[:at], stream[at:]]) == (expected, False)


@pytest.mark.parametrize("cut", [b"data: a", b"data: a\n", b"event: x\ndata: a\r"])
def test_a_cut_stream_gives_what_it_held(cut):
    events, truncated = read([cut])

    assert [event.data for event in events] == ["a"]
    assert truncated


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_never_raises_and_chunking_changes_nothing(chunks):
    assert read(chunks) == read([b"".join(chunks)])


LINES = (
    b"data: a", b"data:b", b"data: ", b"data:  c", b"data", b"event: x", b"event:y", b"event: ",
    b"id: 7", b"id", b"retry: 5", b": no", b"", b"", b"", b"dat", b"data: \xff",
)  # fmt: skip


@given(st.lists(st.sampled_from(LINES), max_size=12), st.sampled_from((b"\n", b"\r\n")))
def test_common_events_are_the_same_as_line_by_line(lines, end):
    stream = b"".join(line + end for line in lines)
    assert read([stream]) == read([stream[at : at + 1] for at in range(len(stream))])


@given(st.text("da:t \r\n\ufeff1", max_size=60), st.integers(1, 7))
def test_streams_of_the_grammar_are_the_same_in_any_chunks(text, size):
    stream = text.encode()
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]

    assert read(chunks) == read([stream])
