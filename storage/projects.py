"""Projects: the working directories that conversations ran in."""

import re
import sqlite3
from typing import Any

import msgspec

from storage import conversations, figures
from storage.errors import Conflict, NotFound
from storage.figures import Figures
from storage.records import Record

type Place = tuple[str, str]  # newest turn, path

_MAX_CANDIDATES = 5


class Project(Record, frozen=True, kw_only=True):
    """A directory and what ran there. `id` is its path with `-` for `/` and `.`: seed 003's."""

    id: str
    path: str
    name: str  # its last part
    conversations: int  # roots
    subagents: int
    sessions: int
    agents: tuple[str, ...]  # in the order of their names
    started_ns: int  # Unix time
    ended_ns: int
    last_turn: str
    figures: Figures


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Newest activity first."""

    projects: list[Project]
    next: Place | None


_SELECT = f"""
    select c.cwd, sum(c.parent_id is null), sum(c.parent_id is not null),
        count(distinct c.session_id), group_concat(distinct c.agent), min(c.started_ns),
        max(c.ended_ns), max(c.last_turn), {figures.SUMS}
    from conversations c
    where c.cwd is not null and {conversations.IN_SIGHT}
"""


def page(conn: sqlite3.Connection, *, after: Place | None = None, limit: int = 100) -> Page:
    """Projects behind the place `after`; `limit` is at least 1."""
    beyond = "" if after is None else "having (max(c.last_turn), c.cwd) < (:turn, :path)"
    turn, path = after or ("", "")
    rows = conn.execute(
        f"""
        {_SELECT} group by c.cwd {beyond}
        order by max(c.last_turn) desc, c.cwd desc limit :limit
        """,
        {"turn": turn, "path": path, "limit": limit + 1},
    ).fetchall()
    found = [_of_row(row) for row in rows[:limit]]
    last = (found[-1].last_turn, found[-1].path) if len(rows) > limit else None
    return Page(projects=found, next=last)


def find(conn: sqlite3.Connection, text: str) -> Project:
    """
    The project of a path or of an id. Raises NotFound; Conflict if an id fits several paths.
    """
    paths = [text] if _is_there(conn, text) else _paths(conn, text)
    if not paths:
        raise NotFound("Project not found")
    if len(paths) > 1:
        named = ", ".join(paths[:_MAX_CANDIDATES])
        raise Conflict(f"{text!r} may be {named}: say which by its path")
    row = conn.execute(f"{_SELECT} and c.cwd = ? group by c.cwd", paths).fetchone()
    return _of_row(row)


def public_id(path: str) -> str:
    return re.sub(r"[/.]", "-", path)


def _is_there(conn: sqlite3.Connection, path: str) -> bool:
    row = conn.execute(
        f"select 1 from conversations c where c.cwd = ? and {conversations.IN_SIGHT} limit 1",
        [path],
    ).fetchone()
    return row is not None


def _paths(conn: sqlite3.Connection, project_id: str) -> list[str]:
    rows = conn.execute(
        f"""
        select distinct c.cwd from conversations c
        where replace(replace(c.cwd, '/', '-'), '.', '-') = ? and {conversations.IN_SIGHT}
        order by c.cwd
        """,
        [project_id],
    )
    return [path for (path,) in rows.fetchall()]


def _of_row(row: tuple[Any, ...]) -> Project:
    path: str = row[0]
    return Project(
        id=public_id(path),
        path=path,
        name=re.split(r"[/\\]", path.rstrip("/\\"))[-1] or path,
        conversations=row[1],
        subagents=row[2],
        sessions=row[3],
        agents=tuple(sorted(row[4].split(","))),
        started_ns=row[5],
        ended_ns=row[6],
        last_turn=row[7],
        figures=figures.of_row(row[8:]),
    )
