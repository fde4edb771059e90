"""Answers of Responses cut anywhere and broken anywhere: nothing raises, chunks change nothing."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.wire.responses import DECODER
from storage.decoded import Delta, PartDone, TextPart, ThinkingPart, ToolCallPart, TurnEnded
from tests.addons.wire import feeding
from tests.addons.wire.feeding import Exchange
from tests.addons.wire.responsesdata import (
    CALL,
    MESSAGE,
    TURN,
    asking,
    encoded,
    events,
    plain,
    response,
    said,
    sse,
    streamed,
)
from tests.addons.wire.test_responses_items import ELSEWHERE, ITEMS

REQUEST = asking(
    *(item for item, _, _ in (ITEMS | ELSEWHERE).values()),
    instructions="Be brief.",
    tools=[{"type": "namespace", "name": "n", "tools": [{"type": "custom", "name": "x"}]}],
    reasoning={"effort": "low"},
)
BUILT_IN = [
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "shell_call"}},
    {"type": "response.shell_call_command.added", "output_index": 0, "command_index": 0},
    {
        "type": "response.shell_call_command.delta",
        "output_index": 0,
        "command_index": 0,
        "delta": "ls",
    },
    {"type": "response.code_interpreter_call_code.delta", "output_index": 1, "delta": "1+1"},
    {"type": "response.mcp_call_arguments.delta", "output_index": 2, "delta": "{}"},
    {"type": "response.reasoning_text.delta", "output_index": 3, "delta": "hm"},
    {"type": "response.reasoning_text.delta", "item_id": "?", "delta": "m"},
]
EXCHANGES = {
    "sse": streamed(events(*TURN), REQUEST),
    "built-in tools": streamed(BUILT_IN),
    "error": streamed([*events(MESSAGE)[:6], {"type": "error", "code": "c", "message": "m"}]),
    "plain": plain(response("completed", *TURN), REQUEST),
    "refused": plain({"error": {"message": "No."}}, status=400),
    "compact": plain(
        {"object": "response.compaction", "output": [said("user", "x")]},
        REQUEST,
        path="/v1/responses/compact",
    ),
    "count": plain({"input_tokens": 3}, path="/v1/responses/input_tokens"),
}


@pytest.mark.parametrize("name", EXCHANGES)
def test_byte_by_byte_is_as_whole(name: str) -> None:
    exchange = EXCHANGES[name]
    whole = feeding.turn(DECODER, exchange)

    turn = feeding.turn(DECODER, exchange, feeding.byte_by_byte(exchange.response))

    assert feeding.timeless(turn) == feeding.timeless(whole)


def test_cut_at_every_event_the_changes_are_in_the_turn() -> None:
    told = events(*TURN)
    for at in range(len(told)):
        changes = feeding.changes(DECODER, streamed(told), [sse(told[:at])], cut=True)
        ended = changes[-1]
        assert isinstance(ended, TurnEnded)
        assert not ended.turn.is_complete
        _assert_told(changes[:-1], ended)


def _assert_told(changes: list, ended: TurnEnded) -> None:
    """Items came one after another here: the parts of the turn are in the order of indices."""
    parts = [part for message in ended.turn.answer.messages for part in message.parts]
    pieces: dict[int, str] = {}
    for change in changes:
        if isinstance(change, PartDone):
            assert change.part == parts[change.index]
        elif isinstance(change, Delta):
            pieces[change.index] = pieces.get(change.index, "") + change.text
    for index, text in pieces.items():
        part = parts[index]
        if isinstance(part, ToolCallPart):
            assert part.arguments == text
        else:
            assert getattr(part, "text", None) == text


def test_built_in_tools_are_there_when_they_are_cut_off() -> None:
    exchange = streamed(BUILT_IN)
    turn = feeding.turn(DECODER, exchange, cut=True)
    deltas = [c for c in feeding.changes(DECODER, exchange, cut=True) if isinstance(c, Delta)]

    assert [change.index for change in deltas] == [0, 1, 2, 3, 3]
    assert [message.parts[0] for message in turn.answer.messages] == [
        ToolCallPart(call_id=None, name="shell", arguments='{"commands":["ls"]}'),
        ToolCallPart(
            call_id=None, name="code_interpreter", arguments="1+1", is_custom=True, on_server=True
        ),
        ToolCallPart(call_id=None, name="", arguments="{}", on_server=True),
        ThinkingPart(text="hmm", extra_json=b'{"type":"reasoning_text"}'),
    ]


def test_a_text_that_is_cut_off_keeps_its_citations() -> None:
    told = events(MESSAGE)
    at = [event["type"] for event in told].index("response.output_text.done")
    turn = feeding.turn(DECODER, streamed(told[:at]), cut=True)

    part = turn.answer.messages[0].parts[0]
    assert isinstance(part, TextPart)
    assert part.citations_json is not None


@given(places=st.lists(st.integers(0, 1 << 20), max_size=12), name=st.sampled_from(list(EXCHANGES)))
def test_chunks_change_nothing(places: list[int], name: str) -> None:
    exchange = EXCHANGES[name]
    whole = feeding.turn(DECODER, exchange)

    turn = feeding.turn(DECODER, exchange, feeding.split_at(exchange.response, places))

    assert feeding.timeless(turn) == feeding.timeless(whole)


# --- broken on purpose ---------------------------------------------------------------------------

_JUNK = st.sampled_from(
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"-1",
        b"1e999",
        b"9" * 60,
        b'"\\ud800"',
        b"\xff\xfe",
        b'"',
        b"\n\n",
        b"}",
        b'{"type":"error"}',
        b"[" * 2000,
        b"data: ",
        b"true",
    ]
)
_VALUES = st.sampled_from(
    [b"null", b"[]", b"{}", b"-1", b"7", b'"x"', b"true", b'[[{"type":7}]]', b'{"type":[]}', b"1e9"]
)


@st.composite
def broken(draw: st.DrawFn) -> Exchange:
    """A sound exchange in which some bytes, or some values, became others."""
    exchange = EXCHANGES[draw(st.sampled_from(list(EXCHANGES)))]
    request, answer = exchange.request, exchange.response
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            request = _mutated(draw, request)
        else:
            answer = _mutated(draw, answer)
    return msgspec.structs.replace(exchange, request=request, response=answer)


def _mutated(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(st.integers(0, max(len(data) - 1, 0)))
    if draw(st.booleans()):
        end = at + draw(st.integers(0, 30))
        return data[:at] + draw(_JUNK) + data[end:]
    # Whatever follows a colon becomes another value: JSON stays JSON more often than not.
    start = data.find(b":", at) + 1
    ends = [end for sign in (b",", b"}") if (end := data.find(sign, start)) > 0]
    return data[:start] + draw(_VALUES) + data[min(ends, default=start) :]


def _check(exchange: Exchange, places: list[int]) -> None:
    whole = feeding.turn(DECODER, exchange)
    cut = feeding.turn(DECODER, exchange, feeding.split_at(exchange.response, places))
    assert feeding.timeless(cut) == feeding.timeless(whole)
    msgspec.json.encode(whole)


@given(exchange=broken(), places=st.lists(st.integers(0, 1 << 20), max_size=5))
@settings(deadline=None)
def test_nothing_raises(exchange: Exchange, places: list[int]) -> None:
    _check(exchange, places)


@pytest.mark.fuzz
@given(exchange=broken(), places=st.lists(st.integers(0, 1 << 20), max_size=5))
@settings(max_examples=10_000, deadline=None)
def test_nothing_raises_ever(exchange: Exchange, places: list[int]) -> None:
    _check(exchange, places)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_an_item(data: bytes) -> None:
    DECODER.message(data)


@pytest.mark.parametrize("depth", [10, 500, 100_000])
def test_deep_values_are_no_trouble(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    item = encoded(CALL).replace(b'"status":"completed"', b'"status":' + deep)
    told = b'data: {"type":"response.output_item.done","output_index":0,"item":' + item + b"}\n\n"
    exchange = msgspec.structs.replace(
        streamed([]), request=b'{"input":[' + item + b"]}", response=told
    )

    turn = feeding.turn(DECODER, exchange)

    assert turn.notes != ()
