"""
The tools of Qwen Code 0.24: what they do, what their calls touch, what their results say.

Deferred tools (those of MCP servers too) are called through `tool_call`, which names the tool and
holds its arguments: such a call means what the tool in it means. Names and fields from requests
and, for todos, team tasks and plan mode, from the source in its npm package, November 2026.
"""

import re
from collections.abc import Sequence

import msgspec

from addons.agents import arguments
from addons.agents.contract import CallMeaning, ResultMeaning, TaskChange, ToolMeaning, Touch
from addons.agents.generic import mcp_tool
from addons.wire.fields import Object, read_array
from storage.decoded import ToolCallPart, ToolKind, ToolResultPart

_NAMES: dict[ToolKind, tuple[str, ...]] = {
    "read": ("read_file", "read_many_files", "zoom_image", "read_mcp_resource"),
    "write": ("write_file",),
    "edit": ("edit", "replace", "notebook_edit"),
    "shell": ("run_shell_command", "monitor"),
    "search": ("glob", "grep_search", "list_directory", "lsp"),
    "web": ("web_fetch", "web_search"),
    "task": ("agent", "task"),
    "todo": ("todo_write", "task_create", "task_update", "task_list"),
    "skill": ("skill",),
    "plan": ("enter_plan_mode", "exit_plan_mode"),
    "ask": ("ask_user_question",),
    "memory": ("save_memory",),
    "tool-search": ("tool_search",),
}  # fmt: skip
KINDS: dict[str, ToolKind] = {name: kind for kind, names in _NAMES.items() for name in names}
_PATHS = ("file_path", "absolute_path", "notebook_path", "path", "paths")

# `Command: ...\nDirectory: ...\nOutput: ...\nError: ...\nExit Code: 3\nSignal: (none)\n...`
_SHELL = "Command: "
_SHELL_END = re.compile(r"\nExit Code: (-?\d{1,10}|\(none\))\nSignal: ([^\n]*)")
_SHELL_END_CHARS = 2000
_LAUNCHED = re.compile(r"Background agent launched[^\n]*\ntask_id: (\S+)")
_CREATED = re.compile(r"Task #(\S+) created:")
# Errors come as plain text; these are openings that no tool's output has.
_ERRORS = (
    "File not found: ",
    "[Operation Cancelled] ",
    "Tool call cancelled by user.",
    "Tool blocked by plan mode: ",
    "Command was cancelled by user",
)


def tool(name: str) -> ToolMeaning:
    return mcp_tool(name, None) or ToolMeaning(kind=KINDS.get(name, "other"))


def call(part: ToolCallPart) -> CallMeaning:
    name, given = _opened(part)
    meaning = tool(name)
    kind = meaning.kind
    is_agent = kind == "task"
    return CallMeaning(
        tool=meaning,
        touches=_touches(meaning, given),
        command=arguments.text(given, "command") if kind == "shell" else None,
        skill=arguments.text(given, "skill") if kind == "skill" else None,
        spawn_prompt=arguments.text(given, "prompt") if is_agent else None,
        subagent_type=arguments.text(given, "subagent_type") if is_agent else None,
        description=arguments.text(given, "description"),
    )


def _opened(part: ToolCallPart) -> tuple[str, Object]:
    """Name and arguments of the tool that is really called."""
    given = arguments.fields(part)
    if part.name == "tool_call" and (name := arguments.text(given, "name")):
        return name, arguments.inner(given.get("arguments"))
    return part.name, given


def _touches(meaning: ToolMeaning, given: Object) -> tuple[Touch, ...]:
    if meaning.kind not in ("read", "write", "edit", "search"):
        return ()
    paths = arguments.texts(given, *_PATHS)
    return tuple(Touch(path=path, access=meaning.kind) for path in paths)


def result(call: ToolCallPart | None, result: ToolResultPart) -> ResultMeaning:
    text = result.text
    launched = _LAUNCHED.match(text)
    if launched and call and tool(_opened(call)[0]).kind == "task":
        return ResultMeaning(is_error=result.is_error, child=launched[1], is_pending=True)
    if text.startswith(_SHELL):
        return _shell(result)
    if result.is_error is None and text.startswith(_ERRORS):
        return ResultMeaning(is_error=True, is_inferred=True)
    return ResultMeaning(is_error=result.is_error)


def _shell(result: ToolResultPart) -> ResultMeaning:
    found = _SHELL_END.findall(result.text[-_SHELL_END_CHARS:])
    if not found:
        return ResultMeaning(is_error=result.is_error)
    code, signal = found[-1]
    exit_code = None if code == "(none)" else int(code)
    if result.is_error is not None:
        return ResultMeaning(is_error=result.is_error, exit_code=exit_code)
    failed = exit_code != 0 or signal != "(none)"
    return ResultMeaning(is_error=failed, is_inferred=True, exit_code=exit_code)


def tasks(call: ToolCallPart, result: ToolResultPart | None) -> Sequence[TaskChange]:
    name, given = _opened(call)
    match name:
        case "todo_write":
            return arguments.todo_list(read_array(given.get("todos")) or ())
        case "task_create":
            created = _CREATED.match(result.text) if result else None
            return (_task(created[1], given, is_new=True),) if created else ()
        case "task_update":
            key = arguments.text(given, "taskId")
            return (_task(key, given, is_new=False),) if key else ()
    return ()


def _task(key: str, given: Object, *, is_new: bool) -> TaskChange:
    metadata = arguments.inner(given.get("metadata"))
    return TaskChange(
        key=key,
        subject=arguments.text(given, "subject"),
        description=arguments.text(given, "description"),
        status=arguments.status(given) or ("pending" if is_new else None),
        active_form=arguments.text(given, "activeForm"),
        owner=arguments.text(given, "owner"),
        blocks=arguments.texts(given, "addBlocks") or None,
        blocked_by=arguments.texts(given, "addBlockedBy") or None,
        metadata_json=msgspec.json.encode(metadata) if metadata else None,
    )
