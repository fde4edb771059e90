"""One turn: its contract, what was sent and answered, usage, timing, cost."""

import sqlite3
from typing import Annotated, Any

import msgspec
from litestar import Router, get
from litestar.params import FromPath, QueryParameter
from msgspec import Meta

from api import replay
from api.access import Reach
from api.answers import messages as message_answers
from api.answers import tool_calls as tool_call_answers
from api.answers import turns as answers
from api.answers.messages import MessageBody
from api.answers.tool_calls import ToolCallBody
from api.answers.turns import ContractBody, NoteBody, RateLimitBody, TurnBody
from api.errors import documented
from api.replay import Content
from storage import messages, tool_calls, turns


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


@get(
    "/{turn_id:str}",
    operation_id="getTurn",
    summary="Get a turn: contract, system prompt, tools, messages, answer, usage, timing, cost",
    responses=documented(404, 409),
)
async def get_turn(
    access: Reach,
    turn_id: FromPath[str],
    content: Annotated[
        bool, QueryParameter(required=False, description="false: without what was sent")
    ] = True,
) -> TurnDetail:
    return await access.in_thread(lambda conn: detail(conn, turn_id, content=content))


def detail(conn: sqlite3.Connection, turn_id: str, *, content: bool) -> TurnDetail:
    """By id or unique prefix. Raises NotFound; Conflict if several match."""
    turn = turns.find(conn, turn_id)
    brought = messages.of_turn(conn, turn.id)
    return TurnDetail(
        turn=answers.body_of(turn),
        contract=answers.contract_of(turn),
        content=replay.content(conn, turn.entry_id, turn.number) if content else None,
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


ROUTER = Router("/api/turns", route_handlers=[get_turn], tags=["turns"])
