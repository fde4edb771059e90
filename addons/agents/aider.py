"""
aider. Seen: 0.86.2 headless against an OpenAI-compatible server: edits, commits, a file that is
added, architect mode. From its source on PyPI: other edit formats, interruption, the summarizer,
lint and test output (November 2026).

No header and no field names the program or a session (its requests are litellm's); only OpenRouter
is told its title. It offers no tools: edits are SEARCH/REPLACE blocks or the like in the answer's
text, and what aider itself has to say comes as pairs of a user's and an assistant's message.
"""

import re
from collections.abc import Sequence

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
from addons.agents.generic import AGENT as GENERIC
from addons.agents.generic import attempt, plain_reading
from addons.wire.contract import Head
from storage.decoded import (
    Asked,
    MediaPart,
    Message,
    RequestClass,
    Tool,
    ToolCallPart,
    ToolResultPart,
)

_TITLE, _SITE = "Aider", "https://aider.chat"  # `x-title` and `http-referer`, to OpenRouter

# A model may want a line of its own before the system prompt.
_OPENING_CHARS = 300
_SYSTEMS: tuple[tuple[str, RequestClass], ...] = (
    ("You are an expert software engineer that generates concise, one-line Git commit", "side"),
    ("*Briefly* summarize this partial conversation about programming.", "compaction"),
    ("Act as an expert software developer who edits source code.", "subagent"),
    ("Act as an expert software developer and make changes to source code.", "subagent"),
)
_MODES: tuple[tuple[str, str], ...] = (
    ("Act as an expert architect engineer and provide direction to your editor", "architect"),
    ("Act as an expert code analyst.\nAnswer questions about the supplied code.", "ask"),
    ("Act as an expert code analyst.\nUnderstand the user's question or request,", "context"),
    ("You are an expert on the AI coding tool called Aider.", "help"),
)
_CODER = "Act as an expert software developer."
_CODER_ALSO = ("*SEARCH/REPLACE", "changes to the supplied code", "V4A Diff", "diff -U0")

# What aider puts in as a user's message, by how it begins.
_CONTEXT = (
    "I have *added these files to the chat* so",
    "These files have been *added these files to the chat* so",
    "These are some files we have been discussing",
    "Here are summaries of some files present in my git repo",
    "I am working with you on code in a git repository.",
    "Here are some READ ONLY files, provided for your reference.",
    "I am not sharing ",
    "Don't try and edit any existing code without asking me to add",
    "I switched to a new code base. Please don't consider the above files",
    "I committed the changes with git hash ",
    "I updated the files.",
    "I didn't see any properly formatted edits in your reply?!",
    "I edited the files myself.",
    "Act as an expert ",  # the system prompt, for models that have none
)
# The requests of its worked examples, for models that get them as messages.
_EXAMPLES = (
    "Change get_factorial() to use math.factorial",
    "Refactor hello() into its own file.",
    "Replace is_prime with a call to sympy.",
    "Change the greeting to be more casual",
)
# What it asks by itself after an answer.
_ORDERS = re.compile(
    r"I added these files to the chat: |# \d+ SEARCH/REPLACE blocks? failed to match!"
    r"|UnifiedDiff\w+: hunk failed to apply!|# Fix any errors below, if possible\."
    r"|I did `git reset --hard HEAD~1` to discard"
    r"|# Diffs:\n|USER: |# (?:USER|ASSISTANT)\n"  # what the weak model gets: no words for it
)
_COMMAND = "I ran this command:\n\n"
_SUMMARY = "I spoke to you previously about a number of things.\n"
_STOPPED = "^C KeyboardInterrupt"
# Assistant's messages that no model wrote.
_REPLIES = frozenset(
    (
        "Ok.",
        "Ok",
        "Ok, any changes I propose will be to those files.",
        "Ok, I will use that as the true, current contents of the files.",
        "Ok, I won't try and edit those files without asking first.",
        "Ok, I will use these files as references.",
        "Ok, I will use these images as references.",
        "Ok, based on your requests I will suggest which files need to be edited and then stop and"
        " wait for your approval.",
    )
)
_STOPPED_REPLY = "I see that you interrupted my previous reply."
# Rules that are put behind the last prompt, for models that heed no system message there.
_REMINDERS = (
    "\n\n# *SEARCH/REPLACE block* Rules:",
    "\n\n\n# *SEARCH/REPLACE block* Rules:",
    "\n\n# File editing rules:",
    "\n\n# V4A Diff Format Rules:",
    "\n\nTo suggest changes to a file you MUST return",
    "\n\n\nNEVER RETURN CODE!",
)


class Aider:
    name = "aider"
    title = "aider"

    def matches(self, head: Head) -> bool:
        is_titled = head.header("x-title") == _TITLE
        return is_titled or (head.header("http-referer") or "").rstrip("/") == _SITE

    def recognises(self, head: Head, asked: Asked) -> bool:
        system = _system(asked)
        opening = system[:_OPENING_CHARS]
        if any(mark in opening for mark, _ in (*_SYSTEMS, *_MODES)):
            return True
        return _CODER in opening and any(mark in system for mark in _CODER_ALSO)

    def hints(self, call: Call) -> Hints:
        asked = call.asked
        kind = _class(asked)
        is_editor = kind == "subagent"
        thread = texts.last_prompt(reversed(asked.messages), self.reading)
        return Hints(
            is_subagent=is_editor,
            subagent_type="editor" if is_editor else None,
            spawn_prompt=thread if is_editor else None,
            request_class=kind,
            prompt=thread if kind == "main" else None,
            mode=_mode(asked) if kind == "main" else None,
            effort=asked.effort,
            # It is summarized whenever it got too long, and when the edit format changes.
            compaction="unknown" if kind == "compaction" else None,
            is_interrupted=kind == "main" and self._is_interrupted(asked),
            attempt=attempt(call.head),
            inferred=("request_class", *(("is_subagent",) if is_editor else ())),
        )

    def _is_interrupted(self, asked: Asked) -> bool:
        """Files and the repo map stand between the prompt and what was before it."""
        readings = [self.reading(message) for message in asked.messages]
        while readings and readings[-1].kind == "context":
            readings.pop()
        if not readings or readings.pop().kind != "prompt":
            return False
        for read in reversed(readings):
            if read.is_interruption or read.kind != "context":
                return read.is_interruption
        return False

    def reading(self, message: Message) -> Reading:
        everything = tuple(range(len(message.parts)))
        text = texts.joined(message.parts).strip()
        if message.role == "assistant" and (text in _REPLIES or text == _STOPPED_REPLY):
            return Reading(
                kind="context", injected=everything, is_interruption=text == _STOPPED_REPLY
            )
        if plain := plain_reading(message):
            return plain
        has_media = any(isinstance(part, MediaPart) for part in message.parts)
        if has_media or text in _EXAMPLES or text.startswith(_CONTEXT):
            return Reading(kind="context", injected=everything)
        if text.startswith(_SUMMARY.strip()):
            return Reading(kind="summary")
        if text.startswith(_COMMAND):
            return Reading(kind="command")
        if _ORDERS.match(text):
            return Reading(kind="instruction")
        return Reading(kind="prompt", prompt=_own(text))

    def tool(self, name: str, namespace: str | None) -> ToolMeaning:
        return GENERIC.tool(name, namespace)

    def offered(self, tool: Tool) -> ToolMeaning:
        return GENERIC.offered(tool)

    def call(self, part: ToolCallPart) -> CallMeaning:
        return GENERIC.call(part)

    def result(self, call: ToolCallPart | None, result: ToolResultPart) -> ResultMeaning:
        return GENERIC.result(call, result)

    def tasks(self, call: ToolCallPart, result: ToolResultPart | None) -> Sequence[TaskChange]:
        return ()


AGENT = Aider()


def _system(asked: Asked) -> str:
    """The system prompt; models that have none get it as the first user's message."""
    if found := texts.system(asked):
        return found
    return texts.joined(asked.messages[0].parts) if asked.messages else ""


def _class(asked: Asked) -> RequestClass:
    opening = _system(asked)[:_OPENING_CHARS]
    return next((kind for mark, kind in _SYSTEMS if mark in opening), "main")


def _mode(asked: Asked) -> str | None:
    opening = _system(asked)[:_OPENING_CHARS]
    named = next((mode for mark, mode in _MODES if mark in opening), None)
    return named or ("code" if _CODER in opening else None)


def _own(text: str) -> str:
    """The prompt without the rules behind it, and without the mark of an interruption."""
    for reminder in _REMINDERS:
        text = text.partition(reminder)[0]
    return text.strip().removesuffix(_STOPPED).rstrip()
