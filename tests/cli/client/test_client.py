"""Every command against the data dir and against a server: the same output, letter by letter."""

import contextlib
import re
import sqlite3

import msgspec
import pytest

from cli.client import local
from cli.main import wirescribe
from storage import drops, sessions
from storage.store import Store
from tests.cli.running import AGENT, ANSWER


def drop(place):
    """Make a session that retention has dropped."""
    made = place.here("sessions", "create", "too old").stdout.strip()
    with contextlib.closing(sqlite3.connect(place.datadir.database, timeout=10)) as conn, conn:
        conn.execute(
            """
            insert into drops
            select id, name, origin, created_ms, updated_ms, 3, 4096, 'retention.days', created_ms
            from sessions where id = ?
            """,
            [made],
        )
    place.here("sessions", "delete", "too old", "--yes")


@pytest.fixture(scope="module")
def recorded(lived_in):
    """Sessions of every state, with an entry, a tunnel that was refused trust, and one deleted."""
    lived_in.wirescribe("run", "--name", "an agent", "--", *AGENT, "call")
    lived_in.wirescribe(
        "run", "--name", "no trust", "--", "env", "-u", "SSL_CERT_FILE", *AGENT, "call"
    )
    lived_in.here("sessions", "create", "stopped")
    lived_in.here("sessions", "create", "twin")
    lived_in.here("sessions", "create", "twin")
    lived_in.here("sessions", "create", "active", "--activate")
    drop(lived_in)
    page = lived_in.here("traffic", "list", "--session", "an agent", "--json").stdout
    lived_in.entry = msgspec.json.decode(page)["entries"][0]["id"]
    return lived_in


def both(place, *command):
    """The outcome of a command by the data dir, and by a server with no data dir at hand."""
    local = place.here(*command)
    elsewhere = {
        "WIRESCRIBE_DATA_DIR": str(place.home / "elsewhere"),
        "WIRESCRIBE_SERVER_URL": f"http://127.0.0.1:{place.running.server.port}",
    }
    remote = place.here(*command, more=elsewhere)
    assert not (place.home / "elsewhere").exists()
    return [(done.returncode, done.stdout, done.stderr) for done in (local, remote)]


READING = [
    ["sessions", "list"],
    ["sessions", "list", "--json"],
    ["sessions", "show", "an agent"],
    ["sessions", "show", "an agent", "--json"],
    ["sessions", "show", "twin"],
    ["sessions", "show", "nowhere"],
    ["sessions", "show", "0"],
    ["sessions", "show", "a/b?c=d"],
    ["sessions", "show", "too old"],
    ["sessions", "dropped"],
    ["sessions", "dropped", "--json"],
    ["sessions", "dropped", "--limit", "0"],
    ["traffic", "list"],
    ["traffic", "list", "--json"],
    ["traffic", "list", "--session", "an agent", "--json"],
    ["traffic", "list", "--session", "nowhere"],
    ["traffic", "list", "--session", "stopped"],
    ["traffic", "list", "--limit", "1"],
    ["traffic", "list", "--host", "API.anthropic.com", "--method", "get", "--json"],
    ["traffic", "list", "--status", "2xx", "--json"],
    ["traffic", "list", "--status", "404"],
    ["traffic", "list", "--kind", "http", "--outcome", "complete", "--json"],
    ["traffic", "list", "--outcome", "tls_failed", "--json"],
    ["traffic", "list", "--outcome", "open"],
    ["traffic", "list", "--text", "MODELS", "--json"],
    ["traffic", "list", "--status", "20x"],
    ["traffic", "list", "--limit", "501"],
    ["traffic", "show", "ENTRY"],
    ["traffic", "show", "ENTRY", "--json"],
    ["traffic", "show", "PREFIX", "--json"],
    ["traffic", "show", "ENTRY", "--request-body"],
    ["traffic", "show", "ENTRY", "--response-body"],
    ["traffic", "show", "ENTRY", "--response-body", "--decoded"],
    ["traffic", "show", "ENTRY", "--response-body", "--json"],
    ["traffic", "show", "ffff0000"],
    ["traffic", "show", "../sessions"],
    ["har", "export", "an agent"],
    ["har", "export", "stopped", "-o", "-"],
    ["har", "export"],
    ["har", "export", "nowhere"],
]


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_reading_is_the_same_by_either_way(recorded, command):
    filled = {"ENTRY": recorded.entry, "PREFIX": recorded.entry[:18]}
    local, remote = both(recorded, *(filled.get(word, word) for word in command))
    assert local == remote
    assert "Traceback" not in local[2]
    code, _, said = local
    assert said or code == 0


def test_what_retention_dropped_is_told_until_it_is_forgotten(place):
    with Store.open(place.datadir.prepare()) as store:
        gone = store.change_sessions(sessions.create, name="too old").result()
        store.call(drops.add, gone, "retention.max_gb", 1_795_000_000_000).result()
        store.change_sessions(sessions.delete, gone.id).result()

    (head, line) = place.here("sessions", "dropped").stdout.splitlines()
    assert head.split("\t")[:3] == ["SESSION", "NAME", "LIMIT"]
    assert line.split("\t")[:3] == [gone.id, "too old", "retention.max_gb"]
    for text in (gone.id, gone.id[:18], "too old"):
        said = place.here("sessions", "show", text).stderr
        assert "session 'too old' is gone: retention.max_gb dropped it at 2026-11-18" in said

    done = place.here("sessions", "dropped", "--clear")
    assert (done.returncode, done.stderr) == (0, "forgot 1 dropped session\n")
    assert place.here("sessions", "dropped").stderr == "retention has dropped nothing\n"
    assert "there is no session" in place.here("sessions", "show", gone.id).stderr


def test_the_body_is_what_the_provider_sent(recorded):
    for _, out, _ in both(recorded, "traffic", "show", recorded.entry, "--response-body"):
        assert out.encode() == ANSWER


def test_a_body_of_a_thing_without_one_is_said(recorded):
    page = recorded.here("traffic", "list", "--session", "no trust", "--json").stdout
    tunnel = msgspec.json.decode(page)["entries"][0]["id"]
    local, remote = both(recorded, "traffic", "show", tunnel, "--response-body")
    assert local == remote == (1, "", "wirescribe: This entry has no body\n")


def changed(place, way, *command):
    more = {}
    if way == "server":
        more["WIRESCRIBE_SERVER_URL"] = f"http://127.0.0.1:{place.running.server.port}"
        more["WIRESCRIBE_DATA_DIR"] = str(place.home / "elsewhere")
    done = place.here(*command, more=more)
    unsteady = r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=At\": )\d+"
    return done.returncode, re.sub(unsteady, "*", done.stdout), done.stderr


def test_changing_is_the_same_by_either_way(recorded):
    script = [
        ["sessions", "create", "fresh", "--json"],
        ["sessions", "rename", "fresh", "renamed"],
        ["sessions", "record", "on", "renamed", "--json"],
        ["sessions", "record", "off", "renamed"],
        ["sessions", "pin", "renamed"],
        ["sessions", "pin", "renamed", "--json"],
        ["sessions", "show", "renamed", "--json"],
        ["sessions", "unpin", "renamed"],
        ["sessions", "activate", "renamed"],
        ["sessions", "record", "off"],
        ["sessions", "activate", "renamed", "--json"],
        ["sessions", "activate", "active"],
        ["sessions", "delete", "renamed"],
        ["sessions", "delete", "renamed", "--yes"],
        ["sessions", "delete", "renamed", "--yes"],
        ["sessions", "rename", "twin", "one"],
        ["sessions", "create"],
    ]
    local = [changed(recorded, "data dir", *command) for command in script]
    remote = [changed(recorded, "server", *command) for command in script]
    named = r"Session [^']+ [AP]M"
    assert [[re.sub(named, "*", text) for text in done[1:]] for done in local] == [
        [re.sub(named, "*", text) for text in done[1:]] for done in remote
    ]
    codes = [code for code, _, _ in local]
    assert codes == [code for code, _, _ in remote]
    assert codes == [0] * 12 + [2, 0, 1, 1, 0]
    assert [local[number][2] for number in (4, 7)] == [
        "'renamed' is pinned\n",
        "'renamed' is not pinned\n",
    ]
    assert '"pinned": true' in local[6][1]
    assert "add --yes" in local[12][2]
    assert "say which by its id" in local[15][2]


def test_without_a_server_the_data_dir_is_changed_by_the_command_itself(place):
    done = place.here("sessions", "create", "alone", "--activate")
    assert (done.returncode, done.stderr) == (0, "created 'alone', active, recording\n")
    assert done.stdout.strip() in place.datadir.control.read_text()
    assert place.here("sessions", "rename", "alone", "left").stderr == "renamed to 'left'\n"
    assert place.here("sessions", "record", "off").stderr == "'left' is active\n"
    assert place.here("sessions", "delete", "left", "--yes").returncode == 0
    done = place.here("sessions", "list", "--json")
    assert msgspec.json.decode(done.stdout) == {"sessions": [], "total": 0}


def test_an_empty_data_dir_says_what_to_do(place):
    done = place.here("sessions", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert "wirescribe run -- claude" in done.stderr
    done = place.here("traffic", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert "wirescribe run -- claude" in done.stderr
    assert msgspec.json.decode(place.here("traffic", "list", "--json").stdout) == {
        "entries": [],
        "total": 0,
        "next": None,
    }
    for command in (["traffic", "show", "01a2"], ["har", "export"], ["sessions", "record", "on"]):
        done = place.here(*command)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert not place.datadir.root.exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:1", "no answer from the server http://127.0.0.1:1"),
        ("localhost", "'localhost' is not the URL of a server"),
    ],
)
def test_a_server_that_is_not_there_is_one_line(place, url, said):
    done = place.here("sessions", "list", "--server-url", url)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_server_that_is_something_else_is_one_line(place, model):
    done = place.here("sessions", "list", "--server-url", model.url)
    assert done.returncode == 1
    assert "is it a Wirescribe server" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_deletion_that_takes_long_says_who_goes_on(place, monkeypatch, capsys):
    with Store.open(place.datadir.prepare()) as store:
        made = store.change_sessions(sessions.create, name="large").result()
    monkeypatch.setattr(local, "_SWEEP_S", -1.0)  # no time at all
    wirescribe.main(
        ["sessions", "delete", "--yes", "--data-dir", str(place.datadir.root), made.id],
        standalone_mode=False,
    )
    deleted, still = capsys.readouterr().err.splitlines()
    assert deleted == "deleted 'large'"
    assert still.startswith("some of its bytes are still on the disk: the next `wirescribe up`")
