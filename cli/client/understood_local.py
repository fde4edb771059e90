"""What was understood, read from the data dir itself."""

import sqlite3

import msgspec

from api.answers import conversations, messages, projects, tasks, tool_calls, turn_details
from cli.client.understood import (
    ConversationDetail,
    ConversationFilter,
    ConversationPage,
    MessageFilter,
    MessagePage,
    Order,
    ProjectBody,
    ProjectPage,
    TaskFilter,
    TaskPage,
    ToolCallFilter,
    ToolCallPage,
    TurnPage,
)
from storage import conversations as stored_conversations
from storage import projects as stored_projects
from storage.conversations import Query as ConversationQuery
from storage.errors import NotFound
from storage.messages import Query as MessageQuery
from storage.store import Store
from storage.tasks import Query as TaskQuery
from storage.tool_calls import Query as ToolCallQuery

_MOST = 500


class LocalUnderstood:
    """See `cli.client.understood.Understood`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page_conversations(
        self, asked: ConversationFilter, *, after: str | None = None, limit: int = 50
    ) -> ConversationPage:
        if not self._has_database():
            return ConversationPage(conversations=[], next=None)
        query = ConversationQuery(
            session_id=asked.session_id,
            cwd=asked.project,
            agent=asked.agent,
            model=asked.model,
            text=asked.text,
            roots=not asked.subagents,
        )
        return conversations.page(self._store.read(), query, after=after, limit=limit)

    def find_conversation(self, text: str, *, after: str | None = None) -> ConversationDetail:
        return conversations.detail(self._conn("Conversation"), text, after=after)

    def messages_of(self, conversation_id: str, *, after: str | None = None) -> MessagePage:
        conn = self._conn("Conversation")
        found = stored_conversations.find(conn, conversation_id)
        query = MessageQuery(conversation_id=found.id)
        return messages.page(conn, query, after=after, limit=_MOST, order="oldest")

    def page_messages(
        self, asked: MessageFilter, *, after: str | None = None, limit: int = 50
    ) -> MessagePage:
        if not self._has_database():
            return MessagePage(messages=[], next=None)
        conn = self._store.read()
        query = MessageQuery(
            session_id=asked.session_id,
            conversation_id=asked.conversation_id,
            role=asked.role,
            kind=asked.kind,
            track=None,
        )
        if asked.text is None:
            return messages.page(conn, query, after=after, limit=limit)
        return messages.found(conn, asked.text, query, after=after, limit=limit)

    def page_tool_calls(
        self,
        asked: ToolCallFilter,
        *,
        after: str | None = None,
        limit: int = 100,
        order: Order = "newest",
    ) -> ToolCallPage:
        if not self._has_database():
            return ToolCallPage(tool_calls=[], next=None)
        given = msgspec.structs.asdict(asked)
        query = ToolCallQuery(has_error=given.pop("error"), **given)
        conn = self._store.read()
        return tool_calls.page(conn, query, after=after, limit=limit, order=order)

    def page_tasks(
        self, asked: TaskFilter, *, after: str | None = None, limit: int = 200
    ) -> TaskPage:
        if not self._has_database():
            return TaskPage(tasks=[], next=None)
        query = TaskQuery(**msgspec.structs.asdict(asked))
        return tasks.page(self._store.read(), query, after=after, limit=limit)

    def page_projects(self, *, after: str | None = None, limit: int = 100) -> ProjectPage:
        if not self._has_database():
            return ProjectPage(projects=[], next=None)
        return projects.page(self._store.read(), after=after, limit=limit)

    def find_project(self, text: str) -> ProjectBody:
        return projects.body_of(stored_projects.find(self._conn("Project"), text))

    def turns_of(self, entry_id: str) -> TurnPage:
        return turn_details.of_entry(self._conn("Traffic entry"), entry_id)

    def _has_database(self) -> bool:
        return self._store.datadir.database.exists()

    def _conn(self, what: str) -> sqlite3.Connection:
        if not self._has_database():
            raise NotFound(f"{what} not found")
        return self._store.read()
