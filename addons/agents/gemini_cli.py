"""
Gemini CLI. Seen: 0.61.0 with an API key. From the source in its npm package: Code Assist's
envelope, plan mode, compaction, the calls beside (November 2026).

With an API key the wire has no session id at all; with a Google login `session_id` names the
session and `user_prompt_id` the prompt, of a subagent `<its uuid>#<turn>`.
"""

import re
from collections.abc import Sequence

from addons.agents import gemini_cli_tools as tools
from addons.agents import texts
from addons.agents.contract import (
    Call,
    CallMeaning,
    Hints,
    Reading,
    ResultMeaning,
    TaskChange,
    ToolMeaning,
)
from addons.agents.generic import plain_reading
from addons.wire.contract import Head
from addons.wire.fields import read_object, read_text
from storage.decoded import (
    Asked,
    Message,
    RequestClass,
    Tool,
    ToolCallPart,
    ToolResultPart,
)

# `GeminiCLI/0.1.5 (linux; x64)`, `GeminiCLI-tui/0.61.0/gemini-3.1-pro-preview (linux; ...)`
_AGENT = re.compile(r"GeminiCLI(?:-([\w-]+))?/v?(\d[\w.+-]*)")
_INSTALLATION = "x-gemini-api-privileged-user-id"

_IDENTITY = "You are Gemini CLI"
_CONTEXT = "<session_context>"
_WELCOME = "This is the Gemini CLI."
_CWD = re.compile(r"\*\*Workspace Directories:\*\*[ \t]*\n[ \t]*- ([^\n]+)")
# Of 0.61's preamble: "in **YOLO** mode", Default, Plan, Auto-Edit.
_MODE = re.compile(r"You are currently operating in \*\*([\w-]{1,20})\*\* mode")
_MODES = {"yolo": "yolo", "plan": "plan", "auto-edit": "autoEdit", "default": "default"}
_PLAN = "# Active Approval Mode: Plan"  # older preambles name no mode

# Openings of the system prompts of calls beside the main thread.
_SYSTEMS: tuple[tuple[str, RequestClass], ...] = (
    ("You are a specialized Task Routing AI", "router"),
    ("You are a specialized system component responsible for distilling", "compaction"),
    ("You are the component that summarizes internal chat history", "compaction"),  # before 0.20
    ("You are an expert Context Memory Manager", "compaction"),
    ("You are an expert context compressor", "compaction"),
    ("You are a diagnostic agent that determines whether", "classifier"),  # loops
    ("You are an expert code-editing assistant", "side"),  # a failed edit is tried again
    ("You are a Visual Analysis Agent", "side"),
)
# Openings of the last text of calls that have no system prompt of their own.
_ASKED: tuple[tuple[str, RequestClass], ...] = (
    ("Analyze *only* the content and structure of your immediately", "classifier"),  # who is next
    ("Summarize the following tool output", "summary"),
    ("Summarize the user's primary intent or goal", "title"),
)
_SNAPSHOT = ("<state_snapshot>", "</state_snapshot>")
_SNAPSHOT_ORDER = "generate the updated <state_snapshot>."
_SNAPSHOT_AGAIN = "Critically evaluate the <state_snapshot> you just generated."
_LAST_CHANCE = "You have one final chance to complete the task with a short grace period."
_BACKGROUND = "Background execution update:\n"
_HINTS = ("User hints:\n<user_input>", "User steering update:\n<user_input>")
_INTERRUPTED = "[The previous response was interrupted before it completed.]"
_WRAPPERS = ("session_context", "hook_context")

_SUBAGENT_PROMPT = re.compile(r"([0-9a-f]{8}-[0-9a-f-]{27})#\d+")
_FINISH = "complete_task"  # the tool that only subagents have


class GeminiCli:
    name = "gemini-cli"
    title = "Gemini CLI"

    def matches(self, head: Head) -> bool:
        return (head.header("user-agent") or "").startswith("GeminiCLI")

    def recognises(self, head: Head, asked: Asked) -> bool:
        system = texts.system(asked).lstrip()
        if system.startswith((_IDENTITY, *(opening for opening, _ in _SYSTEMS))):
            return True
        if any(_WELCOME in (texts.after(text, _CONTEXT) or "") for text in texts.opening(asked)):
            return True
        return {_FINISH, "google_web_search"} <= {tool.name for tool in asked.tools}

    def hints(self, call: Call) -> Hints:
        asked = call.asked
        agent = _AGENT.search(call.head.header("user-agent") or "")
        kind = _class(asked)
        session, prompt_id = _ids(asked)
        is_subagent = kind == "subagent"
        own = _SUBAGENT_PROMPT.fullmatch(prompt_id or "") if is_subagent else None
        inferred = ["request_class"] if kind != "count" else []
        if is_subagent:
            # Only the main thread may start one; that it was this session's follows from there.
            inferred += ["is_subagent", *(["parent"] if session else [])]
        return Hints(
            agent_version=agent[2] if agent else None,
            conversation=own[1] if own else None if is_subagent else session,
            root=session,
            parent=session if is_subagent else None,
            is_subagent=is_subagent,
            spawn_prompt=texts.first_prompt(asked, self.reading) if is_subagent else None,
            request_class=kind,
            cwd=texts.find(_CWD, texts.opening(asked)),
            prompt=self._prompt(asked) if kind == "main" else None,
            prompt_id=None if is_subagent else prompt_id,
            mode=_mode(asked),
            effort=asked.effort,
            compaction="unknown" if kind == "compaction" else None,
            is_interrupted=kind == "main" and self._is_interrupted(asked),
            entry_point=agent[1] if agent else None,
            account=call.head.header(_INSTALLATION),
            inferred=tuple(inferred),
        )

    def _prompt(self, asked: Asked) -> str | None:
        return texts.last_prompt(reversed(asked.messages), self.reading)

    def _is_interrupted(self, asked: Asked) -> bool:
        before = asked.messages[-2:-1]
        return bool(before) and self.reading(before[0]).is_interruption

    def reading(self, message: Message) -> Reading:
        if plain := plain_reading(message):
            is_stopped = texts.joined(message.parts).strip() == _INTERRUPTED
            is_interruption = plain.kind == "answer" and is_stopped
            return Reading(
                kind=plain.kind, injected=plain.injected, is_interruption=is_interruption
            )
        text = texts.joined(message.parts).strip()
        if all(mark in text for mark in _SNAPSHOT):
            return Reading(kind="summary")
        if text.endswith(_SNAPSHOT_ORDER) or _LAST_CHANCE in text[:300]:
            return Reading(kind="instruction")
        if text.startswith((_SNAPSHOT_AGAIN, *(opening for opening, _ in _ASKED))):
            return Reading(kind="instruction")
        if text.startswith(_BACKGROUND):
            return Reading(kind="notification")
        return texts.words(message, _own)

    def tool(self, name: str, namespace: str | None) -> ToolMeaning:
        return tools.tool(name)

    def offered(self, tool: Tool) -> ToolMeaning:
        return tools.tool(tool.name)

    def call(self, part: ToolCallPart) -> CallMeaning:
        return tools.call(part)

    def result(self, call: ToolCallPart | None, result: ToolResultPart) -> ResultMeaning:
        return tools.result(call, result)

    def tasks(self, call: ToolCallPart, result: ToolResultPart | None) -> Sequence[TaskChange]:
        return tools.tasks(call, result)


AGENT = GeminiCli()


def _class(asked: Asked) -> RequestClass:
    if asked.operation != "generate":
        return "count" if asked.operation == "count" else "side"
    system = texts.system(asked).lstrip()
    last = texts.joined(asked.messages[-1].parts).lstrip() if asked.messages else ""
    for text, openings in ((system, _SYSTEMS), (last, _ASKED)):
        for opening, kind in openings:
            if text.startswith(opening):
                return kind
    offered = {tool.name for tool in asked.tools}
    if _FINISH in offered:
        return "subagent"
    # The tools that search and fetch ask a model too: without the agent's own tools and prompt.
    is_thread = system.startswith(_IDENTITY) or len(offered) > 1
    return "main" if is_thread or _has_context(asked) else "side"


def _has_context(asked: Asked) -> bool:
    return any(texts.after(text, _CONTEXT) is not None for text in texts.opening(asked))


def _ids(asked: Asked) -> tuple[str | None, str | None]:
    """Code Assist: the session, and the prompt that this call works for."""
    fields = read_object(asked.fields_json) or {}
    return (
        read_text(fields.get("session_id")) or None,
        read_text(fields.get("user_prompt_id")) or None,
    )


def _mode(asked: Asked) -> str | None:
    system = texts.system(asked)
    if found := _MODE.search(system[:1000]):
        return _MODES.get(found[1].lower(), found[1])
    return "plan" if _PLAN in system else None


def _own(text: str) -> str:
    for opening in _HINTS:
        if (said := texts.after(text, opening)) is not None:
            return said.partition("</user_input>")[0].strip()
    return texts.unwrapped(text, _WRAPPERS)
