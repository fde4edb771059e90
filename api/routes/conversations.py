"""Conversations: pages of them, one with its tree and turns, its messages."""

import sqlite3
from typing import Annotated

from litestar import Router, get
from litestar.params import FromPath, QueryParameter

from api.access import Reach
from api.answers import conversations as answers
from api.answers import messages as message_answers
from api.answers.conversations import ConversationDetail, ConversationPage
from api.answers.messages import MessagePage
from api.errors import documented
from api.routes import parameters, sessions
from api.routes.parameters import After, Limit
from storage import conversations
from storage.conversations import Query
from storage.messages import Query as MessageQuery


@get(
    operation_id="listConversations",
    summary="List conversations, newest activity first",
    responses=documented(404, 409),
)
async def list_conversations(
    access: Reach,
    session_id: parameters.SessionId = None,
    project: Annotated[
        str | None, QueryParameter(description="Path of the working directory")
    ] = None,
    agent: Annotated[str | None, QueryParameter(description="claude-code, codex ...")] = None,
    model: Annotated[str | None, QueryParameter(description="The whole name")] = None,
    text: Annotated[str | None, QueryParameter(description="Part of the summary")] = None,
    subagents: Annotated[
        bool, QueryParameter(required=False, description="Those of subagents too")
    ] = False,
    after: After = None,
    limit: Limit = 50,
) -> ConversationPage:
    query = Query(
        session_id=sessions.find(access.read(), session_id).id if session_id else None,
        cwd=project,
        agent=agent,
        model=model,
        text=text,
        roots=not subagents,
    )
    return await access.in_thread(lambda conn: answers.page(conn, query, after=after, limit=limit))


@get(
    "/{conversation_id:str}",
    operation_id="getConversation",
    summary="Get a conversation with its turns and the tree of subagents below it",
    responses=documented(404, 409),
)
async def get_conversation(
    access: Reach,
    conversation_id: FromPath[str],
    after: Annotated[
        str | None, QueryParameter(description="`nextTurn` of the answer before")
    ] = None,
) -> ConversationDetail:
    return await access.in_thread(lambda conn: answers.detail(conn, conversation_id, after=after))


@get(
    "/{conversation_id:str}/messages",
    operation_id="listConversationMessages",
    summary="List the messages of a conversation in their order",
    responses=documented(404, 409),
)
async def list_messages(
    access: Reach,
    conversation_id: FromPath[str],
    track: Annotated[
        str,
        QueryParameter(
            required=False, description="main, or what calls beside it are for: title ..."
        ),
    ] = "main",
    after: After = None,
    limit: Limit = 100,
    order: parameters.Order = "oldest",
) -> MessagePage:
    def page(conn: sqlite3.Connection) -> MessagePage:
        found = conversations.find(conn, conversation_id)
        query = MessageQuery(conversation_id=found.id, track=track)
        return message_answers.page(conn, query, after=after, limit=limit, order=order)

    return await access.in_thread(page)


ROUTER = Router(
    "/api/conversations",
    route_handlers=[list_conversations, get_conversation, list_messages],
    tags=["conversations"],
)
