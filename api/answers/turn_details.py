"""One turn with all that is known of it, and the turns of a traffic entry."""

import sqlite3
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from api import replay
from api.answers import messages as message_answers
from api.answers import tool_calls as tool_call_answers
from api.answers import turns as answers
from api.answers.messages import MessageBody
from api.answers.tool_calls import ToolCallBody
from api.answers.turns import ContractBody, NoteBody, RateLimitBody, TurnBody
from api.replay import Content
from storage import messages, tool_calls, traffic, turns
from storage.turns import Turn

_MOST = 50  # turns of one entry: a socket may hold hundreds


class TurnDetail(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A turn with all that is known of it."""

    turn: TurnBody
    contract: ContractBody
    content: Annotated[
        Content | None,
        Meta(description="Read again from the entry's bytes; null: they are gone, or not asked"),
    ]
    new_messages: Annotated[
        list[MessageBody], Meta(description="That this turn was the first to hold")
    ]
    tool_calls: Annotated[list[ToolCallBody], Meta(description="That its answer asked for")]
    raw_usage: Annotated[Any, Meta(description="The provider's own object")]
    rate_limits: list[RateLimitBody]
    cache_miss_reason: Annotated[str | None, Meta(description="The provider's own word")]
    request_id: Annotated[str | None, Meta(description="The provider's")]
    tool_durations: Annotated[
        list[tuple[str, int]], Meta(description="Milliseconds of the tools before, as stated")
    ]
    inferred: Annotated[list[str], Meta(description="Facts that were concluded, not stated")]
    notes: list[NoteBody]


class TurnPage(msgspec.Struct, frozen=True, kw_only=True):
    """The turns of an entry in their order, without what was sent; `total` counts all."""

    turns: list[TurnDetail]
    total: int


def find(conn: sqlite3.Connection, turn_id: str, *, content: bool) -> TurnDetail:
    """By id or unique prefix. Raises NotFound; Conflict if several match."""
    turn = turns.find(conn, turn_id)
    return _detail(
        conn, turn, replay.content(conn, turn.entry_id, turn.number) if content else None
    )


def of_entry(conn: sqlite3.Connection, entry_id: str) -> TurnPage:
    """The first 50 of them; none where the entry is no model call. Raises NotFound, Conflict."""
    entry = traffic.find(conn, entry_id)
    found = turns.of_entry(conn, entry.id)
    return TurnPage(turns=[_detail(conn, turn, None) for turn in found[:_MOST]], total=len(found))


def _detail(conn: sqlite3.Connection, turn: Turn, content: Content | None) -> TurnDetail:
    brought = messages.of_turn(conn, turn.id)
    return TurnDetail(
        turn=answers.body_of(turn),
        contract=answers.contract_of(turn),
        content=content,
        new_messages=[message_answers.body_of(message) for message in brought],
        tool_calls=[tool_call_answers.body_of(call) for call in tool_calls.of_turn(conn, turn.id)],
        raw_usage=answers.raw_usage(turn),
        rate_limits=answers.limits_of(turn),
        cache_miss_reason=turn.detail.cache_miss_reason,
        request_id=turn.detail.request_id,
        tool_durations=list(turn.detail.tool_durations),
        inferred=list(turn.detail.inferred),
        notes=answers.notes_of(turn),
    )
