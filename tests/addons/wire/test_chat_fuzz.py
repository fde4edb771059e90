"""Chat and Ollama against anything: nothing raises, and chunking changes nothing."""

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.wire import chat, ollama
from tests.addons.wire import feeding
from tests.addons.wire.chatting import HELLO, call, chunk, events, exchange
from tests.addons.wire.test_chat import STREAMS
from tests.addons.wire.test_chat_calls import WAYS
from tests.addons.wire.test_ollama import CHAT, GENERATE

REQUEST = {
    **HELLO,
    "n": 2,
    "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "t"}, {"type": "image_url",
         "image_url": {"url": "data:image/png;base64,AAAA"}}], "images": ["AAAA"]},
        {"role": "assistant", "content": "a", "reasoning_details": [{"type": "x", "text": "b"}],
         "annotations": [1], "audio": {"id": "i"}, "tool_calls": [call(0, "x", "f", "{}")]},
        {"role": "tool", "tool_call_id": "x", "content": [{"type": "text", "text": "r"}]},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    "options": {"num_predict": 1},
    "prompt": "p",
}  # fmt: skip
WHOLE = {
    "id": "c",
    "choices": [{"index": 0, "message": REQUEST["messages"][2], "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "cost": 1.5, "prompt_tokens_details": {"cached_tokens": 1}},
}
JSONS = [
    *([each for each in stream if not isinstance(each, bytes)] for stream in STREAMS.values()),
    *([chunk({"tool_calls": each}) for each in pieces] for pieces in WAYS.values()),
    [chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "h"}]}]})],
]

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "x", "tool", "text", "}", '{"a":1}', "\ud83d", "data:,", "[DONE]"]),
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "index", "id", "function", "content", "role", "zz"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The way to each value inside."""
    found = [path] if path else []
    if isinstance(value, dict | list):
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            found += places(value[key], (*path, key))
    return found


def mutated(data, value):
    """With up to three values inside replaced, or taken out."""
    value = copy.deepcopy(value)
    for _ in range(data.draw(st.integers(0, 3))):
        all_places = places(value)
        if not all_places:
            break
        *way, last = data.draw(st.sampled_from(all_places))
        holder = value
        for key in way:
            holder = holder[key]
        if data.draw(st.booleans()):
            holder[last] = data.draw(values)
        else:
            del holder[last]
    return value


def coded(value) -> bytes:
    """As JSON, half signs as their escapes."""
    return json.dumps(value).encode()


def broken(data, body: bytes) -> bytes:
    """Now and then with bytes replaced, or cut off."""
    for _ in range(data.draw(st.sampled_from([0, 0, 1, 2]))):
        at = data.draw(st.integers(0, len(body)))
        body = body[:at] + data.draw(st.binary(max_size=4)) + body[at + 2 :]
    return body[: data.draw(st.integers(0, len(body)))] if data.draw(st.booleans()) else body


def check(data, decoder, sent):
    cut = data.draw(st.booleans())
    cuts = data.draw(st.lists(st.integers(0, 10_000), max_size=6))
    whole = feeding.turn(decoder, sent, cut=cut)
    pieces = feeding.turn(decoder, sent, feeding.split_at(sent.response, cuts), cut=cut)
    assert feeding.timeless(whole) == feeding.timeless(pieces)
    assert msgspec.json.encode(whole)


def chat_call(data):
    request = broken(data, coded(mutated(data, REQUEST)))
    if data.draw(st.integers(0, 3)) == 0:
        answer = broken(data, coded(mutated(data, WHOLE)))
        status = data.draw(st.sampled_from([200, 200, 400]))
        sent = exchange(answer, request, content_type="application/json", status=status)
    else:
        chunks = mutated(data, data.draw(st.sampled_from(JSONS)))
        stream = b"".join(b"data: " + coded(each) + b"\n\n" for each in chunks)
        sent = exchange(broken(data, stream) + b"data: [DONE]\n\n", request)
    check(data, chat.DECODER, sent)


def ollama_call(data):
    answer = mutated(data, data.draw(st.sampled_from([CHAT, GENERATE])))
    media = data.draw(st.sampled_from(["application/x-ndjson", "application/json"]))
    body = b"".join(coded(each) + b"\n" for each in answer)
    sent = exchange(
        broken(data, body),
        broken(data, coded(mutated(data, REQUEST))),
        path=data.draw(st.sampled_from(["/api/chat", "/api/generate"])),
        content_type=media,
    )
    check(data, ollama.DECODER, sent)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_chat(data):
    chat_call(data)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_ollama(data):
    ollama_call(data)


@pytest.mark.fuzz
@settings(max_examples=10_000, deadline=None)
@given(st.data())
def test_chat_long(data):
    chat_call(data)


@pytest.mark.fuzz
@settings(max_examples=10_000, deadline=None)
@given(st.data())
def test_ollama_long(data):
    ollama_call(data)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(STREAMS)), st.lists(st.integers(0, 10_000), max_size=8))
def test_streams_in_any_chunks(name, cuts):
    stream = b"".join(events(*STREAMS[name]))
    sent = exchange(stream)
    pieces = feeding.split_at(stream, cuts)

    assert feeding.timeless(feeding.turn(chat.DECODER, sent, pieces)) == feeding.timeless(
        feeding.turn(chat.DECODER, sent)
    )


@given(st.one_of(st.binary(max_size=60), st.text(max_size=30).map(coded)))
def test_a_message_of_anything(raw):
    assert msgspec.json.encode(chat.DECODER.message(raw))


def test_depth_and_length_are_no_error():
    deep = b"[" * 5_000 + b"]" * 5_000
    for body in (deep, b'{"messages":[' + deep + b"]}", b'{"choices":' + deep + b"}"):
        sent = exchange(b"data: " + body + b"\n\n", body)
        feeding.turn(chat.DECODER, sent)
        feeding.turn(ollama.DECODER, exchange(body + b"\n", body, path="/api/chat"))
