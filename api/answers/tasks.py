"""Tasks as the API shows them."""

import sqlite3
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from api import cursors
from api.answers.figures import Ms, json_of, ms
from storage import tasks
from storage.decoded import TaskStatus
from storage.tasks import Query, Task


class TaskBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An item of an agent's own task or todo list, as it stands now."""

    id: Annotated[str, Meta(description="The agent's id of it, or its place in the list")]
    conversation_id: str
    session_id: str
    subject: str
    description: str | None
    status: TaskStatus
    active_form: str | None
    owner: str | None
    blocked_by: list[str]
    blocks: list[str]
    metadata: Any
    created_at: Ms | None
    updated_at: Ms | None
    created_turn_id: str
    updated_turn_id: str


class TaskPage(msgspec.Struct, frozen=True, kw_only=True):
    """Those that changed last come first; `next` is the `after` of the next page."""

    tasks: list[TaskBody]
    next: str | None


def page(
    conn: sqlite3.Connection, query: Query, *, after: str | None = None, limit: int = 200
) -> TaskPage:
    """Raises ConfigError for an `after` that is none."""
    place = cursors.decode(after, tuple[str, str, str])
    found = tasks.page(conn, query, after=place, limit=limit)
    return TaskPage(tasks=list(map(_body, found.tasks)), next=cursors.encode(found.next))


def _body(task: Task) -> TaskBody:
    return TaskBody(
        id=task.key,
        conversation_id=task.conversation_id,
        session_id=task.session_id,
        subject=task.subject,
        description=task.description,
        status=task.status,
        active_form=task.active_form,
        owner=task.owner,
        blocked_by=list(task.blocked_by),
        blocks=list(task.blocks),
        metadata=json_of(task.metadata_json),
        created_at=ms(task.created_ns),
        updated_at=ms(task.updated_ns),
        created_turn_id=task.created_turn,
        updated_turn_id=task.updated_turn,
    )
