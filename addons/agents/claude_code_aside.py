"""
What a call of Claude Code is for: its conversation, or one of the small calls beside it.

Since 2.1.273 a header says it on direct connections; what `auxiliary` means, and everything of
other versions and of base URLs, is concluded from what the program asks.
"""

from addons.agents import texts
from addons.wire.contract import Head
from addons.wire.fields import read_object
from storage.decoded import Asked, RequestClass, TextPart

_HEADER = "x-claude-code-request-class"
_STATED: dict[str, RequestClass] = {
    "main": "main",
    "subagent": "subagent",
    "workflow": "subagent",
    "compaction": "compaction",
    "side_reply": "side",
}
# `memory_save`, `cowork_memory_save`: in 2.1.330's program, not seen on the wire.
_AUXILIARY = "x-claude-code-auxiliary-type"

# What the last user text of a call begins with.
_ASKED: tuple[tuple[str, RequestClass], ...] = (
    ("CRITICAL: Respond with TEXT ONLY", "compaction"),
    ("Your task is to create a detailed summary of the conversation so far", "compaction"),
    ("Write a short summary label describing", "summary"),
    ("The user stepped away and is coming back.", "summary"),
    ("[SUGGESTION MODE", "side"),
    ("Web page content:", "side"),
)
# What stands in the system prompt of a call without tools.
_SYSTEM: tuple[tuple[str, RequestClass], ...] = (
    ("Generate a concise, sentence-case title", "title"),  # 2.1.197
    ("Generate a short kebab-case name", "title"),
    ("Summarize this coding conversation in under 50 characters", "title"),  # 1.0
    ("Analyze if this message indicates a new conversation topic", "classifier"),  # 1.0, 2.0
    ("isNewTopic", "classifier"),
    ("Your task is to process Bash commands", "classifier"),  # 1.0, 2.0: prefix of a command
    ("<policy_spec>", "classifier"),
    ("Write a short summary label describing", "summary"),
)
_SEARCHED = 6000  # signs of a system prompt; those of side calls are short


def states_class(head: Head) -> bool:
    return head.header(_HEADER) in _STATED


def request_class(head: Head, asked: Asked, is_subagent: bool) -> RequestClass:
    if asked.operation == "count":
        return "count"
    if stated := _STATED.get(head.header(_HEADER) or ""):
        return stated
    if "memory" in (head.header(_AUXILIARY) or ""):
        return "memory"
    if beside := _beside(asked):
        return beside
    if head.header(_HEADER):
        return "side"
    if is_subagent:
        return "subagent"
    return "main" if asked.tools else "side"


def _beside(asked: Asked) -> RequestClass | None:
    last = _last_text(asked)
    if asked.max_tokens == 1:
        return "quota" if last.strip() == "quota" else "side"
    for beginning, what in _ASKED:
        if last.startswith(beginning):
            return what
    if asked.tools:
        return None
    if _wants_title(asked):
        return "title"
    system = texts.system(asked)[:_SEARCHED]
    return next(
        (what for marker, what in _SYSTEM if marker in system or marker in last[:500]), None
    )


def _last_text(asked: Asked) -> str:
    for message in reversed(asked.messages):
        if message.role == "user":
            found = [part.text for part in message.parts if isinstance(part, TextPart)]
            return found[-1].lstrip() if found else ""
    return ""


def _wants_title(asked: Asked) -> bool:
    """2.1.330 asks for an object with nothing but a title."""
    value = (read_object(asked.fields_json) or {}).get("output_config")
    for name in ("format", "schema", "properties"):
        value = (read_object(value) or {}).get(name)
    return "title" in (read_object(value) or {})
