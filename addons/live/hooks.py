"""What happens in conversations, in the words of Claude Code's hooks (document 001)."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from addons.agents.contract import Agent, CallMeaning
from addons.live.shapes import Hook, HookName, moment
from addons.live.threads import Task, Thread, Threads
from addons.project.reading import Decoded
from addons.wire.fields import read_object
from storage.decoded import Asked, Part, ToolCallPart, ToolResultPart

_THREAD = ("main", "subagent")  # classes that are an agent's own work, not calls beside it
_LISTING = ("todo", "plan")
_MAX_DONE = 2_000

type Told = tuple[Thread, Hook]


class Hooks:
    """Every function yields what happened; whoever asks decides whether to tell it."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    def begun(self, decoded: Decoded, thread: Thread, turn_id: str, at_ns: int) -> Iterator[Told]:
        """A request is whole: a conversation may begin, and results of tools come."""
        said = _Speaker(thread, turn_id, at_ns)
        if is_own(decoded):
            thread.is_working = True
            yield from self._start(decoded, thread, said)
        for part, is_last in _results(decoded.turn.asked):
            yield from self._result(
                decoded.agent, thread, part, said, asked=decoded.turn.asked if is_last else None
            )

    def part(
        self, agent: Agent, thread: Thread, part: Part, turn_id: str, at_ns: int
    ) -> Iterator[Told]:
        """A part of an answer is whole."""
        said = _Speaker(thread, turn_id, at_ns)
        if isinstance(part, ToolCallPart):
            yield from self._call(agent, thread, part, said)
        elif isinstance(part, ToolResultPart) and part.on_server:
            yield from self._result(agent, thread, part, said, asked=None)

    def ended(self, decoded: Decoded, thread: Thread, turn_id: str, at_ns: int) -> Iterator[Told]:
        """An answer ended: perhaps with nothing left to do."""
        answer = decoded.turn.answer
        waits = any(
            isinstance(part, ToolCallPart) and not part.on_server
            for message in answer.messages
            for part in message.parts
        )
        is_whole = decoded.turn.is_complete and answer.failure is None
        # `pause_turn`: the client sends the same again, for the provider to go on (Anthropic).
        if not is_own(decoded) or waits or not is_whole or answer.stop_reason == "pause_turn":
            return
        said = _Speaker(thread, turn_id, at_ns)
        if thread.is_subagent:
            yield _stopped(thread, said, answer.stop_reason)
        else:
            yield said("Stop", stop_reason=answer.stop_reason)

    def over(self, thread: Thread, reason: str, at_ns: int) -> Iterator[Told]:
        """A root conversation has ended, as far as anybody can tell."""
        if thread.has_begun and not thread.is_subagent:
            said = _Speaker(thread, None, at_ns)
            yield said("SessionEnd", reason=reason, inferred=reason == "idle")

    # --- starts ----------------------------------------------------------------------------------

    def _start(self, decoded: Decoded, thread: Thread, said: "_Speaker") -> Iterator[Told]:
        if thread.has_begun:
            return
        thread.has_begun = True
        if thread.is_subagent:
            yield said(
                "SubagentStart",
                agent_id=thread.id,
                agent_type=thread.agent_type,
                description=thread.description,
            )
            return
        source = "resume" if thread.is_known else "startup"
        yield said("SessionStart", source=source, model=decoded.turn.asked.model)

    # --- tools -----------------------------------------------------------------------------------

    def _call(
        self, agent: Agent, thread: Thread, part: ToolCallPart, said: "_Speaker"
    ) -> Iterator[Told]:
        if part.call_id is None:
            thread.nameless.append(part)
        else:
            thread.calls[part.call_id] = part
        yield said("PreToolUse", **_tool(part))
        for meaning in _with_inner(agent.call(part)):
            if _spawns(meaning):
                self._threads.spawned(thread, part, meaning)
                yield said(
                    "SubagentStart",
                    tool_use_id=part.call_id,
                    agent_type=meaning.subagent_type,
                    description=meaning.description,
                )

    def _result(
        self,
        agent: Agent,
        thread: Thread,
        part: ToolResultPart,
        said: "_Speaker",
        *,
        asked: Asked | None,
    ) -> Iterator[Told]:
        """`asked` is given where the result just came, and is none of the history."""
        call = _taken(thread, part)
        if call is None:  # known already, or made before this server's time
            if part.call_id is None or asked is None or not thread.is_known:
                return
            call = None if part.call_id in thread.done else _told_before(part.call_id, asked)
            if call is None:
                return
        if part.call_id is not None:
            thread.done[part.call_id] = None
            while len(thread.done) > _MAX_DONE:
                del thread.done[next(iter(thread.done))]
        meaning = agent.result(call, part)
        meanings = list(_with_inner(agent.call(call)))
        if not meaning.is_pending and any(map(_spawns, meanings)):
            # Not every subagent ends with an answer: Gemini CLI's calls a tool for that.
            child = self._threads.child(thread, call.call_id)
            if child is not None and child.is_working:
                yield _stopped(child, said.of(child), None)
        fields = {"tool_response": part.text, "is_error": meaning.is_error}
        yield said("PostToolUse", **_tool(call), **fields)
        if any(one.tool.kind in _LISTING for one in meanings):
            yield from _tasks(agent, thread, call, part, said)


def is_own(decoded: Decoded) -> bool:
    """Whether a turn is an agent's own work: no title, no count, no compaction."""
    asked = decoded.turn.asked
    is_answered = asked.generates and asked.operation == "generate"
    return is_answered and decoded.hints.request_class in _THREAD


class _Speaker:
    """Makes the events of one moment in a conversation."""

    def __init__(self, thread: Thread, turn_id: str | None, at_ns: int) -> None:
        self._thread = thread
        self._turn_id = turn_id
        self._at_ns = at_ns

    def of(self, thread: Thread) -> "_Speaker":
        """At the same moment in another conversation."""
        return _Speaker(thread, None, self._at_ns)

    def __call__(self, name: HookName, **fields: Any) -> Told:
        thread = self._thread
        hook = Hook(
            hook_event_name=name,
            session_id=thread.root_id,
            timestamp=moment(self._at_ns),
            capture_session_id=thread.session_id,
            conversation_id=thread.id,
            turn_id=self._turn_id,
            agent=thread.agent,
            cwd=thread.cwd,
            permission_mode=thread.mode,
            **fields,
        )
        return thread, hook


def _stopped(thread: Thread, said: _Speaker, reason: str | None) -> Told:
    thread.is_working = False
    return said(
        "SubagentStop",
        agent_id=thread.id,
        agent_type=thread.agent_type,
        description=thread.description,
        stop_reason=reason,
    )


def _spawns(meaning: CallMeaning) -> bool:
    return bool(meaning.spawn_prompt or meaning.spawn_name)


def _tool(part: ToolCallPart) -> dict[str, Any]:
    known: msgspec.Raw | str | None = part.arguments or None
    if not part.is_custom and read_object(part.arguments) is not None:
        known = msgspec.Raw(msgspec.json.format(part.arguments.encode(), indent=-1))
    return {"tool_name": part.name or None, "tool_use_id": part.call_id, "tool_input": known}


def _with_inner(meaning: CallMeaning) -> Iterator[CallMeaning]:
    yield meaning
    for inner in meaning.inner:
        yield from _with_inner(inner)


def _results(asked: Asked) -> Iterable[tuple[ToolResultPart, bool]]:
    """All results in a request, and whether each stands behind the model's last words."""
    roles = [message.role for message in asked.messages]
    last = max((place for place, role in enumerate(roles) if role == "assistant"), default=-1)
    for place, message in enumerate(asked.messages):
        for part in message.parts:
            if isinstance(part, ToolResultPart):
                yield part, place > last


def _told_before(call_id: str, asked: Asked) -> ToolCallPart | None:
    for message in reversed(asked.messages):
        for part in message.parts:
            if isinstance(part, ToolCallPart) and part.call_id == call_id:
                return part
    return None


def _taken(thread: Thread, part: ToolResultPart) -> ToolCallPart | None:
    """The call that waits for this result: by its id, else the oldest of that name."""
    if part.call_id is not None:
        return thread.calls.pop(part.call_id, None)
    for call in thread.nameless:
        if part.name in (None, call.name):
            thread.nameless.remove(call)
            return call
    return None


def _tasks(
    agent: Agent, thread: Thread, call: ToolCallPart, result: ToolResultPart, said: _Speaker
) -> Iterator[Told]:
    """What a call changed in the agent's own list."""
    for change in agent.tasks(call, result):
        before = thread.tasks.get(change.key)
        now = Task(
            subject=change.subject or (before.subject if before else None),
            status=change.status or (before.status if before else None),
        )
        if now == before:
            continue
        thread.tasks[change.key] = now
        is_done = now.status == "completed" and (before is None or before.status != now.status)
        name: HookName = "TaskUpdate"
        if before is None:
            name = "TaskStart"
            yield said(name, task=now.subject, task_id=change.key, task_status=now.status)
        if is_done:
            name = "TaskComplete"
        if before is not None or is_done:
            yield said(name, task=now.subject, task_id=change.key, task_status=now.status)
