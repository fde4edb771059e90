"""
Capture sessions: seed document 002, exactly, with `total` in the list and pages of it, and in a
session with its `origin` and what was understood of it.

`pinned` is ours; a session that retention dropped answers 404 with `details` that say so.
Where the document is silent: an absent key leaves a property as it is, a null or blank name asks
for the automatic one, unknown keys are ignored. `{id}` may be a unique prefix of 4 characters or
more.
"""

import sqlite3
import time
from typing import Annotated, Literal

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, UnsetType

from api import cursors
from api.access import Reach
from api.answers import figures
from api.answers.figures import KnownCost, KnownTokens
from api.errors import ApiError, documented
from api.routes.openapi import OptionalBody
from api.routes.parameters import After
from storage import sessions, traffic, understanding
from storage.errors import NotFound
from storage.projects import public_id
from storage.records import Origin, Session
from storage.understanding import Understanding

# An agent that was silent for so long is taken to have ended (the same as for SessionEnd).
_AGENT_SILENCE_NS = 15 * 60 * 1_000_000_000
_LATEST = 20
_PAGE = 50

UnixMs = Annotated[int, Meta(description="Unix time in milliseconds")]


class SessionBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A capture session: a named container of traffic."""

    id: str
    name: str
    is_active: Annotated[bool, Meta(description="New untagged traffic goes here")]
    is_recording: bool
    created_at: UnixMs
    updated_at: UnixMs
    traffic_count: Annotated[int, Meta(description="Entries of every kind, tunnels included")]
    total_bytes: Annotated[int, Meta(description="Body bytes as they crossed, both ways")]
    origin: Origin
    is_pinned: Annotated[bool, Meta(description="Retention leaves it alone")] = msgspec.field(
        name="pinned"
    )
    summary: Annotated[str | None, Meta(description="First real prompt in it")]
    project: Annotated[str | None, Meta(description="Working directory of its first conversation")]
    project_id: str | None
    git_branch: str | None
    agent: str | None
    agent_version: str | None
    model: str | None
    conversation_count: Annotated[int, Meta(description="That began in it, without subagents'")]
    subagent_count: int
    turn_count: Annotated[int, Meta(description="Model calls of every kind")]
    prompt_count: int
    message_count: int
    tool_call_count: int
    error_count: Annotated[int, Meta(description="Turns that failed or were cut off")]
    input_tokens: KnownTokens
    output_tokens: KnownTokens
    cache_read_tokens: KnownTokens
    cache_write_tokens: KnownTokens
    reasoning_tokens: KnownTokens
    cost_usd: KnownCost
    unmetered_turns: Annotated[int, Meta(description="That should have usage and have none")]
    unpriced_turns: Annotated[int, Meta(description="With usage and without a price")]


class SessionList(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions, newest first. `total` counts all; `next` is there where a page was asked for."""

    sessions: list[SessionBody]
    total: int
    next: (
        Annotated[str | None, Meta(description="The `after` of the next page; null: the last")]
        | UnsetType
    ) = UNSET


class SessionCreate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All but the name is beyond document 002; `run` is how `wirescribe run` marks its own."""

    name: Annotated[str | None, Meta(description="Null or blank: the automatic name")] = None
    is_recording: bool = False
    origin: Literal["user", "run"] = "user"


class SessionUpdate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    name: (
        Annotated[str | None, Meta(description="Null or blank: the automatic name")] | UnsetType
    ) = UNSET
    is_active: (
        Annotated[bool, Meta(description="true: activate; false: this one is not active")]
        | UnsetType
    ) = UNSET
    is_recording: bool | UnsetType = UNSET
    pinned: Annotated[bool, Meta(description="Retention leaves it alone")] | UnsetType = UNSET


class Success(msgspec.Struct, frozen=True, kw_only=True):
    success: bool = True


def body_of(session: Session, understood: Understanding = understanding.NOTHING) -> SessionBody:
    cwd = understood.cwd
    return SessionBody(
        id=session.id,
        name=session.name,
        is_active=session.is_active,
        is_recording=session.is_recording,
        created_at=session.created_ms,
        updated_at=session.updated_ms,
        traffic_count=session.traffic_count,
        total_bytes=session.total_bytes,
        origin=session.origin,
        is_pinned=session.is_pinned,
        summary=understood.summary,
        project=cwd,
        project_id=None if cwd is None else public_id(cwd),
        git_branch=understood.git_branch,
        agent=understood.agent,
        agent_version=understood.agent_version,
        model=understood.model,
        conversation_count=understood.conversations,
        subagent_count=understood.subagents,
        **figures.fields(understood.figures),
    )


def shown(conn: sqlite3.Connection, session: Session) -> SessionBody:
    """A session with what was understood of it."""
    found = understanding.of_sessions(conn, session.id)
    return body_of(session, found.get(session.id, understanding.NOTHING))


def all_shown(conn: sqlite3.Connection) -> SessionList:
    """All sessions, newest first; two queries, whatever their number."""
    found = _shown(sessions.list_all(conn), understanding.of_sessions(conn))
    return SessionList(sessions=found, total=len(found))


def page_shown(conn: sqlite3.Connection, after: sessions.Place | None, limit: int) -> SessionList:
    """Some of them."""
    page = sessions.page(conn, after=after, limit=limit)
    known = understanding.of_sessions(conn, among=[session.id for session in page.sessions])
    return SessionList(
        sessions=_shown(page.sessions, known), total=page.total, next=cursors.encode(page.next)
    )


def _shown(found: list[Session], known: dict[str, Understanding]) -> list[SessionBody]:
    return [body_of(session, known.get(session.id, understanding.NOTHING)) for session in found]


def find(conn: sqlite3.Connection, session_id: str) -> Session:
    """By id or unique prefix. Raises NotFound; Conflict if a prefix fits several."""
    try:
        return sessions.get(conn, session_id)
    except NotFound:
        return sessions.find(conn, session_id)


@get(
    operation_id="listSessions",
    summary="List all sessions, or a page of them",
    responses=documented(),
)
async def list_sessions(
    access: Reach,
    limit: Annotated[
        int | None, QueryParameter(ge=1, le=500, description="Of a page; without it all")
    ] = None,
    after: After = None,
) -> SessionList:
    place = cursors.decode(after, tuple[int, str])
    if limit is None and place is None:
        return await access.in_thread(all_shown)
    # A page is read off an index.
    return page_shown(access.read(), place, limit or _PAGE)


@get(
    "/active",
    operation_id="getActiveSession",
    summary="Get the active session",
    responses=documented(404),
    sync_to_thread=False,
)
def active_session(access: Reach) -> SessionBody:
    session = sessions.active(access.read())
    if session is None:
        raise ApiError(404, "No active session", "NO_ACTIVE_SESSION")
    return shown(access.read(), session)


@get(
    "/{session_id:str}",
    operation_id="getSession",
    summary="Get a session",
    responses=documented(404, 409),
    sync_to_thread=False,
)
def get_session(access: Reach, session_id: FromPath[str]) -> SessionBody:
    conn = access.read()
    return shown(conn, find(conn, session_id))


@post(
    operation_id="createSession",
    summary="Create a session",
    operation_class=OptionalBody,
    responses=documented(413, 415),
)
async def create_session(
    access: Reach,
    data: JSONBody[SessionCreate | None] = None,
) -> SessionBody:
    asked = data or SessionCreate()
    made = await access.committed(
        access.store.change_sessions(
            sessions.create, name=asked.name, origin=asked.origin, is_recording=asked.is_recording
        )
    )
    return body_of(made)


@patch(
    "/{session_id:str}",
    operation_id="updateSession",
    summary="Rename a session, activate it, turn its recording on or off, pin it",
    operation_class=OptionalBody,
    responses=documented(404, 409, 413, 415),
)
async def update_session(
    access: Reach,
    session_id: FromPath[str],
    data: JSONBody[SessionUpdate | None] = None,
) -> SessionBody:
    asked = data or SessionUpdate()
    conn = access.read()
    changed = await access.committed(
        access.store.change_sessions(
            sessions.update,
            find(conn, session_id).id,
            name=None if asked.name is UNSET else asked.name or "",
            is_active=None if asked.is_active is UNSET else asked.is_active,
            is_recording=None if asked.is_recording is UNSET else asked.is_recording,
            is_pinned=None if asked.pinned is UNSET else asked.pinned,
            used=used(conn),
        )
    )
    return shown(conn, changed)


@post(
    "/{session_id:str}/activate",
    status_code=200,
    operation_id="activateSession",
    summary="Make a session the active one, and recording",
    responses=documented(404, 409, 415),
)
async def activate_session(access: Reach, session_id: FromPath[str]) -> SessionBody:
    conn = access.read()
    activated = await access.committed(
        access.store.change_sessions(sessions.activate, find(conn, session_id).id, used=used(conn))
    )
    return shown(conn, activated)


@delete(
    "/{session_id:str}",
    status_code=200,
    operation_id="deleteSession",
    summary="Delete a session and all that it recorded",
    responses=documented(404, 409, 415),
)
async def delete_session(access: Reach, session_id: FromPath[str]) -> Success:
    found = find(access.read(), session_id)
    await access.committed(access.store.change_sessions(sessions.delete, found.id))
    return Success()


def used(conn: sqlite3.Connection) -> tuple[str, ...]:
    """
    The active session's id if an agent tagged with it is at work, else nothing.

    It is when `wirescribe run` made the session, and one of its latest entries is open or began
    within the last quarter of an hour: an agent that waits for its user sends nothing.
    """
    active = sessions.active(conn)
    if active is None or active.origin != "run" or not active.is_recording:
        return ()
    latest = traffic.page(conn, traffic.Query(session_id=active.id), limit=_LATEST).entries
    since_ns = time.time_ns() - _AGENT_SILENCE_NS
    alive = any(entry.outcome is None or entry.started_ns > since_ns for entry in latest)
    return (active.id,) if alive else ()


ROUTER = Router(
    "/api/sessions",
    route_handlers=[
        list_sessions,
        active_session,
        get_session,
        create_session,
        update_session,
        activate_session,
        delete_session,
    ],
    tags=["sessions"],
)
