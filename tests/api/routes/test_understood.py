"""Of a session: events, timeline, messages, tool calls; and what it shows of itself."""

import msgspec
import pytest

from tests.api import records
from tests.storage import projected


@pytest.fixture
def session(store):
    return records.session(store, name="one")


@pytest.fixture
def story(store, session):
    return store.call(projected.tell, session.id).result()


def test_events_are_lines(client, session, story):
    answer = client.get(f"/api/sessions/{session.id}/events", headers={"Accept": "*/*"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    events = [msgspec.json.decode(line) for line in answer.text.splitlines()]
    assert len(events) == 18
    assert events[0]["type"] == "session.start"
    asked = events[1]
    assert asked["message"] == asked["data"]["message"] == "Find the bug, please"
    assert asked["turn"] == 0
    assert asked["turnId"] == story.turns[0]
    assert asked["timestamp"] == "2026-11-18T11:06:40.000Z"
    assert asked["conversationId"] == story.root


def test_or_an_array(client, session, story):
    as_json = {"Accept": "application/json"}
    answer = client.get(f"/api/sessions/{session.id}/events", headers=as_json)
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.json()) == 18
    below = client.get(
        f"/api/sessions/{session.id}/events?conversationId={story.child}", headers=as_json
    ).json()
    assert {event["conversationId"] for event in below} == {story.child}


def test_a_session_without_any(client, session):
    path = f"/api/sessions/{session.id}/events"
    assert client.get(path).text == ""
    assert client.get(path, headers={"Accept": "application/json"}).json() == []
    assert client.get("/api/sessions/nowhere/events").status_code == 404
    empty = client.get(f"/api/sessions/{session.id}/timeline").json()
    assert empty == {"turns": [], "startedAt": None, "endedAt": None, "isCut": False}


def test_the_timeline(client, session, story):
    found = client.get(f"/api/sessions/{session.id}/timeline").json()
    asks, _, _, answers = found["turns"]
    assert (asks["durationMs"], asks["firstByteMs"], asks["waitMs"]) == (2000, 399, None)
    assert answers["waitMs"] == 3000
    shell, spawn = asks["tools"]
    assert (shell["durationMs"], shell["durationSource"], shell["isError"]) == (742, "stated", True)
    assert spawn["childConversationId"] == story.child
    assert found["endedAt"] == projected.at(9) // 1_000_000


def test_messages_and_tool_calls_in_their_order(client, session, story):
    page = client.get(f"/api/sessions/{session.id}/messages").json()
    assert [one["id"] for one in page["messages"]][:4] == story.messages[:4]
    assert page["messages"][0]["isCurrent"] is None
    calls = client.get(f"/api/sessions/{session.id}/tool-calls").json()
    assert [one["id"] for one in calls["toolCalls"]] == story.calls
    for what in ("messages", "tool-calls", "timeline"):
        assert client.get(f"/api/sessions/nowhere/{what}").status_code == 404


def test_a_session_shows_what_was_understood_of_it(client, session, story):
    listed = client.get("/api/sessions").json()["sessions"][0]
    shown = client.get(f"/api/sessions/{session.id}").json()
    assert listed == shown
    assert shown["summary"] == "Find the bug, please"
    assert (shown["project"], shown["projectId"]) == ("/home/user/work.dir", "-home-user-work-dir")
    assert (shown["agent"], shown["model"]) == ("claude-code", "claude-opus-5")
    assert (shown["conversationCount"], shown["subagentCount"], shown["turnCount"]) == (1, 1, 4)
    assert (shown["inputTokens"], shown["costUsd"], shown["unpricedTurns"]) == (4000, 0.03, 1)


def test_a_session_of_which_nothing_is_understood(client, session):
    shown = client.get(f"/api/sessions/{session.id}").json()
    assert (shown["summary"], shown["agent"], shown["project"]) == (None, None, None)
    assert (shown["turnCount"], shown["costUsd"]) == (0, 0.0)
