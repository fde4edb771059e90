"""Where the time went: turns as bars, with what was waited for in them and between them."""

import sqlite3
from collections.abc import Iterator
from typing import Literal

import msgspec

from storage import tool_calls, turns
from storage.errors import NotFound
from storage.tool_calls import ToolCall
from storage.turns import Turn

_CONVERSING = ("main", "subagent")
_LEAST_NS = 50_000_000  # what came within less came at once


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """
    One turn on the clock. Durations are in nanoseconds, None where the wire does not show them.

    `wait_ns` lies between the end of the conversation's turn before and this one's begin: tools,
    the user, the agent itself. `retry_of` is the failed attempt of the same request before it.
    """

    turn: Turn
    number: int  # of the turn among those shown of its conversation, from 0
    first_byte_ns: int | None  # from the request's end
    first_content_ns: int | None  # from the request's end
    duration_ns: int | None
    tokens_per_s: float | None
    wait_ns: int | None
    retry_of: str | None
    silence_side: Literal["provider", "client"] | None
    tools: list[ToolCall]  # that it asked for


class _Before(msgspec.Struct):
    """What came before in a conversation."""

    number: int = 0
    ended_ns: int | None = None
    failed: dict[bytes, str] = msgspec.field(default_factory=dict)  # digest -> turn


def of_session(conn: sqlite3.Connection, session_id: str) -> Iterator[Bar]:
    """All turns of a capture session in the order in which they began."""
    return _bars(conn, turns.by_time(conn, session_id=session_id))


def of_conversation(conn: sqlite3.Connection, conversation_id: str) -> Iterator[Bar]:
    """All turns of a conversation and of those below it, in the order in which they began."""
    return _bars(conn, turns.by_time(conn, root=conversation_id))


def _bars(conn: sqlite3.Connection, turn_ids: list[str]) -> Iterator[Bar]:
    known: dict[str, _Before] = {}
    for turn_id in turn_ids:
        try:
            turn = turns.get(conn, turn_id)
        except NotFound:  # deleted meanwhile
            continue
        before = known.setdefault(turn.conversation_id, _Before())
        calls = [one for one in tool_calls.of_turn(conn, turn.id) if not one.is_history]
        yield _bar(turn, before, calls)
        _note(before, turn)


def _bar(turn: Turn, before: _Before, calls: list[ToolCall]) -> Bar:
    asked_ns = turn.asked_offset_ns
    return Bar(
        turn=turn,
        number=before.number,
        first_byte_ns=_between(asked_ns, turn.first_byte_offset_ns),
        first_content_ns=_between(asked_ns, turn.first_content_offset_ns),
        duration_ns=_between(turn.started_ns, turn.ended_ns),
        tokens_per_s=tokens_per_s(turn),
        wait_ns=_wait(turn, before),
        retry_of=before.failed.get(turn.request_digest) if turn.request_digest else None,
        silence_side="client" if turn.detail.silence_side == "client" else _provider(turn),
        tools=calls,
    )


def tokens_per_s(turn: Turn) -> float | None:
    """
    Output tokens by the time in which they came.

    That is from the first to the last content; where the model also thought out of sight, from the
    first byte. None for an answer that came at once.
    """
    first_ns = turn.first_content_offset_ns
    if turn.reasoning_tokens:
        first_ns = turn.first_byte_offset_ns
    span_ns = _between(first_ns, turn.last_content_offset_ns)
    if span_ns is None or span_ns < _LEAST_NS or not turn.output_tokens:
        return None
    return round(turn.output_tokens * 1e9 / span_ns, 1)


def _note(before: _Before, turn: Turn) -> None:
    before.number += 1
    if turn.request_class in _CONVERSING and turn.ended_ns is not None:
        before.ended_ns = max(before.ended_ns or 0, turn.ended_ns)
    if turn.request_digest is None:
        return
    if turn.failed or not turn.is_complete:
        before.failed[turn.request_digest] = turn.id
    else:
        before.failed.pop(turn.request_digest, None)


def _wait(turn: Turn, before: _Before) -> int | None:
    if turn.request_class not in _CONVERSING or before.ended_ns is None:
        return None
    return max(turn.started_ns - before.ended_ns, 0)


def _provider(turn: Turn) -> Literal["provider"] | None:
    return "provider" if turn.detail.silence_side == "provider" else None


def _between(start_ns: int | None, end_ns: int | None) -> int | None:
    if start_ns is None or end_ns is None:
        return None
    return max(end_ns - start_ns, 0)
