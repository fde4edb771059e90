import contextlib
import os
import re
import signal
import subprocess

import msgspec
import pytest

from storage import database
from storage.datadir import DataDir
from tests.cli.running import AGENT, ANSWER, PATIENCE_S
from tests.storage import damage
from tests.storage.empty import with_database


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def sessions(place):
    done = place.here("sessions", "list", "--json")
    return msgspec.json.decode(done.stdout)["sessions"]


def test_it_says_where_to_point_an_agent(lived_in):
    said = lived_in.running.said()
    assert "wirescribe run -- claude" in said
    assert re.search(r'eval "\$\((\S*/)?wirescribe env\)"', said)
    assert f"HTTPS_PROXY=http://127.0.0.1:{lived_in.running.proxy.port}" in said
    assert f"http://127.0.0.1:{lived_in.running.server.port}" in said
    assert str(lived_in.datadir.ca) in said


def test_there_is_one_up_for_a_data_dir(lived_in):
    done = lived_in.wirescribe("up")
    assert done.returncode == 1
    assert done.stderr.startswith("wirescribe: `wirescribe up` runs on ")
    assert f"process {lived_in.running.process.pid}" in done.stderr
    assert f"proxy http://127.0.0.1:{lived_in.running.proxy.port}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("option", ["--port", "--proxy-port"])
def test_a_port_in_use_is_an_error_that_names_it(place, model, option):
    done = place.wirescribe("up", option, str(model.server_port))
    assert done.returncode == 1
    assert f"port {model.server_port} of 127.0.0.1 cannot be used" in done.stderr
    assert f"choose another with {option}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert place.processes() == {}


@pytest.mark.parametrize(("command", "option"), [("proxy", "--proxy-port"), ("serve", "--port")])
def test_so_it_is_for_each_alone(place, model, command, option):
    done = place.wirescribe(command, option, str(model.server_port))
    assert done.returncode == 1
    assert str(model.server_port) in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_both_and_leaves_nothing_running(place, number):
    with place.up() as up:
        pids = [process.pid for process in place.processes().values()]
        assert len(pids) == 3
        assert up.end(number) == 0
    assert not any(map(alive, pids))
    assert place.processes() == {}
    assert "Traceback" not in up.said()


def test_who_dies_is_started_again_where_it_was_and_said_so(place):
    with place.up() as up:
        before = place.processes()
        for role in ("proxy", "server"):
            os.kill(before[role].pid, signal.SIGKILL)
        after = place.wait_for(
            lambda: (
                (now := place.processes()).keys() == before.keys()
                and all(now[role].pid != before[role].pid for role in ("proxy", "server"))
                and now
            ),
            "a new proxy and a new server",
        )
        for role in ("proxy", "server"):
            assert after[role].port == before[role].port
            assert f"the {role} ended (process {before[role].pid}, killed by SIGKILL)" in up.said()
        done = place.wirescribe("run", "--", *AGENT, "call")
        assert done.stdout.encode() == ANSWER


def test_its_children_do_not_outlive_it(place):
    with place.up() as up:
        pids = [process.pid for process in place.processes().values()]
        up.end(signal.SIGKILL)
        place.wait_for(lambda: not any(map(alive, pids)), "the end of the children")


def test_an_open_stream_may_finish_before_the_end(place, model, tmp_path):
    with place.up("--upstream", f"api.anthropic.com={model.url}") as up:
        agent = place.start(
            "run", "--", *AGENT, "wait", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert agent.stdout.readline().startswith("ready")
        assert up.end() == 0  # an agent that is silent holds nothing up
        agent.communicate(timeout=PATIENCE_S)
        assert agent.returncode == 0


def test_a_session_is_made_or_found_and_activated(place):
    for _ in range(2):
        with place.up("--session", "mine"):
            (found,) = sessions(place)
            assert (found["name"], found["isActive"], found["isRecording"]) == ("mine", True, True)
            place.here("sessions", "record", "off")


def test_a_damaged_schema_ends_it_with_words(place):
    path = with_database(place.datadir.prepare()).database
    damage.flip(path, path.read_bytes().index(b"TEXT") + 1, 0x80)
    done = place.wirescribe("up")
    assert done.returncode == 1
    assert f"{path} is no sound database" in done.stderr
    assert database.REMEDY in done.stderr
    assert "the server could not start" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_session_that_cannot_be_told_apart_ends_it(place):
    for _ in range(2):
        place.here("sessions", "create", "twin")
    done = place.wirescribe("up", "--session", "twin")
    assert done.returncode == 1
    assert "'twin' may be" in done.stderr
    assert "Traceback" not in done.stderr
    assert place.processes() == {}


def test_what_was_spooled_without_a_server_is_read_by_the_next(place):
    with place.up():
        place.here("sessions", "create", "kept", "--activate")
    proxy = place.start("proxy", stderr=subprocess.PIPE)
    port = place.wait_for(lambda: place.processes().get("proxy"), "the proxy").port
    variables = place.here("env", "--shell", "bash").stdout
    assert f"export HTTPS_PROXY=http://127.0.0.1:{port}" in variables.splitlines()
    script = f"{variables}\nexec {AGENT[0]} {AGENT[1]} call"
    done = subprocess.run(
        ["bash", "-c", script], env=place.environ, capture_output=True, check=True
    )
    assert done.stdout == ANSWER
    proxy.terminate()
    proxy.communicate(timeout=PATIENCE_S)
    assert sessions(place)[0]["trafficCount"] == 0
    with place.up():
        place.wait_for(lambda: sessions(place)[0]["trafficCount"] == 1, "the entry")


def test_a_bind_beyond_loopback_wants_a_token(place):
    done = place.wirescribe("up", "--host", "0.0.0.0")
    assert done.returncode == 1
    assert "add `--auth token`" in done.stderr


def test_with_a_token_strangers_are_refused_and_commands_are_not(place):
    with place.up("--auth", "token") as up:
        token = (place.datadir.root / "token").read_text().strip()
        url = f"http://127.0.0.1:{up.server.port}"
        assert token not in up.said()
        done = place.here("sessions", "list", "--server-url", url)
        assert done.returncode == 1
        assert "WIRESCRIBE_TOKEN" in done.stderr
        more = {"WIRESCRIBE_TOKEN": token}
        done = place.here("sessions", "list", "--server-url", url, "--json", more=more)
        assert msgspec.json.decode(done.stdout) == {"sessions": [], "total": 0}
        assert place.wirescribe("run", "--", *AGENT, "call").stdout.encode() == ANSWER
        for process in place.processes().values():
            for name in ("cmdline", "environ"):
                with open(f"/proc/{process.pid}/{name}", "rb") as stream:
                    assert token.encode() not in stream.read()


def test_every_file_is_the_users_alone(lived_in):
    lived_in.wirescribe("run", "--", *AGENT, "call")
    for path in (lived_in.datadir.root, *lived_in.datadir.root.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # replaced, or read to its end, meanwhile
            assert path.lstat().st_mode & 0o077 == 0, path


def test_a_folder_of_others_is_refused(place):
    place.datadir.root.mkdir(mode=0o777)
    place.datadir.root.chmod(0o777)
    done = place.here("up")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "chmod 700" in done.stderr
    real = place.home / "real"
    real.mkdir()
    link = place.home / "link"
    link.symlink_to(real)
    done = place.here("up", "--data-dir", str(link))
    assert done.returncode == 1
    assert "is a link" in done.stderr
    assert DataDir(real).run.exists() is False


def test_a_mistake_in_the_settings_is_one_line(place):
    place.datadir.prepare()
    place.datadir.config.write_text('port = "many"')
    for command in (["up"], ["proxy"], ["serve"], ["run", "--", "true"], ["env"]):
        started = place.wirescribe if command[0] == "run" else place.here
        done = started(*command, more={"WIRESCRIBE_PORT": ""})
        assert done.returncode == 1, command
        assert "config.toml: Expected `int`, got `str` - at `$.port`" in done.stderr
        assert len(done.stderr.splitlines()) == 1
