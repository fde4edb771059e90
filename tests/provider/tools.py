"""Which of the offered tools runs a command, or starts a sub-agent, and with what arguments."""

from .plan import Ask, Call, Tool

_SHELLS = ("Bash", "bash", "exec_command", "run_shell_command", "shell", "exec")
_SPAWNERS = ("Agent", "Task", "spawn_agent", "invoke_agent", "task", "agent")
_WAITERS = ("wait_agent",)


def shell(ask: Ask, command: str) -> Call | None:
    """A call of the agent's shell tool; None if it offers none."""
    tool = _first(ask, _SHELLS)
    if tool is None:
        return None
    if tool.custom:  # Codex "exec": JavaScript that calls the tools itself
        quoted = command.replace("\\", "\\\\").replace('"', '\\"')
        script = f'const r = await tools.exec_command({{cmd:"{quoted}"}}); text(r.output);'
        return Call(tool=tool, arguments=script)
    if "cmd" in tool.properties:
        return Call(tool=tool, arguments={"cmd": command})
    wanted: dict[str, object] = {"command": command, "description": "Run a scripted step"}
    return Call(tool=tool, arguments=_known(tool, wanted))


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
