"""
Answers of Anthropic Messages as the documentation shows their forms, in words of our own.

`STREAMS` are those that the official SDK can accumulate too.
"""

from typing import Any

import msgspec

from tests.addons.wire.feeding import Exchange

Json = dict[str, Any]

CITATION = {
    "type": "char_location",
    "cited_text": "Grass is green.",
    "document_index": 0,
    "document_title": "Colours",
    "start_char_index": 0,
    "end_char_index": 15,
    "file_id": None,
}


def event(value: Json) -> bytes:
    """One server-sent event, named by its type."""
    return f"event: {value['type']}\ndata: {msgspec.json.encode(value).decode()}\n\n".encode()


def start(**fields: Any) -> bytes:
    usage = {
        "input_tokens": 12,
        "cache_creation_input_tokens": 300,
        "cache_read_input_tokens": 4000,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
        "output_tokens": 1,
        "service_tier": "standard",
    }
    message = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    return event({"type": "message_start", "message": message | fields})


def block(index: int, content: Json, *deltas: Json) -> bytes:
    """A content block from its start to its stop."""
    begin = {"type": "content_block_start", "index": index, "content_block": content}
    between = [
        event({"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas
    ]
    end = event({"type": "content_block_stop", "index": index})
    return b"".join([event(begin), *between, end])


def end(stop_reason: str = "end_turn", usage: Json | None = None, **fields: Any) -> bytes:
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    last = {"type": "message_delta", "delta": delta, "usage": usage or {"output_tokens": 25}}
    return event(last | fields) + event({"type": "message_stop"})


def text(index: int, *pieces: str) -> bytes:
    deltas = [{"type": "text_delta", "text": piece} for piece in pieces]
    return block(index, {"type": "text", "text": ""}, *deltas)


def call(index: int, call_id: str, name: str, *pieces: str) -> bytes:
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    content = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
    return block(index, content, *deltas)


def thinking(index: int, signature: str, *pieces: str) -> bytes:
    deltas: list[Json] = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
    deltas.append({"type": "signature_delta", "signature": signature})
    return block(index, {"type": "thinking", "thinking": "", "signature": ""}, *deltas)


PING = event({"type": "ping"})

PLAIN = start() + PING + text(0, "Hel", "lo, ", "wörld 😀") + end()
TOOLS = (
    start()
    + thinking(0, "c2lnbmVk", "First ", "look.")
    + text(1, "I read both.")
    + call(2, "toolu_1", "Read", "", '{"file_pa', 'th": "/a.py"}')
    + call(3, "toolu_2", "List", "")
    + end("tool_use")
)
CITED = (
    start()
    + block(
        0,
        {"type": "text", "text": "", "citations": []},
        {"type": "citations_delta", "citation": CITATION},
        {"type": "text_delta", "text": "the grass "},
        {"type": "text_delta", "text": "is green"},
    )
    + end()
)
SEARCH = (
    start()
    + block(
        0,
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"query":'},
        {"type": "input_json_delta", "partial_json": ' "weather"}'},
    )
    + block(
        1,
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": [
                {
                    "type": "web_search_result",
                    "title": "Weather today",
                    "url": "https://weather.example/",
                    "encrypted_content": "b3BhcXVl",
                    "page_age": None,
                }
            ],
        },
    )
    + text(2, "Sunny.")
    + end(
        usage={
            "input_tokens": 50,
            "cache_creation_input_tokens": 310,
            "cache_read_input_tokens": 5000,
            "output_tokens": 510,
            "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 2},
            "output_tokens_details": {"thinking_tokens": 40},
        }
    )
)
REDACTED = (
    start()
    + block(0, {"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"})
    + thinking(1, "b21pdHRlZA==")
    + text(2, "Yes.")
    + end("stop_sequence")
)
INTERLEAVED = (
    start()
    + event(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "A"}}
    )
    + call(1, "toolu_9", "Read", "{}")
    + event(
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "B"},
        }
    )
    + event({"type": "content_block_stop", "index": 0})
    + end("tool_use")
)
EMPTY = start() + end()

COMPACTED = (
    start()
    + block(
        0,
        {"type": "compaction", "content": None, "encrypted_content": None},
        {"type": "compaction_delta", "content": "What was said.", "encrypted_content": "b3A="},
    )
    + text(1, "Let us go on.")
    + end(context_management={"applied_edits": [{"type": "compact_20260112"}]})
)
SERVED_ELSEWHERE = (
    start()
    + block(
        0,
        {
            "type": "fallback",
            "from": {"model": "claude-sonnet-4-5"},
            "to": {"model": "claude-haiku-4-5"},
            "trigger": {"type": "refusal", "category": None},
        },
    )
    + block(
        1,
        {
            "type": "mcp_tool_use",
            "id": "mcptoolu_1",
            "name": "echo",
            "server_name": "demo",
            "input": {},
        },
        {"type": "input_json_delta", "partial_json": '{"text":"a"}'},
    )
    + block(
        2,
        {
            "type": "mcp_tool_result",
            "tool_use_id": "mcptoolu_1",
            "is_error": False,
            "content": [{"type": "text", "text": "a"}],
        },
    )
    + block(
        3,
        {
            "type": "bash_code_execution_tool_result",
            "tool_use_id": "srvtoolu_7",
            "content": {
                "type": "bash_code_execution_result",
                "stdout": "3",
                "stderr": "",
                "return_code": 0,
                "content": [{"type": "bash_code_execution_output", "file_id": "file_1"}],
            },
        },
    )
    + block(4, {"type": "container_upload", "file_id": "file_1"})
    + end("tool_use")
)

STREAMS = {
    "plain": PLAIN,
    "tools": TOOLS,
    "cited": CITED,
    "search": SEARCH,
    "redacted": REDACTED,
    "interleaved": INTERLEAVED,
    "empty": EMPTY,
}
BETA_STREAMS = {"compacted": COMPACTED, "served-elsewhere": SERVED_ELSEWHERE}

REQUEST = msgspec.json.encode(
    {
        "model": "claude-sonnet-4-5",
        "max_tokens": 1024,
        "stream": True,
        "messages": [{"role": "user", "content": "Hello"}],
    }
)


def exchange(response: bytes, **fields: Any) -> Exchange:
    wanted: Json = {"path": "/v1/messages", "request": REQUEST, "response": response}
    return Exchange(**(wanted | fields))
