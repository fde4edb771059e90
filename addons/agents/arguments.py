"""
What stands in the arguments of a tool call: foreign JSON, read field by field, nothing raises.

Agents name the same thing differently (`file_path`, `filePath`, `path`); they pass the names that
they know, and the first that is there counts.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Literal

from addons.agents.contract import TaskChange, Touch
from addons.wire.fields import Object, Raw, read_array, read_object, read_text
from storage.decoded import ToolCallPart

Status = Literal["pending", "in_progress", "completed", "cancelled", "deleted"]

_STATUS: dict[str, Status] = {
    "pending": "pending",
    "todo": "pending",
    "not_started": "pending",
    "not-started": "pending",
    "blocked": "pending",
    "in_progress": "in_progress",
    "in-progress": "in_progress",
    "completed": "completed",
    "done": "completed",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "deleted": "deleted",
}
_SUBJECT = ("content", "step", "title", "subject", "description", "text", "task")
_PATCHED = re.compile(r"^\*\*\* (Add|Update|Delete) File: (.+?)[ \t\r]*$", re.MULTILINE)
_MOVED = re.compile(r"^\*\*\* Move to: (.+?)[ \t\r]*$", re.MULTILINE)
_PATCH_ACCESS: dict[str, Literal["write", "edit", "delete"]] = {
    "Add": "write",
    "Update": "edit",
    "Delete": "delete",
}


def fields(part: ToolCallPart) -> Object:
    """The arguments' fields; empty if they are free text, or were cut off."""
    return {} if part.is_custom else read_object(part.arguments) or {}


def inner(value: Raw | None) -> Object:
    """An object in the arguments, or one that was written into a text."""
    return read_object(value) or read_object(read_text(value)) or {}


def status(given: Object) -> Status | None:
    """The field `status` of a task, in our words."""
    return _STATUS.get(text(given, "status") or "")


def text(given: Object, *names: str) -> str | None:
    """The first of these fields that is a text with something in it."""
    for name in names:
        if found := read_text(given.get(name)):
            return found
    return None


def texts(given: Object, *names: str) -> tuple[str, ...]:
    """The first of these fields that is a text, or a list with texts in it."""
    for name in names:
        value = given.get(name)
        if one := read_text(value):
            return (one,)
        found = tuple(item for raw in read_array(value) or () if (item := read_text(raw)))
        if found:
            return found
    return ()


def command(given: Object, *names: str) -> str | None:
    """A command line; a list of words is quoted into one."""
    words = texts(given, *names)
    return words[0] if len(words) == 1 else shlex.join(words) or None


def patch(text: str) -> tuple[Touch, ...]:
    """The files of a patch in the form that begins with `*** Begin Patch`."""
    changed = tuple(
        Touch(path=path, access=_PATCH_ACCESS[verb]) for verb, path in _PATCHED.findall(text)
    )
    return changed + tuple(Touch(path=path, access="write") for path in _MOVED.findall(text))


def todo_list(items: Sequence[Raw]) -> tuple[TaskChange, ...]:
    """A todo list as it is sent whole; a task's key is its own id, else its place."""
    return tuple(_todos(items))


def _todos(items: Sequence[Raw]) -> Iterator[TaskChange]:
    for place, raw in enumerate(items, 1):
        item = read_object(raw) or {}
        yield TaskChange(
            key=text(item, "id") or str(place),
            subject=text(item, *_SUBJECT) or read_text(raw),
            status=status(item),
            active_form=text(item, "activeForm", "active_form"),
            replaces_all=True,
        )
