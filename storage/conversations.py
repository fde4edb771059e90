"""Conversations: pages of them, one of them, and the tree of subagents below it."""

import sqlite3
from typing import Any

import msgspec

from storage import figures
from storage.errors import Conflict, NotFound
from storage.figures import Figures
from storage.records import Record

_MIN_PREFIX = 4
_MAX_CANDIDATES = 5
_MAX_TREE = 2000  # conversations below one root


class Conversation(Record, frozen=True, kw_only=True):
    """One thread of an agent with its model. A subagent's has a parent, where that was found."""

    id: str
    agent: str  # "claude-code"
    agent_version: str | None
    is_inferred: bool  # the wire has no id of it: concluded from prompt, directory and start
    parent_id: str | None
    parent_call: str | None  # id of the tool call that started it
    is_subagent: bool
    subagent_type: str | None
    subagent_name: str | None
    session_id: str  # of its first turn
    first_turn: str
    last_turn: str
    started_ns: int  # Unix time
    ended_ns: int  # of the latest thing in it
    summary: str | None  # first real prompt; of a subagent its task
    cwd: str | None
    git_branch: str | None
    git_repository: str | None
    model: str | None
    mode: str | None
    figures: Figures


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which conversations; what is None does not matter.

    `session_id`: those with a turn in it. `text` is a part of the summary, without regard to
    case. `roots`: only threads that no other one started, as far as that is known; `subagents`:
    only those that another one started.
    """

    session_id: str | None = None
    cwd: str | None = None
    agent: str | None = None
    model: str | None = None
    text: str | None = None
    parent_id: str | None = None
    roots: bool = False
    subagents: bool = False


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Newest activity first. `next` is the `after` of the next page; None: there is none."""

    conversations: list[Conversation]
    next: str | None


_SELECT = f"""
    select c.id, c.agent, c.agent_version, c.is_inferred, c.parent_id, c.parent_call,
        c.is_subagent, c.subagent_type, c.subagent_name, c.session_id, c.first_turn, c.last_turn,
        c.started_ns, c.ended_ns, c.summary, c.cwd, c.git_branch, c.git_repository, c.model,
        c.mode, {figures.COLUMNS}
    from conversations c
"""
# A session goes from sight with its row, what was made of it a slice at a time.
IN_SIGHT = "c.session_id not in (select session_id from tombstones where swept = 0)"
_CONDITIONS = {
    "session_id": """
        c.id in (select t.conversation_id from turns t where t.session_id = :session_id)
    """,
    "cwd": "c.cwd = :cwd",
    "agent": "c.agent = :agent",
    "model": "c.model = :model",
    "text": "instr(lower(c.summary), lower(:text))",
    "parent_id": "c.parent_id = :parent_id",
    "subagents": "(c.is_subagent = 1 or c.parent_id is not null)",
    # The plus: by time, not by the index of parents. Without a turn of its own it is no thread:
    # Codex's titles come in one, and a router of Gemini CLI may.
    "roots": "+c.parent_id is null and c.thread_turns > 0",
}


def page(
    conn: sqlite3.Connection, query: Query, *, after: str | None = None, limit: int = 50
) -> Page:
    """Those whose last turn came before `after`, a turn's id; `limit` is at least 1."""
    given = {name: value for name, value in msgspec.structs.asdict(query).items() if value}
    conditions = [IN_SIGHT, *(_CONDITIONS[name] for name in given)]
    if after is not None:
        conditions.append("c.last_turn < :after")
    rows = conn.execute(
        f"{_SELECT} where {' and '.join(conditions)} order by c.last_turn desc limit :limit",
        given | {"after": after, "limit": limit + 1},
    ).fetchall()
    found = [_of_row(row) for row in rows[:limit]]
    return Page(conversations=found, next=found[-1].last_turn if len(rows) > limit else None)


def get(conn: sqlite3.Connection, conversation_id: str) -> Conversation:
    """Raises NotFound."""
    row = conn.execute(f"{_SELECT} where c.id = ? and {IN_SIGHT}", [conversation_id]).fetchone()
    if row is None:
        raise NotFound("Conversation not found")
    return _of_row(row)


def find(conn: sqlite3.Connection, prefix: str) -> Conversation:
    """
    The conversation of an id or of a prefix of at least 4 characters.

    Where several match and one alone is a root, that is meant. Raises NotFound; Conflict if it is
    not clear which.
    """
    prefix = prefix.strip()
    if len(prefix) < _MIN_PREFIX:
        return get(conn, prefix)
    rows = conn.execute(
        f"""
        select c.id, c.parent_id is null from conversations c
        where c.id >= :from and c.id < :from || '\U0010ffff' and {IN_SIGHT}
        order by c.id = :from desc, c.parent_id is null desc, c.id limit :limit
        """,
        {"from": prefix, "limit": _MAX_CANDIDATES + 1},
    ).fetchall()
    found = [conversation_id for conversation_id, _ in rows]
    roots = [conversation_id for conversation_id, is_root in rows if is_root]
    if len(found) <= 1 or prefix in found:
        return get(conn, prefix if prefix in found or not found else found[0])
    if len(roots) == 1:
        return get(conn, roots[0])
    named = ", ".join(found[:_MAX_CANDIDATES])
    raise Conflict(f"{prefix!r} may be {named}{' ...' if found[_MAX_CANDIDATES:] else ''}")


def tree(conn: sqlite3.Connection, conversation_id: str) -> list[Conversation]:
    """It and all below it, each behind its parent's, in the order in which they began."""
    rows = conn.execute(
        f"""
        with recursive below (id) as (
            select :id
            union
            select k.id from conversations k join below b on k.parent_id = b.id
        )
        {_SELECT} join below b on b.id = c.id where {IN_SIGHT}
        order by c.first_turn, c.id limit {_MAX_TREE}
        """,
        {"id": conversation_id},
    ).fetchall()
    return [_of_row(row) for row in rows]


def children(conn: sqlite3.Connection, conversation_id: str) -> list[Conversation]:
    """Those that it started, in the order in which they began."""
    rows = conn.execute(
        f"{_SELECT} where c.parent_id = ? and {IN_SIGHT} order by c.first_turn", [conversation_id]
    )
    return [_of_row(row) for row in rows.fetchall()]


def _of_row(row: tuple[Any, ...]) -> Conversation:
    return Conversation(
        id=row[0],
        agent=row[1],
        agent_version=row[2],
        is_inferred=bool(row[3]),
        parent_id=row[4],
        parent_call=row[5],
        is_subagent=bool(row[6]),
        subagent_type=row[7],
        subagent_name=row[8],
        session_id=row[9],
        first_turn=row[10],
        last_turn=row[11],
        started_ns=row[12],
        ended_ns=row[13],
        summary=row[14],
        cwd=row[15],
        git_branch=row[16],
        git_repository=row[17],
        model=row[18],
        mode=row[19],
        figures=figures.of_row(row[20:]),
    )
