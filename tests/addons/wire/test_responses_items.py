"""Every kind of item, as the SDK's own types take it, and as what it becomes."""

import hashlib

import msgspec
import pytest

from addons.wire.memo import digest
from addons.wire.responses import DECODER
from storage.decoded import (
    CompactionPart,
    MediaPart,
    Message,
    OtherPart,
    Part,
    Role,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)
from tests.addons.wire.responsesdata import encoded

Json = dict[str, object]
PIXEL = "iVBORw0KGgo="
IMAGE = MediaPart(
    media="image",
    media_type="image/png",
    size_bytes=8,
    digest=hashlib.sha256(PIXEL.encode()).digest(),
)
BARE_IMAGE = msgspec.structs.replace(IMAGE, media_type=None)


def call(name: str, arguments: str, call_id: str = "c1", **fields: bool) -> ToolCallPart:
    return ToolCallPart(call_id=call_id, name=name, arguments=arguments, **fields)


def result(text: str, call_id: str = "c1", **fields: object) -> ToolResultPart:
    return ToolResultPart(call_id=call_id, text=text, **fields)


def kept(value: object) -> bytes:
    return encoded(value)


SHELL_CHUNKS = [
    {"stdout": "out", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}},
    {"stdout": "", "stderr": "err", "outcome": {"type": "exit", "exit_code": 3}},
]
FOUND = [{"file_id": "f", "filename": "a.md", "text": "line", "score": 0.5}]
LATE = [{"stdout": "", "stderr": "", "outcome": {"type": "timeout"}}]

# Name: the item, the role and parts that it becomes.
ITEMS: dict[str, tuple[Json, Role, tuple[Part, ...]]] = {
    "easy message": (
        {"role": "user", "content": "Hello"},
        "user",
        (TextPart(text="Hello"),),
    ),
    "developer message": (
        {
            "type": "message",
            "role": "developer",
            "content": [{"type": "input_text", "text": "Be brief."}],
        },
        "developer",
        (TextPart(text="Be brief."),),
    ),
    "message with media": (
        {
            "type": "message",
            "role": "user",
            "content": [
                {
                    "type": "input_image",
                    "detail": "high",
                    "image_url": f"data:image/png;base64,{PIXEL}",
                },
                {"type": "input_image", "detail": "auto", "image_url": "https://a.test/b.png"},
                {"type": "input_image", "detail": "auto", "file_id": "file_1"},
                {"type": "input_file", "filename": "a.pdf", "file_data": PIXEL},
                {"type": "input_file", "file_url": "https://a.test/b.pdf"},
            ],
        },
        "user",
        (
            msgspec.structs.replace(IMAGE, extra_json=b'{"detail":"high"}'),
            MediaPart(
                media="image",
                url="https://a.test/b.png",
                digest=hashlib.sha256(b"https://a.test/b.png").digest(),
                extra_json=b'{"detail":"auto"}',
            ),
            MediaPart(media="image", extra_json=b'{"detail":"auto","file_id":"file_1"}'),
            msgspec.structs.replace(BARE_IMAGE, media="document", name="a.pdf"),
            MediaPart(
                media="document",
                url="https://a.test/b.pdf",
                digest=hashlib.sha256(b"https://a.test/b.pdf").digest(),
            ),
        ),
    ),
    "output of a list": (
        {
            "type": "function_call_output",
            "call_id": "c1",
            "output": [
                {"type": "input_text", "text": "one"},
                {
                    "type": "input_image",
                    "detail": "auto",
                    "image_url": f"data:image/png;base64,{PIXEL}",
                },
                {"type": "input_text", "text": "two"},
            ],
        },
        "tool",
        (
            result(
                "one\ntwo",
                media=(msgspec.structs.replace(IMAGE, extra_json=b'{"detail":"auto"}'),),
            ),
        ),
    ),
    "output of a text": (
        {"type": "function_call_output", "call_id": "c1", "output": "done", "name": "f"},
        "tool",
        (result("done", name="f"),),
    ),
    "custom output": (
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "Exit code: 0"},
        "tool",
        (result("Exit code: 0"),),
    ),
    "local shell": (
        {
            "type": "local_shell_call",
            "id": "ls_1",
            "call_id": "c1",
            "status": "completed",
            "action": {"type": "exec", "command": ["ls"], "env": {}},
        },
        "assistant",
        (call("local_shell", '{"type":"exec","command":["ls"],"env":{}}'),),
    ),
    "local shell output": (
        {"type": "local_shell_call_output", "id": "c1", "output": "a\nb"},
        "tool",
        (result("a\nb"),),
    ),
    "shell": (
        {
            "type": "shell_call",
            "id": "sh_1",
            "call_id": "c1",
            "status": "completed",
            "action": {"commands": ["ls"]},
            "environment": {"type": "container_reference", "container_id": "cntr_1"},
        },
        "assistant",
        (call("shell", '{"commands":["ls"]}', on_server=True),),
    ),
    "shell output": (
        {"type": "shell_call_output", "call_id": "c1", "output": SHELL_CHUNKS},
        "tool",
        (result("out\nerr", is_error=True, extra_json=kept({"outputs": SHELL_CHUNKS})),),
    ),
    "shell output that came too late": (
        {"type": "shell_call_output", "call_id": "c1", "output": LATE},
        "tool",
        (result("", is_error=True, extra_json=kept({"outputs": LATE})),),
    ),
    "patch": (
        {
            "type": "apply_patch_call",
            "call_id": "c1",
            "status": "completed",
            "operation": {"type": "delete_file", "path": "a"},
        },
        "assistant",
        (call("apply_patch", '{"type":"delete_file","path":"a"}'),),
    ),
    "patch output": (
        {"type": "apply_patch_call_output", "call_id": "c1", "status": "failed", "output": "no"},
        "tool",
        (result("no", is_error=True),),
    ),
    "web search": (
        {
            "type": "web_search_call",
            "id": "c1",
            "status": "completed",
            "action": {"type": "open_page", "url": "https://a.test"},
        },
        "assistant",
        (call("web_search", '{"type":"open_page","url":"https://a.test"}', on_server=True),),
    ),
    "file search": (
        {
            "type": "file_search_call",
            "id": "c1",
            "status": "completed",
            "queries": ["q"],
            "results": FOUND,
        },
        "assistant",
        (
            call("file_search", '{"queries":["q"]}', on_server=True),
            result("line", on_server=True, extra_json=kept({"results": FOUND})),
        ),
    ),
    "computer": (
        {
            "type": "computer_call",
            "id": "cu_1",
            "call_id": "c1",
            "status": "completed",
            "pending_safety_checks": [],
            "action": {"type": "screenshot"},
        },
        "assistant",
        (call("computer", '{"type":"screenshot"}'),),
    ),
    "computer output": (
        {
            "type": "computer_call_output",
            "call_id": "c1",
            "output": {
                "type": "computer_screenshot",
                "image_url": f"data:image/png;base64,{PIXEL}",
            },
        },
        "tool",
        (result("", media=(IMAGE,)),),
    ),
    "code interpreter": (
        {
            "type": "code_interpreter_call",
            "id": "c1",
            "status": "completed",
            "container_id": "cntr_1",
            "code": "print(1)",
            "outputs": [
                {"type": "logs", "logs": "1\n"},
                {"type": "image", "url": "https://a.test/p.png"},
            ],
        },
        "assistant",
        (
            call("code_interpreter", "print(1)", is_custom=True, on_server=True),
            result(
                "1\n",
                on_server=True,
                media=(
                    MediaPart(
                        media="image",
                        url="https://a.test/p.png",
                        digest=hashlib.sha256(b"https://a.test/p.png").digest(),
                    ),
                ),
            ),
        ),
    ),
    "image generation": (
        {
            "type": "image_generation_call",
            "id": "c1",
            "status": "completed",
            "result": PIXEL,
            "output_format": "png",
            "revised_prompt": "a cat",
        },
        "assistant",
        (
            call("image_generation", '{"revised_prompt":"a cat"}', on_server=True),
            result("", on_server=True, media=(IMAGE,)),
        ),
    ),
    "MCP call": (
        {
            "type": "mcp_call",
            "id": "c1",
            "server_label": "demo",
            "name": "echo",
            "arguments": '{"a":1}',
            "output": "1",
        },
        "assistant",
        (
            msgspec.structs.replace(call("echo", '{"a":1}', on_server=True), namespace="demo"),
            result("1", is_error=False, on_server=True),
        ),
    ),
    "MCP call that failed": (
        {
            "type": "mcp_call",
            "id": "c1",
            "server_label": "demo",
            "name": "echo",
            "arguments": "{}",
            "error": {"type": "http_error", "code": 502, "message": "bad gateway"},
        },
        "assistant",
        (
            msgspec.structs.replace(call("echo", "{}", on_server=True), namespace="demo"),
            result(
                "bad gateway",
                is_error=True,
                on_server=True,
                extra_json=kept(
                    {"error": {"type": "http_error", "code": 502, "message": "bad gateway"}}
                ),
            ),
        ),
    ),
    "tool search": (
        {
            "type": "tool_search_call",
            "call_id": "c1",
            "execution": "client",
            "arguments": {"query": "echo"},
        },
        "assistant",
        (call("tool_search", '{"query":"echo"}'),),
    ),
    "tool search output": (
        {
            "type": "tool_search_output",
            "call_id": "c1",
            "execution": "client",
            "tools": [{"type": "custom", "name": "echo"}],
        },
        "tool",
        (result('[{"type":"custom","name":"echo"}]'),),
    ),
    "program": (
        {"type": "program", "id": "p_1", "call_id": "c1", "code": "f()", "fingerprint": "x"},
        "assistant",
        (call("program", "f()", is_custom=True, on_server=True),),
    ),
    "program output": (
        {
            "type": "program_output",
            "id": "po_1",
            "call_id": "c1",
            "result": "2",
            "status": "completed",
        },
        "tool",
        (result("2", on_server=True),),
    ),
    "reasoning that is shown": (
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "short"}],
            "content": [{"type": "reasoning_text", "text": "long"}],
        },
        "assistant",
        (
            ThinkingPart(text="short"),
            ThinkingPart(text="long", extra_json=b'{"type":"reasoning_text"}'),
        ),
    ),
    "reasoning that is not": (
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"},
        "assistant",
        (ThinkingPart(text="", is_redacted=True),),
    ),
    "compaction": (
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAA"},
        "assistant",
        (CompactionPart(),),
    ),
}
# Items of Codex and others, which the SDK does not take.
ELSEWHERE: dict[str, tuple[Json, Role, tuple[Part, ...]]] = {
    "shell output without an end": (
        {
            "type": "shell_call_output",
            "call_id": "c1",
            "output": [{"stdout": "out", "stderr": "", "outcome": {"type": "exit"}}],
        },
        "tool",
        (
            result(
                "out",
                extra_json=kept(
                    {"outputs": [{"stdout": "out", "stderr": "", "outcome": {"type": "exit"}}]}
                ),
            ),
        ),
    ),
    "compaction summary": (
        {"type": "compaction_summary", "encrypted_content": "gAAAA"},
        "assistant",
        (CompactionPart(),),
    ),
    "agent message": (
        {
            "type": "agent_message",
            "author": "/root",
            "recipient": "/root/counter",
            "content": [
                {"type": "input_text", "text": "Message Type: NEW_TASK"},
                {"type": "encrypted_content", "encrypted_content": "gAAAA"},
            ],
        },
        "user",
        (
            TextPart(text="Message Type: NEW_TASK"),
            OtherPart(
                type="encrypted_content",
                json=b'{"type":"encrypted_content","encrypted_content":"gAAAA"}',
            ),
        ),
    ),
    "reasoning in plain text": (
        {"type": "reasoning", "summary": [], "content": [{"type": "text", "text": "hm"}]},
        "assistant",
        (ThinkingPart(text="hm"),),
    ),
}
# No part stands for these: they are kept whole.
WHOLE: dict[str, tuple[Json, Role]] = {
    "compaction_trigger": ({"type": "compaction_trigger"}, "user"),
    "item_reference": ({"type": "item_reference", "id": "msg_1"}, "user"),
    "configuration_update": (
        {"type": "configuration_update", "id": "cu_1", "reasoning": {"effort": "low"}},
        "developer",
    ),
    "mcp_list_tools": (
        {"type": "mcp_list_tools", "id": "l_1", "server_label": "demo", "tools": []},
        "assistant",
    ),
    "mcp_approval_request": (
        {
            "type": "mcp_approval_request",
            "id": "a_1",
            "server_label": "demo",
            "name": "echo",
            "arguments": "{}",
        },
        "assistant",
    ),
    "mcp_approval_response": (
        {"type": "mcp_approval_response", "approval_request_id": "a_1", "approve": True},
        "user",
    ),
}


@pytest.mark.parametrize("name", [*ITEMS, *ELSEWHERE])
def test_an_item_becomes_parts(name: str) -> None:
    item, role, parts = {**ITEMS, **ELSEWHERE}[name]
    raw = encoded(item)

    message = DECODER.message(raw)

    assert message.parts == parts
    assert message.role == role
    assert message.id == item.get("id")
    assert message.raw_digest == digest(raw)


@pytest.mark.parametrize("name", WHOLE)
def test_an_item_without_a_part_is_kept_whole(name: str) -> None:
    item, role = WHOLE[name]

    message = DECODER.message(encoded(item))

    assert message.parts == (OtherPart(type=name, json=encoded(item)),)
    assert message.role == role


def test_what_the_sender_says_of_an_item_is_its_labels() -> None:
    labels = {"turn_id": "t", "provenance": {"type": "harness"}}
    item = {
        "type": "message",
        "role": "user",
        "id": "m",
        "content": "x",
        "internal_chat_message_metadata_passthrough": labels,
    }

    message = DECODER.message(encoded(item))

    assert message.labels_json == encoded(labels)
    assert message.extra_json is None


def test_what_says_nothing_is_not_kept() -> None:
    item = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "x", "logprobs": []}],
        "status": None,
    }

    message = DECODER.message(encoded(item))

    assert message.extra_json is None
    assert message.parts == (TextPart(text="x"),)


def test_who_speaks_among_agents_is_kept() -> None:
    message = DECODER.message(encoded(ELSEWHERE["agent message"][0]))

    assert message.name == "/root"
    assert message.extra_json == b'{"author":"/root","recipient":"/root/counter"}'


def test_the_picture_of_an_item_is_not_kept_twice() -> None:
    item, _, _ = ITEMS["image generation"]

    message = DECODER.message(encoded(item))

    assert PIXEL not in msgspec.json.encode(message).decode()


@pytest.mark.parametrize(
    ("item", "role", "kind"),
    [
        ({"type": "dream_call"}, "assistant", "dream_call"),
        ({"type": "dream_output"}, "tool", "dream_output"),
        ({"type": "dream", "role": "developer"}, "developer", "dream"),
        ({"type": "dream"}, "user", "dream"),
        ({}, "user", "object"),
        (7, "user", "number"),
        ([], "user", "array"),
        (None, "user", "null"),
    ],
    ids=str,
)
def test_an_unknown_item_is_kept(item: object, role: Role, kind: str) -> None:
    raw = encoded(item)

    message = DECODER.message(raw)

    assert message == Message(
        role=role, parts=(OtherPart(type=kind, json=raw),), raw_digest=digest(raw)
    )


def test_a_mere_text_is_of_the_user() -> None:
    assert DECODER.message(b'"Hello"').parts == (TextPart(text="Hello"),)


def test_half_a_surrogate_pair_costs_one_sign() -> None:
    raw = rb'{"type":"function_call_output","call_id":"c","output":"cut \ud83d"}'
    part = DECODER.message(raw).parts[0]

    assert isinstance(part, ToolResultPart)
    assert part.text == "cut \ufffd"
