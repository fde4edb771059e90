"""
Claude Code's tools: what they do, what their arguments and results say, its task lists.

Names and result texts of 2.1.197 and 2.1.330; names that are gone since stand here too, for old
captures: Task is Agent, KillShell and KillBash are TaskStop, MultiEdit and LS are no more.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Literal

from addons.agents import arguments
from addons.agents.contract import CallMeaning, ResultMeaning, TaskChange, ToolMeaning, Touch
from addons.agents.generic import mcp_tool
from addons.agents.toolnames import tool_kind
from addons.wire.fields import Object, read_array
from storage.decoded import ToolCallPart, ToolKind, ToolResultPart

Status = Literal["pending", "in_progress", "completed", "cancelled", "deleted"]

_KINDS: dict[str, ToolKind] = {
    "Read": "read",
    "NotebookRead": "read",
    "Write": "write",
    "Edit": "edit",
    "MultiEdit": "edit",
    "NotebookEdit": "edit",
    "Bash": "shell",
    "PowerShell": "shell",
    "BashOutput": "shell",
    "KillShell": "shell",
    "KillBash": "shell",
    "Monitor": "shell",
    "Grep": "search",
    "Glob": "search",
    "LS": "search",
    "WebFetch": "web",
    "WebSearch": "web",
    "Agent": "task",
    "Task": "task",
    "AgentOutputTool": "task",
    "ListAgents": "task",
    "SendMessage": "task",
    "TaskOutput": "task",
    "TaskStop": "task",
    "Workflow": "task",
    "TodoRead": "todo",
    "TodoWrite": "todo",
    "TaskCreate": "todo",
    "TaskGet": "todo",
    "TaskList": "todo",
    "TaskUpdate": "todo",
    "Skill": "skill",
    "SlashCommand": "skill",
    "ListMcpResourcesTool": "mcp",
    "ReadMcpResourceTool": "mcp",
    "EnterPlanMode": "plan",
    "ExitPlanMode": "plan",
    "exit_plan_mode": "plan",
    "AskUserQuestion": "ask",
    "ToolSearch": "tool-search",
    "DeferredToolPlaceholder": "tool-search",
}
_SPAWNS = ("Agent", "Task")
_STATUS: dict[str, Status] = {
    "pending": "pending",
    "in_progress": "in_progress",
    "completed": "completed",
    "deleted": "deleted",
}

# Result texts. The report of a subagent is indented since 2.1.330, so that only the program's own
# lines begin in the first column; before, the last one counts.
_AGENT_ID = re.compile(r"^agentId: ([0-9A-Za-z_-]{1,64})", re.MULTILINE)
_DURATION = re.compile(r"^duration_ms: (\d{1,12})", re.MULTILINE)
_LAUNCHED = ("Async agent launched", "Command running in background")
_EXIT_CODE = re.compile(r"(?:Error: )?Exit code (-?\d{1,9})")
_USE_ERROR = "<tool_use_error>"
_CREATED = re.compile(r"Task #(\S{1,64}) created successfully")
_LISTED = re.compile(r"^#(\S{1,64}) \[(\w+)\]", re.MULTILINE)
_NOT_FOUND = ("Task not found", "Task #")  # "Task #9 not found"


def tool(name: str, namespace: str | None) -> ToolMeaning:
    if mcp := mcp_tool(name, namespace):
        return mcp
    return ToolMeaning(kind=_KINDS.get(name) or tool_kind(name))


def call(part: ToolCallPart) -> CallMeaning:
    meaning = tool(part.name, part.namespace)
    given = arguments.fields(part)
    spawns = part.name in _SPAWNS
    skill = arguments.text(given, "skill", "command") if meaning.kind == "skill" else None
    return CallMeaning(
        tool=meaning,
        touches=tuple(_touches(given, meaning.kind)),
        command=arguments.text(given, "command") if meaning.kind == "shell" else None,
        skill=skill.split()[0].lstrip("/") or None if skill and skill.strip() else None,
        spawn_prompt=arguments.text(given, "prompt") if spawns else None,
        spawn_name=arguments.text(given, "name") if spawns else None,
        subagent_type=arguments.text(given, "subagent_type") if spawns else None,
        description=arguments.text(given, "description"),
    )


def _touches(given: Object, kind: ToolKind) -> Iterator[Touch]:
    if kind in ("read", "write", "edit", "search"):
        path = arguments.text(given, "file_path", "notebook_path", "path")
        if path:
            yield Touch(path=path, access=kind)


def result(call: ToolCallPart | None, given: ToolResultPart) -> ResultMeaning:
    text = given.text
    is_error, is_inferred = given.is_error, False
    if is_error is None and text.startswith(_USE_ERROR):
        is_error = is_inferred = True
    kind = tool(call.name, call.namespace).kind if call else None
    is_spawn = call.name in _SPAWNS if call else text.startswith(_LAUNCHED[0])
    ids = _AGENT_ID.findall(text) if is_spawn else []
    durations = _DURATION.findall(text[-500:]) if is_spawn else []
    code = _EXIT_CODE.match(text) if kind == "shell" and is_error else None
    return ResultMeaning(
        is_error=is_error,
        is_inferred=is_inferred,
        exit_code=int(code[1]) if code else None,
        duration_ms=int(durations[-1]) if durations else None,
        child=ids[-1] if ids else None,
        is_pending=(is_spawn or kind == "shell") and text.startswith(_LAUNCHED),
    )


def tasks(call: ToolCallPart, given: ToolResultPart | None) -> Sequence[TaskChange]:
    if given and (given.is_error or _is_missing(given.text)):
        return ()
    fields = arguments.fields(call)
    text = given.text if given else ""
    if call.name == "TodoWrite":
        return arguments.todo_list(read_array(fields.get("todos")) or ())
    if call.name == "TaskList":
        return tuple(
            TaskChange(key=key, status=_STATUS.get(status)) for key, status in _LISTED.findall(text)
        )
    if call.name == "TaskCreate":
        # The task's number is in the result only.
        created = _CREATED.match(text)
        return (_change(fields, created[1], "pending"),) if created else ()
    key = arguments.text(fields, "taskId") if call.name == "TaskUpdate" else None
    return (_change(fields, key, None),) if key else ()


def _is_missing(text: str) -> bool:
    return text.startswith(_NOT_FOUND) and text[:200].rstrip().endswith("not found")


def _change(given: Object, key: str, status: Status | None) -> TaskChange:
    metadata = given.get("metadata")
    return TaskChange(
        key=key,
        subject=arguments.text(given, "subject"),
        description=arguments.text(given, "description"),
        status=_STATUS.get(arguments.text(given, "status") or "", status),
        active_form=arguments.text(given, "activeForm"),
        owner=arguments.text(given, "owner"),
        blocks=arguments.texts(given, "addBlocks") or None,
        blocked_by=arguments.texts(given, "addBlockedBy") or None,
        metadata_json=bytes(metadata) if metadata is not None else None,
    )
