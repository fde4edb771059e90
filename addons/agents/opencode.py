"""
opencode. Seen: 1.18.33, `opencode run` with Anthropic models. From the texts in its npm package:
compaction, files in prompts, queued messages, other system prompts (November 2026).

Headers name the session and its parent with every provider; bodies name neither, except OpenAI's
`prompt_cache_key`, which is the session's id.
"""

import re
from collections.abc import Sequence

from addons.agents import opencode_tools as tools
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
from storage.decoded import (
    Asked,
    Message,
    RequestClass,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
)

_AGENT = re.compile(r"opencode/(?:[a-z]+/)?v?(\d[\w.+-]*)")
_SESSION = re.compile(r"ses_\w+")
_IDENTITIES = ("You are OpenCode, ", "You are opencode, ")
_ENVIRONMENT = "\n  Workspace root folder: "  # in <env>, whatever prompt stands before it
_CWD = re.compile(r"<env>\n[ \t]*Working directory: ([^\n]+)")
_SYSTEMS: tuple[tuple[str, RequestClass], ...] = (
    ("You are a title generator. You output ONLY a thread title.", "title"),
    ("You are a context summarization agent.", "compaction"),
    ("You are a helpful AI assistant tasked with summarizing conv", "compaction"),  # before 1.18
    ("Summarize what was done in this conversation.", "summary"),
)
_EXPLORE = "You are a file search specialist."

_TITLE = "Generate a title for this conversation:"
# Of a compaction's request.
_HISTORY = (
    "<conversation>",
    "<prior-summary>",
    "Here is the conversation so far:\n\n<conversation>",
)
_SUMMARY_FOLLOWS = "What did we do so far?"  # stands before the summary that a compaction left
_GO_ON = "Continue if you have next steps, or stop and ask for clarification"
_SUBTASK = "The following tool was executed by the user"
_PLAN = ("\n# Plan Mode - System Reminder", "\nPlan mode is active.")
_BUILD = "\nYour operational mode has changed from plan to build."
_REMINDER = "<system-reminder>"
# A message that the user sent while the agent was at work.
_QUEUED = "<system-reminder>\nThe user sent the following message:\n"
_QUEUED_END = "\n\nPlease address this message and continue with your tasks."
# Parts that are put in for `@file` and `@agent`; after the first kind comes the content.
_CALLED = re.compile(r"Called the \w+ tool with the following input: ")
_ASIDE = ("Read tool failed to read ", "Use the above message and context to generate a prompt")


class Opencode:
    name = "opencode"
    title = "opencode"

    def matches(self, head: Head) -> bool:
        return (head.header("user-agent") or "").startswith("opencode/")

    def recognises(self, head: Head, asked: Asked) -> bool:
        system = texts.system(asked)
        openings = (*_IDENTITIES, *(opening for opening, _ in _SYSTEMS[:2]))
        return system.lstrip().startswith(openings) or _ENVIRONMENT in system

    def hints(self, call: Call) -> Hints:
        asked = call.asked
        agent = _AGENT.search(call.head.header("user-agent") or "")
        stated = call.head.header("x-session-id") or call.head.header("x-session-affinity")
        conversation = stated or _cache_key(asked)
        parent = call.head.header("x-parent-session-id")
        kind = _class(asked, parent, is_stated=bool(stated))
        is_subagent = kind == "subagent"
        prompt = texts.last_prompt(reversed(asked.messages), _reading) if kind == "main" else None
        own = unquoted(prompt) if prompt else prompt
        inferred = _inferred(kind, parent, is_stated=bool(stated), has_id=bool(conversation))
        return Hints(
            agent_version=agent[1] if agent else None,
            conversation=conversation,
            root=parent or (None if is_subagent else conversation),
            parent=parent,
            is_subagent=is_subagent,
            subagent_type=_type(asked) if is_subagent else None,
            spawn_prompt=texts.first_prompt(asked, _reading) if is_subagent else None,
            request_class=kind,
            cwd=texts.find(_CWD, texts.opening(asked)),
            prompt=own,
            mode=_mode(asked),
            effort=asked.effort,
            compaction="unknown" if kind == "compaction" else None,
            is_interrupted=prompt is not None and _follows_interruption(asked),
            attempt=attempt(call.head),
            inferred=(*inferred, *(("prompt",) if own != prompt else ())),
        )

    def reading(self, message: Message) -> Reading:
        read = _reading(message)
        if read.prompt is None:
            return read
        return Reading(kind=read.kind, prompt=unquoted(read.prompt), injected=read.injected)

    def tool(self, name: str, namespace: str | None) -> ToolMeaning:
        return tools.tool(name)

    def offered(self, tool: Tool) -> ToolMeaning:
        return tools.tool(tool.name)

    def call(self, part: ToolCallPart) -> CallMeaning:
        return tools.call(part)

    def result(self, call: ToolCallPart | None, result: ToolResultPart) -> ResultMeaning:
        return tools.result(call, result)

    def tasks(self, call: ToolCallPart, result: ToolResultPart | None) -> Sequence[TaskChange]:
        return tools.tasks(call)


AGENT = Opencode()


def unquoted(prompt: str) -> str:
    """`run` puts each argument with a space in it into quotes: `"say \\"hi\\" now"`."""
    inner = prompt[1:-1]
    is_quoted = len(prompt) > 2 and prompt[0] == prompt[-1] == '"' and " " in inner
    if not is_quoted or '"' in inner.replace('\\"', ""):
        return prompt
    return inner.replace('\\"', '"')


def _class(asked: Asked, parent: str | None, *, is_stated: bool) -> RequestClass:
    if asked.operation != "generate":
        return "count" if asked.operation == "count" else "side"
    system = texts.system(asked).lstrip()
    for opening, kind in _SYSTEMS:
        if system.startswith(opening):
            return kind
    if parent:
        return "subagent"
    # Without the headers: subagents are not offered the tool that starts one.
    offered = {tool.name for tool in asked.tools}
    return "subagent" if offered and "task" not in offered and not is_stated else "main"


def _inferred(
    kind: RequestClass, parent: str | None, *, is_stated: bool, has_id: bool
) -> tuple[str, ...]:
    names = [] if kind in ("subagent", "main") and is_stated else ["request_class"]
    if kind == "subagent":
        # A subagent may start another; the headers name the next one above only.
        names += ["root"] if parent else ["is_subagent"]
    if has_id and not is_stated:
        names.append("conversation")
    return tuple(names)


def _cache_key(asked: Asked) -> str | None:
    fields = read_object(asked.fields_json) or {}
    key = read_text(fields.get("prompt_cache_key")) or ""
    return key if _SESSION.fullmatch(key) else None


def _type(asked: Asked) -> str | None:
    return "explore" if texts.system(asked).lstrip().startswith(_EXPLORE) else None


def _mode(asked: Asked) -> str | None:
    """A reminder beside the prompt tells plan mode, and the way back; nothing tells the rest."""
    prompts = (one for one in reversed(asked.messages) if one.role == "user" and _has_words(one))
    latest = next(prompts, None)
    said = texts.joined(latest.parts) if latest else ""
    if any(_REMINDER + mark in said for mark in _PLAN):
        return "plan"
    return "build" if _REMINDER + _BUILD in said else None


def _has_words(message: Message) -> bool:
    return any(isinstance(part, TextPart) for part in message.parts)


def _follows_interruption(asked: Asked) -> bool:
    before = asked.messages[-2:]
    return any(
        isinstance(part, ToolResultPart) and part.text.startswith(tools.INTERRUPTED)
        for message in before
        for part in message.parts
    )


def _reading(message: Message) -> Reading:
    """As `Opencode.reading`, the prompt still in its quotes."""
    if plain := plain_reading(message):
        return plain
    text = texts.joined(message.parts).strip()
    if text == _SUMMARY_FOLLOWS:
        return Reading(kind="summary")
    if text.startswith((_TITLE, *_HISTORY)) or _GO_ON in text[-200:]:
        return Reading(kind="instruction")
    if text == _SUBTASK:
        return Reading(kind="context", injected=tuple(range(len(message.parts))))
    return _words(message)


def _words(message: Message) -> Reading:
    is_content = False
    kept: list[TextPart] = []
    places: list[int] = []
    injected: list[int] = []
    for index, part in enumerate(message.parts):
        if not isinstance(part, TextPart):
            continue
        is_called = _CALLED.match(part.text) is not None
        if is_called or is_content or part.text.lstrip().startswith(_ASIDE):
            injected.append(index)
        else:
            kept.append(part)
            places.append(index)
        is_content = is_called
    read = texts.words(Message(role="user", parts=tuple(kept)), _own)
    injected += [places[index] for index in read.injected]
    is_context = not read.prompt and len(injected) == len(message.parts)
    return Reading(
        kind="context" if is_context else "prompt",
        prompt=None if is_context else read.prompt or "",
        injected=tuple(sorted(injected)),
    )


def _own(text: str) -> str:
    if (queued := texts.after(text, _QUEUED)) is not None:
        return queued.partition(_QUEUED_END)[0].strip()
    return texts.unwrapped(text, ("system-reminder",))
