"""Tool calls, and subagents by the conversation that each is."""

import sqlite3
from typing import Annotated

import msgspec
from litestar import Router, get
from litestar.params import QueryParameter

from api.access import Reach
from api.answers import conversations as conversation_answers
from api.answers import tool_calls as answers
from api.answers.conversations import ConversationBody
from api.answers.tool_calls import ToolCallPage
from api.errors import documented
from api.routes import sessions
from api.routes.parameters import After, ConversationId, Limit, Order, SessionId
from storage import conversations
from storage.conversations import Query as ConversationQuery
from storage.decoded import ToolKind
from storage.tool_calls import Query


class SubagentPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest activity first; `next` is the `after` of the next page."""

    subagents: list[ConversationBody]
    next: str | None


@get(
    "/tool-calls",
    operation_id="listToolCalls",
    summary="List tool calls with their results",
    responses=documented(404, 409),
)
async def list_tool_calls(
    access: Reach,
    session_id: SessionId = None,
    conversation_id: ConversationId = None,
    name: Annotated[str | None, QueryParameter(description="As the agent calls the tool")] = None,
    kind: Annotated[ToolKind | None, QueryParameter(required=False)] = None,
    mcp_server: Annotated[str | None, QueryParameter(name="mcpServer")] = None,
    error: Annotated[
        bool | None, QueryParameter(required=False, description="Whether the result is an error")
    ] = None,
    after: After = None,
    limit: Limit = 100,
    order: Order = "newest",
) -> ToolCallPage:
    def page(conn: sqlite3.Connection) -> ToolCallPage:
        query = Query(
            session_id=sessions.find(conn, session_id).id if session_id else None,
            conversation_id=(
                conversations.find(conn, conversation_id).id if conversation_id else None
            ),
            name=name,
            kind=kind,
            mcp_server=mcp_server,
            has_error=error,
        )
        return answers.page(conn, query, after=after, limit=limit, order=order)

    return await access.in_thread(page)


@get(
    "/subagents",
    operation_id="listSubagents",
    summary="List the conversations of subagents, newest activity first",
    responses=documented(404, 409),
)
async def list_subagents(
    access: Reach,
    session_id: SessionId = None,
    conversation_id: Annotated[
        str | None, QueryParameter(name="conversationId", description="Of this parent")
    ] = None,
    after: After = None,
    limit: Limit = 50,
) -> SubagentPage:
    def page(conn: sqlite3.Connection) -> SubagentPage:
        parent = conversations.find(conn, conversation_id) if conversation_id else None
        query = ConversationQuery(
            session_id=sessions.find(conn, session_id).id if session_id else None,
            parent_id=parent.id if parent else None,
            subagents=True,
        )
        found = conversation_answers.page(conn, query, after=after, limit=limit)
        return SubagentPage(subagents=found.conversations, next=found.next)

    return await access.in_thread(page)


ROUTER = Router("/api", route_handlers=[list_tool_calls, list_subagents], tags=["tools"])
