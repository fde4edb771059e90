"""
The plain way, as document 002 has it: an agent behind `HTTPS_PROXY`, no tag, sessions by REST.

And what becomes of Codex's socket, which lives as long as Codex, when recording stops or another
session becomes active in the middle of it.
"""

import subprocess
import time

import pytest

from tests.agents.conftest import UPSTREAM_HOSTS
from tests.agents.runner import AGENTS, command, environment, model_calls, prepare
from tests.agents.test_agents import grep, har_messages, seen_calls
from tests.e2e.stack import PATIENCE_S, Stack
from tests.provider import GREETING, Provider, running

pytestmark = [pytest.mark.agents, pytest.mark.timeout(240)]

BY_NAME = {agent.name: agent for agent in AGENTS}


@pytest.fixture(scope="module")
def slow_provider(agents_installed):
    """Slow enough that something can be changed in the middle of a turn."""
    with running(Provider(slow_ms=60)) as started:
        yield started


@pytest.fixture
def slow_stack(tmp_path, slow_provider):
    upstreams = dict.fromkeys(UPSTREAM_HOSTS, slow_provider.url)
    with Stack(tmp_path, upstreams=upstreams) as started:
        yield started


def start(stack, agent, prompt, home):
    """The agent with the two variables that `up` prints, and nothing else of ours."""
    workdir = prepare(agent, home)
    trusted = str(stack.datadir.ca / "bundle.pem")
    return subprocess.Popen(
        command(agent, prompt),
        env={
            **environment(agent, home),
            "HTTPS_PROXY": stack.proxy_url(),
            "NODE_EXTRA_CA_CERTS": trusted,
            "SSL_CERT_FILE": trusted,
        },
        cwd=workdir,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, f"exit {process.returncode}\n{out[-2000:]}\n{err[-4000:]}"
    assert GREETING in out or "Done" in out or out
    return out


def test_create_activate_run_stop_run_export_delete(slow_stack, slow_provider, tmp_path):
    api, claude = slow_stack.api, BY_NAME["claude"]
    session = api.post("/api/sessions", json={"name": "Checkout Flow Debug"}).json()
    assert (session["isActive"], session["isRecording"]) == (False, False)
    api.post(f"/api/sessions/{session['id']}/activate").raise_for_status()

    recorded = "recorded-prompt-5f1c"
    finish(start(slow_stack, claude, recorded, tmp_path / "one"))
    slow_stack.settle()
    counted = api.get(f"/api/sessions/{session['id']}").json()
    assert counted["trafficCount"] > 0

    api.patch(f"/api/sessions/{session['id']}", json={"isRecording": False}).raise_for_status()
    unrecorded = "unrecorded-prompt-77ab"
    finish(start(slow_stack, claude, unrecorded, tmp_path / "two"))
    slow_stack.settle()
    assert seen_calls(slow_provider, claude, unrecorded)
    after = api.get(f"/api/sessions/{session['id']}").json()
    assert after["trafficCount"] == counted["trafficCount"]
    assert [one["id"] for one in api.get("/api/sessions").json()["sessions"]] == [session["id"]]
    assert grep(slow_stack.datadir.root, unrecorded.encode()) == []

    export = api.get(f"/api/har/export/{session['id']}").json()
    assert len(export["log"]["entries"]) == counted["trafficCount"]
    texts = [one["request"].get("postData", {}).get("text", "") for one in export["log"]["entries"]]
    assert any(recorded in text for text in texts)

    assert api.delete(f"/api/sessions/{session['id']}").json() == {"success": True}
    assert api.get(f"/api/sessions/{session['id']}").status_code == 404


def socket_of(provider, agent, prompt):
    """Waits for the socket that carries the prompt."""
    deadline = time.monotonic() + PATIENCE_S
    while not (calls := seen_calls(provider, agent, prompt)):
        assert time.monotonic() < deadline, "Codex did not ask"
        time.sleep(0.02)
    return calls[0]


def wait_for_messages(call, count):
    deadline = time.monotonic() + PATIENCE_S
    while len(call.messages) < count:
        assert time.monotonic() < deadline, f"only {len(call.messages)} messages"
        time.sleep(0.01)


def from_client(messages):
    return [text for sent, text in messages if sent]


def test_recording_stops_in_the_middle_of_a_codex_socket(slow_stack, slow_provider, tmp_path):
    codex, prompt = BY_NAME["codex"], "SCENARIO:turns:5 stop in the middle"
    session = slow_stack.session("until the middle")
    process = start(slow_stack, codex, prompt, tmp_path / "home")
    call = socket_of(slow_provider, codex, prompt)
    wait_for_messages(call, 25)
    slow_stack.api.patch(f"/api/sessions/{session}", json={"isRecording": False}).raise_for_status()
    stopped_at = len(call.messages)
    finish(process)

    slow_stack.settle()
    (entry,) = [e for e in slow_stack.entries(session) if e["kind"] == "websocket"]
    assert entry["outcome"] == "recording_stopped"
    stored = har_messages(slow_stack, session, entry["id"])
    theirs = [(m.from_client, m.data) for m in call.messages]
    assert stored == theirs[: len(stored)]
    # Within 250 ms of the change nothing more is recorded; the provider sends each 60 ms.
    assert 20 <= len(stored) <= stopped_at + 10 < len(theirs)


def test_another_session_becomes_active_in_the_middle_of_a_codex_socket(
    slow_stack, slow_provider, tmp_path
):
    codex, prompt = BY_NAME["codex"], "SCENARIO:turns:5 switch in the middle"
    first = slow_stack.session("first half")
    process = start(slow_stack, codex, prompt, tmp_path / "home")
    call = socket_of(slow_provider, codex, prompt)
    wait_for_messages(call, 25)
    second = slow_stack.session("second half")
    finish(process)

    slow_stack.settle()
    (begun,) = [e for e in slow_stack.entries(first) if e["kind"] == "websocket"]
    (gone_on,) = [e for e in slow_stack.entries(second) if e["kind"] == "websocket"]
    assert begun["outcome"] == "continued"
    assert gone_on["continues"] == begun["id"]
    assert gone_on["path"] == begun["path"]
    halves = [
        har_messages(slow_stack, session, entry["id"])
        for session, entry in ((first, begun), (second, gone_on))
    ]
    # The new entry begins with a message of the client.
    assert halves[1][0][0] is True
    assert halves[0] + halves[1] == [(m.from_client, m.data) for m in call.messages]
    assert model_calls(codex, slow_provider.requests)
