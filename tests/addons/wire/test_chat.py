"""Chat streams and completions as OpenAI documents them, and what compatible servers add."""

import msgspec
import pytest

from addons.wire.chat import DECODER
from addons.wire.contract import Head
from storage.decoded import (
    Delta,
    Failure,
    MediaPart,
    Note,
    PartDone,
    RefusalPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    TurnBegun,
    TurnEnded,
    Usage,
)
from tests.addons.wire import feeding
from tests.addons.wire.chatting import call, chunk, events, exchange, streamed

COUNTS = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 8, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 5},
}

STREAMS = {
    "text": [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        chunk({"content": "Two "}),
        chunk({"content": "words"}),
        chunk({}, "stop"),
        chunk(usage=COUNTS),
    ],
    "reasoning, text and calls": [
        chunk({"role": "assistant", "content": None, "reasoning_content": "Let "}),
        chunk({"content": None, "reasoning_content": "me see"}),
        chunk({"content": "I look."}),
        chunk({"tool_calls": [call(0, "call_a", "read", "")]}),
        chunk({"tool_calls": [call(0, arguments='{"path":')]}),
        chunk({"tool_calls": [call(0, arguments='"a"}')]}),
        chunk({"tool_calls": [call(1, "call_b", "list", "")]}),
        chunk({"tool_calls": [call(1, arguments="{}")]}),
        chunk({}, "tool_calls"),
    ],
    "two choices": [
        chunk({"role": "assistant", "content": ""}, index=0),
        chunk({"role": "assistant", "content": ""}, index=1),
        chunk({"content": "uno"}, index=1),
        chunk({"content": "one"}, index=0),
        chunk({}, "length", index=1),
        chunk({}, "stop", index=0),
    ],
    "refusal": [
        chunk({"role": "assistant", "refusal": "I cannot "}),
        chunk({"refusal": "do that."}),
        chunk({}, "stop"),
    ],
    "azure and its filters": [
        chunk(prompt_filter_results=[{"prompt_index": 0}], id="", model=""),
        chunk({"content": "fine"}, content_filter_results={"hate": {"filtered": False}}),
        chunk({}, "content_filter"),
    ],
    "openrouter": [
        b": OPENROUTER PROCESSING\n\n",
        chunk(
            {
                "content": "",
                "reasoning": "Hm",
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "Hm", "index": 0, "format": "f"}
                ],
            },
            provider="P",
        ),
        b": OPENROUTER PROCESSING\n\n",
        chunk(
            {
                "content": "",
                "reasoning": None,
                "reasoning_details": [
                    {"type": "reasoning.text", "signature": "s", "index": 0, "format": "f"}
                ],
            },
            provider="P",
        ),
        chunk({"content": "ok"}, provider="P"),
        chunk({"content": ""}, "stop", provider="P"),
        chunk({"content": ""}, usage={**COUNTS, "cost": 0.0125, "is_byok": False}, provider="P"),
    ],
    "error in the middle": [
        chunk({"content": "half"}),
        {"error": {"code": 502, "message": "upstream went away", "metadata": {"x": 1}}},
    ],
    "legacy function call": [
        chunk({"role": "assistant", "function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": '{"a":'}}),
        chunk({"function_call": {"arguments": "1}"}}),
        chunk({}, "function_call"),
    ],
    "audio": [
        chunk({"audio": {"id": "audio_1", "transcript": "Good "}}),
        chunk({"audio": {"data": "AAAA", "transcript": "day"}}),
        chunk({"audio": {"data": "AAA="}}),
        chunk({"audio": {"expires_at": 1795000009}}, "stop"),
    ],
}


def only_message(turn):
    (message,) = turn.answer.messages
    assert message.role == "assistant"
    return message


def test_matches_every_prefix_and_nothing_else():
    def matches(path, method="POST", **fields):
        return DECODER.matches(Head(method=method, host="h", path=path, **fields))

    assert matches("/v1/chat/completions")
    assert matches("/chat/completions")
    assert matches("/api/v1/chat/completions/")
    assert matches("/openai/deployments/gpt/chat/completions")
    assert not matches("/v1/chat/completions", method="GET")
    assert not matches("/v1/chat/completions", is_websocket=True)
    assert not matches("/v1/chat/completions/chatcmpl-1/messages")
    assert not matches("/v1/completions")
    assert not matches("/v1/mychat/completions/x")


def test_text_with_usage_in_a_chunk_without_choices():
    turn = streamed(*STREAMS["text"])

    assert turn.wire == "openai.chat"
    assert turn.is_complete
    assert turn.notes == ()
    assert only_message(turn).parts == (TextPart(text="Two words"),)
    assert turn.answer.id == "chatcmpl-1"
    assert turn.answer.model == "m-1-2026"
    assert turn.answer.stop_reason == "stop"
    assert turn.answer.usage == Usage(
        input_tokens=100,
        output_tokens=20,
        cache_read_tokens=64,
        cache_write_tokens=8,
        reasoning_tokens=5,
        total_tokens=120,
        raw_json=msgspec.json.encode(COUNTS),
    )
    assert msgspec.json.decode(turn.answer.fields_json) == {"created": 1795000000}


def test_without_usage_the_counts_are_unknown():
    assert streamed(*STREAMS["text"][:-1]).answer.usage is None


def test_counts_that_come_with_each_chunk_are_not_summed():
    first, last = ({"prompt_tokens": 9, "completion_tokens": n} for n in (1, 2))
    usage = streamed(
        chunk({"content": "a"}, usage=first), chunk({}, "stop", usage=last)
    ).answer.usage

    assert (usage.input_tokens, usage.output_tokens) == (9, 2)


def test_parts_are_whole_before_the_answer_is():
    stream = events(*STREAMS["reasoning, text and calls"])
    changes = feeding.changes(DECODER, exchange(b""), stream)

    thinking = ThinkingPart(text="Let me see")
    text = TextPart(text="I look.")
    read = ToolCallPart(call_id="call_a", name="read", arguments='{"path":"a"}')
    listing = ToolCallPart(call_id="call_b", name="list", arguments="{}")
    assert isinstance(changes[0], TurnBegun)
    ended = changes[-1]
    assert isinstance(ended, TurnEnded)
    assert only_message(ended.turn).parts == (thinking, text, read, listing)
    done = [change for change in changes if isinstance(change, PartDone)]
    # Event n comes n + 2 ms after the beginning: each part is told with the first piece behind it.
    assert [(each.index, each.part, each.at_ns // 1_000_000) for each in done] == [
        (0, thinking, 4),
        (1, text, 5),
        (2, read, 8),
        (3, listing, 10),
    ]
    deltas = [change for change in changes if isinstance(change, Delta)]
    assert [(each.index, each.kind, each.text) for each in deltas] == [
        (0, "thinking", "Let "),
        (0, "thinking", "me see"),
        (1, "text", "I look."),
        (2, "arguments", '{"path":'),
        (2, "arguments", '"a"}'),
        (3, "arguments", "{}"),
    ]


def test_each_choice_is_a_message_in_their_order():
    turn = streamed(*STREAMS["two choices"], request={"model": "m", "messages": [], "n": 2})

    one, uno = turn.answer.messages
    assert one.parts == (TextPart(text="one"),)
    assert uno.parts == (TextPart(text="uno"),)
    assert turn.answer.stop_reason == "stop"
    assert msgspec.json.decode(uno.extra_json) == {"finish_reason": "length"}


def test_refusal():
    assert only_message(streamed(*STREAMS["refusal"])).parts == (
        RefusalPart(text="I cannot do that."),
    )


def test_azure_filters_are_kept():
    turn = streamed(*STREAMS["azure and its filters"])

    assert turn.notes == ()
    assert turn.answer.id == "chatcmpl-1"
    assert turn.answer.model == "m-1-2026"
    assert turn.answer.stop_reason == "content_filter"
    assert b"prompt_filter_results" in turn.answer.fields_json


def test_openrouter_comments_cost_provider_and_reasoning():
    turn = streamed(*STREAMS["openrouter"])

    thinking, text = only_message(turn).parts
    assert turn.notes == ()
    assert thinking.text == "Hm"
    assert msgspec.json.decode(thinking.extra_json) == {
        "reasoning_details": [
            {"type": "reasoning.text", "index": 0, "format": "f", "signature": "s"}
        ]
    }
    assert text == TextPart(text="ok")
    assert turn.answer.usage.provider_cost_usd == 0.0125
    assert msgspec.json.decode(turn.answer.fields_json)["provider"] == "P"


def test_an_error_in_the_middle_leaves_what_came():
    turn = streamed(*STREAMS["error in the middle"], done=False)

    assert turn.answer.failure == Failure(type="502", message="upstream went away")
    assert only_message(turn).parts == (TextPart(text="half"),)
    assert not turn.is_complete
    assert b'"metadata"' in turn.answer.fields_json


def test_legacy_function_call():
    assert only_message(streamed(*STREAMS["legacy function call"])).parts == (
        ToolCallPart(call_id=None, name="f", arguments='{"a":1}'),
    )


def test_audio_keeps_what_was_said():
    (audio,) = only_message(streamed(*STREAMS["audio"])).parts

    assert isinstance(audio, MediaPart)
    assert (audio.media, audio.size_bytes) == ("audio", 5)
    assert msgspec.json.decode(audio.extra_json) == {
        "id": "audio_1",
        "transcript": "Good day",
        "expires_at": 1795000009,
    }


def test_annotations_are_the_citations_of_the_text():
    cited = [{"type": "url_citation", "url_citation": {"url": "https://a.test/"}}]
    turn = streamed(chunk({"content": "so"}), chunk({"annotations": cited}), chunk({}, "stop"))

    (text,) = only_message(turn).parts
    assert text.text == "so"
    assert msgspec.json.decode(text.citations_json) == cited


def test_a_stream_that_stops_without_done_is_whole_when_its_choices_are():
    assert streamed(*STREAMS["text"], done=False, cut=True).is_complete
    assert not streamed(*STREAMS["text"][:3], done=False).is_complete


def test_a_choice_that_never_came_is_missed():
    asked = {"model": "m", "messages": [], "n": 2}
    stream = [chunk({"content": "one"}), chunk({}, "stop")]

    assert not streamed(*stream, done=False, request=asked).is_complete
    assert streamed(*stream, done=False).is_complete


@pytest.mark.parametrize("name", STREAMS)
def test_cut_at_every_event_it_gives_what_it_held(name):
    pieces = events(*STREAMS[name])
    wanted = "".join(
        part.text
        for part in feeding.turn(DECODER, exchange(b""), pieces).answer.messages[0].parts
        if isinstance(part, TextPart)
    )
    for at in range(len(pieces)):
        turn = feeding.turn(DECODER, exchange(b""), pieces[:at], cut=True)
        texts = [
            part.text
            for message in turn.answer.messages[:1]
            for part in message.parts
            if isinstance(part, TextPart)
        ]
        assert wanted.startswith("".join(texts))
        assert turn.is_complete or Note(kind="truncated-stream") in turn.notes


def test_a_cut_call_keeps_the_arguments_that_came():
    pieces = events(*STREAMS["reasoning, text and calls"])
    turn = feeding.turn(DECODER, exchange(b""), pieces[:5], cut=True)

    assert only_message(turn).parts[-1] == ToolCallPart(
        call_id="call_a", name="read", arguments='{"path":'
    )


def test_what_was_answered_equals_what_is_sent_again():
    answered = streamed(*STREAMS["reasoning, text and calls"]).answer.messages[0]
    again = DECODER.message(
        msgspec.json.encode(
            {
                "role": "assistant",
                "content": "I look.",
                "reasoning_content": "Let me see",
                "tool_calls": [
                    call(None, "call_a", "read", '{"path":"a"}'),
                    call(None, "call_b", "list", "{}"),
                ],
            }
        )
    )

    assert again.parts == answered.parts
    assert again.role == answered.role


def test_no_content_is_no_part():
    assert only_message(streamed(chunk({"content": ""}), chunk({}, "stop"))).parts == ()


def test_reasoning_that_comes_back_is_told_once_more():
    stream = events(
        chunk({"reasoning": "a"}),
        chunk({"content": "b"}),
        chunk({"reasoning": "c"}),
        chunk({"content": "d"}),
        chunk({}, "stop"),
    )
    changes = feeding.changes(DECODER, exchange(b""), stream)

    done = [(each.index, each.part) for each in changes if isinstance(each, PartDone)]
    assert done[-2:] == [(0, ThinkingPart(text="ac")), (1, TextPart(text="bd"))]
    assert only_message(changes[-1].turn).parts == (ThinkingPart(text="ac"), TextPart(text="bd"))
