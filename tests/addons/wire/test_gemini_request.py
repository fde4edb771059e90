"""Parts of Gemini contents, tools and settings of requests."""

import hashlib

import msgspec
import pytest

from addons.wire.gemini import DECODER
from storage.decoded import (
    Asked,
    MediaPart,
    Note,
    OtherPart,
    Part,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
)
from tests.addons.wire import feeding
from tests.addons.wire.geminidata import asking, chunk, encoded, plain, said


def asked(**fields: object) -> Asked:
    return feeding.turn(DECODER, plain(chunk({"text": "a"}), asking(**fields))).asked


def result(**fields: object) -> ToolResultPart:
    return ToolResultPart(**{"call_id": "c1", "name": "f", "text": "", **fields})  # type: ignore[arg-type]


def response(value: object, **fields: object) -> dict[str, object]:
    return {"functionResponse": {"id": "c1", "name": "f", "response": value, **fields}}


PNG = "image/png"
IMAGE = MediaPart(
    media="image",
    media_type="image/png",
    size_bytes=4,
    digest=hashlib.sha256(b"iVBORw==").digest(),
)

PARTS: dict[str, tuple[dict[str, object], Part]] = {
    "text": ({"text": "a\nb"}, TextPart(text="a\nb")),
    "thought": ({"text": "t", "thought": True}, ThinkingPart(text="t")),
    "no-thought": (
        {"text": "t", "thought": False},
        TextPart(text="t", extra_json=b'{"thought":false}'),
    ),
    "signature": (
        {"thoughtSignature": "c2ln"},
        ThinkingPart(text="", is_redacted=True, extra_json=b'{"thoughtSignature":"c2ln"}'),
    ),
    "call": (
        {"functionCall": {"name": "f", "args": {"b": 1, "a": [2]}}},
        ToolCallPart(call_id=None, name="f", arguments='{"b":1,"a":[2]}'),
    ),
    "call-without-arguments": (
        {"function_call": {"name": "f", "id": "c1"}, "thought_signature": "x"},
        ToolCallPart(
            call_id="c1", name="f", arguments="{}", extra_json=b'{"thoughtSignature":"x"}'
        ),
    ),
    "result-output": (response({"output": "fine"}), result(text="fine")),
    "result-error": (response({"error": "no file"}), result(text="no file", is_error=True)),
    "result-object": (response({"a": 1, "b": [2]}), result(text='{"a":1,"b":[2]}')),
    "result-both": (
        response({"output": "x", "error": "y"}),
        result(text='{"output":"x","error":"y"}', is_error=True),
    ),
    "result-no-text": (response({"output": {"n": 1}}), result(text='{"output":{"n":1}}')),
    "result-no-error": (
        response({"output": "x", "error": None}),
        result(text='{"output":"x","error":null}'),
    ),
    "result-list": (response([1, 2]), result(text="[1,2]")),
    "result-media": (
        response({"output": "x"}, parts=[{"inlineData": {"data": "AA==", "mimeType": PNG}}]),
        result(
            text="x",
            media=(
                MediaPart(
                    media="image",
                    media_type="image/png",
                    size_bytes=1,
                    digest=hashlib.sha256(b"AA==").digest(),
                ),
            ),
        ),
    ),
    "inline": ({"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}, IMAGE),
    "inline-snake": ({"inline_data": {"mime_type": "image/png", "data": "iVBORw=="}}, IMAGE),
    "file": (
        {
            "fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/v.mp4", "displayName": "v"},
            "videoMetadata": {"fps": 2},
        },
        MediaPart(
            media="video",
            media_type="video/mp4",
            digest=hashlib.sha256(b"gs://b/v.mp4").digest(),
            url="gs://b/v.mp4",
            name="v",
            extra_json=b'{"videoMetadata":{"fps":2}}',
        ),
    ),
    "code": (
        {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
        ToolCallPart(
            call_id=None,
            name="code_execution",
            arguments="print(1)",
            is_custom=True,
            on_server=True,
            extra_json=b'{"language":"PYTHON"}',
        ),
    ),
    "code-result": (
        {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "oops"}},
        ToolResultPart(
            call_id=None,
            name="code_execution",
            text="oops",
            is_error=True,
            on_server=True,
            extra_json=b'{"outcome":"OUTCOME_FAILED"}',
        ),
    ),
    "server-call": (
        {"toolCall": {"id": "s1", "toolType": "GOOGLE_SEARCH_WEB", "args": {"q": "x"}}},
        ToolCallPart(
            call_id="s1", name="GOOGLE_SEARCH_WEB", arguments='{"q":"x"}', on_server=True
        ),
    ),
    "server-result": (
        {"toolResponse": {"id": "s1", "toolType": "GOOGLE_SEARCH_WEB", "response": {"n": 1}}},
        ToolResultPart(
            call_id="s1", name="GOOGLE_SEARCH_WEB", text='{"n":1}', on_server=True
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_a_part_reads_the_same_when_asked_and_when_answered(name: str) -> None:
    raw, part = PARTS[name]

    turn = feeding.turn(DECODER, plain(chunk(raw), asking(said("model", raw))))

    assert turn.asked.messages[0].parts == (part,)
    assert turn.answer.messages[0].parts == (part,)
    assert turn.notes == ()


@pytest.mark.parametrize(
    ("raw", "kind", "detail"),
    [
        ({"newBlock": {"a": 1}}, "unknown-block", "newBlock"),
        ({}, "unknown-block", "empty"),
        ({"text": 3}, "malformed-block", "malformed-text"),
        ({"functionCall": [], "thought": True}, "malformed-block", "malformed-functionCall"),
    ],
    ids=["new", "empty", "text", "call"],
)
def test_a_part_that_is_not_known_is_kept_whole(
    raw: dict[str, object], kind: str, detail: str
) -> None:
    turn = feeding.turn(DECODER, plain(chunk(raw), asking(said("user", raw))))

    expected = OtherPart(type=detail, json=encoded(raw))
    assert turn.asked.messages[0].parts == (expected,)
    assert turn.answer.messages[0].parts == (expected,)
    assert turn.notes == (Note(kind=kind, detail=detail, count=2),)


def test_roles() -> None:
    contents = [
        said("user", {"text": "a"}),
        said("model", {"text": "b"}),
        said("function", response({"output": "c"})),
        said("user", response({"output": "d"}), {"text": "e"}),
        {"parts": [{"text": "f"}]},
        said("critic", {"text": "g"}),
    ]
    turn = feeding.turn(DECODER, plain(chunk({"text": "a"}), asking(*contents)))

    roles = [message.role for message in turn.asked.messages]
    assert roles == ["user", "assistant", "tool", "tool", "user", "user"]
    assert turn.asked.messages[-1].extra_json == b'{"role":"critic"}'
    assert turn.notes == (Note(kind="unknown-field", detail="role"),)


def test_system_tools_and_settings() -> None:
    function = {
        "name": "read_file",
        "description": "Reads.",
        "parametersJsonSchema": {"type": "object"},
    }
    old = {"name": "old", "parameters": {"type": "OBJECT"}}

    found = asked(
        system_instruction={"parts": [{"text": "Be brief."}, {"text": "Be kind."}]},
        tools=[{"functionDeclarations": [function, old]}, {"googleSearch": {}}],
        toolConfig={"functionCallingConfig": {"mode": "AUTO"}},
        safetySettings=[],
        cachedContent="cachedContents/1",
        generationConfig={
            "maxOutputTokens": 100,
            "temperature": 0.5,
            "thinkingConfig": {"thinkingBudget": -1},
        },
    )

    assert found.system == (TextPart(text="Be brief."), TextPart(text="Be kind."))
    assert found.tools == (
        Tool(
            name="read_file",
            description="Reads.",
            schema_json=b'{"type":"object"}',
            type="function",
            size_bytes=len(encoded(function)),
        ),
        Tool(
            name="old",
            schema_json=b'{"type":"OBJECT"}',
            type="function",
            size_bytes=len(encoded(old)),
        ),
        Tool(name="googleSearch", type="googleSearch", size_bytes=2),
    )
    assert (found.max_tokens, found.temperature, found.effort) == (100, 0.5, "-1")
    assert set(msgspec.json.decode(found.fields_json)) == {
        "toolConfig",
        "safetySettings",
        "cachedContent",
        "generationConfig",
    }


def test_the_level_of_thinking_is_the_effort() -> None:
    assert asked(generationConfig={"thinkingConfig": {"thinkingLevel": "HIGH"}}).effort == "HIGH"
    assert asked(generationConfig={"thinkingConfig": 3}).effort is None
    assert asked(systemInstruction="Be brief.").system == (TextPart(text="Be brief."),)


def test_what_is_no_media_beside_a_result_is_kept() -> None:
    beside = [{"newBlock": 1}]
    raw = response({"output": "x"}, parts=beside)

    turn = feeding.turn(DECODER, plain(chunk(), asking(said("user", raw))))

    (part,) = turn.asked.messages[0].parts
    assert part == result(text="x", extra_json=encoded({"parts": beside}))
    assert turn.notes == (Note(kind="unknown-field", detail="parts"),)
