"""
Codex, by its headers and by its body. Seen: 0.169.0 (WebSocket, SSE) and 0.104.0 (SSE).

0.169 says everything of a call in `client_metadata`, in the request's body, once more as headers of
a POST. A socket's headers are those of its first message: what changes from turn to turn is read
from the body only. `session` is the root thread, `thread` this one; a subagent has its own thread.
"""

import re
from collections.abc import Iterator, Sequence

from addons.agents import codex_reading, codex_tools, texts
from addons.agents.codex_said import TURN_METADATA, Said, client_metadata
from addons.agents.contract import (
    Call,
    CallMeaning,
    Hints,
    Reading,
    ResultMeaning,
    TaskChange,
    ToolMeaning,
)
from addons.wire.contract import Head
from storage.decoded import (
    Asked,
    Message,
    RequestClass,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
)

# codex_exec, codex_cli_rs, codex-tui, codex_vscode, Codex Desktop
_USER_AGENT = re.compile(r"codex[\w -]*/(\d[\w.+-]*)", re.IGNORECASE)
_BODY_MARKS = (TURN_METADATA, "x-codex-installation-id", "x-codex-window-id")
_SYSTEM = (
    "You are Codex,",  # 0.104 and 0.169, in `instructions` or in the first developer message
    "You are a coding agent running in the Codex CLI",  # older, not seen
)

_KINDS: dict[str, RequestClass] = {
    "turn": "main",
    "prewarm": "prewarm",
    "compaction": "compaction",
}
# `x-openai-subagent`, or `subagent_kind`: threads that Codex starts for a purpose of its own.
_PURPOSES: dict[str, RequestClass] = {
    "compact": "compaction",
    "memory_consolidation": "memory",
    "guardian": "classifier",
}
# `thread_source`. A `thread_title` (0.169 at a terminal) has a session of its own; nothing leads to
# the thread that it names.
_SOURCES: dict[str, RequestClass] = {
    "user": "main",
    "subagent": "main",
    "thread_title": "title",
    **_PURPOSES,
}
_SPAWNED = ("collab_spawn", "thread_spawn")
_CHECKPOINT = "You are performing a CONTEXT CHECKPOINT COMPACTION"

_CWD = re.compile(r"<cwd>([^<]+)</cwd>")
_COLLABORATION = re.compile(r"<collaboration_mode>\s*#+ *(?:Collaboration Mode: *)?(\w+)")
_SANDBOX = re.compile(r"`sandbox_mode` is `([\w-]+)`")


class Codex:
    """`codex`, `codex exec`, its extensions and the desktop program."""

    name = "codex"
    title = "Codex"

    def matches(self, head: Head) -> bool:
        originator = (head.header("originator") or "").lower()
        agent = _USER_AGENT.match(head.header("user-agent") or "")
        return bool(agent) or originator.startswith("codex") or bool(head.header(TURN_METADATA))

    def recognises(self, head: Head, asked: Asked) -> bool:
        metadata = client_metadata(asked)
        if any(mark in metadata for mark in _BODY_MARKS):
            return True
        return texts.system(asked).lstrip().startswith(_SYSTEM)

    def hints(self, call: Call) -> Hints:
        said = Said(call)
        asked = call.asked
        what = _request_class(said, asked)
        prompt = self.prompt(asked) if what == "main" else None
        cwd, cwd_inferred = _directory(said, asked)
        agent = _USER_AGENT.match(call.head.header("user-agent") or "")
        inferred = [*said.inferred]
        inferred += ["cwd"] if cwd_inferred else []
        inferred += [] if said.kind else ["request_class"]
        return Hints(
            agent_version=call.head.header("version") or (agent[1] if agent else None),
            conversation=said.thread,
            root=said.session,
            parent=said.parent,
            is_subagent=said.is_subagent,
            subagent_type=None if said.purpose in _SPAWNED else said.purpose,
            subagent_name=said.name if said.is_subagent else None,
            spawn_prompt=_task(asked) if said.is_subagent else None,
            request_class=what,
            cwd=cwd,
            git_repository=said.repository(cwd),
            prompt=prompt,
            prompt_id=said.turn("turn_id"),
            mode=_mode(asked),
            effort=asked.effort or said.turn("reasoning_effort"),
            compaction=said.compaction if what == "compaction" else None,
            is_interrupted=prompt is not None and _is_interrupted(asked),
            entry_point=call.head.header("originator"),
            account=call.head.header("chatgpt-account-id"),
            inferred=tuple(inferred),
        )

    def prompt(self, asked: Asked) -> str | None:
        return texts.last_prompt(reversed(asked.messages), self.reading)

    def reading(self, message: Message) -> Reading:
        return codex_reading.reading(message)

    def tool(self, name: str, namespace: str | None) -> ToolMeaning:
        return codex_tools.tool(name, namespace)

    def offered(self, tool: Tool) -> ToolMeaning:
        return codex_tools.tool(tool.name, tool.namespace)

    def call(self, part: ToolCallPart) -> CallMeaning:
        return codex_tools.call(part)

    def result(self, call: ToolCallPart | None, result: ToolResultPart) -> ResultMeaning:
        return codex_tools.result(call, result)

    def tasks(self, call: ToolCallPart, result: ToolResultPart | None) -> Sequence[TaskChange]:
        return codex_tools.tasks(call, result)


AGENT = Codex()


def _request_class(said: Said, asked: Asked) -> RequestClass:
    if asked.operation != "generate":
        return "compaction" if asked.operation == "compact" else "side"
    what: RequestClass
    if said.kind:
        what = _KINDS.get(said.kind, "side")
    elif not asked.generates:
        what = "prewarm"
    else:
        what = "compaction" if _asks_compaction(asked) else "main"
    if what != "main":
        return what
    if said.is_subagent:
        return _PURPOSES.get(said.purpose or "", "subagent")
    return _SOURCES.get(said.source, "side") if said.source else "main"


def _asks_compaction(asked: Asked) -> bool:
    if not asked.messages:
        return False
    last = asked.messages[-1]
    return codex_reading.is_compaction_trigger(last) or (
        last.role == "user" and texts.joined(last.parts).startswith(_CHECKPOINT)
    )


def _task(asked: Asked) -> str | None:
    """The latest: what stands before may be the history of the parent, a subagent itself."""
    return next(
        (task for message in reversed(asked.messages) if (task := codex_reading.task(message))),
        None,
    )


def _directory(said: Said, asked: Asked) -> tuple[str | None, bool]:
    """Stated with the first prompt and whenever it changes; else the work tree, if it is one."""
    for message in reversed(asked.messages):
        text = texts.joined(message.parts).lstrip() if message.role == "user" else ""
        if text.startswith(codex_reading.ENVIRONMENT) and (found := texts.find(_CWD, (text,))):
            return found, False
    trees = list(said.workspaces())
    return (trees[0], True) if len(trees) == 1 else (None, False)


def _mode(asked: Asked) -> str | None:
    """`plan`, else the sandbox; where this request states it (sockets do so once)."""
    mode = None
    for text in _developer_texts(asked):
        if found := _COLLABORATION.search(text):
            mode = "plan" if found[1].lower() == "plan" else None
    return mode or texts.find(_SANDBOX, _developer_texts(asked))


def _developer_texts(asked: Asked) -> Iterator[str]:
    for message in asked.messages:
        if message.role == "developer":
            yield from (part.text for part in message.parts if isinstance(part, TextPart))


def _is_interrupted(asked: Asked) -> bool:
    for message in reversed(asked.messages):
        if message.role in ("assistant", "tool"):
            return False
        if codex_reading.reading(message).is_interruption:
            return True
    return False
