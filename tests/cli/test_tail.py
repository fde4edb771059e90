"""`wirescribe tail`, against a real server with a feed that the test fills."""

import asyncio
import threading
import time

import msgspec
import pytest

from api.app import create_app
from api.settings import ApiSettings
from storage.datadir import DataDir
from storage.store import Store
from tests.api.conftest import serving
from tests.cli.running import PATIENCE_S


@pytest.fixture
def store(tmp_path):
    with Store.open(DataDir(tmp_path / "server").prepare()) as opened:
        yield opened


@pytest.fixture
def tail(place, store):
    """Runs `wirescribe tail` from the oldest event on; returns its lines on stdout."""
    with serving(create_app(store, ApiSettings(version="0.1.0"))) as url:

        def run(*arguments, limit):
            count = ("--limit", str(limit))
            done = place.here("tail", "--server-url", url, "--since", "0", *count, *arguments)
            assert done.returncode == 0, done.stderr
            return done.stdout.splitlines()

        yield run


def fill(store, *events, about=("mine",)):
    for event in events:
        body = msgspec.defstruct("Body", [(name, object) for name in event])(**event)
        store.feed.publish("native", event["type"], body, about)


def turn(type_, **fields):
    return {"type": type_, "at": 1_795_348_800_000, "agent": "codex", "turnId": "t", **fields}


def part(**fields):
    return turn("part.done", index=0, part=fields)


EVENTS = (
    {"type": "entry.opened", "entryId": "e"},
    turn("turn.begun", prompt="list the\nfiles", requestClass="main", model="gpt"),
    turn("delta", index=0, kind="text", text="I lo"),
    part(kind="text", text="I look."),
    part(kind="thinking", text=""),
    part(kind="tool-call", name="exec_command", arguments='{"cmd":"ls"}'),
    turn("turn.ended", isComplete=True, stopReason="completed", inputTokens=1200, outputTokens=5),
    turn("turn.begun", prompt=None, requestClass="title", model="gpt-mini"),
    turn("turn.ended", isComplete=False, stopReason=None, inputTokens=None, outputTokens=None),
    turn("turn.ended", isComplete=True, failure="overloaded\x1b[2J", inputTokens=None),
    {"type": "session.created", "sessionId": "s", "name": "mine"},
    {"type": "store.degraded", "degraded": "disk full"},
)


def test_one_line_for_each_thing_that_a_person_wants_to_know(store, tail):
    fill(store, *EVENTS)
    gap, *shown = tail(limit=10)
    assert "not kept" in gap
    assert [line.split("codex  ")[-1] for line in shown] == [
        "> list the files",
        "says I look.",
        'calls exec_command {"cmd":"ls"}',
        "ended completed, 1,200 tokens in, 5 tokens out",
        "asks gpt-mini (title)",
        "was cut off",
        "failed: overloaded\N{REPLACEMENT CHARACTER}[2J",
        "session mine created",
        "degraded: disk full",
    ]


def test_a_program_gets_all_events_as_json(store, tail):
    fill(store, *EVENTS)
    gap, *events = map(msgspec.json.decode, tail("--json", limit=len(EVENTS) + 1))
    assert gap["type"] == "gap"
    assert [{**event, "seq": 0} for event in events] == [{**event, "seq": 0} for event in EVENTS]


def test_only_of_one_session(store, tail):
    fill(store, EVENTS[1], about=["elsewhere"])
    fill(store, EVENTS[5])
    assert len(tail("--session", "mine", limit=2)) == 2


def test_the_end_of_the_server_is_said(place, store):
    def stop():
        end = time.monotonic() + PATIENCE_S
        while not store.feed._subscriptions:
            assert time.monotonic() < end
            time.sleep(0.001)
        (one,) = store.feed._subscriptions
        asyncio.run_coroutine_threadsafe(store.feed.release(), one.loop).result(PATIENCE_S)

    with serving(create_app(store, ApiSettings(version="0.1.0"))) as url:
        stopping = threading.Thread(target=stop)
        stopping.start()
        done = place.here("tail", "--server-url", url)
        stopping.join()
    assert done.returncode == 0
    assert "the server stops" in done.stderr


def test_without_a_server_it_says_how_to_have_one(place):
    done = place.here("tail")
    assert done.returncode == 1
    assert "no server runs" in done.stderr
    assert "wirescribe up" in done.stderr
