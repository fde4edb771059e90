"""Tool calls and subagents over the API."""

import pytest

from tests.api import records
from tests.storage import projected


@pytest.fixture
def story(store):
    session = records.session(store, name="one")
    return store.call(projected.tell, session.id).result()


def ids(answer, what="toolCalls"):
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()[what]]


def test_tool_calls(client, story):
    shell, spawn = story.calls
    assert ids(client.get("/api/tool-calls")) == [spawn, shell]
    assert ids(client.get("/api/tool-calls?order=oldest&limit=1")) == [shell]
    for asked, found in (
        ("name=Bash", [shell]),
        ("kind=task", [spawn]),
        ("error=true", [shell]),
        ("error=false", [spawn]),
        ("mcpServer=github", []),
        (f"conversationId={story.root}&sessionId={story.session_id}", [spawn, shell]),
    ):
        assert ids(client.get(f"/api/tool-calls?{asked}")) == found, asked
    assert client.get("/api/tool-calls?kind=nonsense").status_code == 400
    first = client.get("/api/tool-calls?limit=1").json()
    assert ids(client.get(f"/api/tool-calls?after={first['next']}")) == [shell]


def test_a_tool_call_is_shown_whole(client, story):
    shown = client.get("/api/tool-calls?name=Bash").json()["toolCalls"][0]
    assert shown["arguments"] == {"command": "make test"}
    assert shown["result"].startswith("make: ***")
    assert (shown["isError"], shown["exitCode"]) == (True, 2)
    assert (shown["durationMs"], shown["durationSource"]) == (742, "stated")
    assert shown["calledAt"] == projected.at(1.4) // 1_000_000


def test_subagents(client, story):
    (shown,) = client.get("/api/subagents").json()["subagents"]
    assert (shown["id"], shown["parentId"], shown["subagentType"]) == (
        story.child,
        story.root,
        "Explore",
    )
    assert ids(client.get(f"/api/subagents?conversationId={story.root}"), "subagents") != []
    assert ids(client.get(f"/api/subagents?conversationId={story.child}"), "subagents") == []
    assert ids(client.get(f"/api/subagents?sessionId={story.session_id}"), "subagents") != []
