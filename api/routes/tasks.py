"""Tasks: items of the agents' own lists."""

import sqlite3
from typing import Annotated

from litestar import Router, get
from litestar.params import QueryParameter

from api.access import Reach
from api.answers import tasks as answers
from api.answers.tasks import TaskPage
from api.errors import documented
from api.routes import sessions
from api.routes.parameters import After, ConversationId, Limit, SessionId
from storage import conversations
from storage.decoded import TaskStatus
from storage.tasks import Query


@get(
    operation_id="listTasks",
    summary="List the agents' own tasks, those that changed last first",
    responses=documented(404, 409),
)
async def list_tasks(
    access: Reach,
    session_id: SessionId = None,
    conversation_id: ConversationId = None,
    status: Annotated[TaskStatus | None, QueryParameter(required=False)] = None,
    after: After = None,
    limit: Limit = 200,
) -> TaskPage:
    def page(conn: sqlite3.Connection) -> TaskPage:
        query = Query(
            session_id=sessions.find(conn, session_id).id if session_id else None,
            conversation_id=(
                conversations.find(conn, conversation_id).id if conversation_id else None
            ),
            status=status,
        )
        return answers.page(conn, query, after=after, limit=limit)

    return await access.in_thread(page)


ROUTER = Router("/api/tasks", route_handlers=[list_tasks], tags=["tasks"])
