"""Tasks: items of the agents' own lists, as they stand now."""

import sqlite3
from typing import Any

import msgspec

from storage import conversations
from storage.decoded import TaskStatus
from storage.records import Record

type Place = tuple[str, str, str]  # newest turn, conversation, key

_KEYS = msgspec.msgpack.Decoder(tuple[str, ...])


class Task(Record, frozen=True, kw_only=True):
    """An item of a list. `key` is the agent's id of it, or its place in the list."""

    conversation_id: str
    session_id: str
    key: str
    place: int
    subject: str
    description: str | None
    status: TaskStatus
    active_form: str | None
    owner: str | None
    blocked_by: tuple[str, ...]
    blocks: tuple[str, ...]
    metadata_json: bytes | None
    created_turn: str
    created_ns: int | None  # Unix time
    updated_turn: str
    updated_ns: int | None


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which tasks; what is None does not matter. `session_id`: of conversations begun in it."""

    session_id: str | None = None
    conversation_id: str | None = None
    status: TaskStatus | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Those that changed last come first; those that changed together, in their list's order."""

    tasks: list[Task]
    next: Place | None


_CONDITIONS = {
    "session_id": "c.session_id = :session_id",
    "conversation_id": "k.conversation_id = :conversation_id",
    "status": "k.status = :status",
}


def page(
    conn: sqlite3.Connection, query: Query, *, after: Place | None = None, limit: int = 200
) -> Page:
    """Tasks behind the place `after`; `limit` is at least 1."""
    given = {
        name: value for name, value in msgspec.structs.asdict(query).items() if value is not None
    }
    conditions = [conversations.IN_SIGHT, *(_CONDITIONS[name] for name in given)]
    if after is not None:
        conditions.append(
            """
            (k.updated_turn < :turn or k.updated_turn = :turn
                and (k.conversation_id, k.place, k.key) > (:conversation, (
                    select p.place from tasks p
                    where p.conversation_id = :conversation and p.key = :key), :key))
            """
        )
    turn, conversation, key = after or ("", "", "")
    rows = conn.execute(
        f"""
        select k.conversation_id, c.session_id, k.key, k.place, k.subject, k.description, k.status,
            k.active_form, k.owner, k.blocked_by, k.blocks, k.metadata_json, k.created_turn,
            a.started_ns, k.updated_turn, b.started_ns
        from tasks k join conversations c on c.id = k.conversation_id
            left join turns a on a.id = k.created_turn left join turns b on b.id = k.updated_turn
        where {" and ".join(conditions)}
        order by k.updated_turn desc, k.conversation_id, k.place, k.key limit :limit
        """,
        given | {"turn": turn, "conversation": conversation, "key": key, "limit": limit + 1},
    ).fetchall()
    found = [_of_row(row) for row in rows[:limit]]
    return Page(tasks=found, next=_place(found[-1]) if len(rows) > limit else None)


def _place(task: Task) -> Place:
    return (task.updated_turn, task.conversation_id, task.key)


def _of_row(row: tuple[Any, ...]) -> Task:
    return Task(
        conversation_id=row[0],
        session_id=row[1],
        key=row[2],
        place=row[3],
        subject=row[4],
        description=row[5],
        status=row[6],
        active_form=row[7],
        owner=row[8],
        blocked_by=_KEYS.decode(row[9]),
        blocks=_KEYS.decode(row[10]),
        metadata_json=row[11],
        created_turn=row[12],
        created_ns=row[13],
        updated_turn=row[14],
        updated_ns=row[15],
    )
