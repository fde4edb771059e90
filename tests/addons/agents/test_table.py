"""The table of agents: who is asked, and that no text stops any of them."""

import pytest

from addons.agents import AGENTS, agent_of, by_name
from tests.addons.agents.making import call, head, system, user

# Of each agent that has one of its own; versions as seen in November 2026.
USER_AGENTS = {
    "claude-code": "claude-cli/2.1.330 (external, cli)",
    "codex": "codex_exec/0.169.0 (Debian 12.0.0; x86_64) xterm-256color (codex_exec; 0.169.0)",
    "copilot-cli": "copilot/1.0.102 (linux v24.20.0) term/unknown client/github/cli",
    "gemini-cli": "GeminiCLI-tui/0.61.0/gemini-3.1-pro-preview (linux; x64; terminal)",
    "opencode": "opencode/1.18.33 ai-sdk/provider-utils/4.0.46 runtime/bun/1.3.14",
    "qwen-code": "QwenCode/0.24.4 (linux; x64)",
}


def test_names_and_titles_are_of_one_agent_each():
    assert len({agent.name for agent in AGENTS}) == len(AGENTS)
    assert len({agent.title for agent in AGENTS}) == len(AGENTS)
    assert AGENTS[-1].name == "generic"
    assert all(by_name(agent.name) is agent for agent in AGENTS)


def test_a_name_that_none_has_is_an_error():
    with pytest.raises(KeyError):
        by_name("none")


@pytest.mark.parametrize("name", USER_AGENTS)
def test_a_user_agent_is_of_one_agent(name):
    at = head(user_agent=USER_AGENTS[name])
    assert [agent.name for agent in AGENTS if agent.matches(at)] == [name]
    assert agent_of(at, call(user("hi")).asked).name == name


def test_a_plain_request_is_recognised_by_none():
    one = call(system("Be helpful."), user("hi"), at=head(user_agent="OpenAI/Python 2.20.0"))
    known = [agent.name for agent in AGENTS if agent.matches(one.head)]
    assert known + [a.name for a in AGENTS if a.recognises(one.head, one.asked)] == []
    assert agent_of(one.head, one.asked).name == "generic"


PIECES = {
    "opened": "<system-reminder>",
    "blocks": "<system-reminder>x</system-reminder>",
    "directories": "cwd ",
    "lines": "\n",
    "codes": "exit code ",
    "branches": "git branch:",
    "slashes": "word/",
    "quotes": '"',
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", PIECES)
@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_long_texts_take_time_in_proportion(agent, kind):
    """Foreign text must not stop ingest: half a megabyte is read in a moment, not in minutes."""
    text = PIECES[kind] * (500_000 // len(PIECES[kind]))
    one = call(system(text), user(text), at=head(user_agent=text))
    agent.hints(one)
    agent.reading(user(text))
    agent.recognises(one.head, one.asked)
