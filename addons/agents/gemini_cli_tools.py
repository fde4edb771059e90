"""
The tools of Gemini CLI 0.61: what they do, what their calls touch, what their results say.

Names and fields from its requests and, where no run showed them (trackers, todos, ask_user), from
the source in its npm package, November 2026.
"""

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from addons.agents import arguments
from addons.agents.contract import CallMeaning, ResultMeaning, TaskChange, ToolMeaning, Touch
from addons.wire.fields import Object, read_array
from storage.decoded import ToolCallPart, ToolKind, ToolResultPart

_NAMES: dict[ToolKind, tuple[str, ...]] = {
    "read": ("read_file", "read_many_files", "get_internal_docs", "read_mcp_resource"),
    "write": ("write_file",),
    "edit": ("replace",),
    "shell": ("run_shell_command",),
    "search": ("glob", "grep_search", "search_file_content", "list_directory"),
    "web": ("web_fetch", "google_web_search", "googleSearch", "urlContext"),
    "task": ("invoke_agent",),
    "todo": ("write_todos", "tracker_create_task", "tracker_update_task", "tracker_get_task",
             "tracker_list_tasks", "tracker_add_dependency", "tracker_visualize"),
    "skill": ("activate_skill",),
    "plan": ("enter_plan_mode", "exit_plan_mode"),
    "ask": ("ask_user",),
    "memory": ("save_memory",),
}  # fmt: skip
KINDS: dict[str, ToolKind] = {name: kind for kind, names in _NAMES.items() for name in names}
_MCP = re.compile(r"mcp_([^_]+)_(.+)", re.DOTALL)  # as the agent itself takes the names apart
_PATHS = ("file_path", "absolute_path", "dir_path", "path", "include", "paths")

# What a shell's result ends with. An exit code is only there if it is not 0.
_SHELL_END = re.compile(
    r"(?:\nExit Code: (-?\d{1,10}))?(?:\nSignal: ([^\n]+))?(?:\nBackground PIDs: [^\n]*)?"
    r"(?:\nProcess Group PGID: \d+)?\s*(?:</untrusted_context>)?\s*\Z"
)
_SHELL_END_CHARS = 1000
_CANCELLED = ("Command was cancelled by user", "Command was automatically cancelled")
_BACKGROUND = "Command moved to background"
_CREATED = re.compile(r"Created task ([^\s:]+):")
_TRACKER_STATUS: dict[str, Literal["pending", "in_progress", "completed"]] = {
    "open": "pending",
    "blocked": "pending",
    "in_progress": "in_progress",
    "closed": "completed",
}


def tool(name: str) -> ToolMeaning:
    """A tool by its name. A server's name may hold underscores too: then the split is a guess."""
    if name not in KINDS and (found := _MCP.fullmatch(name)):
        return ToolMeaning(
            kind="mcp",
            mcp_server=found[1],
            mcp_tool=found[2],
            is_inferred="_" in found[2],
        )
    return ToolMeaning(kind=KINDS.get(name, "other"))


def call(part: ToolCallPart) -> CallMeaning:
    meaning = tool(part.name)
    given = arguments.fields(part)
    kind = meaning.kind
    is_agent = kind == "task"
    return CallMeaning(
        tool=meaning,
        touches=_touches(meaning, given),
        command=arguments.text(given, "command") if kind == "shell" else None,
        skill=arguments.text(given, "name") if kind == "skill" else None,
        spawn_prompt=arguments.text(given, "prompt") if is_agent else None,
        subagent_type=arguments.text(given, "agent_name") if is_agent else None,
        description=arguments.text(given, "description", "instruction", "summary"),
    )


def _touches(meaning: ToolMeaning, given: Object) -> tuple[Touch, ...]:
    if meaning.kind not in ("read", "write", "edit", "search"):
        return ()
    paths = arguments.texts(given, *_PATHS)
    return tuple(Touch(path=path, access=meaning.kind) for path in paths)


def result(call: ToolCallPart | None, result: ToolResultPart) -> ResultMeaning:
    name = call.name if call else result.name
    if name != "run_shell_command" or result.is_error is not None:
        return ResultMeaning(is_error=result.is_error)
    text = result.text.removeprefix("<untrusted_context>\n")
    if text.startswith(_BACKGROUND):
        return ResultMeaning(is_pending=True)
    if text.startswith(_CANCELLED):
        return ResultMeaning(is_error=True, is_inferred=True)
    if not text.startswith("Output: "):
        return ResultMeaning()
    found = _SHELL_END.search(text[-_SHELL_END_CHARS:])
    code, signal = found.groups() if found else (None, None)
    if signal and not code:
        return ResultMeaning(is_error=True, is_inferred=True)
    exit_code = int(code or 0)
    return ResultMeaning(is_error=exit_code != 0, is_inferred=True, exit_code=exit_code)


def tasks(call: ToolCallPart, result: ToolResultPart | None) -> Sequence[TaskChange]:
    given = arguments.fields(call)
    match call.name:
        case "write_todos":
            return arguments.todo_list(read_array(given.get("todos")) or ())
        case "tracker_create_task":
            created = _CREATED.search(result.text) if result else None
            return (_tracked(created[1], given, "pending"),) if created else ()
        case "tracker_update_task":
            key = arguments.text(given, "id")
            return (_tracked(key, given, None),) if key else ()
    return ()


def _tracked(key: str, given: Object, status: Literal["pending"] | None) -> TaskChange:
    beside = {name: given[name] for name in ("type", "parentId") if name in given}
    blocked_by = arguments.texts(given, "dependencies") if "dependencies" in given else None
    return TaskChange(
        key=key,
        subject=arguments.text(given, "title"),
        description=arguments.text(given, "description"),
        status=_TRACKER_STATUS.get(arguments.text(given, "status") or "", status),
        blocked_by=blocked_by,
        metadata_json=msgspec.json.encode(beside) if beside else None,
    )
