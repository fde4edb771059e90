"""What was understood of one capture session: events, the timeline, messages, tool calls."""

import sqlite3
from typing import Annotated, Any

from litestar import Request, Router, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from api.access import Reach
from api.answers import events as event_answers
from api.answers import messages as message_answers
from api.answers import timeline as timeline_answers
from api.answers import tool_calls as tool_call_answers
from api.answers.events import EventBody
from api.answers.messages import MessagePage
from api.answers.timeline import Timeline
from api.answers.tool_calls import ToolCallPage
from api.errors import documented
from api.routes import sessions
from api.routes.parameters import After, Limit, Order
from storage import conversations, events
from storage.messages import Query as MessageQuery
from storage.tool_calls import Query as ToolCallQuery

NDJSON = "application/x-ndjson"

_EVENTS = documented(404, 409) | {
    200: ResponseSpec(
        data_container=EventBody,
        media_type=NDJSON,
        description="One event a line; as application/json an array of them",
        generate_examples=False,
    )
}


@get(
    "/events",
    operation_id="listEvents",
    summary="Stream the events of a session in time order",
    description=(
        "The vocabulary of document 000. `user.confirmation` and `client.log` never show on the "
        "wire, so there are none of them. NDJSON, or a JSON array for `Accept: application/json`."
    ),
    responses=_EVENTS,
)
async def list_events(
    access: Reach,
    request: Request[Any, Any, Any],
    session_id: FromPath[str],
    conversation_id: Annotated[
        str | None,
        QueryParameter(name="conversationId", description="Of this one and all below it"),
    ] = None,
) -> Stream:
    conn = access.read()
    session = sessions.find(conn, session_id)
    root = conversations.find(conn, conversation_id) if conversation_id else None
    is_array = request.accept.best_match([NDJSON, "application/json"]) == "application/json"

    def told(conn: sqlite3.Connection) -> Any:
        found = (
            events.of_conversation(conn, root.id) if root else events.of_session(conn, session.id)
        )
        return event_answers.array(found) if is_array else event_answers.ndjson(found)

    return Stream(access.stream(told), media_type="application/json" if is_array else NDJSON)


@get(
    "/timeline",
    operation_id="getTimeline",
    summary="Where the time of a session went: turns, waits, tools, retries, silences",
    responses=documented(404, 409),
)
async def get_timeline(access: Reach, session_id: FromPath[str]) -> Timeline:
    session = sessions.find(access.read(), session_id)
    return await access.in_thread(lambda conn: timeline_answers.of_session(conn, session.id))


@get(
    "/messages",
    operation_id="listSessionMessages",
    summary="List the messages of a session in their order",
    responses=documented(404, 409),
)
async def list_messages(
    access: Reach,
    session_id: FromPath[str],
    after: After = None,
    limit: Limit = 100,
    order: Order = "oldest",
) -> MessagePage:
    session = sessions.find(access.read(), session_id)
    query = MessageQuery(session_id=session.id)
    return await access.in_thread(
        lambda conn: message_answers.page(conn, query, after=after, limit=limit, order=order)
    )


@get(
    "/tool-calls",
    operation_id="listSessionToolCalls",
    summary="List the tool calls of a session in their order",
    responses=documented(404, 409),
)
async def list_tool_calls(
    access: Reach,
    session_id: FromPath[str],
    after: After = None,
    limit: Limit = 100,
    order: Order = "oldest",
) -> ToolCallPage:
    session = sessions.find(access.read(), session_id)
    query = ToolCallQuery(session_id=session.id)
    return await access.in_thread(
        lambda conn: tool_call_answers.page(conn, query, after=after, limit=limit, order=order)
    )


ROUTER = Router(
    "/api/sessions/{session_id:str}",
    route_handlers=[list_events, get_timeline, list_messages, list_tool_calls],
    tags=["sessions"],
)
