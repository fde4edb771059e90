"""Agents: the client programs. One file each, and one line in this table."""

from addons.agents import (
    aider,
    claude_code,
    codex,
    copilot_cli,
    gemini_cli,
    generic,
    opencode,
    qwen_code,
)
from addons.agents.contract import Agent
from addons.wire.contract import Head
from storage.decoded import Asked

# `generic` takes whom no other knows: it stays last.
AGENTS: tuple[Agent, ...] = (
    aider.AGENT,
    claude_code.AGENT,
    codex.AGENT,
    copilot_cli.AGENT,
    gemini_cli.AGENT,
    opencode.AGENT,
    qwen_code.AGENT,
    generic.AGENT,
)


def agent_of(head: Head, asked: Asked) -> Agent:
    """Who made this call: by its headers, else by its body, else `generic`."""
    for agent in AGENTS:
        if agent.matches(head):
            return agent
    for agent in AGENTS:
        if agent.recognises(head, asked):
            return agent
    return AGENTS[-1]


def by_name(name: str) -> Agent:
    """The agent that a stored turn names. Raises KeyError for a name that none has."""
    return {agent.name: agent for agent in AGENTS}[name]
