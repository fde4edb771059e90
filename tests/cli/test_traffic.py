import msgspec
import pytest

from cli import times
from tests.cli.running import AGENT, ANSWER


@pytest.fixture(scope="module")
def recorded(lived_in):
    lived_in.wirescribe("run", "--", *AGENT, "call")
    lived_in.wirescribe("run", "--", *AGENT, "call")
    page = msgspec.json.decode(lived_in.here("traffic", "list", "--json").stdout)
    lived_in.entry = page["entries"][0]
    return lived_in


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr("cli.output.is_terminal", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "100")


def test_a_program_gets_whole_values_between_tabs(recorded):
    head, first, *_ = recorded.here("traffic", "list").stdout.splitlines()
    entry = dict(zip(head.split("\t"), first.split("\t"), strict=True))
    assert entry["ENTRY"] == recorded.entry["id"]
    assert entry["URL"] == "https://api.anthropic.com/v1/models"
    assert (entry["METHOD"], entry["STATUS"], entry["OUTCOME"]) == ("GET", "200", "complete")
    assert entry["RECEIVED"] == f"{len(ANSWER)} B"


@pytest.mark.usefixtures("terminal")
def test_a_terminal_gets_what_fits(recorded):
    head, first, *_ = recorded.here("traffic", "list").stdout.splitlines()
    assert len(first.rstrip()) <= 100
    assert head.split() == ["ENTRY", "TIME", "METHOD", "URL", "ENDED", "SIZE", "TOOK"]
    assert first.split()[0] == recorded.entry["id"][:18]
    assert first.split()[3:5] == ["api.anthropic.com/v1/models", "200"]


def test_a_page_says_how_to_go_on(recorded):
    done = recorded.here("traffic", "list", "--limit", "1")
    assert "1 of 2; the next: --after " in done.stderr
    after = done.stderr.split()[-1]
    rest = recorded.here("traffic", "list", "--limit", "1", "--after", after)
    assert rest.stderr == ""
    assert rest.stdout.splitlines()[1] != done.stdout.splitlines()[1]


def test_an_entry_is_shown_with_its_heads(recorded):
    shown = recorded.here("traffic", "show", recorded.entry["id"][:18]).stdout
    assert f"Entry     {recorded.entry['id']}" in shown
    assert "\n\nGET https://api.anthropic.com/v1/models HTTP/1.1\n" in shown
    assert "\n\nHTTP/1.1 200 OK\n" in shown
    assert "\nContent-Type: application/json\n" in shown


def test_where_its_bodies_are_is_said_to_a_person_alone(recorded, monkeypatch):
    assert recorded.here("traffic", "show", recorded.entry["id"]).stderr == ""
    monkeypatch.setattr("cli.output.is_terminal", lambda: True)
    said = recorded.here("traffic", "show", recorded.entry["id"]).stderr
    assert f"traffic show {recorded.entry['id']} --response-body --decoded" in said


@pytest.mark.usefixtures("terminal")
def test_a_body_on_a_terminal_is_text(recorded):
    done = recorded.here("traffic", "show", recorded.entry["id"], "--response-body")
    assert done.stdout == ANSWER.decode() + "\n"


def test_durations_and_times_are_for_people():
    assert times.duration(None) == "..."
    assert [times.duration(ms) for ms in (0, 999, 1000, 61_234, 3_600_000)] == [
        "0 ms",
        "999 ms",
        "1.0 s",
        "61.2 s",
        "60 min",
    ]
    assert times.moment(0)[:2] == "19"
    assert ".234" in times.exact(1234)


@pytest.mark.parametrize(
    ("command", "lists"),
    [
        (("traffic", "show"), "traffic list"),
        (("conversations", "show"), "conversations list"),
        (("projects", "show"), "projects list"),
    ],
    ids=["entry", "conversation", "project"],
)
@pytest.mark.parametrize("has_database", [True, False], ids=["recorded", "empty"])
def test_an_unknown_id_is_told_where_to_find_known_ones(
    recorded, place, command, lists, has_database
):
    done = (recorded if has_database else place).here(*command, "0192b2f0")
    assert done.returncode == 1
    assert done.stderr.endswith(f" not found: `wirescribe {lists}` shows those there are\n")
