"""Projects as the API shows them."""

import sqlite3
from typing import Annotated

import msgspec
from msgspec import Meta

from api import cursors
from api.answers import figures
from api.answers.figures import KnownCost, KnownTokens, Ms
from storage import projects
from storage.projects import Project


class ProjectBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A working directory that conversations ran in."""

    id: Annotated[str, Meta(description="The path with - for / and . (as document 003)")]
    path: str
    name: str
    conversation_count: Annotated[int, Meta(description="Those that no other one started")]
    subagent_count: int
    session_count: int
    agents: list[str]
    started_at: Ms
    last_activity_at: Ms
    turn_count: int
    prompt_count: int
    message_count: int
    tool_call_count: int
    error_count: int
    input_tokens: KnownTokens
    output_tokens: KnownTokens
    cache_read_tokens: KnownTokens
    cache_write_tokens: KnownTokens
    reasoning_tokens: KnownTokens
    cost_usd: KnownCost
    unmetered_turns: int
    unpriced_turns: int


class ProjectPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest activity first; `next` is the `after` of the next page."""

    projects: list[ProjectBody]
    next: str | None


def page(conn: sqlite3.Connection, *, after: str | None = None, limit: int = 100) -> ProjectPage:
    """Raises ConfigError for an `after` that is none."""
    place = cursors.decode(after, tuple[str, str])
    found = projects.page(conn, after=place, limit=limit)
    return ProjectPage(projects=list(map(body_of, found.projects)), next=cursors.encode(found.next))


def body_of(project: Project) -> ProjectBody:
    return ProjectBody(
        id=project.id,
        path=project.path,
        name=project.name,
        conversation_count=project.conversations,
        subagent_count=project.subagents,
        session_count=project.sessions,
        agents=list(project.agents),
        started_at=project.started_ns // 1_000_000,
        last_activity_at=project.ended_ns // 1_000_000,
        **figures.fields(project.figures),
    )
