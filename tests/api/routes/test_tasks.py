"""Tasks over the API."""

import pytest

from tests.api import records
from tests.storage import projected


@pytest.fixture
def story(store):
    session = records.session(store, name="one")
    return store.call(projected.tell, session.id).result()


def ids(answer, what="tasks"):
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()[what]]


def test_tasks(client, store, story):
    assert client.get("/api/tasks").json() == {"tasks": [], "next": None}
    for key in "12":
        store.call(projected.task, story.root, key, story.turns[0]).result()
    (first, _) = client.get("/api/tasks").json()["tasks"]
    assert (first["id"], first["subject"], first["status"]) == ("1", "Task 1", "pending")
    assert first["blockedBy"] == first["blocks"] == []
    assert first["createdAt"] == projected.START_NS // 1_000_000
    page = client.get(f"/api/tasks?limit=1&sessionId={story.session_id}").json()
    assert ids(client.get(f"/api/tasks?after={page['next']}")) == ["2"]
    assert ids(client.get("/api/tasks?status=completed")) == []
    assert client.get("/api/tasks?status=open").status_code == 400
