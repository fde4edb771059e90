"""Conversations as the API shows them."""

import sqlite3
from typing import Annotated

import msgspec
from msgspec import Meta

from api import cursors
from api.answers import figures, turns
from api.answers.figures import KnownCost, KnownTokens, Ms
from api.answers.turns import TurnBody
from storage import branches, conversations
from storage import turns as stored_turns
from storage.branches import Branch
from storage.conversations import Conversation, Query

_TURNS = 1000  # in one answer


class ConversationBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One thread of an agent with its model."""

    id: str
    session_id: Annotated[str, Meta(description="Capture session of its first turn")]
    agent: str
    agent_version: str | None
    model: str | None
    summary: Annotated[str | None, Meta(description="First real prompt; of a subagent its task")]
    project: Annotated[str | None, Meta(description="Working directory")]
    git_branch: str | None
    git_repository: str | None
    mode: Annotated[str | None, Meta(description="Permission or plan mode")]
    started_at: Ms
    ended_at: Annotated[int, Meta(description="Unix milliseconds of the latest thing in it")]
    is_inferred: Annotated[bool, Meta(description="The wire has no id of it")]
    is_subagent: bool
    subagent_type: str | None
    subagent_name: str | None
    parent_id: Annotated[str | None, Meta(description="Null: a root, or not found")]
    parent_tool_call_id: str | None
    first_turn_id: str
    last_turn_id: str
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


class ConversationPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest activity first; `next` is the `after` of the next page."""

    conversations: list[ConversationBody]
    next: str | None


class BranchBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One way through a conversation whose history was changed."""

    leaf_id: str
    turn_id: str
    message_count: int
    forks_at: Annotated[str | None, Meta(description="Last message shared with an older branch")]
    is_current: bool


class ConversationDetail(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """
    A conversation with its turns and with all below it.

    `turns` are its first 1000; `nextTurn` is the `after` with which to ask for more.
    """

    conversation: ConversationBody
    tree: Annotated[
        list[ConversationBody], Meta(description="It and all below, in the order of their begin")
    ]
    branches: list[BranchBody]
    turns: list[TurnBody]
    next_turn: str | None


def page(
    conn: sqlite3.Connection, query: Query, *, after: str | None = None, limit: int = 50
) -> ConversationPage:
    """Raises ConfigError for an `after` that is none."""
    place = cursors.decode(after, tuple[str])
    found = conversations.page(conn, query, after=place[0] if place else None, limit=limit)
    return ConversationPage(
        conversations=list(map(body_of, found.conversations)),
        next=cursors.encode((found.next,) if found.next else None),
    )


def detail(
    conn: sqlite3.Connection, conversation_id: str, *, after: str | None = None
) -> ConversationDetail:
    """By id or unique prefix. Raises NotFound, Conflict, ConfigError."""
    place = cursors.decode(after, tuple[str])
    found = conversations.find(conn, conversation_id)
    its_turns = stored_turns.of_conversation(
        conn, found.id, after=place[0] if place else "", limit=_TURNS + 1
    )
    shown = its_turns[:_TURNS]
    return ConversationDetail(
        conversation=body_of(found),
        tree=list(map(body_of, conversations.tree(conn, found.id))),
        branches=list(map(_branch, branches.of_conversation(conn, found.id))),
        turns=list(map(turns.body_of, shown)),
        next_turn=cursors.encode((shown[-1].id,) if len(its_turns) > _TURNS else None),
    )


def body_of(conversation: Conversation) -> ConversationBody:
    return ConversationBody(
        id=conversation.id,
        session_id=conversation.session_id,
        agent=conversation.agent,
        agent_version=conversation.agent_version,
        model=conversation.model,
        summary=conversation.summary,
        project=conversation.cwd,
        git_branch=conversation.git_branch,
        git_repository=conversation.git_repository,
        mode=conversation.mode,
        started_at=conversation.started_ns // 1_000_000,
        ended_at=conversation.ended_ns // 1_000_000,
        is_inferred=conversation.is_inferred,
        is_subagent=conversation.is_subagent,
        subagent_type=conversation.subagent_type,
        subagent_name=conversation.subagent_name,
        parent_id=conversation.parent_id,
        parent_tool_call_id=conversation.parent_call,
        first_turn_id=conversation.first_turn,
        last_turn_id=conversation.last_turn,
        **figures.fields(conversation.figures),
    )


def _branch(branch: Branch) -> BranchBody:
    return BranchBody(
        leaf_id=branch.leaf,
        turn_id=branch.turn_id,
        message_count=branch.messages,
        forks_at=branch.forks_at,
        is_current=branch.is_current,
    )
