"""Requests of chat: every role and block, and what agents send beside."""

import base64
import hashlib

import msgspec
import pytest

from addons.wire import memo
from addons.wire.chat import DECODER
from storage.decoded import (
    MediaPart,
    Note,
    OtherPart,
    RefusalPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)
from tests.addons.wire import feeding
from tests.addons.wire.chatting import asked, call, exchange

PICTURE = base64.b64encode(b"not a real picture").decode()


def message(**fields):
    return DECODER.message(msgspec.json.encode(fields))


def notes(*messages):
    turn = asked({"model": "m", "messages": messages})
    return [note for note in turn.notes if note.kind != "truncated-stream"]


def test_fields_of_the_request():
    turn = asked(
        {
            "model": "gpt-5.5",
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": "hello", "name": "ann"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_completion_tokens": 900,
            "max_tokens": 800,
            "reasoning_effort": "high",
            "temperature": 0.25,
            "response_format": {"type": "json_object"},
            "provider": {"order": ["x"]},
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "read",
                        "description": "Reads.",
                        "parameters": {"type": "object"},
                    },
                },
                {"type": "custom", "custom": {"name": "patch", "format": {"type": "text"}}},
                {"type": "web_search"},
            ],
            "functions": [{"name": "old", "parameters": {"type": "object"}}],
        }
    )

    request = turn.asked
    assert request.model == "gpt-5.5"
    assert request.system == ()
    assert [each.role for each in request.messages] == ["system", "developer", "user"]
    assert request.messages[2].name == "ann"
    assert (request.is_stream, request.max_tokens, request.temperature) == (True, 900, 0.25)
    assert request.effort == "high"
    assert [(each.name, each.type, each.schema_json) for each in request.tools] == [
        ("read", "function", b'{"type":"object"}'),
        ("patch", "custom", b'{"type":"text"}'),
        ("web_search", "web_search", None),
        ("old", None, b'{"type":"object"}'),
    ]
    assert request.tools[2].size_bytes == len('{"type":"web_search"}')
    assert set(msgspec.json.decode(request.fields_json)) == {
        *("stream", "stream_options", "max_completion_tokens", "max_tokens", "reasoning_effort"),
        *("temperature", "response_format", "provider"),
    }


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({"reasoning": {"effort": "low"}}, "low"),
        ({"reasoning": {"max_tokens": 2000}}, "2000"),
        ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, "4096"),
        ({"enable_thinking": True, "thinking_budget": 500}, "500"),
        ({}, None),
    ],
)
def test_effort_by_its_names(fields, effort):
    assert asked({"model": "m", "messages": [], **fields}).asked.effort == effort


def test_azure_names_the_model_in_the_path():
    path = "/openai/deployments/my-gpt/chat/completions"

    assert feeding.turn(DECODER, exchange(b"", {"messages": []}, path=path)).asked.model == "my-gpt"


def test_a_message_is_known_by_the_digest_of_its_bytes():
    raw = b'{"role": "user",  "content": "hi"}'
    turn = asked(b'{"messages": [' + raw + b"]}")

    assert turn.asked.messages[0].raw_digest == memo.digest(raw)
    assert DECODER.message(raw) == turn.asked.messages[0]


def test_blocks_of_a_user_message():
    found = message(
        role="user",
        content=[
            {"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": ""},
            {
                "type": "image_url",
                "image_url": {"url": f"data:image/png;base64,{PICTURE}", "detail": "low"},
            },
            {"type": "image_url", "image_url": {"url": "https://a.test/b.png"}},
            {"type": "image_url", "image_url": "https://a.test/c.png"},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            {
                "type": "file",
                "file": {
                    "filename": "a.pdf",
                    "file_data": "data:application/pdf;base64,AAAA",
                },
            },
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "video_url", "video_url": {"url": "https://a.test/d.mp4"}},
        ],
    )

    one, empty, picture, linked, bare, sound, document, stored, video = found.parts
    assert one == TextPart(text="one", extra_json=b'{"cache_control":{"type":"ephemeral"}}')
    assert empty == TextPart(text="")
    assert picture == MediaPart(
        media="image",
        media_type="image/png",
        size_bytes=len(b"not a real picture"),
        digest=hashlib.sha256(PICTURE.encode()).digest(),
        extra_json=b'{"detail":"low"}',
    )
    assert linked == MediaPart(
        media="image",
        url="https://a.test/b.png",
        digest=hashlib.sha256(b"https://a.test/b.png").digest(),
    )
    assert bare.url == "https://a.test/c.png"
    assert (sound.media, sound.media_type, sound.size_bytes) == ("audio", "audio/mpeg", 3)
    assert (document.name, document.media_type, document.size_bytes) == (
        "a.pdf",
        "application/pdf",
        3,
    )
    assert (stored.media, stored.extra_json) == ("document", b'{"file_id":"file-1"}')
    assert (video.media, video.url) == ("video", "https://a.test/d.mp4")


def test_a_data_url_that_is_no_base64_has_no_known_size():
    url = "data:image/svg+xml,%3Csvg/%3E"
    (drawn,) = message(
        role="user", content=[{"type": "image_url", "image_url": {"url": url}}]
    ).parts

    assert drawn == MediaPart(
        media="image",
        media_type="image/svg+xml",
        digest=hashlib.sha256(url.encode()).digest(),
    )


def test_an_assistant_message_with_everything():
    found = message(
        role="assistant",
        content=[{"type": "text", "text": "Hm."}, {"type": "refusal", "refusal": "No."}],
        reasoning_content="Why?",
        audio={"id": "audio_1"},
        tool_calls=[
            call(None, "x", "read", '{"a":1}'),
            {"id": "y", "type": "custom", "custom": {"name": "patch", "input": "text"}},
        ],
        function_call=None,
    )

    assert found.extra_json is None
    assert found.parts == (
        ThinkingPart(text="Why?"),
        TextPart(text="Hm."),
        RefusalPart(text="No."),
        MediaPart(media="audio", extra_json=b'{"id":"audio_1"}'),
        ToolCallPart(call_id="x", name="read", arguments='{"a":1}'),
        ToolCallPart(call_id="y", name="patch", arguments="text", is_custom=True),
    )


def test_citations_of_a_block_stand_before_those_of_the_message():
    cited = [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "annotations": [1]}]

    first, last = message(role="assistant", content=cited, annotations=[2]).parts
    assert (first.citations_json, last.citations_json) == (None, b"[1]")
    (only,) = message(role="assistant", content="a", annotations=[2]).parts
    assert only.citations_json == b"[2]"


def test_reasoning_by_its_other_names():
    assert message(role="assistant", reasoning="a", reasoning_content="a").parts == (
        ThinkingPart(text="a"),
    )
    (redacted,) = message(role="assistant", reasoning_opaque="c2VjcmV0").parts
    assert (redacted.text, redacted.is_redacted) == ("", True)
    assert redacted.extra_json == b'{"reasoning_opaque":"c2VjcmV0"}'
    blocks = [{"type": "thinking", "thinking": "b", "signature": "s"}]
    (signed,) = message(role="assistant", thinking_blocks=blocks).parts
    assert signed.text == "b"
    assert signed.extra_json == b'{"thinking_blocks":[{"type":"thinking","signature":"s"}]}'


def test_mistral_thinks_in_blocks():
    found = message(
        role="assistant",
        content=[
            {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
            {"type": "text", "text": "So."},
        ],
    )

    assert found.parts == (ThinkingPart(text="Hm"), TextPart(text="So."))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        ("", ""),
        (None, ""),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\nb"),
    ],
)
def test_tool_results(content, text):
    found = message(role="tool", tool_call_id="x", content=content)

    assert found.role == "tool"
    assert found.parts == (ToolResultPart(call_id="x", text=text),)


def test_a_tool_result_with_a_picture_and_a_strange_block():
    strange = {"type": "hologram", "v": 1}
    result, other = message(
        role="tool",
        tool_call_id="x",
        content=[
            {"type": "text", "text": "seen"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
            strange,
        ],
    ).parts

    assert result.text == "seen"
    assert [each.media_type for each in result.media] == ["image/png"]
    assert other == OtherPart(type="hologram", json=msgspec.json.encode(strange))


def test_the_result_of_a_legacy_function_has_its_name():
    assert message(role="function", name="f", content="1").parts == (
        ToolResultPart(call_id=None, name="f", text="1"),
    )


def test_what_is_not_known_is_noted_once_for_each_kind():
    assert notes({"role": "user", "content": [{"type": "hologram"}, {"type": "hologram"}]}) == [
        Note(kind="unknown-block", detail="hologram", count=2)
    ]
    assert notes({"role": "guru", "content": "a"}) == [Note(kind="unknown-role", detail="guru")]
    assert notes({"role": "user", "content": "a", "mood": 1}) == [
        Note(kind="unknown-field", detail="mood")
    ]
    assert notes(7) == [Note(kind="malformed-message")]
    assert notes({"role": "assistant", "content": "a", "cache_control": {}, "prefix": True}) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff\xfe", b"null"])
def test_a_request_that_cannot_be_read_is_empty(body):
    turn = asked(body)

    assert turn.asked.model is None
    assert turn.asked.messages == ()
    assert Note(kind="malformed-request") in turn.notes


def test_fields_of_the_wrong_type():
    turn = asked(
        {"model": 5, "messages": {"a": 1}, "tools": "x", "stream": "yes", "max_tokens": -4}
    )

    assert turn.asked.model is None
    assert (turn.asked.is_stream, turn.asked.max_tokens) == (None, None)
    assert {note.kind for note in turn.notes} >= {"malformed-messages", "malformed-tools"}


def test_half_a_sign_does_not_hide_the_rest():
    turn = asked(rb'{"model":"m","messages":[{"role":"tool","content":"cut \ud83d"}]}')

    assert turn.asked.messages[0].parts == (ToolResultPart(call_id=None, text="cut \ufffd"),)
