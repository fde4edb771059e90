"""Answers of Anthropic Messages: streams, plain JSON, errors, and what is left of cut streams."""

import gzip
from typing import Any

import msgspec
import pytest

from addons.wire.anthropic import DECODER
from storage.decoded import (
    Answer,
    Change,
    CompactionPart,
    Delta,
    Failure,
    Message,
    Note,
    OtherPart,
    PartDone,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    Turn,
    TurnEnded,
)
from tests.addons.wire import anthropic_streams as streams
from tests.addons.wire import feeding
from tests.addons.wire.anthropic_streams import block, end, event, exchange, start

encode = msgspec.json.encode
ALL = {**streams.STREAMS, **streams.BETA_STREAMS}
TRUNCATED = Note(kind="truncated-stream")

# As a server may send it: CRLF, comments, no space after the colon, data over several lines.
BY_HAND = (
    b": hello\r\n\r\n"
    b"event:message_start\r\n"
    b'data:{"type":"message_start",\r\n'
    b'data: "message":{"id":"msg_02","type":"message","role":"assistant","model":"m",\r\n'
    b'data: "content":[],"usage":{"input_tokens":3,"output_tokens":1}}}\r\n\r\n'
    b"event: content_block_start\r\n"
    b'data: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\r\n\r\n'
    b"event: content_block_delta\r\n"
    b'data: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"caf\xc3\xa9"}}\r\n\r\n'
    b'event: content_block_stop\r\ndata: {"type":"content_block_stop","index":0}\r\n\r\n'
    b'event: message_delta\r\ndata: {"type":"message_delta",'
    b'"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}\r\n\r\n'
    b'event: message_stop\r\ndata: {"type":"message_stop"}\r\n\r\n'
)


def turn(response: bytes, **fields: Any) -> Turn:
    return feeding.turn(DECODER, exchange(response, **fields))


def done(changes: list[Change]) -> list[tuple[int, Any]]:
    return [(change.index, change.part) for change in changes if isinstance(change, PartDone)]


def parts(response: bytes) -> tuple[Any, ...]:
    return turn(response).answer.messages[0].parts


def test_a_stream_from_its_start_to_its_stop() -> None:
    found = turn(streams.TOOLS)
    answer = found.answer
    assert (answer.id, answer.model, answer.stop_reason) == (
        "msg_01",
        "claude-sonnet-4-5",
        "tool_use",
    )
    assert answer.messages == (
        Message(
            role="assistant",
            id="msg_01",
            parts=(
                ThinkingPart(text="First look.", extra_json=b'{"signature":"c2lnbmVk"}'),
                TextPart(text="I read both."),
                ToolCallPart(call_id="toolu_1", name="Read", arguments='{"file_path": "/a.py"}'),
                ToolCallPart(call_id="toolu_2", name="List", arguments="{}"),
            ),
        ),
    )
    assert (found.is_complete, found.notes, answer.failure) == (True, (), None)
    assert answer.fields_json is None


def test_a_stream_written_by_hand() -> None:
    found = turn(BY_HAND)
    assert found.answer.messages[0].parts == (TextPart(text="café"),)
    assert found.answer.usage
    assert (found.answer.usage.input_tokens, found.answer.usage.output_tokens) == (3, 2)
    assert (found.is_complete, found.notes) == (True, ())


@pytest.mark.parametrize("name", ALL)
def test_chunking_changes_nothing(name: str) -> None:
    stream = ALL[name]
    whole = feeding.timeless(turn(stream))
    assert whole.notes == ()
    exchanged = exchange(stream)
    cut = [part + b"\n\n" for part in stream.split(b"\n\n")[:-1]]
    for chunks in (feeding.byte_by_byte(stream), cut):
        assert feeding.timeless(feeding.turn(DECODER, exchanged, chunks)) == whole


@pytest.mark.parametrize("name", ALL)
def test_parts_are_said_once_each_as_they_stand_in_the_answer(name: str) -> None:
    changes = feeding.changes(DECODER, exchange(ALL[name]))
    said = dict(done(changes))
    ended = changes[-1]
    assert isinstance(ended, TurnEnded)
    assert len(said) == len(done(changes))
    assert tuple(said[index] for index in sorted(said)) == ended.turn.answer.messages[0].parts


@pytest.mark.parametrize("name", ALL)
def test_deltas_add_up_to_the_parts(name: str) -> None:
    changes = feeding.changes(DECODER, exchange(ALL[name]))
    said: dict[int, str] = {}
    for change in changes:
        if isinstance(change, Delta):
            said[change.index] = said.get(change.index, "") + change.text
    for index, part in done(changes):
        if index in said:
            text = part.arguments if isinstance(part, ToolCallPart) else part.text
            assert text.endswith(said[index])


@pytest.mark.parametrize("name", ALL)
def test_a_stream_cut_after_any_event_gives_what_it_held(name: str) -> None:
    events = ALL[name].split(b"\n\n")[:-1]
    whole = turn(ALL[name]).answer.messages[0].parts
    for count in range(len(events)):
        body = b"".join(part + b"\n\n" for part in events[:count])
        found = turn(body)
        assert (found.is_complete, found.notes) == (False, (TRUNCATED,))
        held = found.answer.messages[0].parts if found.answer.messages else ()
        assert [type(part) for part in held] == [type(part) for part in whole[: len(held)]]


def test_a_part_is_said_before_the_answer_ends() -> None:
    stop = streams.TOOLS.index(b"event: content_block_start", streams.TOOLS.index(b"toolu_1"))
    chunks = [streams.TOOLS[:stop], streams.TOOLS[stop:]]
    changes = feeding.changes(DECODER, exchange(streams.TOOLS), chunks)
    (said,) = [
        change
        for change in changes
        if isinstance(change, PartDone)
        and isinstance(change.part, ToolCallPart)
        and change.part.call_id == "toolu_1"
    ]
    assert (said.index, said.at_ns) == (2, 2_000_000)
    ended = changes[-1]
    assert isinstance(ended, TurnEnded)
    assert ended.at_ns > said.at_ns


def test_a_call_that_was_cut_off_has_the_arguments_that_came() -> None:
    at = streams.TOOLS.index(b"event", streams.TOOLS.index(b"file_pa"))
    *_, call = parts(streams.TOOLS[:at])
    assert call == ToolCallPart(call_id="toolu_1", name="Read", arguments='{"file_pa')
    at = streams.TOOLS.index(b"event", streams.TOOLS.index(b"toolu_1"))
    *_, call = parts(streams.TOOLS[:at])
    assert call == ToolCallPart(call_id="toolu_1", name="Read", arguments="")


def test_a_call_whose_input_came_at_its_start_has_it() -> None:
    content = {"type": "tool_use", "id": "t", "name": "Read", "input": {"path": "/a"}}
    call = ToolCallPart(call_id="t", name="Read", arguments='{"path":"/a"}')
    whole = start() + block(0, content) + end("tool_use")
    assert parts(whole) == (call,)
    assert parts(whole[: whole.index(b"event: content_block_stop")]) == (call,)


def test_counts_of_the_end_replace_those_of_the_start() -> None:
    usage = turn(streams.SEARCH).answer.usage
    assert usage
    assert usage.input_tokens == 50 + 310 + 5000
    assert (usage.cache_read_tokens, usage.cache_write_tokens) == (5000, 310)
    assert (usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == (100, 200)
    assert (usage.output_tokens, usage.reasoning_tokens) == (510, 40)
    assert (usage.web_search_requests, usage.web_fetch_requests) == (1, 2)
    assert usage.service_tier == "standard"
    raw = msgspec.json.decode(usage.raw_json or b"")
    assert (raw["output_tokens"], raw["cache_creation"]["ephemeral_5m_input_tokens"]) == (510, 100)


def test_null_counts_leave_what_stood_before() -> None:
    last = {"input_tokens": None, "cache_read_input_tokens": None, "output_tokens": 9}
    usage = turn(start() + end(usage=last)).answer.usage
    assert usage
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (4312, 4000, 9)


@pytest.mark.parametrize(
    ("usage", "figures", "notes"),
    [
        ({"input_tokens": 5, "output_tokens": 1}, (5, None, None, 1), ()),
        ({"output_tokens": 1}, (None, None, None, 1), ()),
        (
            {"input_tokens": 5, "cache_creation": {"ephemeral_1h_input_tokens": 7}},
            (12, None, 7, None),
            (),
        ),
        ({"input_tokens": -5, "output_tokens": 2**63 - 1}, (None, None, None, None), ()),
        ({"input_tokens": "5", "output_tokens": 1.5}, (None, None, None, None), ()),
        (
            {"input_tokens": 5, "novelty": 1},
            (5, None, None, None),
            (Note(kind="unknown-field", detail="usage.novelty"),),
        ),
        ([5], None, (Note(kind="malformed-usage", detail="array"),)),
        (None, None, ()),
    ],
    ids=["plain", "no-input", "lifetimes", "no-counts", "no-numbers", "unknown", "array", "null"],
)
def test_counts_that_are_missing_are_not_known(
    usage: Any, figures: Any, notes: tuple[Note, ...]
) -> None:
    body = encode({"type": "message", "content": [], "usage": usage})
    found = turn(body, content_type="application/json")
    assert found.notes == notes
    counted = found.answer.usage
    assert figures == (
        counted
        and (
            counted.input_tokens,
            counted.cache_read_tokens,
            counted.cache_write_tokens,
            counted.output_tokens,
        )
    )


def test_a_plain_answer() -> None:
    message = {
        "id": "msg_03",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "id": "t", "name": "Read", "input": {"path": "/a"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
    answered = exchange(encode(message), content_type="application/json; charset=utf-8")
    changes = feeding.changes(DECODER, answered)
    text = TextPart(text="Let me see.")
    call = ToolCallPart(call_id="t", name="Read", arguments='{"path":"/a"}')
    assert done(changes) == [(0, text), (1, call)]
    ended = changes[-1]
    assert isinstance(ended, TurnEnded)
    answer = ended.turn.answer
    assert (answer.id, answer.model, answer.stop_reason) == ("msg_03", "claude", "tool_use")
    assert answer.messages[0].parts == (text, call)
    assert (ended.turn.is_complete, ended.turn.notes) == (True, ())


def test_a_compaction_replaces_its_content() -> None:
    found = turn(streams.COMPACTED)
    assert found.answer.messages[0].parts[0] == CompactionPart(
        text="What was said.", extra_json=b'{"encrypted_content":"b3A="}'
    )
    assert msgspec.json.decode(found.answer.fields_json or b"") == {
        "context_management": {"applied_edits": [{"type": "compact_20260112"}]}
    }


def test_diagnostics_and_other_fields_of_the_answer_are_kept() -> None:
    missed = {"cache_miss_reason": {"type": "tools_changed", "cache_missed_input_tokens": 9}}
    found = turn(start(diagnostics=missed, container=None) + end(input_transformations=[]))
    assert msgspec.json.decode(found.answer.fields_json or b"") == {
        "diagnostics": missed,
        "input_transformations": [],
    }
    assert found.notes == ()


def test_a_stop_sequence_is_kept() -> None:
    delta = {"stop_reason": "stop_sequence", "stop_sequence": "###"}
    last = event({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 1}})
    answer = turn(start() + last + event({"type": "message_stop"})).answer
    assert (answer.stop_reason, answer.fields_json) == (
        "stop_sequence",
        b'{"stop_sequence":"###"}',
    )


def test_the_model_that_took_over_is_the_one_that_served() -> None:
    assert turn(streams.SERVED_ELSEWHERE).answer.model == "claude-haiku-4-5"


def test_a_count() -> None:
    body = b'{"input_tokens":2095,"context_management":{"original_input_tokens":3000}}'
    found = turn(body, path="/v1/messages/count_tokens", content_type="application/json")
    assert found.answer == Answer(
        counted_tokens=2095,
        fields_json=b'{"context_management":{"original_input_tokens":3000}}',
    )
    assert (found.is_complete, found.notes) == (True, ())


# --- failures ------------------------------------------------------------------------------------


def test_an_error_in_the_middle_of_a_stream() -> None:
    error = {"type": "overloaded_error", "message": "Overloaded"}
    body = streams.PLAIN[: streams.PLAIN.index(b"event: content_block_stop")]
    found = turn(body + event({"type": "error", "error": error, "request_id": "req_1"}))
    assert found.answer.failure == Failure(type="overloaded_error", message="Overloaded")
    assert found.answer.messages[0].parts == (TextPart(text="Hello, wörld 😀"),)
    assert found.answer.fields_json == b'{"request_id":"req_1"}'
    # The provider ended it, nothing was cut on the way.
    assert (found.is_complete, found.notes) == (True, ())


@pytest.mark.parametrize(
    ("body", "failure", "left"),
    [
        (
            b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"},'
            b'"request_id":"req_1"}',
            ("rate_limit_error", "Slow down"),
            b'{"request_id":"req_1"}',
        ),
        (
            b'{"type":"error","error":{"type":"e","message":"m","details":{"a":1}}}',
            ("e", "m"),
            b'{"error":{"type":"e","message":"m","details":{"a":1}}}',
        ),
        (
            b'{"error":{"code":"c","message":"m"}}',
            ("c", "m"),
            b'{"error":{"code":"c","message":"m"}}',
        ),
        (b'{"error":"words"}', (None, "words"), None),
        (b'{"message":"words"}', (None, "words"), b'{"message":"words"}'),
        (b"<html>Bad gateway</html>\n", (None, "<html>Bad gateway</html>"), None),
        (b"", (None, None), None),
        (b"\xff\xfe", (None, "\ufffd\ufffd"), None),
    ],
    ids=["api", "details", "code", "string", "message", "page", "empty", "bytes"],
)
def test_error_bodies(body: bytes, failure: tuple[Any, Any], left: bytes | None) -> None:
    found = turn(body, status=429, content_type="application/json")
    assert found.answer.failure == Failure(type=failure[0], message=failure[1], status=429)
    assert found.answer.fields_json == left
    assert (found.is_complete, found.answer.messages) == (True, ())


def test_an_error_under_a_status_of_success() -> None:
    body = b'{"type":"error","error":{"type":"api_error","message":"Internal"}}'
    found = turn(body, content_type="application/json")
    assert found.answer.failure == Failure(type="api_error", message="Internal")
    assert found.notes == ()


# --- what is new or broken -----------------------------------------------------------------------


def test_what_is_unknown_in_a_stream_is_kept_with_notes() -> None:
    body = (
        start(novelty=1)
        + event({"type": "weather", "sky": "blue"})
        + block(
            0,
            {"type": "hologram", "depth": 3},
            {"type": "depth_delta", "depth": 4},
            {"type": "text_delta", "text": "x"},
        )
        + block(
            1,
            {"type": "text", "text": "a"},
            {"type": "glow_delta", "glow": 1},
            {"type": "text_delta", "text": "b", "font": "c"},
        )
        + end(moon="full")
    )
    found = turn(body)
    depth, text, glow = (
        {"type": "depth_delta", "depth": 4},
        {"type": "text_delta", "text": "x"},
        {"type": "glow_delta", "glow": 1},
    )
    assert found.answer.messages[0].parts == (
        OtherPart(
            type="hologram",
            json=encode({"type": "hologram", "depth": 3, "deltas": [depth, text]}),
        ),
        TextPart(text="ab", extra_json=encode({"deltas": [glow]})),
    )
    assert msgspec.json.decode(found.answer.fields_json or b"") == {
        "novelty": 1,
        "moon": "full",
        "events": [{"type": "weather", "sky": "blue"}],
    }
    assert {(note.kind, note.detail) for note in found.notes} == {
        ("unknown-field", "message.novelty"),
        ("unknown-event", "weather"),
        ("unknown-event", "content_block_delta.depth_delta"),
        ("unknown-block", "hologram"),
        ("unknown-event", "content_block_delta.glow_delta"),
        ("unknown-field", "text_delta.font"),
        ("unknown-field", "message_delta.moon"),
    }


def test_deltas_for_another_kind_of_block_are_kept_with_a_note() -> None:
    odd = {"type": "input_json_delta", "partial_json": "{"}
    found = turn(start() + block(0, {"type": "text", "text": "a"}, odd) + end())
    assert found.answer.messages[0].parts == (
        TextPart(text="a", extra_json=encode({"deltas": [odd]})),
    )
    assert found.notes == (Note(kind="malformed-event", detail="text.input_json_delta"),)


@pytest.mark.parametrize(
    ("events", "detail"),
    [
        (b"data: [DONE]\n\n", "message"),
        (b"event: content_block_delta\ndata: {\n\n", "content_block_delta"),
        (event({"type": "content_block_start", "index": 0}), "content_block_start"),
        (
            event({"type": "content_block_start", "index": "0", "content_block": {}}),
            "content_block_start",
        ),
        (event({"type": "content_block_delta", "index": 7, "delta": {}}), "content_block_delta"),
        (event({"type": "content_block_stop", "index": 7}), "content_block_stop"),
        (event({"type": "message_delta", "delta": 5}), "message_delta"),
        (start(), "message_start"),
    ],
    ids=["done", "no-json", "no-block", "no-index", "no-start", "no-stop", "no-delta", "twice"],
)
def test_broken_events_are_noted_and_the_rest_is_read(events: bytes, detail: str) -> None:
    found = turn(start() + events + streams.text(0, "Still here.") + end())
    assert found.answer.messages[0].parts == (TextPart(text="Still here."),)
    assert found.notes == (Note(kind="malformed-event", detail=detail),)
    assert found.is_complete


def test_a_block_that_begins_in_another_ones_place_ends_that() -> None:
    content = {"type": "text", "text": "one"}
    begin = event({"type": "content_block_start", "index": 0, "content_block": content})
    found = turn(start() + begin + streams.text(0, "two") + end())
    assert [part.text for part in found.answer.messages[0].parts if isinstance(part, TextPart)] == [
        "one",
        "two",
    ]
    assert found.notes == (Note(kind="malformed-event", detail="content_block_start"),)


def test_blocks_left_open_end_with_the_message() -> None:
    content = {"type": "text", "text": "one"}
    begin = event({"type": "content_block_start", "index": 0, "content_block": content})
    changes = feeding.changes(DECODER, exchange(start() + begin + end()))
    assert done(changes) == [(0, TextPart(text="one"))]


@pytest.mark.parametrize(
    ("body", "notes"),
    [
        (b"[1", [("malformed-event", "")]),
        (b"5", [("malformed-answer", "number")]),
        (b'{"id":"msg_1","content":[{"type":"te', [("malformed-answer", "object")]),
        (b"{}", [("malformed-answer", "content")]),
        (b'{"content":"words"}', [("malformed-content", "string")]),
        (b"", []),
    ],
    ids=["array", "number", "cut-off", "empty-object", "string-content", "nothing"],
)
def test_plain_answers_that_are_none(body: bytes, notes: list[tuple[str, str]]) -> None:
    found = turn(body, content_type="application/json")
    kept = [(note.kind, note.detail) for note in found.notes if note != TRUNCATED]
    assert kept == notes


def test_a_count_without_a_count() -> None:
    found = turn(b"{}", path="/v1/messages/count_tokens", content_type="application/json")
    assert found.answer.counted_tokens is None
    assert found.notes == (Note(kind="malformed-answer", detail="input_tokens"),)


def test_a_coded_stream() -> None:
    coded = exchange(
        gzip.compress(streams.TOOLS, mtime=0), response_headers=((b"content-encoding", b"gzip"),)
    )
    whole = feeding.timeless(turn(streams.TOOLS))
    assert feeding.timeless(feeding.turn(DECODER, coded)) == whole


def test_a_call_that_begins_is_content_a_text_that_begins_is_none() -> None:
    def first_content_ns(content: dict[str, Any]) -> int | None:
        begin = event({"type": "content_block_start", "index": 0, "content_block": content})
        return turn(start() + begin).timing.first_content_ns

    assert first_content_ns({"type": "tool_use", "id": "t", "name": "n", "input": {}})
    assert first_content_ns({"type": "text", "text": ""}) is None


def test_pieces_without_text_are_no_deltas() -> None:
    changes = feeding.changes(DECODER, exchange(streams.TOOLS))
    assert [change for change in changes if isinstance(change, Delta) and not change.text] == []


def test_citations_of_the_start_go_before_those_that_come() -> None:
    content = {"type": "text", "text": "", "citations": [{"type": "char_location"}]}
    cited = {"type": "citations_delta", "citation": streams.CITATION}
    (part,) = parts(start() + block(0, content, cited) + end())
    assert part.citations_json == encode([{"type": "char_location"}, streams.CITATION])


def test_an_input_that_is_not_known_has_no_sum() -> None:
    usage = {"cache_read_input_tokens": 5, "output_tokens": 1}
    counted = turn(start(usage=usage) + end()).answer.usage
    assert counted
    assert (counted.input_tokens, counted.cache_read_tokens) == (None, 5)


def test_a_long_page_in_place_of_an_error_is_cut() -> None:
    failure = turn(b"<p>" * 5_000, status=502, content_type="text/html").answer.failure
    assert failure
    assert len(failure.message or "") == 2_000
