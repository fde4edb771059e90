"""Conversations, messages, tools, tasks and projects on the command line, by either way."""

import msgspec
import pytest

from storage import sessions
from tests.addons.project.house import AGENT, ROOT, House, user
from tests.cli import understood
from tests.cli.running import Place


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("told"))
    with understood.served(place.datadir) as (place.story, place.url):
        yield place


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr("cli.output.is_terminal", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")


LISTS = [
    ["sessions", "list", "--json"],
    ["sessions", "show", "one"],
    ["conversations", "list"],
    ["conversations", "list", "--json"],
    ["conversations", "list", "--subagents", "--json"],
    ["conversations", "list", "--project", "-home-user-other", "--agent", "codex", "--json"],
    ["conversations", "list", "--session", "one", "--model", "gpt-6", "--text", "SAY"],
    ["conversations", "list", "--limit", "1"],
    ["conversations", "list", "--agent", "nobody"],
    ["conversations", "show", "root-"],
    ["conversations", "show", "root-conv", "--full"],
    ["conversations", "show", "root-conv", "--json"],
    ["conversations", "show", "codex-talk"],
    ["conversations", "show", "nowhere"],
    ["messages", "list"],
    ["messages", "list", "--search", '"line 7" bug', "--json"],
    ["messages", "list", "--search", '" AND ('],
    ["messages", "list", "--role", "user", "--kind", "prompt", "--conversation", "root-child"],
    ["tools", "list"],
    ["tools", "list", "--errors", "--json"],
    ["tools", "list", "--no-errors", "--kind", "task", "--name", "Task"],
    ["tools", "list", "--mcp-server", "none"],
    ["tasks", "list"],
    ["tasks", "list", "--status", "pending", "--json"],
    ["tasks", "list", "--status", "completed"],
    ["projects", "list"],
    ["projects", "list", "--json"],
    ["projects", "show", "-home-user-work-dir"],
    ["projects", "show", "/home/user/work.dir", "--json"],
    ["projects", "show", "nowhere"],
]


@pytest.mark.parametrize("command", LISTS, ids=" ".join)
def test_either_way_says_the_same(told, command):
    local = told.here(*command)
    elsewhere = {
        "WIRESCRIBE_DATA_DIR": str(told.home / "elsewhere"),
        "WIRESCRIBE_SERVER_URL": told.url,
    }
    remote = told.here(*command, more=elsewhere)
    assert (local.returncode, local.stdout, local.stderr) == (
        remote.returncode,
        remote.stdout,
        remote.stderr,
    )
    assert local.stdout or local.stderr
    assert "Traceback" not in local.stderr
    for harmful in "\x1b\x07\u202e":
        assert harmful not in local.stdout + local.stderr


def test_a_conversation_is_told_as_a_tree(told):
    shown = told.here("conversations", "show", "root-conv").stdout.splitlines()
    assert shown[0] == "Find the bug, please"
    assert shown[1] == "claude-code 2.1.273 · claude-opus-5 · /home/user/work.dir (main)"
    assert shown[2].endswith(
        "9.0 s · 3 model calls · 2 tool calls · 3.0k in (2.4k cached) · 300 out · $0.0200+"
    )
    assert shown[3] == "1 subagent below: 1.0k in (800 cached) · 100 out · $0.0100"
    assert shown[5:] == [
        "",
        "❯ Find the bug, please",
        "  … A shell will tell.",
        "● I look at it.",
        "  ⏵ Bash  make test  [exit 2  742 ms]",
        "    ✗ make: *** [test] Error 2",
        "      and more",
        "  ⏵ Task  Look into main.py  [~3.5 s]",
        "    ◆ Explore  claude-opus-5  [1 model call · 1.0k in (800 cached) · 100 out · $0.0100]",
        "      ❯ Look into main.py",
        "      ● It is in line 7.",
        "        1.0 s · first after 249 ms · 1.0k in (800 cached) · 100 out · 200/s · $0.0100",
        "",
        "  2.0 s · first after 499 ms · 1.0k in (800 cached) · 100 out · 100/s · $0.0100",
        "",
        "● The bug is in line 7 of `main.py`.",
        "  4.0 s · first after 999 ms · 1.0k in (800 cached) · 100 out · 50/s · $?",
        "",
        "∙ beside it: 1 title",
    ]


def test_what_was_put_in_is_shown_in_full(told):
    assert "system-reminder" not in told.here("conversations", "show", "root-conv").stdout
    full = told.here("conversations", "show", "root-conv", "--full").stdout
    assert "  + <system-reminder>Be brief</system-reminder>" in full


def test_a_failure_is_told(told):
    shown = told.here("conversations", "show", "codex-talk").stdout
    assert "✗ overloaded_error: Busy" in shown
    assert "[529]" in shown


@pytest.mark.usefixtures("terminal")
def test_a_terminal_gets_what_fits(told):
    listed = told.here("conversations", "list").stdout.splitlines()
    assert all(len(line.rstrip()) <= 80 for line in listed)
    assert listed[1].split()[0] == "codex-ta"
    shown = told.here("conversations", "show", "root-conv")
    lines = shown.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("  ⏵ Bash  make test   ") for line in lines)
    assert any(line.endswith("  exit 2  742 ms") for line in lines)
    assert "--json has it all" in shown.stderr


def test_all_of_it_as_json(told):
    found = msgspec.json.decode(told.here("conversations", "show", "root-", "--json").stdout)
    assert found["conversation"]["id"] == told.story.root
    assert [one["id"] for one in found["tree"]] == [told.story.root, told.story.child]
    assert len(found["turns"]) == 4
    assert len(found["messages"]) == 8
    assert len(found["toolCalls"]) == 2


def test_the_doctor_counts_what_was_not_understood(told):
    found = msgspec.json.decode(told.here("doctor", "--json").stdout)["findings"]
    (decoding,) = [one for one in found if one["subject"] == "decoding"]
    assert decoding == {
        "level": "note",
        "subject": "decoding",
        "text": "anthropic.messages: unknown-block 1 time, as 'hologram', in 1 model call",
    }


@pytest.mark.parametrize("group", ["conversations", "messages", "tools", "projects"])
def test_where_nothing_was_recorded_the_way_in_is_said(place, group):
    done = place.here(group, "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing recorded yet: " in done.stderr
    assert "run -- claude" in done.stderr
    assert place.here(group, "list", "--json").stdout.startswith("{")


def test_pages_say_how_to_go_on(told):
    first = told.here("conversations", "list", "--limit", "1")
    after = first.stderr.split()[-1]
    second = told.here("conversations", "list", "--limit", "1", "--after", after)
    assert second.stdout.splitlines()[1].split("\t")[0] == told.story.root
    assert second.stderr == ""
    refused = told.here("messages", "list", "--after", "nonsense")
    assert (refused.returncode, refused.stdout) == (1, "")


def test_a_project_s_id_is_no_option(told):
    shown = told.here("projects", "show", "-home-user-work-dir")
    assert shown.returncode == 0
    assert shown.stdout.startswith("Project          /home/user/work.dir\n")
    assert told.here("projects", "show").returncode == 2


def test_an_entry_is_shown_with_its_model_call(told):
    entry_id = told.story.turns[0].partition(".")[0]
    shown = told.here("traffic", "show", entry_id).stdout
    at = shown.index("main call of claude-code 2.1.273 to claude-opus-5\n")
    said = shown[at:].splitlines()
    assert said[1] == f"conversation {told.story.root}, turn {told.story.turns[0]}"
    assert said[2:5] == ["❯ Find the bug, please", "  … A shell will tell.", "● I look at it."]
    assert "  ⏵ Bash  make test  [exit 2  742 ms]" in said
    assert "POST https://api.example.com/v1/messages HTTP/1.1" in said
    elsewhere = {
        "WIRESCRIBE_DATA_DIR": str(told.home / "elsewhere"),
        "WIRESCRIBE_SERVER_URL": told.url,
    }
    assert told.here("traffic", "show", entry_id, more=elsewhere).stdout == shown


def test_calls_that_all_failed_cost_nobody_knows_what(tmp_path):
    place = Place(tmp_path)
    house = House(place.datadir.prepare())
    house.session = sessions.create(house.db, name="one", is_recording=True).id
    told = b'{"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}'
    headers = (AGENT, (b"X-Claude-Code-Session-Id", ROOT.encode()))
    for _ in range(2):
        house.call(
            [user("do it")], status=529, response=told, media=b"application/json", headers=headers
        )
    house.project()
    house.db.close()
    shown = place.here("sessions", "show", "one").stdout
    assert [line.split() for line in shown.splitlines()[-4:]] == [
        ["Errors", "2"],
        ["Tool", "calls", "0"],
        ["Tokens", "?", "in,", "?", "out"],
        ["Cost", "$?"],
    ]
    assert "2 errors · ? in · ? out · $?" in place.here("conversations", "show", ROOT).stdout
    (listed,) = msgspec.json.decode(place.here("conversations", "list", "--json").stdout)[
        "conversations"
    ]
    assert (listed["errorCount"], listed["inputTokens"], listed["costUsd"]) == (2, None, None)
