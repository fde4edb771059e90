"""
What is known of an agent: how to tell it, and what its requests, messages and tools mean.

One file an agent, one line in the table. Everything is pure. What an agent does not say is None;
what was concluded and not stated is named in `inferred`. A name that is not known is never an
error: raw names are stored always, their meaning beside them.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from addons.wire.contract import AnswerHead, Head
from storage.decoded import (
    Asked,
    Message,
    RequestClass,
    Tool,
    ToolCallPart,
    ToolKind,
    ToolResultPart,
    Turn,
    Value,
)


class Call(Value, frozen=True, kw_only=True):
    """One model call with the heads of its entry. Of a socket, those of the upgrade."""

    head: Head
    answer: AnswerHead | None
    turn: Turn

    @property
    def asked(self) -> Asked:
        return self.turn.asked


class Hints(Value, frozen=True, kw_only=True):
    """
    Which thread of an agent a call belongs to, and what it is for.

    `conversation` is the agent's own id of this thread (a subagent's own where it has one), as it
    came; None where the wire has none: the projection then finds one by first prompt, directory
    and capture session. `inferred` holds names of fields of this type.
    """

    product: str | None = None  # of an agent that is not known: its name in the user agent
    agent_version: str | None = None
    conversation: str | None = None
    root: str | None = None  # the id of the thread that all began with; of a main call its own
    parent: str | None = None  # of a subagent: the id of the thread that started it
    is_subagent: bool = False
    subagent_type: str | None = None  # "Explore", "general-purpose"
    subagent_name: str | None = None  # Codex: "/root/counter"
    spawn_call_id: str | None = None  # the tool call that started it, where the wire names it
    spawn_prompt: str | None = None  # else the task's text, to be found in the parent's tool calls
    request_class: RequestClass = "main"
    cwd: str | None = None
    git_branch: str | None = None
    git_repository: str | None = None
    prompt: str | None = None  # the user's own words, if this call is the first to carry them
    prompt_id: str | None = None  # the agent's id of one user turn
    slash_command: str | None = None  # "/compact", "/review" with what stood behind it
    mode: str | None = None  # permission or plan mode: "plan", "acceptEdits", "yolo"
    effort: str | None = None
    compaction: str | None = None  # "auto", "manual", "reactive", or "unknown"
    is_interrupted: bool = False  # the message before this prompt says that the user stopped it
    tool_durations: tuple[tuple[str, int], ...] = ()  # milliseconds of the tools before, as stated
    attempt: int | None = None  # as the client counts its retries, from 0
    entry_point: str | None = None  # "cli", "sdk-cli", "vscode"
    account: str | None = None  # hashed or opaque ids only, never an e-mail address
    inferred: tuple[str, ...] = ()


class Reading(Value, frozen=True, kw_only=True):
    """
    What a message is to its agent.

    `injected` are the indices of parts that the agent put in by itself (reminders, context,
    billing): they are kept, shown apart, and do not count when histories are compared.
    `prompt` is the user's own text, without wrappers; None if the user did not write this.
    """

    kind: Literal[
        "prompt",  # the user's own words (injected parts may stand beside them)
        "tool-results",
        "answer",  # of the model
        "context",  # put in by the agent: environment, skills, reminders
        "notification",  # a background task reports
        "summary",  # what a compaction left of the history
        "command",  # output or echo of a local command
        "instruction",  # what the agent asks beside: compaction, title, memory
    ]
    prompt: str | None = None
    injected: tuple[int, ...] = ()
    slash_command: str | None = None
    is_interruption: bool = False


class ToolMeaning(Value, frozen=True, kw_only=True):
    """
    `mcp_server` and `mcp_tool` of a tool of an MCP server.

    `is_inferred`: the name can be read in more than one way (Gemini CLI: `mcp_<server>_<tool>`,
    opencode: `<server>_<tool>`), or only looks like it.
    """

    kind: ToolKind
    mcp_server: str | None = None
    mcp_tool: str | None = None
    is_inferred: bool = False


class Touch(Value, frozen=True, kw_only=True):
    """A path that a tool call names, as it stands there."""

    path: str
    access: Literal["read", "write", "edit", "delete", "search"]


class CallMeaning(Value, frozen=True, kw_only=True):
    """What one tool call does, as far as its arguments say."""

    tool: ToolMeaning
    touches: tuple[Touch, ...] = ()
    command: str | None = None  # of a shell
    skill: str | None = None
    spawn_prompt: str | None = None  # of a subagent's start: its task
    spawn_name: str | None = None  # how the subagent will be called
    subagent_type: str | None = None
    description: str | None = None
    inner: tuple["CallMeaning", ...] = ()  # Codex: calls inside an `exec` script, best effort


class ResultMeaning(Value, frozen=True, kw_only=True):
    """What a tool result says. `is_error` where the wire says it or the text shows it."""

    is_error: bool | None = None
    is_inferred: bool = False  # `is_error` was read from the text
    exit_code: int | None = None
    duration_ms: int | None = None  # where the result states it
    child: str | None = None  # the conversation id of the subagent that this was about
    is_pending: bool = False  # only says that it was started (background task)


class TaskChange(Value, frozen=True, kw_only=True):
    """
    A change of the agent's own task list.

    `replaces_all`: this change is one item of a whole new list (todo lists are sent whole); the
    items of that list come in order. None leaves a field as it was. `key` is the agent's id of
    the task, or its place in the list ("1", "2" ...).
    """

    key: str
    subject: str | None = None
    description: str | None = None
    status: Literal["pending", "in_progress", "completed", "cancelled", "deleted"] | None = None
    active_form: str | None = None
    owner: str | None = None
    blocked_by: tuple[str, ...] | None = None
    blocks: tuple[str, ...] | None = None
    metadata_json: bytes | None = None
    replaces_all: bool = False


class Agent(Protocol):
    """`name` stands in the tables ("claude-code"), `title` on pages ("Claude Code")."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    def matches(self, head: Head) -> bool:
        """By headers alone; at most one agent matches a head."""
        ...

    def recognises(self, head: Head, asked: Asked) -> bool:
        """By the body, where no agent matched the head (base-URL mode, stripped headers)."""
        ...

    def hints(self, call: Call) -> Hints: ...

    def reading(self, message: Message) -> Reading: ...

    def tool(self, name: str, namespace: str | None) -> ToolMeaning: ...

    def call(self, part: ToolCallPart) -> CallMeaning: ...

    def result(self, call: ToolCallPart | None, result: ToolResultPart) -> ResultMeaning: ...

    def tasks(self, call: ToolCallPart, result: ToolResultPart | None) -> Sequence[TaskChange]: ...

    def offered(self, tool: Tool) -> ToolMeaning:
        """The meaning of a tool in the request's list."""
        ...
