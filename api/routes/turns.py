"""Turns: one of them, and those of a traffic entry."""

from typing import Annotated

from litestar import Router, get
from litestar.params import FromPath, QueryParameter

from api.access import Reach
from api.answers import turn_details as answers
from api.answers.turn_details import TurnDetail, TurnPage
from api.errors import documented


@get(
    "/turns/{turn_id:str}",
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
    return await access.in_thread(lambda conn: answers.find(conn, turn_id, content=content))


@get(
    "/traffic/{entry_id:str}/turns",
    operation_id="listEntryTurns",
    summary="List the turns of a traffic entry, without what was sent",
    responses=documented(404, 409),
)
async def list_turns(access: Reach, entry_id: FromPath[str]) -> TurnPage:
    return await access.in_thread(lambda conn: answers.of_entry(conn, entry_id))


ROUTER = Router("/api", route_handlers=[get_turn, list_turns], tags=["turns"])
