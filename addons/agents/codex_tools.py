"""
Codex's tools: what they do, what their arguments and results say, its plan.

0.169.0 with its own models runs nearly everything inside `exec` scripts; with others, and in
0.104.0, each tool is called by itself. Failures are in the results' texts only.
"""

import re
from collections.abc import Sequence

from addons.agents import arguments, codex_script, generic
from addons.agents.contract import CallMeaning, ResultMeaning, TaskChange, ToolMeaning
from addons.agents.toolnames import tool_kind
from addons.wire.fields import read_array, read_integer, read_number, read_object
from storage.decoded import ToolCallPart, ToolKind, ToolResultPart

SCRIPT = "exec"  # custom, JavaScript; in the namespace `functions`
PLAN = "update_plan"
_SPAWN = "spawn_agent"
_KINDS: dict[str, ToolKind] = {
    "exec_command": "shell",
    "write_stdin": "shell",
    "shell": "shell",
    "shell_command": "shell",
    "local_shell": "shell",
    "container.exec": "shell",
    "js_repl": "shell",
    SCRIPT: "shell",
    "apply_patch": "edit",
    "view_image": "read",
    "read_file": "read",
    "list_dir": "search",
    "grep_files": "search",
    "web__run": "web",
    PLAN: "todo",
    _SPAWN: "task",
    "close_agent": "task",
    "followup_task": "task",
    "interrupt_agent": "task",
    "list_agents": "task",
    "resume_agent": "task",
    "send_input": "task",
    "send_message": "task",
    "wait_agent": "task",
    "request_user_input": "ask",
    "request_user_input_async": "ask",
    "list_mcp_resources": "mcp",
    "list_mcp_resource_templates": "mcp",
    "read_mcp_resource": "mcp",
    "tool_search": "tool-search",
}

_EXITED = re.compile(r"^(?:Process exited with code|Exit code:) (-?\d{1,9})$", re.MULTILINE)
_WALL_TIME = re.compile(r"^Wall time:? (\d{1,9}(?:\.\d{1,9})?) seconds$", re.MULTILINE)
_PENDING = ("Script running with cell ID", "Process running with session ID")
_FAILED = ("Script failed", "Script terminated")
_ABORTED = "aborted"  # and what Codex adds: "aborted by user after 3.1s"
_EDGE = 400  # signs at a result's beginning that are Codex's own
_SCRIPT_CODE = re.compile(r'"exit_code":(-?\d{1,9})[,}]')


def tool(name: str, namespace: str | None) -> ToolMeaning:
    if mcp := generic.mcp_tool(name, namespace):
        return mcp
    return ToolMeaning(kind=_KINDS.get(name) or tool_kind(name))


def call(part: ToolCallPart) -> CallMeaning:
    if _is_script(part):
        return _script(part)
    meaning = tool(part.name, part.namespace)
    found = generic.call_meaning(part, meaning)
    given = arguments.fields(part)
    spawns = part.name == _SPAWN
    return CallMeaning(
        tool=meaning,
        touches=found.touches,
        command=found.command or _local_command(part),
        spawn_prompt=arguments.text(given, "message", "prompt") if spawns else None,
        spawn_name=arguments.text(given, "task_name", "name") if spawns else None,
        subagent_type=arguments.text(given, "agent_type") if spawns else None,
        description=arguments.text(given, "justification", "explanation"),
    )


def _local_command(part: ToolCallPart) -> str | None:
    """The provider's own shell tool takes several commands."""
    if tool(part.name, part.namespace).kind != "shell":
        return None
    return "\n".join(arguments.texts(arguments.fields(part), "commands")) or None


def _is_script(part: ToolCallPart) -> bool:
    return part.name == SCRIPT and part.is_custom


def _script(part: ToolCallPart) -> CallMeaning:
    """What a script does is what it calls; it is of their kind if all are of one."""
    inner = tuple(call(made) for made in codex_script.calls(part))
    meanings = {(one.tool.kind, one.tool.mcp_server, one.tool.mcp_tool) for one in inner}
    meaning = tool(part.name, part.namespace)
    if len(meanings) == 1:
        kind, server, name = meanings.pop()
        meaning = ToolMeaning(kind=kind, mcp_server=server, mcp_tool=name, is_inferred=True)
    commands = [one.command for one in inner if one.command]
    return CallMeaning(
        tool=meaning,
        touches=tuple(touch for one in inner for touch in one.touches),
        command="\n".join(commands) or None,
        inner=inner,
    )


def result(made: ToolCallPart | None, given: ToolResultPart) -> ResultMeaning:
    text = given.text
    if made and made.name == _SPAWN:
        fields = read_object(text) or {}
        # Older versions tell the thread's id (not seen); 0.169 only the agent's name.
        child = arguments.text(fields, "agent_id")
        return ResultMeaning(is_error=given.is_error, child=child, is_pending=bool(fields))
    begun = text[:_EDGE]
    code, duration_ms = _outcome(begun), _duration(begun)
    if code is None and duration_ms is None:
        code, duration_ms = _older_outcome(text)
    if code is None and made and _is_script(made):
        code = _script_code(made, text)
    is_failed = text.startswith(_FAILED) or text == _ABORTED or text.startswith(_ABORTED + " by")
    is_error, is_inferred = given.is_error, False
    if is_error is None and (is_failed or code is not None):
        is_error, is_inferred = is_failed or code != 0, True
    return ResultMeaning(
        is_error=is_error,
        is_inferred=is_inferred,
        exit_code=code,
        duration_ms=duration_ms,
        is_pending=any(marker in begun for marker in _PENDING),
    )


def _outcome(begun: str) -> int | None:
    found = _EXITED.search(begun.partition("\nOutput:")[0])
    return int(found[1]) if found else None


def _duration(begun: str) -> int | None:
    found = _WALL_TIME.search(begun.partition("\nOutput:")[0])
    return round(float(found[1]) * 1000) if found else None


def _older_outcome(text: str) -> tuple[int | None, int | None]:
    """The older `shell` (not seen): `{"output": ..., "metadata": {"exit_code": 0, ...}}`."""
    if not text.startswith("{"):
        return None, None
    metadata = read_object((read_object(text) or {}).get("metadata")) or {}
    seconds = read_number(metadata.get("duration_seconds"))
    is_time = seconds is not None and 0 <= seconds < 1e9
    return (
        read_integer(metadata.get("exit_code")),
        round(seconds * 1000) if seconds is not None and is_time else None,
    )


def _script_code(made: ToolCallPart, text: str) -> int | None:
    """If a script ran one command and showed what came of it, its exit code."""
    if sum(one.tool.kind == "shell" for one in _script(made).inner) != 1:
        return None
    found = _SCRIPT_CODE.findall(text)
    return int(found[0]) if len(found) == 1 else None


def tasks(made: ToolCallPart, given: ToolResultPart | None) -> Sequence[TaskChange]:
    if _is_script(made):
        # Which of its calls a script reaches is known when it is done.
        if given is None or f"{PLAN} is not a function" in given.text:
            return ()
        plans = [one for one in codex_script.calls(made) if one.name == PLAN]
        return tasks(plans[-1], given) if plans else ()
    if made.name != PLAN or (given and given.is_error):
        return ()
    return arguments.todo_list(read_array(arguments.fields(made).get("plan")) or ())
