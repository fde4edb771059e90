"""The short way through common shapes gives what the long way gives, or steps aside."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.wire import chat_message, chat_plain
from addons.wire.chat import DECODER
from addons.wire.ollama import DECODER as OLLAMA
from tests.addons.wire import feeding
from tests.addons.wire.chatting import call, chunk, events, exchange
from tests.addons.wire.test_chat import STREAMS
from tests.addons.wire.test_chat_calls import WAYS
from tests.addons.wire.test_ollama import CHAT, GENERATE, lines
from tests.addons.wire.test_ollama import exchange as ollama_exchange

texts = st.sampled_from(["", "a", "zwei\n", "\U0001f600", '{"a":1}', "\ud83d", None])
calls = st.builds(
    call,
    st.sampled_from([None, 0, 1]),
    st.sampled_from([None, "", "x"]),
    st.sampled_from([None, "", "f"]),
    st.sampled_from([None, "", "{}", {"b": 1}]),
)
blocks = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "refusal", "input_text"]), "text": texts},
    optional={"cache_control": st.just({"type": "ephemeral"})},
)
messages = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["system", "user", "assistant", "tool", "function", "guru"]),
        "content": st.one_of(texts, st.lists(blocks, max_size=3), st.just(7)),
        "tool_calls": st.one_of(st.none(), st.lists(calls, max_size=3)),
        "tool_call_id": st.sampled_from([None, "", "x"]),
        "reasoning_content": texts,
        "reasoning": texts,
        "refusal": texts,
        "name": texts,
        "annotations": st.sampled_from([None, [], [{"type": "url_citation"}]]),
        "audio": st.sampled_from([None, {"id": "a"}]),
        "function_call": st.sampled_from([None, {"name": "f", "arguments": "{}"}]),
        "mood": st.just(1),
    },
)


@settings(max_examples=300, deadline=None)
@given(messages)
def test_messages(message):
    raw = json.dumps(message).encode()

    short = chat_plain.message(raw, b"d")
    assert short is None or short == chat_message.read_fields(raw, b"d")


@pytest.mark.parametrize(
    "message",
    [
        {"role": "system", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
        {"role": "assistant", "content": None, "tool_calls": [call(None, "x", "f", "{}")]},
        {"role": "tool", "tool_call_id": "x", "content": "a"},
    ],
    ids=["system", "user", "assistant", "tool"],
)
def test_what_agents_send_goes_the_short_way(message):
    raw = json.dumps(message).encode()

    assert chat_plain.message(raw, b"d") == chat_message.read_fields(raw, b"d")


ALL = {**STREAMS, **{f"calls {way}": [chunk({"tool_calls": p}) for p in WAYS[way]] for way in WAYS}}


def at_length(each):
    """The same chunk, not plain: a field more, that says nothing."""
    if isinstance(each, bytes):
        return each
    return {**each, "choices": [{**one, "annotations": None} for one in each.get("choices", [])]}


@pytest.mark.parametrize("name", ALL)
def test_streams(name):
    short, long = (
        feeding.turn(DECODER, exchange(b"".join(events(*chunks))))
        for chunks in (ALL[name], list(map(at_length, ALL[name])))
    )

    assert short.answer == long.answer
    assert {note for note in long.notes if note.kind != "unknown-event"} == set(short.notes)


@pytest.mark.parametrize("values", [CHAT, GENERATE], ids=["chat", "generate"])
def test_lines(values):
    short, long = (
        feeding.turn(OLLAMA, ollama_exchange(b"".join(lines(*lined))))
        for lined in (values, [{**each, "logprobs": None} for each in values])
    )

    assert short == long
