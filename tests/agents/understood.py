"""What the server understood of some sessions, by its API; two things by its tables."""

import sqlite3
import time
from collections import Counter
from typing import Any

import msgspec

from tests.e2e.stack import PATIENCE_S, Stack

from .oracle import Tokens

type Json = dict[str, Any]


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation with what belongs to it, oldest first."""

    own: Json
    branches: list[Json]
    turns: list[Json]
    messages: list[Json]  # of the main track
    calls: list[Json]  # that an answer brought
    tasks: list[Json]

    @property
    def prompts(self) -> list[str]:
        """Of its turns, each once: a call that is tried again carries its prompt again."""
        return list(dict.fromkeys(turn["prompt"] for turn in self.turns if turn["prompt"]))


class Understood(msgspec.Struct, frozen=True, kw_only=True):
    """Conversations that began in some sessions, roots and sub-agents."""

    roots: list[Thread]
    subagents: list[Thread]
    notes: Counter[str]

    @property
    def threads(self) -> list[Thread]:
        return [*self.roots, *self.subagents]

    @property
    def root(self) -> Thread:
        """The only one."""
        (root,) = self.roots
        return root

    @property
    def turns(self) -> list[Json]:
        return [turn for thread in self.threads for turn in thread.turns]

    @property
    def calls(self) -> list[Json]:
        return [call for thread in self.threads for call in thread.calls]

    def total(self, name: str) -> float:
        return sum(thread.own[name] or 0 for thread in self.threads)


def read(stack: Stack, sessions: list[str]) -> Understood:
    """All of it, when the server has read all that there is."""
    stack.settle()
    _wait(stack)
    found: dict[str, Json] = {}
    for session_id in sessions:
        query = {"sessionId": session_id, "subagents": "true", "limit": 100}
        for one in _get(stack, "/api/conversations", **query)["conversations"]:
            found[one["id"]] = one
    threads = [_thread(stack, one) for one in sorted(found.values(), key=_begun)]
    return Understood(
        roots=[one for one in threads if not one.own["isSubagent"]],
        subagents=[one for one in threads if one.own["isSubagent"]],
        notes=_notes(stack, [turn["id"] for one in threads for turn in one.turns]),
    )


def bars(stack: Stack, session_id: str) -> list[Json]:
    """The turns of a session on the clock."""
    stack.settle()
    _wait(stack)
    return list(_get(stack, f"/api/sessions/{session_id}/timeline")["turns"])


def used(turn: Json) -> Tokens:
    """As the oracle has it."""
    usage = turn["usage"]
    counts = usage["inputTokens"], usage["outputTokens"], usage["cacheReadTokens"]
    return (turn["model"], *counts)


def _begun(conversation: Json) -> str:
    return str(conversation["firstTurnId"])


def _thread(stack: Stack, conversation: Json) -> Thread:
    own = conversation["id"]
    detail = _get(stack, f"/api/conversations/{own}")
    messages = _get(stack, f"/api/conversations/{own}/messages", limit=500)["messages"]
    query = {"conversationId": own, "order": "oldest", "limit": 500}
    calls = _get(stack, "/api/tool-calls", **query)["toolCalls"]
    made = _made(stack, own)
    return Thread(
        own=detail["conversation"],
        branches=detail["branches"],
        turns=detail["turns"],
        messages=messages,
        calls=[call for call in calls if call["id"] in made],
        tasks=_get(stack, "/api/tasks", conversationId=own)["tasks"],
    )


def _get(stack: Stack, path: str, **query: object) -> Json:
    answer = stack.api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def _wait(stack: Stack) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while _rows(stack, "select entry_id from unprojected"):
        assert time.monotonic() < deadline, "the server does not get on with what it read"
        time.sleep(0.05)


def _made(stack: Stack, conversation_id: str) -> set[str]:
    """The tool calls that an answer brought, not only a history that was sent."""
    query = "select id from tool_calls where made = 1 and conversation_id = ?"
    return {row[0] for row in _rows(stack, query, conversation_id)}


def _notes(stack: Stack, turns: list[str]) -> Counter[str]:
    rows = _rows(stack, "select turn_id, kind from notes")
    return Counter(kind for turn_id, kind in rows if turn_id in turns)


def _rows(stack: Stack, query: str, *values: object) -> list[tuple[Any, ...]]:
    database = sqlite3.connect(f"file:{stack.datadir.database}?mode=ro", uri=True)
    try:
        return database.execute(query, values).fetchall()
    finally:
        database.close()
