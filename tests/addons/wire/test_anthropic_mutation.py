"""
Whatever comes in: nothing raises, and how it was chunked changes nothing.

Known exchanges are broken by hypothesis: bytes replaced, removed and doubled, values of their JSON
exchanged for others, events left out, moved and doubled, the end cut off.
"""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from addons.wire.anthropic import DECODER
from storage.decoded import PartDone, Turn, TurnEnded
from tests.addons.wire import feeding
from tests.addons.wire.anthropic_streams import BETA_STREAMS, REQUEST, STREAMS, exchange
from tests.addons.wire.test_anthropic_blocks import BLOCKS, KEPT

ODD_TEXTS = st.sampled_from(["", "text", "\ud83d", "tool_use", "x_tool_result", "0", "\x00", "😀"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 2**64, 10**30])
    | st.floats(allow_nan=False)
    | ODD_TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD_TEXTS, inner, max_size=3),
    max_leaves=5,
)
CONTENTS = [raw for raw, _ in BLOCKS.values()] + [{"type": name, **KEPT[name]} for name in KEPT]
WHOLE = {
    "id": "msg_1",
    "type": "message",
    "model": "m",
    "content": CONTENTS,
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 2, "cache_creation": {}},
}
ASKED = {
    "model": "m",
    "system": [{"type": "text", "text": "s"}],
    "messages": [
        {"role": "user", "content": CONTENTS},
        {"role": "assistant", "content": "words"},
        {"role": "system", "content": "more", "output_config": {"effort": "low"}},
    ],
    "tools": [{"name": "t", "input_schema": {}}],
    "output_config": {"effort": "high"},
    "thinking": {"type": "enabled", "budget_tokens": 5},
    "max_tokens": 1,
}
TYPES = ["text/event-stream", "application/json", "application/x-ndjson", "text/html"]
PATHS = ["/v1/messages", "/v1/messages/count_tokens"]


def dumped(value: Any) -> bytes:
    """JSON with lone surrogates escaped, which msgspec refuses to write."""
    return json.dumps(value).encode()


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """The value with something in it exchanged for something else."""
    if isinstance(value, dict) and value and draw(st.integers(0, 9)) > 1:
        name = draw(st.sampled_from(sorted(value)))
        return {**value, name: draw(changed(value[name]))}
    if isinstance(value, list) and value and draw(st.integers(0, 9)) > 1:
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], draw(changed(value[at])), *value[at + 1 :]]
    return draw(JSON)


@st.composite
def broken(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes with up to three places replaced, removed or doubled, and maybe their end gone."""
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        to = min(len(data), at + draw(st.integers(0, 12)))
        put = draw(st.sampled_from([b"", data[at:to] * 2, b"\xff", b"\n", b"[", b'"', b"\\ud800"]))
        data = data[:at] + put + data[to:]
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    stream = draw(st.sampled_from([*STREAMS.values(), *BETA_STREAMS.values()]))
    events = [event + b"\n\n" for event in stream.split(b"\n\n")[:-1]]
    at = draw(st.integers(0, len(events) - 1))
    match draw(st.integers(0, 4)):
        case 0:
            events.append(events.pop(at))
        case 1:
            events.insert(draw(st.integers(0, len(events))), events[at])
        case 2:
            value = msgspec.json.decode(events[at].split(b"data: ")[1])
            events[at] = b"data: " + dumped(draw(changed(value))) + b"\n\n"
        case 3:
            return draw(broken(stream))
    return b"".join(events)


@st.composite
def exchanges(draw: st.DrawFn) -> feeding.Exchange:
    request = draw(st.just(REQUEST) | changed(ASKED).map(dumped) | broken(dumped(ASKED)))
    response = draw(streams() | changed(WHOLE).map(dumped) | broken(dumped(WHOLE)))
    return exchange(
        response,
        request=request,
        path=draw(st.sampled_from(PATHS)),
        content_type=draw(st.sampled_from(TYPES)),
        status=draw(st.sampled_from([200, 200, 200, 429])),
    )


def holds(exchanged: feeding.Exchange, places: list[int]) -> None:
    """Whole and in pieces it comes to the same turn, whose parts are those that were said."""
    whole = ended(exchanged, [exchanged.response])
    assert ended(exchanged, feeding.split_at(exchanged.response, places)) == whole
    msgspec.msgpack.encode(whole)


def ended(exchanged: feeding.Exchange, chunks: list[bytes]) -> Turn:
    *changes, last = feeding.changes(DECODER, exchanged, chunks)
    assert isinstance(last, TurnEnded)
    parts = last.turn.answer.messages[0].parts if last.turn.answer.messages else ()
    for change in changes:
        if isinstance(change, PartDone):
            assert parts[change.index] == change.part
    return feeding.timeless(last.turn)


PLACES = st.lists(st.integers(0, 5_000), max_size=5)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(exchanged=exchanges(), places=PLACES)
def test_broken_exchanges(exchanged: feeding.Exchange, places: list[int]) -> None:
    holds(exchanged, places)


@pytest.mark.fuzz
@pytest.mark.timeout(1800)
@settings(
    max_examples=10_000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(exchanged=exchanges(), places=PLACES)
def test_broken_exchanges_at_length(exchanged: feeding.Exchange, places: list[int]) -> None:
    holds(exchanged, places)
