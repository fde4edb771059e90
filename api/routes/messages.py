"""Messages of everything, and the search for words in them."""

import sqlite3
from typing import Annotated

from litestar import Router, get
from litestar.params import QueryParameter

from api.access import Reach
from api.answers import messages as answers
from api.answers.messages import MessagePage
from api.errors import documented
from api.routes import sessions
from api.routes.parameters import After, ConversationId, Limit, Order, SessionId
from storage import conversations
from storage.decoded import Role
from storage.messages import Query


@get(
    operation_id="listMessages",
    summary="List messages, or find those that hold some words, newest first",
    responses=documented(404, 409),
)
async def list_messages(
    access: Reach,
    text: Annotated[
        str | None,
        QueryParameter(
            description='All of these words; "some words" side by side, wor* the beginning of one. '
            "Found ones are in the order newest"
        ),
    ] = None,
    session_id: SessionId = None,
    conversation_id: ConversationId = None,
    role: Annotated[Role | None, QueryParameter(required=False)] = None,
    kind: Annotated[
        str | None, QueryParameter(description="prompt, answer, tool-results, context ...")
    ] = None,
    after: After = None,
    limit: Limit = 50,
    order: Order = "newest",
) -> MessagePage:
    def page(conn: sqlite3.Connection) -> MessagePage:
        query = Query(
            session_id=sessions.find(conn, session_id).id if session_id else None,
            conversation_id=(
                conversations.find(conn, conversation_id).id if conversation_id else None
            ),
            role=role,
            kind=kind,
            track=None,
        )
        if text is None:
            return answers.page(conn, query, after=after, limit=limit, order=order)
        return answers.found(conn, text, query, after=after, limit=limit)

    return await access.in_thread(page)


ROUTER = Router("/api/messages", route_handlers=[list_messages], tags=["messages"])
