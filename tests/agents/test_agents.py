"""
The six real agent CLIs, headless behind `wirescribe run --`, against the scripted provider.

For each: exit code 0, the model's answer on stdout, all its model calls in a session of its own
with the bytes that the provider saw and sent, and its key nowhere in the data dir.
"""

import contextlib
import re

import msgspec
import pytest

from certs import authority
from certs.trust import VARIABLES
from tests.agents.runner import AGENTS, model_calls
from tests.provider import GREETING

pytestmark = [pytest.mark.agents, pytest.mark.timeout(240)]

BY_NAME = {agent.name: agent for agent in AGENTS}
FINISH_S = 180


def finish(process):
    out, err = process.communicate(timeout=FINISH_S)
    assert process.returncode == 0, f"exit {process.returncode}\n{out[-2000:]}\n{err[-4000:]}"
    return out, err


def named(stack, name):
    sessions = stack.api.get("/api/sessions").raise_for_status().json()["sessions"]
    return next(session for session in sessions if session["name"] == name)


def stored_calls(stack, session_id, agent):
    """The entries of the session that are model calls of this agent."""
    entries = [entry for entry in stack.entries(session_id) if entry["host"] in agent.hosts]
    kind = "websocket" if agent.websocket else "http"
    found = [entry for entry in entries if entry["kind"] == kind]
    return [entry for entry in found if is_call(agent, entry)]


def is_call(agent, entry):
    return re.fullmatch(agent.path, entry["path"].partition("?")[0]) is not None


def seen_calls(provider, agent, prompt):
    """What the provider saw of this run: the calls that carry its prompt."""
    calls = model_calls(agent, provider.requests)
    if agent.websocket:
        return [call for call in calls if any(prompt in as_text(m.data) for m in call.messages)]
    return [call for call in calls if prompt.encode() in call.body]


def as_text(data):
    return data if isinstance(data, str) else data.decode(errors="replace")


def har_messages(stack, session_id, entry_id):
    export = stack.api.get(f"/api/har/export/{session_id}").raise_for_status().json()
    har = next(one for one in export["log"]["entries"] if one["_id"] == entry_id)
    return [(m["type"] == "send", m["data"]) for m in har["_webSocketMessages"]]


def check_recorded(stack, provider, agent, session_id, prompt):
    """Every model call that the provider saw of this run is in its session, byte for byte."""
    calls = seen_calls(provider, agent, prompt)
    assert calls, "the provider saw no model call with this prompt"
    stored = stored_calls(stack, session_id, agent)
    if agent.websocket:
        for call in calls:
            theirs = [(m.from_client, as_text(m.data)) for m in call.messages]
            ours = [har_messages(stack, session_id, entry["id"]) for entry in stored]
            assert theirs in ours
        return len(calls)
    pairs = [(stack.body(e["id"], "request"), stack.body(e["id"])) for e in stored]
    for call in calls:
        assert (call.body, call.reply_body) in pairs
    return len(calls)


def within(host, name):
    return host == name.lstrip(".") or host.endswith(f".{name.lstrip('.')}")


def grep(folder, needle):
    found = []
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a segment that was read meanwhile
            if path.is_file() and needle in path.read_bytes():
                found.append(path)
    return found


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_an_agent_is_on_record(stack, provider, run_agent, agent):
    prompt = f"hello from the test of {agent.name}"
    out, err = finish(run_agent(agent, prompt, name=f"run of {agent.name}"))

    # Each of the six accepts an authority that may vouch for these names and no others.
    permitted = authority.load(stack.datadir.ca).permitted
    assert all(any(within(host, name) for name in permitted) for host in agent.hosts)
    assert GREETING in out
    assert f"run of {agent.name}" in err
    stack.settle()
    session = named(stack, f"run of {agent.name}")
    assert session["origin"] == "run"
    assert session["trafficCount"] > 0
    check_recorded(stack, provider, agent, session["id"], prompt)
    assert any(agent.key in str(call.headers) for call in model_calls(agent, provider.requests))
    assert grep(stack.datadir.root, agent.key.encode()) == []


@pytest.mark.parametrize("scenario", ["tool", "parallel", "subagent"])
@pytest.mark.parametrize("name", ["claude", "codex"])
def test_tools_and_subagents_are_on_record(stack, provider, run_agent, name, scenario):
    agent = BY_NAME[name]
    prompt = f"SCENARIO:{scenario} for {name}"
    session_name = f"{scenario} of {name}"
    finish(run_agent(agent, prompt, name=session_name))

    stack.settle()
    session = named(stack, session_name)
    if agent.websocket:
        check_recorded(stack, provider, agent, session["id"], prompt)
    else:
        assert check_recorded(stack, provider, agent, session["id"], prompt) >= 2


def test_two_at_once_land_in_two_sessions(stack, provider, run_agent):
    claude, qwen = BY_NAME["claude"], BY_NAME["qwen"]
    first = run_agent(claude, "SCENARIO:slow:50 two at once, claude", name="first of two")
    second = run_agent(qwen, "SCENARIO:slow:50 two at once, qwen", name="second of two")
    finish(first)
    finish(second)

    stack.settle()
    for agent, other, name in ((claude, qwen, "first of two"), (qwen, claude, "second of two")):
        session = named(stack, name)
        prompt = f"SCENARIO:slow:50 two at once, {agent.name}"
        check_recorded(stack, provider, agent, session["id"], prompt)
        assert stored_calls(stack, session["id"], other) == []


@pytest.mark.parametrize("name", ["claude", "codex", "gemini", "qwen", "opencode", "aider"])
def test_base_url_mode_needs_no_authority(stack, provider, run_agent, name):
    agent = BY_NAME[name]
    if name == "qwen":
        agent = without(agent, "OPENAI_BASE_URL")
    prompt = f"hello by base URL, {name}"
    out, _ = finish(run_agent(agent, prompt, "--base-url", name=f"base-url of {name}"))

    assert GREETING in out
    stack.settle()
    session = named(stack, f"base-url of {name}")
    check_recorded(stack, provider, agent, session["id"], prompt)
    ways = {entry["way"] for entry in stored_calls(stack, session["id"], agent)}
    assert ways == {"base-url"}
    assert grep(stack.datadir.root, agent.key.encode()) == []


def without(agent, variable):
    env = {name: value for name, value in agent.env.items() if name != variable}
    return msgspec.structs.replace(agent, env=env)


def test_copilot_is_refused_in_base_url_mode(run_agent):
    process = run_agent(BY_NAME["copilot"], "hi", "--base-url", name="refused")
    _out, err = process.communicate(timeout=FINISH_S)

    assert process.returncode != 0
    assert "copilot" in err.lower()
    assert "--base-url" in err


def test_an_agent_that_does_not_trust_the_authority_is_told_what_to_do(stack, run_agent):
    """The CA variables are taken away again inside: the agent cannot verify the proxy."""
    claude = BY_NAME["claude"]
    unset = [part for variable in VARIABLES for part in ("-u", variable.name)]
    process = run_agent(claude, "never answered", name="untrusting", before=["env", *unset])
    _, err = process.communicate(timeout=FINISH_S)

    assert process.returncode != 0
    assert "certificate" in err.rpartition("untrusting")[2]
    stack.settle()
    outcomes = {e["outcome"] for e in stack.entries(named(stack, "untrusting")["id"])}
    assert "tls_failed" in outcomes
