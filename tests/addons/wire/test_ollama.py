"""Ollama's chat and generate, in the forms of its documentation."""

import msgspec
import pytest

from addons.wire import decoder_of
from addons.wire.contract import Head
from addons.wire.ollama import DECODER
from storage.decoded import (
    Delta,
    Failure,
    MediaPart,
    Note,
    PartDone,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
)
from tests.addons.wire import feeding

AT = {"model": "qwen3:8b", "created_at": "2026-11-20T08:00:00.1Z"}
LATER = {**AT, "created_at": "2026-11-20T08:00:05.1Z"}
DONE = {
    "done": True,
    "done_reason": "stop",
    "total_duration": 5_000_000_000,
    "load_duration": 1_000_000,
    "prompt_eval_count": 26,
    "prompt_eval_duration": 130_000_000,
    "eval_count": 9,
    "eval_duration": 4_000_000_000,
}


def say(**message):
    return {**AT, "message": {"role": "assistant", "content": "", **message}, "done": False}


CHAT = [
    say(thinking="I need "),
    say(thinking="the weather."),
    say(content="Looking"),
    say(content=" it up."),
    say(tool_calls=[{"function": {"name": "weather", "arguments": {"unit": "C", "city": "Oslo"}}}]),
    say(
        tool_calls=[
            {
                "id": "call_2",
                "function": {"index": 1, "name": "weather", "arguments": {"city": "Rome"}},
            }
        ]
    ),
    {**LATER, "message": {"role": "assistant", "content": ""}, **DONE},
]
GENERATE = [
    {**AT, "response": "", "thinking": "Blue?", "done": False},
    {**AT, "response": "The sky", "done": False},
    {**AT, "response": " scatters.", "done": False},
    {**AT, "response": "", **DONE, "context": [1, 2, 3]},
]
ASKED = {"model": "qwen3:8b", "messages": [{"role": "user", "content": "Weather?"}]}


def lines(*values) -> list[bytes]:
    return [msgspec.json.encode(value) + b"\n" for value in values]


def exchange(
    response, request=ASKED, path="/api/chat", content_type="application/x-ndjson", **more
):
    return feeding.Exchange(
        path=path,
        request=msgspec.json.encode(request),
        response=response,
        content_type=content_type,
        **more,
    )


def ask(request, path="/api/chat"):
    return feeding.turn(DECODER, exchange(b"", request, path), [], cut=True)


@pytest.mark.parametrize(
    ("path", "headers", "matched"),
    [
        ("/api/chat", (), True),
        ("/api/generate", (), True),
        ("/ollama/api/chat", ((b"content-type", b"application/json"),), True),
        ("/api/chat", ((b"Content-Type", b"application/x-www-form-urlencoded"),), True),
        ("/api/chat", ((b"content-type", b"multipart/form-data; boundary=a"),), False),
        ("/api/chat", ((b"accept", b"text/html,*/*"),), False),
        ("/api/chat/completions", (), False),
        ("/api/chats", (), False),
        ("/myapi/chat", (), False),
        ("/api/tags", (), False),
    ],
)
def test_matches(path, headers, matched):
    head = Head(method="POST", host="127.0.0.1:11434", path=path, headers=headers)

    assert DECODER.matches(head) is matched
    assert not matched or decoder_of(head) is DECODER
    assert not DECODER.matches(msgspec.structs.replace(head, method="GET"))


def test_chat_streams_lines():
    stream = lines(*CHAT)
    sent = exchange(b"".join(stream))
    turn = feeding.turn(DECODER, sent)

    assert feeding.timeless(turn) == feeding.timeless(
        feeding.turn(DECODER, sent, feeding.byte_by_byte(sent.response))
    )
    assert turn.is_complete
    assert turn.notes == ()
    (message,) = turn.answer.messages
    assert message.parts == (
        ThinkingPart(text="I need the weather."),
        TextPart(text="Looking it up."),
        ToolCallPart(call_id=None, name="weather", arguments='{"city":"Oslo","unit":"C"}'),
        ToolCallPart(call_id="call_2", name="weather", arguments='{"city":"Rome"}'),
    )
    assert turn.answer.model == "qwen3:8b"
    assert turn.answer.stop_reason == "stop"
    assert turn.answer.usage == Usage(
        input_tokens=26,
        output_tokens=9,
        raw_json=b'{"prompt_eval_count":26,"eval_count":9}',
    )
    assert msgspec.json.decode(turn.answer.fields_json) == {
        "created_at": AT["created_at"],
        **{name: value for name, value in DONE.items() if name.endswith("duration")},
    }


def test_a_call_is_whole_with_its_line():
    changes = feeding.changes(DECODER, exchange(b""), lines(*CHAT))

    done = [each for each in changes if isinstance(each, PartDone)]
    assert [(each.index, each.at_ns // 1_000_000) for each in done] == [
        (0, 4),
        (1, 6),
        (2, 6),
        (3, 7),
    ]
    assert [each.kind for each in changes if isinstance(each, Delta)] == ["thinking"] * 2 + [
        "text"
    ] * 2


def test_the_last_part_is_whole_with_the_last_line():
    changes = feeding.changes(DECODER, exchange(b"", path="/api/generate"), lines(*GENERATE))

    done = [each for each in changes if isinstance(each, PartDone)]
    assert [(each.part, each.at_ns // 1_000_000) for each in done] == [
        (ThinkingPart(text="Blue?"), 3),
        (TextPart(text="The sky scatters."), 5),
    ]


def test_a_last_line_without_figures():
    last = {**LATER, "message": {"role": "assistant", "content": ""}, "done": True}
    turn = feeding.turn(DECODER, exchange(b"".join(lines(say(content="a"), last))))

    assert turn.is_complete
    assert turn.answer.usage is None


def test_generate_has_prompt_system_images_and_context():
    request = {
        "model": "llava",
        "prompt": "What is it?",
        "system": "Be short.",
        "images": ["QUJD"],
        "context": [5, 6, 7, 8],
        "options": {"temperature": 0.5, "num_predict": 64},
        "think": "high",
        "stream": True,
    }
    sent = exchange(b"".join(lines(*GENERATE)), request, "/api/generate")
    turn = feeding.turn(DECODER, sent)

    assert turn.notes == ()
    asked = turn.asked
    assert asked.system == (TextPart(text="Be short."),)
    (message,) = asked.messages
    text, image = message.parts
    assert (message.role, text) == ("user", TextPart(text="What is it?"))
    assert isinstance(image, MediaPart)
    assert (image.media, image.size_bytes) == ("image", 3)
    assert (asked.max_tokens, asked.temperature, asked.effort) == (64, 0.5, "high")
    assert msgspec.json.decode(asked.fields_json) == {
        "options": {"temperature": 0.5, "num_predict": 64},
        "think": "high",
        "stream": True,
        "context_count": 4,
    }
    (answered,) = turn.answer.messages
    assert answered.parts == (ThinkingPart(text="Blue?"), TextPart(text="The sky scatters."))
    assert msgspec.json.decode(turn.answer.fields_json)["context_count"] == 3


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", ""])
def test_one_object_when_streaming_is_off(content_type):
    answer = {**AT, "message": {**CHAT[4]["message"], "content": "So."}, **DONE}
    turn = feeding.turn(DECODER, exchange(msgspec.json.encode(answer), content_type=content_type))

    assert turn.is_complete
    assert turn.notes == ()
    (message,) = turn.answer.messages
    assert message.parts == (
        TextPart(text="So."),
        ToolCallPart(call_id=None, name="weather", arguments='{"city":"Oslo","unit":"C"}'),
    )
    assert turn.answer.usage.input_tokens == 26


def test_lines_that_a_proxy_calls_json():
    stream = b"".join(lines(*CHAT))
    turn = feeding.turn(DECODER, exchange(stream, content_type="application/json"))

    assert turn.answer == feeding.turn(DECODER, exchange(stream)).answer


def test_messages_of_a_request():
    request = {
        "model": "qwen3:8b",
        "stream": False,
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "See:", "images": ["QUJDRA=="]},
            CHAT[4]["message"] | {"thinking": "Weather."},
            {"role": "tool", "tool_name": "weather", "content": "11 degrees"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "weather", "parameters": {"type": "object"}},
            }
        ],
    }
    asked = ask(request).asked

    system, user, assistant, tool = asked.messages
    assert asked.system == ()
    assert system.role == "system"
    assert [type(part) for part in user.parts] == [TextPart, MediaPart]
    assert user.parts[1].size_bytes == 4
    assert assistant.parts == (
        ThinkingPart(text="Weather."),
        ToolCallPart(call_id=None, name="weather", arguments='{"city":"Oslo","unit":"C"}'),
    )
    assert tool.parts == (ToolResultPart(call_id=None, name="weather", text="11 degrees"),)
    assert [(offered.name, offered.type) for offered in asked.tools] == [("weather", "function")]
    assert asked.is_stream is False


def test_a_load_asks_for_nothing():
    assert not ask({"model": "m", "messages": []}).asked.generates
    assert not ask({"model": "m"}, "/api/generate").asked.generates
    assert ask(ASKED).asked.generates


def test_an_error_in_the_middle():
    stream = [*lines(*CHAT[:3]), b'{"error":"model runner has stopped"}\n']
    turn = feeding.turn(DECODER, exchange(b""), stream)

    assert turn.answer.failure == Failure(type=None, message="model runner has stopped")
    assert not turn.is_complete
    assert turn.answer.messages[0].parts[1] == TextPart(text="Looking")


def test_a_refused_call():
    sent = exchange(b'{"error":"model not found"}', content_type="application/json", status=404)

    failure = feeding.turn(DECODER, sent).answer.failure
    assert failure == Failure(type=None, message="model not found", status=404)


@pytest.mark.parametrize("at", range(len(CHAT)))
def test_cut_at_every_line(at):
    turn = feeding.turn(DECODER, exchange(b""), lines(*CHAT)[:at], cut=True)

    assert not turn.is_complete
    assert turn.notes == (Note(kind="truncated-stream"),)
    parts = turn.answer.messages[0].parts if at else ()
    assert len(parts) == (0, 1, 1, 2, 2, 3, 4)[at]


def test_what_is_not_known_is_noted():
    turn = feeding.turn(
        DECODER,
        exchange(b""),
        [*lines(say(content="a", mood="good") | {"sparkle": 1}, {"y": 2}), b"{broken\n"],
    )

    assert {(note.kind, note.detail) for note in turn.notes} == {
        ("unknown-field", "mood"),
        ("unknown-field", "sparkle"),
        ("unknown-field", "y"),
        ("unknown-event", "y"),
        ("malformed-event", None),
        ("truncated-stream", None),
    }
    assert msgspec.json.decode(turn.answer.fields_json)["sparkle"] == 1


def test_numbers_in_arguments_that_json_cannot_bear_are_left_alone():
    called = b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"n":1e999}}}]}}\n'
    turn = feeding.turn(DECODER, exchange(called))

    assert turn.answer.messages[0].parts == (
        ToolCallPart(call_id=None, name="f", arguments='{"n":1e999}'),
    )
