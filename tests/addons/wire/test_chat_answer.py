"""Completions that are no streams, refused calls, and what is not as documented."""

import msgspec
import pytest

from addons.wire.chat import DECODER
from storage.decoded import Failure, Note, PartDone, TextPart, ThinkingPart, ToolCallPart
from tests.addons.wire import feeding
from tests.addons.wire.chatting import call, chunk, events, exchange, streamed
from tests.addons.wire.test_chat import COUNTS, STREAMS, only_message


def test_a_completion_that_is_no_stream():
    answer = {
        "id": "chatcmpl-2",
        "object": "chat.completion",
        "created": 1,
        "model": "m-1-2026",
        "service_tier": "flex",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "I look.",
                    "reasoning_content": "Let me see",
                    "refusal": None,
                    "annotations": [],
                    "tool_calls": [call(None, "call_a", "read", '{"path":"a"}')],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": COUNTS,
    }
    sent = exchange(answer)
    turn = feeding.turn(DECODER, sent)
    done = [each for each in feeding.changes(DECODER, sent) if isinstance(each, PartDone)]

    assert feeding.timeless(turn) == feeding.timeless(
        feeding.turn(DECODER, sent, feeding.byte_by_byte(sent.response))
    )
    assert turn.is_complete
    assert turn.notes == ()
    assert only_message(turn).parts == (
        ThinkingPart(text="Let me see"),
        TextPart(text="I look."),
        ToolCallPart(call_id="call_a", name="read", arguments='{"path":"a"}'),
    )
    assert tuple(each.part for each in done) == only_message(turn).parts
    assert turn.answer.stop_reason == "tool_calls"
    assert turn.answer.usage.service_tier == "flex"


def test_copilot_spreads_one_answer_over_choices_without_index():
    answer = {
        "choices": [
            {"finish_reason": "tool_calls", "message": {"role": "assistant", "content": "So:"}},
            {"finish_reason": "tool_calls", "message": {"tool_calls": [call(0, "t", "f", "{}")]}},
        ],
        "copilot_usage": {"total_nano_aiu": 5},
    }
    turn = feeding.turn(DECODER, exchange(answer))

    assert turn.notes == ()
    assert only_message(turn).parts == (
        TextPart(text="So:"),
        ToolCallPart(call_id="t", name="f", arguments="{}"),
    )


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (
            429,
            b'{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}',
            Failure(type="requests", message="slow down", status=429),
        ),
        (
            402,
            b'{"error":{"code":402,"message":"no credits"},"user_id":"u"}',
            Failure(type="402", message="no credits", status=402),
        ),
        (
            404,
            b'{"error":"no such model"}',
            Failure(type=None, message="no such model", status=404),
        ),
        (
            400,
            b'[{"error":{"code":400,"message":"bad","status":"INVALID"}}]',
            Failure(type="400", message="bad", status=400),
        ),
        (
            400,
            b'{"object":"error","message":"too long","type":"BadRequestError","code":400}',
            Failure(type="BadRequestError", message="too long", status=400),
        ),
        (422, b'{"detail":[{"loc":1}]}', Failure(type=None, message='[{"loc":1}]', status=422)),
        (502, b"<html>Bad", Failure(type=None, message="<html>Bad", status=502)),
        (500, b"", Failure(type=None, message=None, status=500)),
    ],
    ids=["openai", "openrouter", "text", "list", "bare", "detail", "page", "nothing"],
)
def test_refused_calls(status, body, failure):
    turn = feeding.turn(DECODER, exchange(body, status=status, content_type="application/json"))

    assert turn.answer.failure == failure
    assert turn.answer.messages == ()
    assert turn.is_complete


def test_what_is_not_known_is_kept_and_noted():
    turn = streamed(
        chunk({"content": "a", "mood": "good"}, sparkle=7),
        {"object": "list.of.things", "x": 1},
        b"data: {broken\n\n",
        chunk({"images": [{"type": "hologram", "v": 1}]}, "stop"),
    )

    assert {(note.kind, note.detail) for note in turn.notes} == {
        ("unknown-field", "mood"),
        ("unknown-field", "sparkle"),
        ("unknown-field", "x"),
        ("unknown-event", "list.of.things"),
        ("malformed-event", None),
        ("unknown-block", "hologram"),
    }
    assert msgspec.json.decode(turn.answer.fields_json)["sparkle"] == 7
    assert msgspec.json.decode(only_message(turn).extra_json) == {"mood": "good"}


def test_an_error_with_a_reason_to_stop_is_no_whole_answer():
    turn = streamed(
        chunk({"content": "half"}),
        chunk({"content": ""}, "error", error={"code": "server_error", "message": "gone"}),
    )

    assert turn.answer.failure == Failure(type="server_error", message="gone")
    assert turn.answer.stop_reason == "error"
    assert not turn.is_complete


def test_a_stream_that_a_gateway_calls_json():
    stream = b"".join(events(*STREAMS["text"]))
    turn = feeding.turn(DECODER, exchange(stream, content_type="application/json"))

    assert turn.notes == ()
    assert turn.answer == streamed(*STREAMS["text"]).answer


def test_a_page_in_place_of_an_answer():
    turn = feeding.turn(DECODER, exchange(b"<html>\n\n</html>", content_type="text/html"))

    assert turn.notes == (Note(kind="malformed-answer"),)
    assert turn.answer.messages == ()


def test_many_choices_and_calls_take_no_longer_each():
    answer = {"choices": [{"message": {"content": "a"}}] * 20_000}
    calls = [call(None, f"c{n}", "f", "{}") for n in range(20_000)]

    (message,) = feeding.turn(DECODER, exchange(answer)).answer.messages
    assert len(message.parts) == 20_000
    stream = b"".join(events(chunk({"tool_calls": calls}), chunk({}, "tool_calls")))
    (message,) = feeding.turn(DECODER, exchange(stream)).answer.messages
    assert len(message.parts) == 20_000
