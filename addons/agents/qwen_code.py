"""
Qwen Code. Seen: 0.24.4 headless, with api.openai.com and with another base URL. From the source in
its npm package: plan mode, compaction, titles, other kinds of subagents (November 2026).

Only api.openai.com is sent a `prompt_cache_key`, which names the session and, of a subagent, its
type and the tool call that started it; elsewhere the wire has no id of any kind.
"""

import re
from collections.abc import Sequence

from addons.agents import qwen_code_tools as tools
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
from addons.agents.generic import attempt, plain_reading
from addons.wire.contract import Head
from addons.wire.fields import read_object, read_text
from storage.decoded import Asked, Message, RequestClass, Tool, ToolCallPart, ToolResultPart

_AGENT = re.compile(r"QwenCode/v?(\d[\w.+-]*)")
_IDENTITY = "You are Qwen Code, "
_INTERACTIVE = ("an interactive CLI agent", "a non-interactive CLI agent")
_WELCOME = "This is the Qwen Code."
_CWD = re.compile(
    r"I'm currently working in the (?:directory: |following directories:[ \t]*\n[ \t]*- )([^\n]+)"
)
_BRANCH = re.compile(r"^git: Current branch: (\S+)", re.MULTILINE)
_PLAN = ("<system-reminder>\nPlan mode is active.", "<plan-mode-active>")

# `qwen-code:<session>`, `qwen-code:<session>:<type>-<call that started it>`
_CACHE_KEY = re.compile(r"qwen-code:([0-9A-Za-z-]+)(?::(.+))?")
_CALL_ID = re.compile(r"(.+?)-((?:call_|toolu_|tooluse_|chatcmpl-tool-|tool_).+)")

# Openings of the system prompts of calls beside the main thread.
_SYSTEMS: tuple[tuple[str, RequestClass], ...] = (
    ("You are now acting as the managed memory extraction subagent", "memory"),
    ("You are performing a managed memory dream", "memory"),
    ("You are selecting memories that will be useful", "memory"),
    ("You are reviewing this conversation to extract reusable skills.", "memory"),
    ("Generate a concise, sentence-case title", "title"),
    ("You generate session recaps", "summary"),
    ("Write a short summary label describing what these tool calls", "summary"),
    ("You are an independent Goal Verifier.", "classifier"),
    ("You are evaluating a hook in Qwen Code.", "classifier"),
    ("You are an elite AI agent architect", "side"),
)
_SUBAGENTS: tuple[tuple[str, str], ...] = (
    ("You are a general-purpose subagent working for a parent agent.", "general-purpose"),
    ("You are a file search specialist agent.", "Explore"),
    ("You are a status line setup agent for Qwen Code.", "statusline-setup"),
)
_MAIN_TOOLS = {"list_agents", "get_goal"}  # that no subagent has
_COMPACTION = "Then, produce the <state_snapshot> XML."
_NEXT_SPEAKER = "Analyze *only* the content and structure of your immediately"
_ORDERS = (
    "Managed memory has TWO directories.",
    "Managed memory directory",
    _NEXT_SPEAKER,
    # Ask for the rest of an answer that broke off.
    "The connection dropped mid-response. Resume directly",
    "Output token limit hit. Resume directly",
)
_SNAPSHOT = ("<state_snapshot>", "</state_snapshot>")
_NOTIFICATION = "<task-notification>"
_WRAPPERS = (
    "system-reminder",
    "qwen:user-prompt-submit-context",
    "background-tasks",
    "plan-mode-active",
)


class QwenCode:
    name = "qwen-code"
    title = "Qwen Code"

    def matches(self, head: Head) -> bool:
        return (head.header("user-agent") or "").startswith("QwenCode/")

    def recognises(self, head: Head, asked: Asked) -> bool:
        if _key(asked)[0]:
            return True
        system = texts.system(asked).lstrip()
        openings = [opening for opening, kind in _SYSTEMS if kind == "memory"]
        if system.startswith((_IDENTITY, *openings, *(opening for opening, _ in _SUBAGENTS))):
            return True
        return _has_welcome(asked)

    def hints(self, call: Call) -> Hints:
        asked = call.asked
        agent = _AGENT.search(call.head.header("user-agent") or "")
        session, partition = _key(asked)
        kind = _class(asked, partition)
        is_subagent = kind == "subagent"
        system = texts.system(asked)
        started = _CALL_ID.fullmatch(partition or "") if is_subagent else None
        inferred = [] if partition and is_subagent else ["request_class"]
        if is_subagent:
            # A subagent may start another: the key names the session and not who it was.
            inferred += ["parent"] if partition else ["is_subagent"]
        return Hints(
            agent_version=agent[1] if agent else None,
            conversation=partition if is_subagent else session,
            root=session,
            parent=session if is_subagent else None,
            is_subagent=is_subagent,
            subagent_type=started[1] if started else _type(system) if is_subagent else None,
            spawn_call_id=started[2] if started else None,
            spawn_prompt=texts.first_prompt(asked, self.reading) if is_subagent else None,
            request_class=kind,
            cwd=texts.find(_CWD, texts.opening(asked)),
            git_branch=texts.find(_BRANCH, [system]),
            prompt=self._prompt(asked) if kind == "main" else None,
            mode=_mode(asked),
            effort=asked.effort,
            compaction="unknown" if kind == "compaction" else None,
            attempt=attempt(call.head),
            entry_point=_entry_point(system),
            inferred=tuple(inferred),
        )

    def _prompt(self, asked: Asked) -> str | None:
        return texts.last_prompt(reversed(asked.messages), self.reading)

    def reading(self, message: Message) -> Reading:
        if plain := plain_reading(message):
            return plain
        text = texts.joined(message.parts).strip()
        # The order to sum up shows the form of a summary.
        if text.endswith(_COMPACTION) or text.startswith(_ORDERS):
            return Reading(kind="instruction")
        if all(mark in text for mark in _SNAPSHOT):
            return Reading(kind="summary")
        read = texts.words(message, lambda part: texts.unwrapped(part, _WRAPPERS))
        if read.prompt and read.prompt.startswith(_NOTIFICATION):
            return Reading(kind="notification", injected=read.injected)
        return read

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


AGENT = QwenCode()


def _key(asked: Asked) -> tuple[str | None, str | None]:
    """The session, and what follows it in the key."""
    fields = read_object(asked.fields_json) or {}
    found = _CACHE_KEY.fullmatch(read_text(fields.get("prompt_cache_key")) or "")
    return (found[1], found[2]) if found else (None, None)


def _class(asked: Asked, partition: str | None) -> RequestClass:
    system = texts.system(asked).lstrip()
    for opening, kind in _SYSTEMS:
        if system.startswith(opening):
            return kind
    last = texts.joined(asked.messages[-1].parts).strip() if asked.messages else ""
    if last.endswith(_COMPACTION):
        return "compaction"
    if last.startswith(_NEXT_SPEAKER):
        return "classifier"
    if partition or _type(system):
        return "subagent"
    offered = {tool.name for tool in asked.tools}
    if system.startswith(_IDENTITY) or offered & _MAIN_TOOLS:
        return "main"
    # Subagents that users write have prompts of their own; what asks a model beside has no tools.
    return "subagent" if offered else "side"


def _has_welcome(asked: Asked) -> bool:
    return any(
        _WELCOME in (texts.after(text, "<system-reminder>") or "")[:200]
        for text in texts.opening(asked)
    )


def _type(system: str) -> str | None:
    return next((kind for opening, kind in _SUBAGENTS if system.startswith(opening)), None)


def _mode(asked: Asked) -> str | None:
    """Plan mode is told with each prompt; the others are not told."""
    prompts = (message for message in reversed(asked.messages) if message.role == "user")
    latest = next(prompts, None)
    said = texts.joined(latest.parts) if latest else ""
    return "plan" if any(mark in said for mark in _PLAN) else None


def _entry_point(system: str) -> str | None:
    said = (texts.after(system, _IDENTITY) or "")[:60]
    names = ("interactive", "non-interactive")
    return next((n for n, mark in zip(names, _INTERACTIVE, strict=True) if mark in said), None)
