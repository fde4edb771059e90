"""
What commands ask of what was understood: conversations, messages, tool calls, tasks, projects.

A part of `cli.client.Client`, with two implementations as that has. Answers are the API's own.
"""

from typing import Literal, Protocol

import msgspec

from api.answers.conversations import (
    BranchBody,
    ConversationBody,
    ConversationDetail,
    ConversationPage,
)
from api.answers.messages import MessageBody, MessagePage
from api.answers.projects import ProjectBody, ProjectPage
from api.answers.tasks import TaskBody, TaskPage
from api.answers.tool_calls import ToolCallBody, ToolCallPage
from api.answers.turn_details import TurnDetail, TurnPage
from api.answers.turns import TurnBody
from storage.decoded import Role, TaskStatus, ToolKind

__all__ = [
    "BranchBody",
    "ConversationBody",
    "ConversationDetail",
    "ConversationFilter",
    "ConversationPage",
    "MessageBody",
    "MessageFilter",
    "MessagePage",
    "ProjectBody",
    "ProjectPage",
    "TaskBody",
    "TaskFilter",
    "TaskPage",
    "ToolCallBody",
    "ToolCallFilter",
    "ToolCallPage",
    "TurnBody",
    "TurnDetail",
    "TurnPage",
    "Understood",
]

Order = Literal["oldest", "newest"]


class ConversationFilter(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which conversations; what is None does not matter. `project` is a path."""

    session_id: str | None = None
    project: str | None = None
    agent: str | None = None
    model: str | None = None
    text: str | None = None
    subagents: bool = False


class MessageFilter(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which messages; `text` are words that all stand in them."""

    text: str | None = None
    session_id: str | None = None
    conversation_id: str | None = None
    role: Role | None = None
    kind: str | None = None


class ToolCallFilter(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which tool calls."""

    session_id: str | None = None
    conversation_id: str | None = None
    name: str | None = None
    kind: ToolKind | None = None
    mcp_server: str | None = None
    error: bool | None = None


class TaskFilter(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which tasks."""

    session_id: str | None = None
    conversation_id: str | None = None
    status: TaskStatus | None = None


class Understood(Protocol):
    """Raises NotFound and Conflict as storage does, StoreError if there is no answer."""

    def page_conversations(
        self, asked: ConversationFilter, *, after: str | None = None, limit: int = 50
    ) -> ConversationPage: ...

    def find_conversation(self, text: str, *, after: str | None = None) -> ConversationDetail:
        """By id or unique prefix; `after` asks for more of its turns."""
        ...

    def messages_of(self, conversation_id: str, *, after: str | None = None) -> MessagePage:
        """The next of a conversation's main track, in their order."""
        ...

    def page_messages(
        self, asked: MessageFilter, *, after: str | None = None, limit: int = 50
    ) -> MessagePage:
        """Newest first."""
        ...

    def page_tool_calls(
        self,
        asked: ToolCallFilter,
        *,
        after: str | None = None,
        limit: int = 100,
        order: Order = "newest",
    ) -> ToolCallPage: ...

    def page_tasks(
        self, asked: TaskFilter, *, after: str | None = None, limit: int = 200
    ) -> TaskPage: ...

    def page_projects(self, *, after: str | None = None, limit: int = 100) -> ProjectPage: ...

    def find_project(self, text: str) -> ProjectBody:
        """By path or id."""
        ...

    def turns_of(self, entry_id: str) -> TurnPage:
        """The turns of a traffic entry, with what each brought; none where it is no model call."""
        ...
