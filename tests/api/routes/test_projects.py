"""Projects over the API."""

import pytest

from tests.api import records
from tests.storage import projected


@pytest.fixture
def story(store):
    session = records.session(store, name="one")
    return store.call(projected.tell, session.id).result()


def test_projects(client, story):
    (shown,) = client.get("/api/projects").json()["projects"]
    assert (shown["id"], shown["path"]) == ("-home-user-work-dir", "/home/user/work.dir")
    assert (shown["conversationCount"], shown["sessionCount"], shown["turnCount"]) == (1, 1, 4)
    assert client.get("/api/projects/-home-user-work-dir").json() == shown
    exact = client.get("/api/projects/any", params={"path": "/home/user/work.dir"})
    assert exact.json() == shown
    assert client.get("/api/projects/nowhere").json()["code"] == "PROJECT_NOT_FOUND"
