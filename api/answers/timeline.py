"""Where the time went, as the API shows it."""

import itertools
import sqlite3
from typing import Annotated

import msgspec
from msgspec import Meta

from api.answers.figures import Ms, cost, ms
from storage import timeline
from storage.decoded import RequestClass
from storage.timeline import Bar
from storage.tool_calls import DurationSource, ToolCall

_MOST = 5000


class ToolBar(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A tool call on the clock."""

    id: str
    name: str
    kind: str
    started_at: Ms | None
    ended_at: Ms | None
    duration_ms: int | None
    duration_source: DurationSource | None
    is_error: bool | None
    child_conversation_id: str | None


class TurnBar(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A turn on the clock; null for what the wire does not show."""

    turn_id: str
    entry_id: str
    conversation_id: str
    number: Annotated[int, Meta(description="Of the turn in its conversation, from 0")]
    request_class: RequestClass
    model: str | None
    started_at: Ms
    ended_at: Ms | None
    duration_ms: int | None
    first_byte_ms: Annotated[int | None, Meta(description="From the request's end")]
    first_content_ms: Annotated[int | None, Meta(description="From the request's end")]
    tokens_per_second: float | None
    wait_ms: Annotated[
        int | None, Meta(description="Since the end of the conversation's turn before")
    ]
    longest_silence_ms: int | None
    silence_side: str | None
    retry_of: Annotated[str | None, Meta(description="Turn: the failed attempt before this one")]
    is_complete: bool
    failure_type: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    tools: list[ToolBar]


class Timeline(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Turns in the order in which they began; `isCut`: there are more than are shown."""

    turns: list[TurnBar]
    started_at: Ms | None
    ended_at: Ms | None
    is_cut: bool


def of_session(conn: sqlite3.Connection, session_id: str) -> Timeline:
    bars = list(itertools.islice(timeline.of_session(conn, session_id), _MOST + 1))
    shown = list(map(_bar, bars[:_MOST]))
    ends = [bar.ended_at for bar in shown if bar.ended_at is not None]
    return Timeline(
        turns=shown,
        started_at=shown[0].started_at if shown else None,
        ended_at=max(ends, default=None),
        is_cut=len(bars) > _MOST,
    )


def _bar(bar: Bar) -> TurnBar:
    turn = bar.turn
    return TurnBar(
        turn_id=turn.id,
        entry_id=turn.entry_id,
        conversation_id=turn.conversation_id,
        number=bar.number,
        request_class=turn.request_class,
        model=turn.model_served or turn.model_asked,
        started_at=turn.started_ns // 1_000_000,
        ended_at=ms(turn.ended_ns),
        duration_ms=ms(bar.duration_ns),
        first_byte_ms=ms(bar.first_byte_ns),
        first_content_ms=ms(bar.first_content_ns),
        tokens_per_second=bar.tokens_per_s,
        wait_ms=ms(bar.wait_ns),
        longest_silence_ms=ms(turn.longest_silence_ns),
        silence_side=bar.silence_side,
        retry_of=bar.retry_of,
        is_complete=turn.is_complete,
        failure_type=turn.failure_type,
        input_tokens=turn.input_tokens,
        output_tokens=turn.output_tokens,
        cost_usd=cost(turn.cost_usd),
        tools=list(map(_tool, bar.tools)),
    )


def _tool(call: ToolCall) -> ToolBar:
    return ToolBar(
        id=call.id,
        name=call.name,
        kind=call.kind,
        started_at=ms(call.called_ns),
        ended_at=ms(call.result_ns),
        duration_ms=call.duration_ms,
        duration_source=call.duration_source,
        is_error=call.is_error,
        child_conversation_id=call.child,
    )
