"""Which of the offered tools runs a command, or starts a sub-agent, and with what arguments."""

from collections.abc import Sequence

from .plan import Ask, Call, Tool

_SHELLS = ("Bash", "bash", "exec_command", "run_shell_command", "shell", "exec")
_SPAWNERS = ("Agent", "Task", "spawn_agent", "invoke_agent", "task", "agent")
_WAITERS = ("wait_agent",)
_READERS = ("Read", "read_file", "read", "view")
_TODOS = ("todowrite", "todo_write", "TodoWrite", "write_todos", "update_plan")
_ITEM_FIELDS = {
    "todowrite": ("content", "status", "priority"),
    "todo_write": ("id", "content", "status"),
    "TodoWrite": ("content", "status", "activeForm"),
    "write_todos": ("description", "status"),
    "update_plan": ("step", "status"),
}


def shell(ask: Ask, command: str) -> Call | None:
    """A call of the agent's shell tool; None if it offers none."""
    tool = _first(ask, _SHELLS)
    if tool is None:
        return None
    if tool.custom:  # Codex "exec": JavaScript that calls the tools itself
        quoted = command.replace("\\", "\\\\").replace('"', '\\"')
        script = f'const r = await tools.exec_command({{cmd:"{quoted}"}}); text(JSON.stringify(r));'
        return Call(tool=tool, arguments=script)
    if "cmd" in tool.properties:
        return Call(tool=tool, arguments={"cmd": command})
    wanted: dict[str, object] = {"command": command, "description": "Run a scripted step"}
    return Call(tool=tool, arguments=_known(tool, wanted))


def read(ask: Ask, path: str) -> Call | None:
    """A call that reads a file which is not there; None if the agent reads by its shell."""
    tool = _first(ask, _READERS)
    if tool is None:
        return None
    # Qwen Code takes absolute paths only; opencode (filePath) asks before it leaves its directory.
    absolute = dict.fromkeys(("file_path", "path", "absolute_path"), f"/nonexistent/{path}")
    return Call(tool=tool, arguments=_known(tool, absolute | {"filePath": path}))


def todo(ask: Ask, subjects: Sequence[str], *, done: int) -> Call | None:
    """A call that writes the whole list, the first `done` of it completed, the next begun."""
    tool = _first(ask, _TODOS)
    if tool is None:
        return None
    states = ["completed"] * done + ["in_progress"] + ["pending"] * len(subjects)
    items = [
        {
            "id": str(number),
            "content": subject,
            "description": subject,
            "step": subject,
            "status": status,
            "priority": "medium",
            "activeForm": subject,
        }
        for number, (subject, status) in enumerate(zip(subjects, states, strict=False), 1)
    ]
    field = next(name for name in ("todos", "plan") if name in tool.properties)
    known = _ITEM_FIELDS[tool.name]
    listed = [{key: item[key] for key in known} for item in items]
    return Call(tool=tool, arguments={field: listed})


def spawn(ask: Ask, name: str, prompt: str) -> Call | None:
    """A call that starts a sub-agent with this prompt and waits for it where it can."""
    tool = _first(ask, _SPAWNERS)
    if tool is None:
        return None
    wanted: dict[str, object] = {
        "description": "Scripted sub-agent",
        "prompt": prompt,
        "message": prompt,
        "name": name,
        "task_name": name,
        "subagent_type": "general" if tool.name == "task" else "general-purpose",
        "agent_type": "explore",
        "agent_name": "generalist",
        "mode": "sync",
        "run_in_background": False,
    }
    return Call(tool=tool, arguments=_known(tool, wanted))


def wait(ask: Ask) -> Call | None:
    """A call that waits for sub-agents which run beside their parent (Codex)."""
    tool = _first(ask, _WAITERS)
    return Call(tool=tool, arguments={"timeout_ms": 15000}) if tool else None


def finish(ask: Ask, text: str) -> Call | None:
    """Gemini's sub-agents hand their result over by a tool call."""
    tool = _first(ask, ("complete_task",))
    return Call(tool=tool, arguments={"result": {"response": text}}) if tool else None


def _first(ask: Ask, names: tuple[str, ...]) -> Tool | None:
    offered = {tool.name: tool for tool in ask.tools}
    return next((offered[name] for name in names if name in offered), None)


def _known(tool: Tool, wanted: dict[str, object]) -> dict[str, object]:
    if not tool.properties:
        return {key: wanted[key] for key in ("command", "prompt") if key in wanted}
    return {key: value for key, value in wanted.items() if key in tool.properties}
