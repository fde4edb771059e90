"""
Events in the vocabulary of seed document 000, made from the projected tables as they are read.

`user.confirmation` and `client.log` never show on the wire, so there are none of them. Calls that
an agent makes beside its conversation (titles, counts, quota checks) give no events, nor does what
was only seen in a history that was sent.

Time order holds over conversations that run side by side: no turn gives an event before its own
begin, so what waits is let go when the next turn begins. Memory holds what overlaps, no more.
"""

import heapq
import sqlite3
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from storage import conversations, messages, tool_calls, turns
from storage.conversations import Conversation
from storage.errors import NotFound
from storage.messages import Message
from storage.tool_calls import ToolCall
from storage.turns import Turn

EventType = Literal[
    "session.start",
    "session.model_change",
    "user.message",
    "assistant.message",
    "assistant.turn_start",
    "assistant.turn_end",
    "tool.execution_start",
    "tool.execution_complete",
    "subagent.started",
    "subagent.completed",
    "error",
]

_SHOWN = ("main", "subagent", "compaction")
_CONVERSING = ("main", "subagent")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """
    One thing that happened. `id` is the same whenever it is asked for.

    `message` is the text of user and assistant messages. `data` is shaped by `type`.
    """

    type: EventType
    id: str
    at_ns: int  # Unix time
    session_id: str
    conversation_id: str
    turn_id: str
    turn: int  # number of the conversation's turn, from 0
    parent_id: str | None = None
    message: str | None = None
    data: dict[str, Any]


def of_session(conn: sqlite3.Connection, session_id: str) -> Iterator[Event]:
    """All of a capture session, in time order."""
    return _Telling(conn).tell(turns.by_time(conn, session_id=session_id))


def of_conversation(conn: sqlite3.Connection, conversation_id: str) -> Iterator[Event]:
    """All of a conversation and of those below it, in time order."""
    return _Telling(conn).tell(turns.by_time(conn, root=conversation_id))


class _Thread:
    """A conversation while it is told."""

    def __init__(
        self, conversation: Conversation, started: dict[str, Conversation], *, is_detached: bool
    ) -> None:
        self.conversation = conversation
        self.started = started  # by the tool call that started it
        self.is_detached = is_detached  # no result of a tool call tells its end
        self.turn = -1
        self.model: str | None = None
        self.is_begun = False


class _Telling:
    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self._threads: dict[str, _Thread | None] = {}

    def tell(self, turn_ids: list[str]) -> Iterator[Event]:
        waiting: list[tuple[int, int, Event]] = []
        count = 0
        for turn_id in turn_ids:
            try:
                turn = turns.get(self._conn, turn_id)
            except NotFound:  # deleted meanwhile
                continue
            while waiting and waiting[0][0] < turn.started_ns:
                yield heapq.heappop(waiting)[2]
            for event in self._of_turn(turn):
                held = msgspec.structs.replace(event, at_ns=max(event.at_ns, turn.started_ns))
                heapq.heappush(waiting, (held.at_ns, count, held))
                count += 1
        while waiting:
            yield heapq.heappop(waiting)[2]

    def _of_turn(self, turn: Turn) -> Iterator[Event]:
        """In the order that counts where moments are equal."""
        thread = self._thread(turn)
        if thread is None or turn.request_class not in _SHOWN:
            return
        thread.turn += 1
        says = _Saying(turn, thread.turn)
        brought = messages.of_turn(self._conn, turn.id)
        yield from self._begin(thread, turn, says)
        for call in tool_calls.answered_by(self._conn, turn.id):
            if not call.is_history:
                yield from _completed(thread, call, says)
        yield from _asked(turn, brought, thread.conversation, says)
        yield says.event("assistant.turn_start", turn.started_ns, _start(turn))
        calls = [one for one in tool_calls.of_turn(self._conn, turn.id) if not one.is_history]
        for call in calls:
            yield from _called(call, says)
        yield from _answered(turn, brought, calls, says)
        if turn.failed:
            yield says.event("error", _end_ns(turn), _failure(turn), parent="assistant.turn_start")
        yield says.event(
            "assistant.turn_end", _end_ns(turn), _end(turn), parent="assistant.turn_start"
        )
        yield from _ended(thread, turn, says)

    def _begin(self, thread: _Thread, turn: Turn, says: "_Saying") -> Iterator[Event]:
        conversation, model = thread.conversation, turn.model_asked
        if not thread.is_begun:
            thread.is_begun = True
            if conversation.parent_id is None:
                data = _session_start(conversation, turn)
                yield says.event("session.start", turn.started_ns, data, of=conversation.id)
            if conversation.is_subagent or conversation.parent_id:
                call = conversation.parent_call
                yield says.event(
                    "subagent.started",
                    turn.started_ns,
                    _subagent(conversation),
                    of=conversation.id,
                    parent_id=f"{call}/tool.execution_start" if call else None,
                )
        if turn.request_class in _CONVERSING and model is not None:
            if thread.model is not None and thread.model != model:
                data = {"previousModel": thread.model, "newModel": model}
                yield says.event("session.model_change", turn.started_ns, data)
            thread.model = model

    def _thread(self, turn: Turn) -> _Thread | None:
        """None: the conversation is not known (yet)."""
        if turn.conversation_id not in self._threads:
            self._threads[turn.conversation_id] = self._opened(turn.conversation_id)
        return self._threads[turn.conversation_id]

    def _opened(self, conversation_id: str) -> _Thread | None:
        try:
            conversation = conversations.get(self._conn, conversation_id)
        except NotFound:
            return None
        below = conversations.children(self._conn, conversation_id)
        started = {one.parent_call: one for one in below if one.parent_call}
        return _Thread(conversation, started, is_detached=self._is_detached(conversation))

    def _is_detached(self, conversation: Conversation) -> bool:
        """Whether its call is not known, or only says that it was started (background agents)."""
        if conversation.parent_call is None:
            return True
        try:
            call = tool_calls.get(self._conn, conversation.parent_call)
        except NotFound:
            return True
        return call.is_pending or call.result_ns is None


class _Saying:
    """Makes the events of one turn."""

    def __init__(self, turn: Turn, number: int) -> None:
        self._turn = turn
        self._number = number

    def event(
        self,
        type: EventType,
        at_ns: int,
        data: dict[str, Any],
        *,
        of: str | None = None,
        parent: EventType | None = None,
        parent_id: str | None = None,
        message: str | None = None,
    ) -> Event:
        """`of` is what the event is about, the turn by default; `parent` an event of the turn."""
        turn = self._turn
        return Event(
            type=type,
            id=f"{of or turn.id}/{type}",
            at_ns=at_ns,
            session_id=turn.session_id,
            conversation_id=turn.conversation_id,
            turn_id=turn.id,
            turn=self._number,
            parent_id=f"{turn.id}/{parent}" if parent else parent_id,
            message=message,
            data=data,
        )


# --- of a turn's parts ---------------------------------------------------------------------------


def _asked(
    turn: Turn, brought: list[Message], conversation: Conversation, says: _Saying
) -> Iterator[Event]:
    """The user's own words; what the agent put in beside them stands in the messages."""
    prompts = [one for one in brought if one.kind == "prompt" and not one.is_answer]
    words = turn.prompt
    if words is None and conversation.is_subagent and turn.id == conversation.first_turn:
        words = conversation.summary  # its task
    for message in prompts:
        text = messages.spoken(message.parts)
        if words is not None and message is prompts[-1]:
            text = words
        data = {"message": text, "messageId": message.id}
        yield says.event("user.message", message.at_ns, data, of=message.id, message=text)


def _answered(
    turn: Turn, brought: list[Message], calls: list[ToolCall], says: _Saying
) -> Iterator[Event]:
    answers = [one for one in brought if one.is_answer]
    if not answers:
        return
    parts = tuple(part for message in answers for part in message.parts)
    text = messages.spoken(parts)
    data = {
        "message": text,
        "thinking": messages.thought(parts) or None,
        "messageIds": [one.id for one in answers],
        "model": turn.model_served or turn.model_asked,
        "isPartial": any(one.is_partial for one in answers),
        "tools": [_tool(call) for call in calls],
    }
    yield says.event(
        "assistant.message", _end_ns(turn), data, parent="assistant.turn_start", message=text
    )


def _called(call: ToolCall, says: _Saying) -> Iterator[Event]:
    if call.called_ns is not None:
        yield says.event(
            "tool.execution_start",
            call.called_ns,
            {
                "toolCallId": call.call_id or call.id,
                "toolName": call.name,
                "kind": call.kind,
                "mcpServerName": call.mcp_server,
                "mcpToolName": call.mcp_tool,
                "arguments": arguments(call),
            },
            of=call.id,
            parent="assistant.turn_start",
        )


def _completed(thread: _Thread, call: ToolCall, says: _Saying) -> Iterator[Event]:
    if call.result_ns is None:
        return
    yield says.event(
        "tool.execution_complete",
        call.result_ns,
        {
            "toolCallId": call.call_id or call.id,
            "toolName": call.name,
            "success": None if call.is_error is None else not call.is_error,
            "result": call.result,
            "error": call.result if call.is_error else None,
            "exitCode": call.exit_code,
            "durationMs": call.duration_ms,
            "durationSource": call.duration_source,
        },
        of=call.id,
        parent_id=f"{call.id}/tool.execution_start" if call.called_ns is not None else None,
    )
    child = thread.started.get(call.id)
    if child is not None and not call.is_pending:
        yield says.event(
            "subagent.completed",
            call.result_ns,
            _subagent(child),
            of=child.id,
            parent_id=f"{child.id}/subagent.started",
        )


def _ended(thread: _Thread, turn: Turn, says: _Saying) -> Iterator[Event]:
    """A subagent whose end no result of a tool call tells ends with its last turn."""
    conversation = thread.conversation
    is_subagent = conversation.is_subagent or conversation.parent_id is not None
    if is_subagent and thread.is_detached and turn.id == conversation.last_turn:
        yield says.event(
            "subagent.completed",
            _end_ns(turn),
            _subagent(conversation),
            of=conversation.id,
            parent_id=f"{conversation.id}/subagent.started",
        )


# --- data ----------------------------------------------------------------------------------------


def arguments(call: ToolCall) -> object:
    """A tool call's arguments as JSON, where they are JSON."""
    try:
        return msgspec.json.decode(call.arguments)
    except msgspec.DecodeError:
        return call.arguments


def _tool(call: ToolCall) -> dict[str, Any]:
    status = "running" if call.result is None else "error" if call.is_error else "completed"
    return {
        "type": "tool_use",
        "id": call.call_id or call.id,
        "name": call.name,
        "input": arguments(call),
        "result": call.result,
        "status": status,
    }


def _session_start(conversation: Conversation, turn: Turn) -> dict[str, Any]:
    return {
        "sessionId": conversation.id,
        "producer": conversation.agent,
        "copilotVersion": turn.agent_version,
        "selectedModel": turn.model_asked,
        "context": {
            "cwd": conversation.cwd,
            "branch": conversation.git_branch,
            "repository": conversation.git_repository,
        },
    }


def _subagent(conversation: Conversation) -> dict[str, Any]:
    return {
        "toolCallId": conversation.parent_call,
        "conversationId": conversation.id,
        "parentConversationId": conversation.parent_id,
        "agentName": conversation.subagent_type or conversation.subagent_name,
        "agentDescription": conversation.summary,
    }


def _start(turn: Turn) -> dict[str, Any]:
    return {"model": turn.model_asked, "requestClass": turn.request_class}


def _end(turn: Turn) -> dict[str, Any]:
    return {
        "model": turn.model_served or turn.model_asked,
        "stopReason": turn.stop_reason,
        "isComplete": turn.is_complete,
        "inputTokens": turn.input_tokens,
        "outputTokens": turn.output_tokens,
        "cacheReadTokens": turn.cache_read_tokens,
        "cacheWriteTokens": turn.cache_write_tokens,
        "costUsd": turn.cost_usd,
    }


def _failure(turn: Turn) -> dict[str, Any]:
    return {
        "message": turn.failure_text or turn.failure_type,
        "errorType": turn.failure_type,
        "status": turn.status,
    }


def _end_ns(turn: Turn) -> int:
    return turn.started_ns if turn.ended_ns is None else turn.ended_ns
