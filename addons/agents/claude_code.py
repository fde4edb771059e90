"""
Claude Code, by its headers and by its body. Seen: 2.1.330 and 2.1.197, November 2026.

With a base URL of its own (`ANTHROPIC_BASE_URL`) only the session, the subagent's id and `x-app`
stay in the headers, and the billing block loses its ids: everything here falls back to the body.
Headers: code.claude.com/docs/en/llm-gateway-protocol. A subagent's conversation is its agent id.
"""

import re
from collections.abc import Iterator, Sequence

import msgspec

from addons.agents import (
    arguments,
    claude_code_aside,
    claude_code_place,
    claude_code_reading,
    claude_code_tools,
    texts,
)
from addons.agents.contract import (
    Call,
    CallMeaning,
    Hints,
    Reading,
    ResultMeaning,
    TaskChange,
    ToolMeaning,
)
from addons.wire.contract import Head
from addons.wire.fields import read_object, read_text
from storage.decoded import Asked, Message, TextPart, Tool, ToolCallPart, ToolResultPart

_USER_AGENT = re.compile(r"claude-cli/(\d[\w.+-]*)(?: \(external, ([\w-]+))?")
# First system block since 2.1.0 or so, as `name=value; ` pairs.
_BILLING = "x-anthropic-billing-header:"
_PAIR = re.compile(r"\b(cc_\w+)=([^;\s]+)")
_VERSION = re.compile(r"\d+\.\d+\.\d+")  # `2.1.330.62d`: the last piece is a build's hash
# `metadata.user_id` before 2.1.80 or so; since then it is a JSON object in a string.
_OLD_USER = re.compile(
    r"user_[0-9a-f]{8,64}_account_([0-9a-f-]{36})?_session_([0-9a-f-]{36})", re.ASCII
)
_SYSTEM = (
    "You are Claude Code, Anthropic's official CLI",  # interactive, and older everywhere
    "You are a Claude agent, built on Anthropic's Claude Agent SDK",  # -p
    "You are an agent for Claude Code",  # subagents
)
# Which built-in subagent a system prompt belongs to, where the header does not say it.
_SUBAGENTS = {
    "You are an agent for Claude Code": "general-purpose",
    "You are a file search specialist for Claude Code": "Explore",
    "You are a software architect and planning specialist for Claude Code": "Plan",
}


class ClaudeCode:
    """`claude`, and programs on the Claude Agent SDK, which run it."""

    name = "claude-code"
    title = "Claude Code"

    def matches(self, head: Head) -> bool:
        agent = head.header("user-agent") or ""
        return agent.startswith("claude-cli/") or bool(head.header("x-claude-code-session-id"))

    def recognises(self, head: Head, asked: Asked) -> bool:
        if any(text.startswith((_BILLING, *_SYSTEM, *_SUBAGENTS)) for text in _system_texts(asked)):
            return True
        return _user(asked) != (None, None)

    def hints(self, call: Call) -> Hints:
        asked, head = call.asked, call.head
        billing = _billing(asked)
        named = _USER_AGENT.match(head.header("user-agent") or "")
        said_session, account = _user(asked)
        session = head.header("x-claude-code-session-id") or said_session
        identity = _identity(head, asked, billing, session)
        what = claude_code_aside.request_class(head, asked, identity.is_subagent)
        is_spoken = what == "main"
        prompt = self.prompt(asked) if is_spoken else None
        turn = _last_user_messages(asked)
        readings = [claude_code_reading.reading(message) for message in turn]
        place = claude_code_place.place(asked)
        inferred = [*identity.inferred]
        inferred += ["mode"] if place.is_mode_inferred else []
        inferred += [] if claude_code_aside.states_class(head) else ["request_class"]
        return msgspec.structs.replace(
            identity,
            agent_version=named[1] if named else _version(billing),
            root=session,
            request_class=what,
            cwd=place.cwd,
            git_branch=place.branch,
            prompt=prompt,
            prompt_id=head.header("x-claude-code-prompt-id") or billing.get("cc_prompt_id"),
            slash_command=next(
                (read.slash_command for read in readings if is_spoken and read.slash_command), None
            ),
            mode=place.mode,
            effort=asked.effort,
            compaction=_compaction(head, what == "compaction"),
            is_interrupted=prompt is not None and any(read.is_interruption for read in readings),
            tool_durations=_durations(head),
            attempt=_attempt(head),
            entry_point=billing.get("cc_entrypoint") or (named[2] if named else None),
            account=account,
            inferred=tuple(inferred),
        )

    def prompt(self, asked: Asked) -> str | None:
        return texts.last_prompt(reversed(asked.messages), self.reading)

    def reading(self, message: Message) -> Reading:
        return claude_code_reading.reading(message)

    def tool(self, name: str, namespace: str | None) -> ToolMeaning:
        return claude_code_tools.tool(name, namespace)

    def offered(self, tool: Tool) -> ToolMeaning:
        return claude_code_tools.tool(tool.name, tool.namespace)

    def call(self, part: ToolCallPart) -> CallMeaning:
        return claude_code_tools.call(part)

    def result(self, call: ToolCallPart | None, result: ToolResultPart) -> ResultMeaning:
        return claude_code_tools.result(call, result)

    def tasks(self, call: ToolCallPart, result: ToolResultPart | None) -> Sequence[TaskChange]:
        return claude_code_tools.tasks(call, result)


AGENT = ClaudeCode()


# --- who ------------------------------------------------------------------------------------------


def _identity(head: Head, asked: Asked, billing: dict[str, str], session: str | None) -> Hints:
    """The thread of this call; without the agent's id a subagent's own is not on the wire."""
    agent = head.header("x-claude-code-agent-id")
    if not agent and billing.get("cc_is_subagent") != "true":
        return Hints(conversation=session)
    stated, inferred = head.header("x-claude-code-agent-type"), []
    type_ = stated or _subagent_type(asked)
    if type_ and not stated:
        inferred.append("subagent_type")
    # Only nested subagents name a parent; of the others it is the session's main thread.
    parent = head.header("x-claude-code-parent-agent-id")
    if not parent and not agent:
        inferred.append("parent")
    return Hints(
        conversation=agent,
        parent=parent or session,
        is_subagent=True,
        subagent_type=type_,
        spawn_prompt=_task(asked),
        inferred=tuple(inferred),
    )


def _subagent_type(asked: Asked) -> str | None:
    for text in _system_texts(asked):
        for beginning, type_ in _SUBAGENTS.items():
            if text.startswith(beginning):
                return type_
    return None


def _task(asked: Asked) -> str | None:
    """The text that a subagent was started with: its first message that is no reminder."""
    for message in reversed(asked.messages):
        if task := claude_code_reading.fork_task(message):
            return task
    for message in asked.messages:
        if message.role == "assistant":
            return None
        if prompt := claude_code_reading.reading(message).prompt:
            return prompt
    return None


def _user(asked: Asked) -> tuple[str | None, str | None]:
    """Session and account from `metadata.user_id`."""
    metadata = read_object((read_object(asked.fields_json) or {}).get("metadata")) or {}
    user = read_text(metadata.get("user_id")) or ""
    if old := _OLD_USER.fullmatch(user):
        return old[2], old[1]
    said = read_object(user) or {}
    if "device_id" not in said:
        return None, None
    return arguments.text(said, "session_id"), arguments.text(said, "account_uuid")


def _system_texts(asked: Asked) -> Iterator[str]:
    return (part.text.lstrip() for part in asked.system if isinstance(part, TextPart))


def _billing(asked: Asked) -> dict[str, str]:
    for text in _system_texts(asked):
        if text.startswith(_BILLING):
            return dict(_PAIR.findall(text))
    return {}


def _version(billing: dict[str, str]) -> str | None:
    found = _VERSION.match(billing.get("cc_version", ""))
    return found[0] if found else None


# --- what of the turn -----------------------------------------------------------------------------


def _last_user_messages(asked: Asked) -> list[Message]:
    """What came since the model's last answer, the latest first."""
    found: list[Message] = []
    for message in reversed(asked.messages):
        if message.role == "assistant":
            break
        found.append(message)
    return found


def _compaction(head: Head, is_compaction: bool) -> str | None:
    return (head.header("x-claude-code-compaction") or "unknown") if is_compaction else None


def _durations(head: Head) -> tuple[tuple[str, int], ...]:
    """`Read=15;Bash=65`: milliseconds of the tools of the turn before."""
    pairs = (
        pair.rpartition("=")
        for pair in (head.header("x-claude-code-prev-tool-durations") or "").split(";")
    )
    return tuple(
        (name.strip(), int(count))
        for name, _, count in pairs
        if name.strip() and count.isascii() and count.isdigit() and len(count) < 12
    )


def _attempt(head: Head) -> int | None:
    """
    The SDK's own count. Claude Code retries around it and leaves it at 0 (seen with a 529), so
    that 0 says nothing.
    """
    count = head.header("x-stainless-retry-count") or ""
    return int(count) or None if count.isascii() and count.isdigit() and len(count) < 10 else None
