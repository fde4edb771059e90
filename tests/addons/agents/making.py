"""Model calls made by hand, and what hypothesis makes of any part, message and call."""

import msgspec
from hypothesis import strategies as st

from addons.agents.contract import Call
from addons.wire.contract import Head
from storage.decoded import (
    Answer,
    Asked,
    CompactionPart,
    MediaPart,
    Message,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    Turn,
)


def head(*, host="api.example.com", path="/v1/chat/completions", method="POST", **headers):
    """Header names are written with `_`: `user_agent="x/1"`."""
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    encoded = tuple((name.encode(), value.encode("latin-1")) for name, value in pairs)
    return Head(method=method, host=host, path=path, headers=encoded)


def user(*texts):
    return Message(role="user", parts=tuple(TextPart(text=text) for text in texts))


def system(*texts):
    return Message(role="system", parts=tuple(TextPart(text=text) for text in texts))


def answer(text="Yes."):
    return Message(role="assistant", parts=(TextPart(text=text),))


def tool_call(name, /, call_id="call_1", namespace=None, **fields):
    encoded = msgspec.json.encode(fields).decode()
    return ToolCallPart(call_id=call_id, name=name, namespace=namespace, arguments=encoded)


def tool_result(text, call_id="call_1", **known):
    return ToolResultPart(call_id=call_id, text=text, **known)


def results(*parts, role="tool"):
    return Message(role=role, parts=parts)


def tools(*names):
    return tuple(Tool(name=name, size_bytes=2) for name in names)


def call(*messages, at=None, wire="openai.chat", tools=(), system=(), fields=None, **asked):
    """One call; `fields` are the body's other top-level fields."""
    request = Asked(
        model=asked.pop("model", "model-1"),
        messages=messages,
        tools=tools,
        system=tuple(TextPart(text=text) for text in system),
        fields_json=msgspec.json.encode(fields or {}),
        **asked,
    )
    turn = Turn(number=0, wire=wire, asked=request, answer=Answer(id=None), is_complete=True)
    return Call(head=at or head(), answer=None, turn=turn)


def anything(markers):
    """Strategies of texts, parts, messages and calls in which an agent's markers occur."""
    pieces = st.one_of(st.sampled_from(markers), st.text(max_size=12), st.sampled_from("<>/\n{}[]"))
    words = st.lists(pieces, max_size=6).map("".join)
    values = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**70), 2**70) | words,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
        max_leaves=6,
    )
    json = values.map(msgspec.json.encode)
    raw = st.one_of(json.map(bytes.decode), words)
    parts = st.one_of(
        words.map(lambda text: TextPart(text=text)),
        words.map(lambda text: ThinkingPart(text=text)),
        st.builds(MediaPart, media=st.just("image")),
        st.builds(CompactionPart, text=words),
        calls_of(words, raw),
        st.builds(
            ToolResultPart,
            call_id=st.none() | words,
            text=words,
            is_error=st.none() | st.booleans(),
            name=st.none() | words,
        ),
    )
    messages = st.builds(
        Message,
        role=st.sampled_from(["system", "developer", "user", "assistant", "tool"]),
        parts=st.lists(parts, max_size=4).map(tuple),
        labels_json=st.none() | json,
    )
    asked = st.builds(
        Asked,
        model=st.none() | words,
        system=st.lists(parts, max_size=3).map(tuple),
        messages=st.lists(messages, max_size=4).map(tuple),
        tools=st.lists(
            st.builds(Tool, name=words, size_bytes=st.just(1), namespace=st.none() | words),
            max_size=3,
        ).map(tuple),
        operation=st.sampled_from(["generate", "count", "compact", "embed"]),
        fields_json=st.one_of(st.dictionaries(words, values).map(msgspec.json.encode), json),
    )
    headers = st.lists(st.tuples(words.map(as_bytes), words.map(as_bytes)), max_size=4).map(tuple)
    heads = st.builds(
        Head,
        method=st.sampled_from(["POST", "GET"]),
        host=words,
        path=words,
        query=words,
        headers=headers,
    )
    return st.tuples(heads, asked, messages, parts)


def calls_of(words, raw):
    return st.builds(
        ToolCallPart,
        call_id=st.none() | words,
        name=words,
        namespace=st.none() | words,
        arguments=raw,
        is_custom=st.booleans(),
    )


def as_bytes(text):
    return text.encode("utf-8", "replace")


def check_total(agent, made):
    """Calls every function of the agent with what was made; none may raise."""
    head, asked, message, part = made
    agent.matches(head)
    agent.recognises(head, asked)
    turn = Turn(number=0, wire="w", asked=asked, answer=Answer(id=None), is_complete=True)
    hints = agent.hints(Call(head=head, answer=None, turn=turn))
    assert set(hints.inferred) <= set(hints.__struct_fields__)
    for one in (message, *asked.messages):
        read = agent.reading(one)
        assert all(0 <= index < len(one.parts) for index in read.injected)
        assert (read.prompt is not None) <= (read.kind in ("prompt", "command"))
    for tool in asked.tools:
        agent.offered(tool)
    if isinstance(part, ToolCallPart):
        agent.call(part)
        agent.tasks(part, None)
        agent.result(part, ToolResultPart(call_id=None, text=part.arguments))
    if isinstance(part, ToolResultPart):
        agent.result(None, part)
