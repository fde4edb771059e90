"""
The tools of opencode 1.18: what they do, what their calls touch, what their results say.

Names and fields from its requests and, where no run showed them (apply_patch, question, plan
tools, failures of subagents), from the texts in its npm package, November 2026.
"""

import re
from collections.abc import Sequence

from addons.agents import arguments
from addons.agents.contract import CallMeaning, ResultMeaning, TaskChange, ToolMeaning, Touch
from addons.wire.fields import Object, read_array
from storage.decoded import ToolCallPart, ToolKind, ToolResultPart

_NAMES: dict[ToolKind, tuple[str, ...]] = {
    "read": ("read", "read_mcp_resource"),
    "write": ("write",),
    "edit": ("edit", "multiedit", "patch", "apply_patch"),
    "shell": ("bash",),
    "search": ("glob", "grep", "list", "lsp"),
    "web": ("webfetch", "websearch", "codesearch"),
    "task": ("task",),
    "todo": ("todowrite", "todoread"),
    "skill": ("skill",),
    "plan": ("plan_enter", "plan_exit"),
    "ask": ("question",),
    "other": ("batch", "invalid", "list_mcp_resources", "list_mcp_resource_templates"),
}  # fmt: skip
KINDS: dict[str, ToolKind] = {name: kind for kind, names in _NAMES.items() for name in names}
_MCP = re.compile(r"([^_]+)_(.+)", re.DOTALL)

# `<task id="ses_..." state="completed">`; before 1.18 the result ended with its `task_id: ses_...`
_TASK = re.compile(r'<task id="(ses_\w+)" state="(\w+)"')
_TASK_ID = re.compile(r"\btask_id: (ses_\w+)")
_RUNNING = ("running", "started", "pending")
INTERRUPTED = ("Tool execution aborted", "[Tool execution was interrupted]")
_TIMED_OUT = "\n<shell_metadata>\nshell tool terminated command after exceeding timeout"
_ABORTED = "User aborted the command\n</shell_metadata>"


def tool(name: str) -> ToolMeaning:
    """A tool by its name. Those of MCP servers are `<server>_<tool>`, and nothing else tells."""
    kind = KINDS.get(name)
    if kind is None and (found := _MCP.fullmatch(name)):
        return ToolMeaning(kind="mcp", mcp_server=found[1], mcp_tool=found[2], is_inferred=True)
    return ToolMeaning(kind=kind or "other")


def call(part: ToolCallPart) -> CallMeaning:
    meaning = tool(part.name)
    given = arguments.fields(part)
    kind = meaning.kind
    is_agent = kind == "task"
    return CallMeaning(
        tool=meaning,
        touches=_touches(part, meaning, given),
        command=arguments.text(given, "command") if kind == "shell" else None,
        skill=arguments.text(given, "name") if kind == "skill" else None,
        spawn_prompt=arguments.text(given, "prompt") if is_agent else None,
        subagent_type=arguments.text(given, "subagent_type") if is_agent else None,
        description=arguments.text(given, "description"),
    )


def _touches(part: ToolCallPart, meaning: ToolMeaning, given: Object) -> tuple[Touch, ...]:
    if meaning.kind not in ("read", "write", "edit", "search"):
        return ()
    patch = part.arguments if part.is_custom else arguments.text(given, "patchText")
    if meaning.kind == "edit" and patch:
        return arguments.patch(patch)
    paths = arguments.texts(given, "filePath", "path")
    return tuple(Touch(path=path, access=meaning.kind) for path in paths)


def result(call: ToolCallPart | None, result: ToolResultPart) -> ResultMeaning:
    text = result.text
    if call and call.name == "task":
        return _task(result)
    if result.is_error is None and _shows_error(text):
        return ResultMeaning(is_error=True, is_inferred=True)
    return ResultMeaning(is_error=result.is_error)


def _shows_error(text: str) -> bool:
    """OpenAI's formats have no `is_error`; a shell's exit code stands nowhere."""
    end = text[-400:]
    is_stopped = _TIMED_OUT in end or end.rstrip().endswith(_ABORTED)
    return is_stopped or text.startswith(("File not found: ", *INTERRUPTED))


def _task(result: ToolResultPart) -> ResultMeaning:
    found = _TASK.match(result.text.lstrip())
    if not found:
        named = _TASK_ID.search(result.text)
        return ResultMeaning(is_error=result.is_error, child=named[1] if named else None)
    child, state = found.groups()
    if state in _RUNNING:
        return ResultMeaning(is_error=result.is_error, child=child, is_pending=True)
    if result.is_error is not None:
        return ResultMeaning(is_error=result.is_error, child=child)
    return ResultMeaning(is_error=state == "error", is_inferred=True, child=child)


def tasks(call: ToolCallPart) -> Sequence[TaskChange]:
    if call.name != "todowrite":
        return ()
    return arguments.todo_list(read_array(arguments.fields(call).get("todos")) or ())
