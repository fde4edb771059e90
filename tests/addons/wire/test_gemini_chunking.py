"""Gemini answers cut anywhere and broken anywhere: chunking changes nothing, nothing raises."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.wire.gemini import DECODER
from storage.decoded import Delta, PartDone, TextPart, ThinkingPart, ToolCallPart, TurnEnded
from tests.addons.wire import feeding
from tests.addons.wire.feeding import Exchange
from tests.addons.wire.geminidata import TURN, asking, chunk, listed, plain, said, streamed
from tests.addons.wire.test_gemini_partial import argument, piece

REQUEST = asking(
    said("user", {"text": "Hello"}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}),
    *(
        {"role": "model", "parts": list(PIECE["candidates"][0]["content"]["parts"])}
        for PIECE in TURN
    ),
    said("user", {"functionResponse": {"id": "c1", "name": "f", "response": {"error": "no"}}}),
    systemInstruction={"parts": [{"text": "Be brief."}]},
    tools=[{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}],
    generationConfig={"maxOutputTokens": 9, "thinkingConfig": {"thinkingBudget": 0}},
)
PARTIAL = (
    chunk(piece(argument("$.a[0].b", stringValue="x"), name="f", id="c1")),
    chunk(piece(argument("$.a[0].b", stringValue="y"), more=False), finishReason="STOP"),
)
ERROR = {"error": {"code": 500, "message": "No.", "status": "INTERNAL"}}
EXCHANGES = {
    "sse": streamed(*TURN, request=REQUEST),
    "array": listed(*TURN, request=REQUEST),
    "plain": plain(chunk({"text": "a"}, {"functionCall": {"name": "f"}}), REQUEST),
    "partial": streamed(*PARTIAL),
    "code-assist": streamed(
        *({"response": each, "traceId": "t"} for each in TURN),
        request={"model": "m", "project": "p", "request": REQUEST},
    ),
    "error": plain([ERROR], REQUEST, status=500),
    "count": plain({"totalTokens": 3}, REQUEST, path="/v1internal:countTokens"),
}


@pytest.mark.parametrize("name", EXCHANGES)
def test_byte_by_byte_is_as_whole(name: str) -> None:
    exchange = EXCHANGES[name]
    whole = feeding.turn(DECODER, exchange)

    turn = feeding.turn(DECODER, exchange, feeding.byte_by_byte(exchange.response))

    assert feeding.timeless(turn) == feeding.timeless(whole)


@pytest.mark.parametrize("name", EXCHANGES)
def test_the_changes_add_up_to_the_turn_wherever_it_is_cut(name: str) -> None:
    exchange = EXCHANGES[name]
    for at in range(0, len(exchange.response), 7):
        changes = feeding.changes(DECODER, exchange, [exchange.response[:at]], cut=True)
        turn = changes[-1]
        assert isinstance(turn, TurnEnded)
        parts = [part for message in turn.turn.answer.messages for part in message.parts]
        pieces: dict[int, str] = {}
        for change in changes:
            if isinstance(change, PartDone):
                assert change.part == parts[change.index]
            elif isinstance(change, Delta):
                pieces[change.index] = pieces.get(change.index, "") + change.text
        for index, text in pieces.items():
            part = parts[index]
            assert isinstance(part, TextPart | ThinkingPart | ToolCallPart)
            assert text == (part.arguments if isinstance(part, ToolCallPart) else part.text)


def rechunked(exchange: Exchange, places: list[int]) -> None:
    whole = feeding.turn(DECODER, exchange)
    turn = feeding.turn(DECODER, exchange, feeding.split_at(exchange.response, places))
    assert feeding.timeless(turn) == feeding.timeless(whole)


def broken(data: bytes, at: int, length: int, put: bytes) -> bytes:
    at %= len(data) + 1
    return data[:at] + put + data[at + length :]


WORDS = [
    *(b"[", b"{", b"}", b'"', b"null", b"true", b"1e999", b"-1", b'"\\ud800"', b"\r\n\r\n"),
    *(b"[" * 5000, b'{"a":' * 3000, b"9" * 5000),
    *(b'"text":', b'"functionCall":[]', b"data: 1\n\n"),
]
PUTS = st.one_of(st.binary(max_size=6), st.sampled_from(WORDS))
BREAKS = st.lists(
    st.tuples(st.integers(0, 1 << 16), st.integers(0, 40), PUTS), min_size=1, max_size=4
)
NAMES = st.sampled_from(sorted(EXCHANGES))
PLACES = st.lists(st.integers(0, 1 << 16), max_size=6)


def mutated(
    name: str, asked: list[tuple[int, int, bytes]], answered: list[tuple[int, int, bytes]]
) -> Exchange:
    exchange = EXCHANGES[name]
    request, response = exchange.request, exchange.response
    for at, length, put in asked:
        request = broken(request, at, length, put)
    for at, length, put in answered:
        response = broken(response, at, length, put)
    return msgspec.structs.replace(exchange, request=request, response=response)


@given(NAMES, PLACES)
@settings(max_examples=60, deadline=None)
def test_chunking_changes_nothing(name: str, places: list[int]) -> None:
    rechunked(EXCHANGES[name], places)


@given(NAMES, BREAKS, BREAKS, PLACES)
@settings(max_examples=100, deadline=None)
def test_broken_bytes_never_raise(
    name: str,
    asked: list[tuple[int, int, bytes]],
    answered: list[tuple[int, int, bytes]],
    places: list[int],
) -> None:
    rechunked(mutated(name, asked, answered), places)


@pytest.mark.fuzz
@pytest.mark.timeout(1200)
@given(NAMES, BREAKS, BREAKS, PLACES)
@settings(max_examples=10_000, deadline=None)
def test_fuzz(
    name: str,
    asked: list[tuple[int, int, bytes]],
    answered: list[tuple[int, int, bytes]],
    places: list[int],
) -> None:
    rechunked(mutated(name, asked, answered), places)
