"""What was understood, asked of a running server."""

from urllib.parse import quote

import msgspec

from cli.client.connection import Connection, Query
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

_MOST = 500  # that the API gives at once


class HttpUnderstood:
    """See `cli.client.understood.Understood`."""

    def __init__(self, server: Connection) -> None:
        self._server = server

    def page_conversations(
        self, asked: ConversationFilter, *, after: str | None = None, limit: int = 50
    ) -> ConversationPage:
        query = _query(asked, after, limit)
        return self._server.call(ConversationPage, "GET", "/api/conversations", query=query)

    def find_conversation(self, text: str, *, after: str | None = None) -> ConversationDetail:
        path = f"/api/conversations/{quote(text.strip(), safe='')}"
        return self._server.call(ConversationDetail, "GET", path, query={"after": after})

    def messages_of(self, conversation_id: str, *, after: str | None = None) -> MessagePage:
        path = f"/api/conversations/{quote(conversation_id, safe='')}/messages"
        query: Query = {"after": after, "limit": _MOST}
        return self._server.call(MessagePage, "GET", path, query=query)

    def page_messages(
        self, asked: MessageFilter, *, after: str | None = None, limit: int = 50
    ) -> MessagePage:
        query = _query(asked, after, limit)
        return self._server.call(MessagePage, "GET", "/api/messages", query=query)

    def page_tool_calls(
        self,
        asked: ToolCallFilter,
        *,
        after: str | None = None,
        limit: int = 100,
        order: Order = "newest",
    ) -> ToolCallPage:
        query = {**_query(asked, after, limit), "order": order}
        return self._server.call(ToolCallPage, "GET", "/api/tool-calls", query=query)

    def page_tasks(
        self, asked: TaskFilter, *, after: str | None = None, limit: int = 200
    ) -> TaskPage:
        return self._server.call(TaskPage, "GET", "/api/tasks", query=_query(asked, after, limit))

    def page_projects(self, *, after: str | None = None, limit: int = 100) -> ProjectPage:
        query: Query = {"after": after, "limit": limit}
        return self._server.call(ProjectPage, "GET", "/api/projects", query=query)

    def find_project(self, text: str) -> ProjectBody:
        # A path cannot be a part of a path; the query has it whatever the id is.
        return self._server.call(ProjectBody, "GET", "/api/projects/-", query={"path": text})

    def turns_of(self, entry_id: str) -> TurnPage:
        return self._server.call(TurnPage, "GET", f"/api/traffic/{entry_id}/turns")


def _query(asked: msgspec.Struct, after: str | None, limit: int) -> Query:
    """Conditions as the API names them; truth as it spells it."""
    given = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in msgspec.to_builtins(asked).items()
    }
    return {**given, "after": after, "limit": limit}
