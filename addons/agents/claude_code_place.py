"""
Where a call of Claude Code runs, and in which mode: from what the program itself wrote, never from
the user's texts.
"""

import re
from collections.abc import Iterator

from addons.agents import arguments, texts
from addons.agents.claude_code_reading import REMINDER
from addons.wire.fields import Object, read_array, read_object
from storage.decoded import Asked, TextPart, Value

# 2.1.330: a message of role system; 2.1.197: the system prompt's last part; before: `<env>`.
_DIRECTORY = "orking directory: "
_CWD = re.compile(r"^\s*(?:- )?(?:Primary w|W)orking directory: (.+)$", re.MULTILINE)
# In a reminder beside the first prompt (2.1.330), at the end of the system prompt (2.1.197).
_STATUS = "git status at the start"
_BRANCH = re.compile(r"^Current branch:[ \t]*(\S+)$", re.MULTILINE)
# Reminders of the permission mode; the last one counts.
_MODES = (
    ("While bypass permissions mode is active", "bypassPermissions"),
    ("While auto mode is active", "auto"),
    ("Plan mode is active", "plan"),
    ("Plan mode still active", "plan"),
    ("You have exited plan mode", None),
)


class Place(Value, frozen=True, kw_only=True):
    """`mode`: "plan", "auto", "bypassPermissions"; inferred where only a reminder tells it."""

    cwd: str | None
    branch: str | None
    mode: str | None
    is_mode_inferred: bool


def place(asked: Asked) -> Place:
    cwd = branch = told = None
    for text in _own_texts(asked):
        if not cwd and _DIRECTORY in text:  # the pattern is slow on a long text without it
            cwd = texts.find(_CWD, (text,))
        if not branch and _STATUS in text:
            branch = texts.find(_BRANCH, (text,))
        for marker, name in _MODES:
            if marker in text:
                told = name
    context = _classifier_context(asked)
    mode = arguments.text(context, "permission_mode")
    return Place(
        cwd=cwd or arguments.text(context, "live_cwd"),
        branch=branch or _branch(context),
        mode=mode or told,
        is_mode_inferred=mode is None and told is not None,
    )


def _classifier_context(asked: Asked) -> Object:
    """
    What the provider's classifier of tool calls is told, in `safeguards`: mode, directory, rules.
    Seen with 2.1.330 in auto and plan mode, whose tool calls it judges.
    """
    for raw in read_array((read_object(asked.fields_json) or {}).get("safeguards")) or ():
        if context := read_object((read_object(raw) or {}).get("classifier_context")):
            return context
    return {}


def _branch(context: Object) -> str | None:
    return arguments.text(read_object(context.get("git_state")) or {}, "branch")


def _own_texts(asked: Asked) -> Iterator[str]:
    yield from (part.text for part in asked.system if isinstance(part, TextPart))
    for message in asked.messages:
        if message.role == "assistant":
            continue
        is_own = message.role in ("system", "developer")
        for part in message.parts:
            if isinstance(part, TextPart) and (is_own or part.text.lstrip().startswith(REMINDER)):
                yield part.text
