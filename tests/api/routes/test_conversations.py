"""Conversations over the API: pages, one with its tree, its messages."""

import pytest

from tests.api import records
from tests.storage import projected

KEYS = {
    "id", "sessionId", "agent", "agentVersion", "model", "summary", "project", "gitBranch",
    "gitRepository", "mode", "startedAt", "endedAt", "isInferred", "isSubagent", "subagentType",
    "subagentName", "parentId", "parentToolCallId", "firstTurnId", "lastTurnId", "turnCount",
    "promptCount", "messageCount", "toolCallCount", "errorCount", "inputTokens", "outputTokens",
    "cacheReadTokens", "cacheWriteTokens", "reasoningTokens", "costUsd", "unmeteredTurns",
    "unpricedTurns",
}  # fmt: skip


@pytest.fixture
def session(store):
    return records.session(store, name="one")


@pytest.fixture
def story(store, session):
    return store.call(projected.tell, session.id).result()


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["conversations"]]


def test_roots_alone_or_all(client, story):
    assert ids(client.get("/api/conversations")) == [story.root]
    assert ids(client.get("/api/conversations?subagents=true")) == [story.root, story.child]
    (shown, _) = client.get("/api/conversations?subagents=true").json()["conversations"]
    assert set(shown) == KEYS
    assert (shown["costUsd"], shown["unpricedTurns"], shown["turnCount"]) == (0.02, 1, 3)
    assert shown["startedAt"] == projected.START_NS // 1_000_000


def test_pages_and_filters(client, store, session, story):
    store.call(projected.tell, session.id, name="later", began=100).result()
    first = client.get("/api/conversations?limit=1").json()
    second = client.get(f"/api/conversations?limit=1&after={first['next']}").json()
    assert [one["id"] for one in first["conversations"] + second["conversations"]] == [
        "later-conversation",
        story.root,
    ]
    assert second["next"] is None
    asked = "/api/conversations?agent=claude-code&model=claude-opus-5&text=BUG&project=/home/user"
    assert ids(client.get(f"{asked}/work.dir&sessionId={session.id}&limit=9")) != []
    assert ids(client.get(f"{asked}/elsewhere")) == []
    assert client.get("/api/conversations?sessionId=nope").status_code == 404
    assert client.get("/api/conversations?limit=501").status_code == 400
    refused = client.get("/api/conversations?after=nonsense!")
    assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_CONFIG")


def test_one_with_its_tree_and_turns(client, story):
    found = client.get("/api/conversations/root-conv").json()
    assert found["conversation"]["id"] == story.root
    assert [one["id"] for one in found["tree"]] == [story.root, story.child]
    assert found["tree"][1]["parentToolCallId"] == story.calls[1]
    asks, answers, _, title = story.turns
    assert [turn["id"] for turn in found["turns"]] == [asks, title, answers]
    assert found["nextTurn"] is None
    assert [branch["isCurrent"] for branch in found["branches"]] == [True]
    turn = found["turns"][0]
    assert (turn["durationMs"], turn["stopReason"], turn["failure"]) == (2000, "tool_use", None)
    assert turn["usage"]["inputTokens"] == 1000
    assert turn["clock"]["tokensPerSecond"] == 100.0


def test_an_id_that_is_not_clear(client, store, session, story):
    store.call(projected.tell, session.id, name="root-two", began=50).result()
    assert client.get("/api/conversations/root-").status_code == 409
    assert client.get("/api/conversations/nowhere").json() == {
        "error": "Conversation not found",
        "code": "CONVERSATION_NOT_FOUND",
    }
    assert client.get("/api/conversations/nowhere/messages").status_code == 404


def test_its_messages(client, story):
    page = client.get(f"/api/conversations/{story.root}/messages").json()
    assert [one["id"] for one in page["messages"]] == story.messages[:6]
    hint, thought, uses = page["messages"][1:4]
    assert (hint["isInjected"], hint["kind"], hint["isCurrent"]) == (True, "context", True)
    assert thought["parts"] == [
        {"type": "thinking", "text": "A shell will tell.", "isRedacted": False, "extra": None}
    ]
    assert [part["type"] for part in uses["parts"]] == ["text", "tool-call", "tool-call"]
    assert uses["parts"][1]["arguments"] == {"command": "make test"}
    first = client.get(f"/api/conversations/{story.root}/messages?limit=4").json()
    rest = client.get(f"/api/conversations/{story.root}/messages?after={first['next']}").json()
    assert [one["id"] for one in rest["messages"]] == story.messages[4:6]
    titles = client.get(f"/api/conversations/{story.root}/messages?track=title").json()
    assert [one["preview"] for one in titles["messages"]] == ["Make a title"]
