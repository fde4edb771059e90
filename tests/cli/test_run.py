import os
import pty
import re
import signal
import stat
import subprocess
import sys
import time

import msgspec
import pytest

from tests.cli.running import AGENT, ANSWER, PATIENCE_S


def sessions(place):
    done = place.here("sessions", "list", "--json")
    return msgspec.json.decode(done.stdout)["sessions"]


def newest(place):
    return sessions(place)[0]


def run(place, *arguments, **options):
    return place.wirescribe("run", *arguments, **options)


def entries(place, session):
    done = place.here("traffic", "list", "--session", session["id"], "--json")
    return msgspec.json.decode(done.stdout)["entries"]


def test_an_agent_is_recorded_in_a_session_of_its_own(lived_in):
    done = run(lived_in, "--", *AGENT, "call", "7")
    assert done.returncode == 7
    assert done.stdout.encode() == ANSWER
    session = newest(lived_in)
    assert session["origin"] == "run"
    assert session["isRecording"]
    assert not session["isActive"]
    folder = re.escape(os.path.basename(os.getcwd()))
    assert re.fullmatch(
        rf"python\S* in {folder}, \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d", session["name"]
    )
    assert [(entry["url"], entry["status"]) for entry in entries(lived_in, session)] == [
        ("https://api.anthropic.com/v1/models", 200)
    ]
    own, summary = done.stderr.splitlines()
    assert own == "agent's own words"
    assert summary == (
        f"wirescribe: {session['name']}: 1 entry, {len(ANSWER)} B; "
        f"wirescribe traffic list --session {session['id'][:18]}"
    )


def test_the_name_may_be_given(lived_in):
    run(lived_in, "--name", "my try", "--", *AGENT, "call")
    assert newest(lived_in)["name"] == "my try"


def test_two_at_once_land_in_two_sessions(lived_in):
    both = [
        lived_in.start("run", "--name", name, "--", *AGENT, "call", stdout=subprocess.DEVNULL)
        for name in ("left", "right")
    ]
    assert [process.wait(PATIENCE_S) for process in both] == [0, 0]
    found = {session["name"]: session for session in sessions(lived_in)}
    assert len(entries(lived_in, found["left"])) == len(entries(lived_in, found["right"])) == 1


def test_a_session_that_is_there_may_be_chosen(lived_in):
    lived_in.here("sessions", "create", "chosen")
    first = run(lived_in, "--session", "chosen", "--", *AGENT, "call")
    assert "'chosen' was not recording, now it is" in first.stderr
    assert "chosen: 1 entry" in first.stderr
    second = run(lived_in, "--session", newest(lived_in)["id"][:18], "--", *AGENT, "call")
    assert "now it is" not in second.stderr
    assert "chosen: 1 entry" in second.stderr
    assert newest(lived_in)["trafficCount"] == 2


def test_a_session_that_is_not_there_is_said(lived_in):
    done = run(lived_in, "--session", "nowhere", "--", *AGENT, "call")
    assert done.returncode == 1
    assert done.stderr == (
        "wirescribe: there is no session 'nowhere': `wirescribe sessions list` shows those there "
        "are\n"
    )


def test_options_behind_the_command_are_the_commands(lived_in):
    done = run(lived_in, sys.executable, "-c", "import sys; print(sys.argv[1:])", "--name", "-x")
    assert done.stdout == "['--name', '-x']\n"
    assert newest(lived_in)["name"] != "-x"


def test_stdin_is_the_childs(lived_in):
    assert run(lived_in, "--", *AGENT, "echo", input="hello\n").stdout == "HELLO\n"


def test_the_environment_is_the_childs_alone(lived_in):
    more = {"NO_PROXY": "git.lan,api.anthropic.com", "ALL_PROXY": "x", "WIRESCRIBE_TOKEN": "s3"}
    done = run(lived_in, "--", *AGENT, "environment", more=more)
    variables = dict(line.split("=", 1) for line in done.stdout.splitlines())
    session = newest(lived_in)
    port = lived_in.running.proxy.port
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        assert re.fullmatch(rf"http://{session['id']}:[^:@]+@127\.0\.0\.1:{port}", variables[name])
    assert variables["NO_PROXY"] == "localhost,127.0.0.1,::1,git.lan"
    assert variables["NODE_EXTRA_CA_CERTS"].startswith(str(lived_in.datadir.ca))
    assert variables["SSL_CERT_FILE"] == variables["CODEX_CA_CERTIFICATE"]
    assert "ALL_PROXY" not in variables
    assert "WIRESCRIBE_TOKEN" not in variables


def test_a_command_that_is_not_there_is_127_and_leaves_no_session(lived_in, tmp_path):
    before = sessions(lived_in)
    done = run(lived_in, "--", "no-such-agent", "-p")
    assert (done.returncode, done.stderr) == (127, "wirescribe: no-such-agent: command not found\n")
    (tmp_path / "text").write_text("")
    done = run(lived_in, "--", str(tmp_path / "text"))
    assert done.returncode == 126
    assert sessions(lived_in) == before


def test_a_child_that_a_signal_ends(lived_in):
    assert run(lived_in, "--", *AGENT, "die", "SIGKILL").returncode == 128 + signal.SIGKILL
    assert run(lived_in, "--", *AGENT, "die", "SIGSEGV").returncode == 128 + signal.SIGSEGV


def test_who_does_not_come_through_the_proxy_is_told(lived_in):
    done = run(lived_in, "--", "true")
    assert done.returncode == 0
    assert "0 entries" in done.stderr
    assert "nothing came through the proxy. If true called a model" in done.stderr
    assert "HTTPS_PROXY" in done.stderr
    assert "--base-url" in done.stderr


def test_who_does_not_trust_the_authority_is_told(lived_in):
    done = run(lived_in, "--", "env", "-u", "SSL_CERT_FILE", *AGENT, "call")
    assert done.returncode == 1
    assert "env does not trust Wirescribe's certificate authority: all of its" in done.stderr
    assert "wirescribe env" in done.stderr
    assert entries(lived_in, newest(lived_in))[0]["outcome"] == "tls_failed"


def test_base_url_mode_needs_no_trust(lived_in, tmp_path, model):
    claude = tmp_path / "claude"
    claude.write_text(
        f'#!/bin/sh\nexec {AGENT[0]} {AGENT[1]} fetch_from "$ANTHROPIC_BASE_URL/v1/models?x=$1"\n'
    )
    claude.chmod(0o755)
    done = run(lived_in, "--base-url", "--", str(claude), "hello")
    assert done.stdout.encode() == ANSWER
    assert model.asked[-1] == "/v1/models?x=hello"
    (entry,) = entries(lived_in, newest(lived_in))
    assert (entry["way"], entry["host"]) == ("base-url", "api.anthropic.com")


def test_base_url_mode_of_codex_is_an_argument(lived_in, tmp_path):
    codex = tmp_path / "codex"
    codex.write_text('#!/bin/sh\necho "$@"\n')
    codex.chmod(0o755)
    done = run(lived_in, "--base-url", "--", str(codex), "exec", "hi")
    assert re.fullmatch(
        r'-c openai_base_url="http://127\.0\.0\.1:\d+/@[^/]+/api\.openai\.com/v1" exec hi\n',
        done.stdout,
    )


def test_copilot_is_refused_in_base_url_mode(lived_in, tmp_path):
    copilot = tmp_path / "copilot"
    copilot.write_text("#!/bin/sh\n")
    copilot.chmod(0o755)
    done = run(lived_in, "--base-url", "--", str(copilot))
    assert done.returncode == 1
    assert "leave --base-url out" in done.stderr


def test_name_and_session_exclude_each_other(lived_in):
    done = run(lived_in, "--name", "a", "--session", "b", "--", "true")
    assert done.returncode == 2
    assert run(lived_in).returncode == 2


# --- without an up -------------------------------------------------------------------------------


def test_without_an_up_one_is_started_and_ends_with_the_last_run(place):
    first = place.start("run", "--", *AGENT, "wait", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert first.stdout.readline().startswith("ready")
    started = place.processes()
    assert started.keys() == {"up", "proxy", "server", "run"}
    assert [started["run"].session] == [one["id"] for one in sessions(place)]

    second = run(place, "--", *AGENT, "call")
    assert second.stdout.encode() == ANSWER
    assert "starting in the background" not in second.stderr
    assert place.processes() == started

    first.communicate(timeout=PATIENCE_S)
    place.wait_for(lambda: not place.processes(), "the end of the up in the background")
    third = run(place, "--", *AGENT, "call")
    log = place.datadir.root / "up.log"
    assert f"log in {log}" in third.stderr
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "ends with the last run" in log.read_text()
    assert third.stdout.encode() == ANSWER
    assert len(sessions(place)) == 3
    place.wait_for(lambda: not place.processes(), "the end of the up in the background")


def test_runs_that_begin_together_share_one_up(place):
    both = [
        place.start("run", "--", *AGENT, "call", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    said = [process.communicate(timeout=PATIENCE_S)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0, 0]
    assert sum("starting in the background" in text for text in said) == 1
    assert len(sessions(place)) == 3
    place.wait_for(lambda: not place.processes(), "the end of the up in the background")


def test_default_ports_that_are_taken_do_not_keep_a_run_from_its_work(place, model):
    place.environ["WIRESCRIBE_PROXY_PORT"] = str(model.server_port)
    done = run(place, "--", *AGENT, "call")
    assert done.returncode == 0, done.stderr
    assert done.stdout.encode() == ANSWER
    place.wait_for(lambda: not place.processes(), "the end of the up in the background")


def test_an_up_that_cannot_start_is_said_with_its_log(place):
    place.environ["WIRESCRIBE_HOST"] = "0.0.0.0"
    done = run(place, "--", *AGENT, "call")
    assert done.returncode == 1
    assert "could not start" in done.stderr
    assert "--auth token" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_becomes_of_the_recorder_does_not_change_what_the_agent_returns(place):
    with place.up() as up:
        agent = place.start(
            "run",
            "--",
            *AGENT,
            "wait",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert agent.stdout.readline().startswith("ready")
        up.end(signal.SIGKILL)
        place.wait_for(lambda: place.processes().keys() == {"run"}, "the end of the children")
        _, said = agent.communicate(timeout=PATIENCE_S)
    assert agent.returncode == 0
    assert "no answer from the server" in said
    assert "Traceback" not in said


def test_a_server_alone_is_no_place_to_run(place):
    server = place.start("serve", stderr=subprocess.PIPE)
    place.wait_for(lambda: "server" in place.processes(), "the server")
    done = run(place, "--", "true")
    assert done.returncode == 1
    assert "but no proxy: start one with `wirescribe proxy`" in done.stderr
    server.terminate()
    server.communicate(timeout=PATIENCE_S)


# --- signals -------------------------------------------------------------------------------------


def lines(process):
    return process.stdout.readline().strip()


def start(place, *arguments, **options):
    process = place.start(
        "run",
        "--",
        *AGENT,
        "wait_for_signals",
        *arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )
    assert lines(process).startswith("ready")
    return process


def test_signals_pass_and_the_exit_code_is_the_childs(lived_in):
    names = ["SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGINT", "SIGTERM"]
    process = start(lived_in, *names)
    for name in names:
        process.send_signal(signal.Signals[name])
        assert lines(process) == f"got {name}"
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 3
    assert "wirescribe traffic list --session" in said


def test_a_signal_that_the_child_does_not_handle_ends_it(lived_in):
    process = start(lived_in, "SIGUSR1")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + signal.SIGTERM


def on_terminal(place, *command):
    """`run` as the foreground job of a terminal; gives its pid and our end of the terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(
            sys.executable,
            [sys.executable, "-P", "-m", "cli", "run", "--", *command],
            place.environ,
        )
    return pid, terminal


def read_until(terminal, text):
    seen = b""
    while text not in seen:
        seen += os.read(terminal, 1024)
    return seen


def ended(pid):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    raise AssertionError("it did not end")


@pytest.fixture
def closing():
    opened = []
    yield opened.append
    for descriptor in opened:
        os.close(descriptor)


def test_the_terminals_interrupt_reaches_the_child_once(lived_in, closing):
    pid, terminal = on_terminal(lived_in, *AGENT, "wait_for_signals", "SIGINT", "SIGTERM")
    closing(terminal)
    read_until(terminal, b"ready")
    os.write(terminal, b"\x03")
    read_until(terminal, b"got SIGINT")
    os.kill(pid, signal.SIGTERM)
    rest = read_until(terminal, b"--session")
    assert b"got SIGINT" not in rest
    assert ended(pid) == 3


def test_an_interrupt_that_ends_the_child_leaves_run_to_say_its_line(lived_in, closing):
    pid, terminal = on_terminal(lived_in, *AGENT, "wait")
    closing(terminal)
    read_until(terminal, b"ready")
    os.write(terminal, b"\x03")
    read_until(terminal, b"wirescribe traffic list")
    assert ended(pid) == 128 + signal.SIGINT


def test_a_child_that_stops_itself_stops_run_and_goes_on_with_it(lived_in, closing):
    script = "import os, signal; print('before', flush=True); os.kill(os.getpid(), signal.SIGSTOP)"
    script += "; print('after', flush=True)"
    pid, terminal = on_terminal(lived_in, sys.executable, "-c", script)
    closing(terminal)
    read_until(terminal, b"before")
    _, status = os.waitpid(pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    os.kill(pid, signal.SIGCONT)
    read_until(terminal, b"after")
    read_until(terminal, b"--base-url")
    assert ended(pid) == 0
