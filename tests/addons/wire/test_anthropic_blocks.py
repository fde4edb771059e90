"""Content blocks: the same part whether sent in a request or answered, and nothing of it lost."""

import hashlib
from typing import Any

import msgspec
import pytest

from addons.wire.anthropic import DECODER
from storage.decoded import (
    CompactionPart,
    MediaPart,
    Note,
    OtherPart,
    Part,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from tests.addons.wire import feeding
from tests.addons.wire.anthropic_streams import CITATION, EMPTY, block, end, exchange, start

encode = msgspec.json.encode
DOCUMENT = {
    "type": "document",
    "title": "Notes",
    "context": "Of last year.",
    "citations": {"enabled": True},
    "source": {"type": "text", "media_type": "text/plain", "data": "Grass is green."},
}
PIXEL = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="},
}
PIXEL_PART = MediaPart(
    media="image",
    media_type="image/png",
    size_bytes=5,
    digest=hashlib.sha256(b"aGVsbG8=").digest(),
)

BLOCKS: dict[str, tuple[dict[str, Any], Part]] = {
    "text": ({"type": "text", "text": "Hi 😀"}, TextPart(text="Hi 😀")),
    "text-null-citations": (
        {"type": "text", "text": "Hi", "citations": None},
        TextPart(text="Hi"),
    ),
    "text-cited": (
        {"type": "text", "text": "Hi", "citations": [CITATION]},
        TextPart(text="Hi", citations_json=encode([CITATION])),
    ),
    "text-cached": (
        {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        TextPart(text="Hi", extra_json=b'{"cache_control":{"type":"ephemeral","ttl":"1h"}}'),
    ),
    "thinking": (
        {"type": "thinking", "thinking": "So.", "signature": "c2ln"},
        ThinkingPart(text="So.", extra_json=b'{"signature":"c2ln"}'),
    ),
    "redacted": (
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        ThinkingPart(text="", is_redacted=True, extra_json=b'{"data":"b3BhcXVl"}'),
    ),
    "tool-use": (
        {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"b": 1, "a": "ü"}},
        ToolCallPart(call_id="toolu_1", name="Read", arguments='{"b":1,"a":"ü"}'),
    ),
    "tool-use-of-a-set": (
        {
            "type": "tool_use",
            "id": "toolu_1",
            "name": "navigate",
            "toolset_name": "browser",
            "input": {},
            "caller": {"type": "direct"},
        },
        ToolCallPart(
            call_id="toolu_1",
            name="navigate",
            namespace="browser",
            arguments="{}",
            extra_json=b'{"caller":{"type":"direct"}}',
        ),
    ),
    "server-tool-use": (
        {
            "type": "server_tool_use",
            "id": "srvtoolu_1",
            "name": "web_search",
            "input": {"query": "x"},
        },
        ToolCallPart(
            call_id="srvtoolu_1", name="web_search", arguments='{"query":"x"}', on_server=True
        ),
    ),
    "mcp-tool-use": (
        {
            "type": "mcp_tool_use",
            "id": "mcptoolu_1",
            "name": "echo",
            "server_name": "demo",
            "input": {},
        },
        ToolCallPart(
            call_id="mcptoolu_1", name="echo", namespace="demo", arguments="{}", on_server=True
        ),
    ),
    "result-string": (
        {"type": "tool_result", "tool_use_id": "t", "content": "1\tone", "is_error": False},
        ToolResultPart(call_id="t", text="1\tone", is_error=False),
    ),
    "result-failed": (
        {"type": "tool_result", "tool_use_id": "t", "content": "Exit code 3", "is_error": True},
        ToolResultPart(call_id="t", text="Exit code 3", is_error=True),
    ),
    "result-nothing": (
        {"type": "tool_result", "tool_use_id": "t"},
        ToolResultPart(call_id="t", text=""),
    ),
    "result-list": (
        {
            "type": "tool_result",
            "tool_use_id": "t",
            "content": [
                {"type": "text", "text": "one"},
                PIXEL,
                {"type": "text", "text": "two"},
                {"type": "tool_reference", "tool_name": "mcp__demo__echo"},
            ],
        },
        ToolResultPart(
            call_id="t",
            text="one\ntwo",
            media=(PIXEL_PART,),
            extra_json=b'{"content":[{"type":"tool_reference","tool_name":"mcp__demo__echo"}]}',
        ),
    ),
    "result-cached-text": (
        {
            "type": "tool_result",
            "tool_use_id": "t",
            "content": [{"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}}],
        },
        ToolResultPart(
            call_id="t",
            text="one",
            extra_json=b'{"content":[{"type":"text","cache_control":{"type":"ephemeral"}}]}',
        ),
    ),
    "search-found": (
        {
            "type": "web_search_tool_result",
            "tool_use_id": "s",
            "content": [
                {"type": "web_search_result", "title": "A", "url": "https://a/", "page_age": None},
                {"type": "web_search_result", "title": "B", "url": "https://b/", "page_age": None},
            ],
        },
        ToolResultPart(
            call_id="s",
            text="A\nhttps://a/\nB\nhttps://b/",
            on_server=True,
            extra_json=encode(
                {
                    "content": [
                        {
                            "type": "web_search_result",
                            "title": name,
                            "url": f"https://{name.lower()}/",
                            "page_age": None,
                        }
                        for name in "AB"
                    ]
                }
            ),
        ),
    ),
    "search-failed": (
        {
            "type": "web_search_tool_result",
            "tool_use_id": "s",
            "content": {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"},
        },
        ToolResultPart(
            call_id="s",
            text="max_uses_exceeded",
            is_error=True,
            on_server=True,
            extra_json=(
                b'{"content":{"type":"web_search_tool_result_error",'
                b'"error_code":"max_uses_exceeded"}}'
            ),
        ),
    ),
    "fetched": (
        {
            "type": "web_fetch_tool_result",
            "tool_use_id": "s",
            "content": {"type": "web_fetch_result", "url": "https://a/", "content": DOCUMENT},
        },
        ToolResultPart(
            call_id="s",
            text="https://a/\nGrass is green.",
            media=(
                MediaPart(
                    media="document",
                    media_type="text/plain",
                    size_bytes=15,
                    digest=hashlib.sha256(b"Grass is green.").digest(),
                    name="Notes",
                    extra_json=(
                        b'{"context":"Of last year.","citations":{"enabled":true},'
                        b'"source":{"type":"text","data":"Grass is green."}}'
                    ),
                ),
            ),
            on_server=True,
            extra_json=encode(
                {
                    "content": {
                        "type": "web_fetch_result",
                        "url": "https://a/",
                        "content": DOCUMENT,
                    }
                }
            ),
        ),
    ),
    "executed": (
        {
            "type": "code_execution_tool_result",
            "tool_use_id": "s",
            "content": {
                "type": "code_execution_result",
                "stdout": "4",
                "stderr": "warning",
                "return_code": 0,
                "content": [],
            },
        },
        ToolResultPart(
            call_id="s",
            text="4\nwarning",
            on_server=True,
            extra_json=(
                b'{"content":{"type":"code_execution_result","stdout":"4","stderr":"warning",'
                b'"return_code":0,"content":[]}}'
            ),
        ),
    ),
    "tools-found": (
        {
            "type": "tool_search_tool_result",
            "tool_use_id": "s",
            "content": {
                "type": "tool_search_tool_search_result",
                "tool_references": [{"type": "tool_reference", "tool_name": "echo"}],
            },
        },
        ToolResultPart(
            call_id="s",
            text="echo",
            on_server=True,
            extra_json=(
                b'{"content":{"type":"tool_search_tool_search_result",'
                b'"tool_references":[{"type":"tool_reference","tool_name":"echo"}]}}'
            ),
        ),
    ),
    "mcp-result": (
        {"type": "mcp_tool_result", "tool_use_id": "s", "is_error": True, "content": "no"},
        ToolResultPart(
            call_id="s", text="no", is_error=True, on_server=True, extra_json=b'{"content":"no"}'
        ),
    ),
    "image": (PIXEL, PIXEL_PART),
    "image-url": (
        {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}},
        MediaPart(
            media="image",
            url="https://a/b.png",
            digest=hashlib.sha256(b"https://a/b.png").digest(),
        ),
    ),
    "image-file": (
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        MediaPart(media="image", extra_json=b'{"source":{"type":"file","file_id":"file_1"}}'),
    ),
    "document-pdf": (
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
            "title": "a.pdf",
        },
        MediaPart(
            media="document",
            media_type="application/pdf",
            size_bytes=4,
            digest=hashlib.sha256(b"JVBERg==").digest(),
            name="a.pdf",
        ),
    ),
    "document-blocks": (
        {"type": "document", "source": {"type": "content", "content": "Words."}},
        MediaPart(
            media="document",
            extra_json=b'{"source":{"type":"content","content":"Words."}}',
        ),
    ),
    "compaction": (
        {"type": "compaction", "content": "Before.", "encrypted_content": "b3A="},
        CompactionPart(text="Before.", extra_json=b'{"encrypted_content":"b3A="}'),
    ),
    "compaction-failed": ({"type": "compaction", "content": None}, CompactionPart()),
}
KEPT: dict[str, dict[str, Any]] = {
    "container_upload": {"file_id": "file_1"},
    "fallback": {"from": {"model": "a"}, "to": {"model": "b"}},
    "mcp_tool_listing": {"mcp_server_name": "demo", "tools": []},
    "search_result": {"source": "s", "title": "t", "content": []},
    "tool_addition": {"tool": {"type": "tool_reference", "name": "x"}},
    "tool_reference": {"tool_name": "x"},
    "tool_removal": {"tool": {"type": "tool_reference", "name": "x"}},
}


def asked_turn(*blocks: Any) -> Turn:
    body = {"messages": [{"role": "user", "content": list(blocks)}]}
    return feeding.turn(DECODER, exchange(EMPTY, request=encode(body)))


def streamed_turn(content: Any) -> Turn:
    return feeding.turn(DECODER, exchange(start() + block(0, content) + end()))


def json_turn(content: Any) -> Turn:
    body = {"type": "message", "role": "assistant", "content": [content]}
    answer = exchange(encode(body), content_type="application/json")
    return feeding.turn(DECODER, answer)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_is_the_same_part_in_a_request_a_stream_and_a_plain_answer(name: str) -> None:
    raw, part = BLOCKS[name]
    turns = asked_turn(raw), streamed_turn(raw), json_turn(raw)
    assert turns[0].asked.messages[0].parts == (part,)
    assert turns[1].answer.messages[0].parts == (part,)
    assert turns[2].answer.messages[0].parts == (part,)
    assert [turn.notes for turn in turns] == [(), (), ()]


@pytest.mark.parametrize("type_", KEPT)
def test_blocks_about_the_call_are_kept_whole_without_a_note(type_: str) -> None:
    raw = {"type": type_, **KEPT[type_]}
    turn = asked_turn(raw)
    assert turn.asked.messages[0].parts == (OtherPart(type=type_, json=encode(raw)),)
    assert turn.notes == ()


@pytest.mark.parametrize(
    ("raw", "note"),
    [
        ({"type": "hologram", "depth": 3}, Note(kind="unknown-block", detail="hologram")),
        ({"depth": 3}, Note(kind="unknown-block", detail="")),
        ({"type": "text"}, Note(kind="malformed-block", detail="text")),
        ({"type": "text", "text": 5}, Note(kind="malformed-block", detail="text")),
        ({"type": "thinking"}, Note(kind="malformed-block", detail="thinking")),
        ({"type": "tool_use", "id": "t"}, Note(kind="malformed-block", detail="tool_use")),
        ({"type": "image"}, Note(kind="malformed-block", detail="image")),
        ({"type": "compaction", "content": []}, Note(kind="malformed-block", detail="compaction")),
        ("words", Note(kind="malformed-block", detail="string")),
        (None, Note(kind="malformed-block", detail="null")),
    ],
    ids=lambda value: encode(value).decode() if not isinstance(value, Note) else value.kind,
)
def test_what_cannot_be_read_is_kept_whole_with_a_note(raw: Any, note: Note) -> None:
    turn = asked_turn(raw)
    (part,) = turn.asked.messages[0].parts
    assert isinstance(part, OtherPart)
    assert part.json == encode(raw)
    assert turn.notes == (note,)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_new_field_of_a_block_is_kept_with_a_note(name: str) -> None:
    raw = BLOCKS[name][0] | {"novelty": {"a": [1]}}
    turn = asked_turn(raw)
    (part,) = turn.asked.messages[0].parts
    assert isinstance(
        part, TextPart | ThinkingPart | ToolCallPart | ToolResultPart | MediaPart | CompactionPart
    )
    assert msgspec.json.decode(part.extra_json or b"{}")["novelty"] == {"a": [1]}
    assert turn.notes == (Note(kind="unknown-field", detail=f"{raw['type']}.novelty"),)


def test_a_new_block_in_a_result_is_kept_with_a_note_and_its_texts_are_read() -> None:
    new = {"type": "table", "content": [{"type": "text", "text": "cell"}]}
    turn = asked_turn({"type": "tool_result", "tool_use_id": "t", "content": [new, 7]})
    (part,) = turn.asked.messages[0].parts
    extra = encode({"content": [new, 7]})
    assert part == ToolResultPart(call_id="t", text="cell", extra_json=extra)
    assert turn.notes == (
        Note(kind="unknown-block", detail="table"),
        Note(kind="malformed-block", detail="tool_result"),
    )


def test_base64_that_was_wrapped_has_the_size_of_its_bytes() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "aGVs\r\nbG8=\r\n"}
    (part,) = asked_turn({"type": "image", "source": source}).asked.messages[0].parts
    assert isinstance(part, MediaPart)
    assert part.size_bytes == 5


def test_half_a_surrogate_pair_costs_one_sign() -> None:
    body = rb'{"messages":[{"role":"user","content":"cut \ud83d here"}]}'
    turn = feeding.turn(DECODER, exchange(EMPTY, request=body))
    assert turn.asked.messages[0].parts == (TextPart(text="cut \ufffd here"),)


def test_an_empty_string_says_nothing() -> None:
    body = encode({"system": "", "messages": [{"role": "user", "content": ""}]})
    asked = feeding.turn(DECODER, exchange(EMPTY, request=body)).asked
    assert (asked.system, asked.messages[0].parts) == ((), ())


def test_results_of_great_depth_are_kept_and_read_so_far() -> None:
    raw: Any = {"text": "deepest"}
    for _ in range(300):
        raw = {"text": "deep", "content": raw}
    (part,) = asked_turn({"type": "new_tool_result", "content": raw}).asked.messages[0].parts
    assert isinstance(part, ToolResultPart)
    assert part.extra_json == encode({"content": raw})
    assert "deepest" not in part.text
