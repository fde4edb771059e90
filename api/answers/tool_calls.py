"""Tool calls, and subagents by the call that started them, as the API shows them."""

import sqlite3
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from api import cursors
from api.answers.figures import Ms, json_of, ms
from storage import tool_calls
from storage.decoded import ToolKind
from storage.tool_calls import DurationSource, Query, ToolCall

_PAGE_BYTES = 4 << 20  # of arguments and results: a page ends earlier where they are long


class ToolCallBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One tool use, with what came back of it."""

    id: str
    call_id: Annotated[str | None, Meta(description="The provider's; null: the wire has none")]
    conversation_id: str
    session_id: str | None
    turn_id: Annotated[str | None, Meta(description="Null: only its result was seen")]
    message_id: str | None
    name: str
    namespace: str | None
    kind: ToolKind
    mcp_server: str | None
    mcp_tool: str | None
    skill: str | None
    is_history: Annotated[
        bool, Meta(description="Only seen in a history that was sent, not in an answer")
    ]
    description: str | None
    command: str | None
    arguments: Annotated[Any, Meta(description="As JSON where it is JSON, else the text")]
    called_at: Ms | None
    result_turn_id: Annotated[str | None, Meta(description="Null: no result came")]
    result_at: Ms | None
    result: str | None
    is_error: Annotated[bool | None, Meta(description="Null: no result, or nobody can tell")]
    is_error_inferred: Annotated[bool, Meta(description="Read from the result's text")]
    exit_code: int | None
    is_pending: Annotated[bool, Meta(description="The result only says that it was started")]
    duration_ms: int | None
    duration_source: Annotated[
        DurationSource | None,
        Meta(description="The agent's own word, or from the call to the sending of its result"),
    ]
    child_conversation_id: Annotated[str | None, Meta(description="The subagent it started")]


class ToolCallPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`next` is the `after` of the next page."""

    tool_calls: list[ToolCallBody]
    next: str | None


def page(
    conn: sqlite3.Connection,
    query: Query,
    *,
    after: str | None = None,
    limit: int = 100,
    order: Literal["oldest", "newest"] = "newest",
) -> ToolCallPage:
    """Raises ConfigError for an `after` that is none."""
    place = cursors.decode(after, tuple[str, int, int, str])
    found = tool_calls.page(conn, query, after=place, limit=limit, order=order)
    shown = _fitting(found.tool_calls)
    behind = found.next
    if len(shown) < len(found.tool_calls):
        behind = tool_calls.place(shown[-1])
    return ToolCallPage(tool_calls=[body_of(call) for call in shown], next=cursors.encode(behind))


def body_of(call: ToolCall) -> ToolCallBody:
    return ToolCallBody(
        id=call.id,
        call_id=call.call_id,
        conversation_id=call.conversation_id,
        session_id=call.session_id,
        turn_id=call.turn_id,
        message_id=call.message_id,
        name=call.name,
        namespace=call.namespace,
        kind=call.kind,
        mcp_server=call.mcp_server,
        mcp_tool=call.mcp_tool,
        skill=call.skill,
        is_history=call.is_history,
        description=call.description,
        command=call.command,
        arguments=json_of(call.arguments.encode(errors="replace")),
        called_at=ms(call.called_ns),
        result_turn_id=call.result_turn,
        result_at=ms(call.result_ns),
        result=call.result,
        is_error=call.is_error,
        is_error_inferred=call.is_error_inferred,
        exit_code=call.exit_code,
        is_pending=call.is_pending,
        duration_ms=call.duration_ms,
        duration_source=call.duration_source,
        child_conversation_id=call.child,
    )


def _fitting(found: list[ToolCall]) -> list[ToolCall]:
    left = _PAGE_BYTES
    for place, call in enumerate(found):
        left -= len(call.arguments) + len(call.result or "")
        if place and left < 0:
            return found[:place]
    return found
