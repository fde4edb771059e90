"""
Copilot CLI, by its headers and by its body. Seen: 1.0.102, November 2026.

The model decides on the wire format: Messages (claude-*), Responses (gpt-5*), Chat Completions (a
provider of one's own; of its headers only `x-initiator` and sometimes `x-interaction-type` stay). A
main thread's conversation is the client session, which `--continue` keeps; a subagent's is the id
of its agent task. `x-parent-agent-id` names the parent's agent task: of a main thread that is new
with each run and not its session, so that the parent is taken to be the session.
"""

import re
from collections.abc import Sequence

from addons.agents import arguments, generic, texts
from addons.agents.contract import (
    Call,
    CallMeaning,
    Hints,
    Reading,
    ResultMeaning,
    TaskChange,
    ToolMeaning,
)
from addons.agents.toolnames import tool_kind
from addons.wire.contract import Head
from storage.decoded import (
    Asked,
    Message,
    RequestClass,
    TextPart,
    Tool,
    ToolCallPart,
    ToolKind,
    ToolResultPart,
)

_USER_AGENT = re.compile(r"copilot/(\d[\w.+-]*)")
_CLIENT = re.compile(r"\bclient/(\S+)")
_INTEGRATION = "copilot-developer-cli"
_NO_REPOSITORY = "__no_repository__"

_SYSTEM = "You are the GitHub Copilot CLI"  # the main thread's
_VERSION = re.compile(r"<version_information>Version number: (\d[\w.+-]*)")
# In the system prompt of every thread; with `<current_datetime>` before the first prompt it is
# what a subagent's body can be told by.
_CWD = re.compile(r"^\* Current working directory: (.+)$", re.MULTILINE)
_REPOSITORY = re.compile(r"^\* Git repository: (.+)$", re.MULTILINE)
_DATED = "<current_datetime>"
_SUBAGENTS = {"You are an exploration agent": "explore"}

_CLASSES: dict[str, RequestClass] = {
    "conversation-user": "main",  # the first call of a user's turn
    "conversation-agent": "main",
    "conversation-subagent": "subagent",
}
# Around or beside the user's words; `skill-context` comes in a message of its own. Not seen:
# `reminder` and `tagged_files`.
_WRAPPERS = ("current_datetime", "skill-context", "reminder", "tagged_files")
# Of a compaction: the order to sum up, and what the history is replaced by. The next prompt stands
# behind that in the same message.
_SUM_UP = "Please create a detailed summary of the conversation so far."
_SUMMED_UP = "Some of the conversation history has been summarized to free up context."

_KINDS: dict[str, ToolKind] = {
    "bash": "shell",
    "list_bash": "shell",
    "read_bash": "shell",
    "stop_bash": "shell",
    "write_bash": "shell",
    "semantic_code_search": "search",
    "list_agents": "task",
    "read_agent": "task",
    "write_agent": "task",
    "update_todo": "todo",
    "ask_user": "ask",
    "store_memory": "memory",
}
_SPAWN = "task"
_EXIT = re.compile(r"<(?:shellId: \S+ completed|exited) with exit code (-?\d{1,9})>\s*\Z")


class CopilotCli:
    """`copilot`; the editors' Copilot is another program."""

    name = "copilot-cli"
    title = "Copilot CLI"

    def matches(self, head: Head) -> bool:
        agent = _USER_AGENT.match(head.header("user-agent") or "")
        return bool(agent) or head.header("copilot-integration-id") == _INTEGRATION

    def recognises(self, head: Head, asked: Asked) -> bool:
        return _is_main(asked) or (_is_dated(asked) and _place(_CWD, asked) is not None)

    def hints(self, call: Call) -> Hints:
        head, asked = call.head, call.asked
        agent = head.header("user-agent") or ""
        named, client = _USER_AGENT.match(agent), _CLIENT.search(agent)
        session = head.header("x-client-session-id")
        stated = head.header("x-interaction-type")
        is_subagent = _is_subagent(head, asked)
        what = _request_class(stated, asked, is_subagent)
        type_ = _subagent_type(asked) if is_subagent else None
        inferred = ["subagent_type"] if type_ else []
        inferred += ["parent"] if is_subagent and session else []
        inferred += [] if stated else ["request_class"]
        repository = head.header("x-github-repository-nwo")
        return Hints(
            agent_version=named[1] if named else texts.find(_VERSION, texts.opening(asked)),
            conversation=head.header("x-agent-task-id") if is_subagent else session,
            root=session,
            parent=session if is_subagent else None,
            is_subagent=is_subagent,
            subagent_type=type_,
            spawn_prompt=self._first_prompt(asked) if is_subagent else None,
            request_class=what,
            cwd=_place(_CWD, asked),
            git_repository=(
                repository
                if repository and repository != _NO_REPOSITORY
                else _place(_REPOSITORY, asked)
            ),
            prompt=self.prompt(asked) if what == "main" else None,
            prompt_id=head.header("x-interaction-id"),
            effort=asked.effort,
            compaction="unknown" if what == "compaction" else None,
            attempt=generic.attempt(head),
            entry_point=client[1] if client else None,
            inferred=tuple(inferred),
        )

    def prompt(self, asked: Asked) -> str | None:
        return texts.last_prompt(reversed(asked.messages), self.reading)

    def _first_prompt(self, asked: Asked) -> str | None:
        """What a subagent was started with."""
        for message in asked.messages:
            if message.role == "assistant":
                return None
            if prompt := self.reading(message).prompt:
                return prompt
        return None

    def reading(self, message: Message) -> Reading:
        if plain := generic.plain_reading(message):
            return plain
        words: list[str] = []
        injected: list[int] = []
        is_summary = False
        for index, part in enumerate(message.parts):
            if not isinstance(part, TextPart):
                continue
            if part.text.startswith(_SUM_UP):
                return Reading(kind="instruction")
            if part.text.startswith(_SUMMED_UP):
                is_summary = True
            elif own := texts.unwrapped(part.text, _WRAPPERS):
                words.append(own)
            elif part.text.strip():
                injected.append(index)
        if is_summary and not words:
            return Reading(kind="summary", injected=tuple(injected))
        if not words and len(injected) == len(message.parts):
            return Reading(kind="context", injected=tuple(injected))
        return Reading(kind="prompt", prompt="\n".join(words), injected=tuple(injected))

    def tool(self, name: str, namespace: str | None) -> ToolMeaning:
        if mcp := generic.mcp_tool(name, namespace):
            return mcp
        return ToolMeaning(kind=_KINDS.get(name) or tool_kind(name))

    def offered(self, tool: Tool) -> ToolMeaning:
        return self.tool(tool.name, tool.namespace)

    def call(self, part: ToolCallPart) -> CallMeaning:
        meaning = self.tool(part.name, part.namespace)
        found = generic.call_meaning(part, meaning)
        given = arguments.fields(part)
        spawns = part.name == _SPAWN
        return CallMeaning(
            tool=meaning,
            touches=found.touches,
            command=found.command,
            skill=found.skill,
            spawn_prompt=arguments.text(given, "prompt") if spawns else None,
            spawn_name=arguments.text(given, "name") if spawns else None,
            subagent_type=arguments.text(given, "agent_type") if spawns else None,
            description=found.description,
        )

    def result(self, call: ToolCallPart | None, result: ToolResultPart) -> ResultMeaning:
        """Failures of files are told in prose only: unknown."""
        is_shell = call is not None and self.tool(call.name, call.namespace).kind == "shell"
        code = _EXIT.search(result.text[-200:]) if is_shell else None
        return generic.result_meaning(result, int(code[1]) if code else None)

    def tasks(self, call: ToolCallPart, result: ToolResultPart | None) -> Sequence[TaskChange]:
        """Its tasks are rows that it writes with a tool named `sql`: not read."""
        return ()


AGENT = CopilotCli()


def _is_main(asked: Asked) -> bool:
    return texts.system(asked).lstrip().startswith(_SYSTEM)


def _is_dated(asked: Asked) -> bool:
    first = next((message for message in asked.messages if message.role == "user"), None)
    return first is not None and texts.joined(first.parts).lstrip().startswith(_DATED)


def _is_subagent(head: Head, asked: Asked) -> bool:
    if stated := head.header("x-interaction-type"):
        return stated == "conversation-subagent"
    return bool(head.header("x-parent-agent-id")) or (_is_dated(asked) and not _is_main(asked))


def _request_class(stated: str | None, asked: Asked, is_subagent: bool) -> RequestClass:
    if asked.operation != "generate":
        return generic.request_class(asked)
    if stated is None:
        return "subagent" if is_subagent else "main" if _is_main(asked) else "side"
    if "compact" in stated:
        return "compaction"
    return _CLASSES.get(stated, "side")


def _subagent_type(asked: Asked) -> str | None:
    system = texts.system(asked).lstrip()
    return next((type_ for begun, type_ in _SUBAGENTS.items() if system.startswith(begun)), None)


def _place(pattern: re.Pattern[str], asked: Asked) -> str | None:
    """From the system prompt: a user may write such lines too."""
    return texts.find(pattern, (texts.system(asked),))
