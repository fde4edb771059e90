"""Anthropic Messages: which calls are in this format, and what a request asks."""

from typing import Any

import msgspec
import pytest

from addons.wire import by_name, decoder_of
from addons.wire.anthropic import DECODER
from addons.wire.contract import Head
from addons.wire.memo import digest
from storage.decoded import Message, Note, OtherPart, TextPart, Tool, Turn
from tests.addons.wire import feeding
from tests.addons.wire.anthropic_streams import EMPTY, exchange

encode = msgspec.json.encode


def turn(body: Any, **fields: Any) -> Turn:
    request = body if isinstance(body, bytes) else encode(body)
    return feeding.turn(DECODER, exchange(EMPTY, request=request, **fields))


def user(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


@pytest.mark.parametrize(
    "path",
    [
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/api/anthropic/v1/messages",
        "/api/v1/messages",
    ],
)
def test_calls_match_whatever_the_host_and_the_prefix(path: str) -> None:
    for host in ("api.anthropic.com", "api.githubcopilot.com", "127.0.0.1"):
        head = Head(method="POST", host=host, path=path, query="beta=true")
        assert decoder_of(head) is DECODER


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/messages/batches"),
        ("GET", "/v1/messages/batches/msgbatch_1/results"),
        ("POST", "/v1/messages/batches/msgbatch_1/cancel"),
        ("GET", "/v1/messages"),
        ("OPTIONS", "/v1/messages"),
        ("POST", "/v1/threads/thread_1/messages"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/complete"),
    ],
)
def test_other_calls_do_not_match(method: str, path: str) -> None:
    assert not DECODER.matches(Head(method=method, host="api.anthropic.com", path=path))


def test_sockets_do_not_match_and_the_name_leads_back() -> None:
    head = Head(method="POST", host="h", path="/v1/messages", is_websocket=True)
    assert not DECODER.matches(head)
    assert by_name("anthropic.messages") is DECODER


def test_all_that_a_request_says() -> None:
    tools = [
        {
            "name": "Read",
            "description": "Reads.",
            "input_schema": {"type": "object"},
            "defer_loading": True,
        },
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
        {"type": "mcp_toolset", "mcp_server_name": "demo"},
    ]
    others = {
        "max_tokens": 1024,
        "stream": True,
        "temperature": 0.5,
        "metadata": {"user_id": '{"session_id":"s"}'},
        "diagnostics": {"previous_message_id": "msg_0"},
        "thinking": {"type": "adaptive", "display": "omitted"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015"}]},
        "output_config": {"effort": "high"},
    }
    system = [
        {"type": "text", "text": "You help."},
        {"type": "text", "text": "More.", "cache_control": {"type": "ephemeral"}},
    ]
    said = [
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": "New skills.", "output_config": {"effort": "low"}},
        {"role": "assistant", "content": [{"type": "text", "text": "Yes?"}]},
        {"role": "user", "content": [{"type": "text", "text": "Go."}]},
    ]
    body = {"model": "claude", "system": system, "messages": said, "tools": tools} | others
    found = turn(body)
    asked = found.asked
    assert (asked.model, asked.max_tokens, asked.is_stream) == ("claude", 1024, True)
    assert (asked.effort, asked.temperature) == ("high", 0.5)
    assert (asked.operation, asked.generates, asked.previous_id) == ("generate", True, None)
    assert asked.system == (
        TextPart(text="You help."),
        TextPart(text="More.", extra_json=b'{"cache_control":{"type":"ephemeral"}}'),
    )
    roles = [message.role for message in asked.messages]
    assert roles == ["user", "system", "assistant", "user"]
    assert asked.messages[0].parts == (TextPart(text="Hi"),)
    assert asked.messages[1].extra_json == b'{"output_config":{"effort":"low"}}'
    assert asked.messages[2].raw_digest == digest(encode(said[2]))
    assert asked.tools == (
        Tool(
            name="Read",
            description="Reads.",
            schema_json=b'{"type":"object"}',
            size_bytes=len(encode(tools[0])),
        ),
        Tool(name="web_search", type="web_search_20250305", size_bytes=len(encode(tools[1]))),
        Tool(
            name="mcp_toolset",
            namespace="demo",
            type="mcp_toolset",
            size_bytes=len(encode(tools[2])),
        ),
    )
    assert msgspec.json.decode(asked.fields_json) == others
    assert found.notes == ()


def test_a_string_and_one_block_of_text_are_the_same() -> None:
    asked = turn(user("Hi") | {"system": "Be kind."}).asked
    blocks = turn(
        user([{"type": "text", "text": "Hi"}]) | {"system": [{"type": "text", "text": "Be kind."}]}
    ).asked
    assert asked.messages[0].parts == blocks.messages[0].parts
    assert asked.system == blocks.system == (TextPart(text="Be kind."),)


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({"output_config": {"effort": "max"}}, "max"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10_000}}, "10000"),
        (
            {
                "output_config": {"effort": "low"},
                "thinking": {"type": "enabled", "budget_tokens": 10_000},
            },
            "low",
        ),
        ({"output_config": {"format": {}}, "thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "disabled"}}, None),
        ({}, None),
    ],
    ids=["effort", "budget", "both", "adaptive", "disabled", "none"],
)
def test_effort_is_stated_or_the_budget_of_thinking(fields: Any, effort: str | None) -> None:
    assert turn(user("Hi") | fields).asked.effort == effort


def test_a_count_asks_for_no_answer() -> None:
    found = turn(user("Hi"), path="/v1/messages/count_tokens")
    assert (found.asked.operation, found.asked.generates) == ("count", False)


def test_a_request_that_only_warms_the_cache_asks_for_no_answer() -> None:
    asked = turn(user("Hi") | {"max_tokens": 0}).asked
    assert (asked.operation, asked.generates) == ("generate", False)


def test_a_request_for_a_summary_is_a_compaction() -> None:
    asked = turn(user("Hi") | {"compaction": {"type": "summarize"}}).asked
    assert (asked.operation, asked.generates) == ("compact", True)


def test_what_is_unknown_in_a_request_is_kept_with_notes() -> None:
    said = [{"role": "critic", "content": "Hm.", "mood": "dark"}]
    found = turn({"messages": said, "novelty": 1, "stream": False})
    assert found.asked.fields_json == b'{"novelty":1,"stream":false}'
    assert found.asked.is_stream is False
    (message,) = found.asked.messages
    assert (message.role, message.extra_json) == ("user", b'{"role":"critic","mood":"dark"}')
    assert found.notes == (
        Note(kind="unknown-field", detail="novelty"),
        Note(kind="unknown-role", detail="critic"),
        Note(kind="unknown-field", detail="message.mood"),
    )


def test_a_message_sent_again_makes_its_notes_again() -> None:
    body = user([{"type": "hologram"}, {"type": "hologram"}])
    notes = (Note(kind="unknown-block", detail="hologram", count=2),)
    assert turn(body).notes == turn(body).notes == notes


def test_a_message_kept_alone_reads_like_the_one_in_its_request() -> None:
    raw = encode({"role": "assistant", "content": [{"type": "text", "text": "Yes."}]})
    message = DECODER.message(raw)
    assert message == Message(
        role="assistant", parts=(TextPart(text="Yes."),), raw_digest=digest(raw)
    )
    assert turn(b'{"messages":[' + raw + b"]}").asked.messages == (message,)


@pytest.mark.parametrize(
    ("body", "notes"),
    [
        (b"", [("malformed-request", "nothing")]),
        (b"words", [("malformed-request", "number")]),
        (b'{"messages":[', [("malformed-request", "object")]),
        (b"[" * 100_000, [("malformed-request", "array")]),
        (b'{"messages":' * 100_000, [("malformed-request", "object")]),
        (b'{"messages":{}}', [("malformed-messages", "object")]),
        (b'{"messages":null,"tools":5}', [("malformed-tools", "number")]),
        (b'{"messages":["hi"]}', [("malformed-message", "string")]),
        (b'{"messages":[{"role":"user","content":{}}]}', [("malformed-content", "object")]),
        (b'{"system":7}', [("malformed-content", "number")]),
        (b'{"tools":[7]}', [("malformed-tool", "number")]),
        (b'{"max_tokens":1e999,"stream":"yes","model":{}}', []),
    ],
    ids=[
        "empty",
        "no-json",
        "cut-off",
        "deep-arrays",
        "deep-objects",
        "messages-object",
        "tools-number",
        "message-string",
        "content-object",
        "system-number",
        "tool-number",
        "other-types",
    ],
)
def test_requests_that_are_none(body: bytes, notes: list[tuple[str, str]]) -> None:
    found = turn(body)
    assert [(note.kind, note.detail) for note in found.notes] == notes
    assert found.answer.id == "msg_01"


def test_a_message_that_is_none_is_kept() -> None:
    (message,) = turn(b'{"messages":["hi"]}').asked.messages
    assert message.parts == (OtherPart(type="", json=b'"hi"'),)
