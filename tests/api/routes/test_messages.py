"""Messages over all sessions, and the search in them."""

import pytest

from tests.api import records
from tests.storage import projected


@pytest.fixture
def story(store):
    session = records.session(store, name="one")
    return store.call(projected.tell, session.id).result()


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["messages"]]


def test_newest_first_or_oldest(client, story):
    newest = ids(client.get("/api/messages"))
    assert newest == ids(client.get("/api/messages?order=oldest"))[::-1]
    assert newest[0] == story.messages[5]
    assert len(newest) == 9


def test_filters(client, story):
    assert ids(client.get("/api/messages?kind=prompt&role=user&order=oldest")) == [
        story.messages[0],
        story.messages[6],
    ]
    assert len(ids(client.get(f"/api/messages?conversationId={story.child}"))) == 2
    assert len(ids(client.get(f"/api/messages?sessionId={story.session_id}"))) == 9
    assert client.get("/api/messages?conversationId=nowhere").status_code == 404
    assert client.get("/api/messages?sessionId=nowhere").status_code == 404
    assert client.get("/api/messages?after=AA").status_code == 400


def test_words_are_found_with_their_place(client, story):
    found = client.get("/api/messages", params={"text": '"line 7" bug'}).json()
    assert [one["id"] for one in found["messages"]] == [story.messages[5]]
    (hit,) = found["hits"]
    assert hit["messageId"] == story.messages[5]
    assert [hit["snippet"][start:stop] for start, stop in hit["marks"]] == ["bug", "line 7"]
    for odd in ('"', "*", "a AND (", "", "x:y"):
        assert client.get("/api/messages", params={"text": odd}).status_code == 200


def test_pages_of_what_was_found(client, story):
    first = client.get("/api/messages?text=line&limit=2").json()
    rest = client.get(f"/api/messages?text=line&after={first['next']}").json()
    assert [one["id"] for one in rest["messages"]] == [story.messages[7]]


def test_a_page_ends_early_where_messages_are_long(client, store, story):
    for _ in range(3):
        store.call(projected.message, story.root, story.turns[1], "x" * (3 << 20)).result()
    page = client.get("/api/messages?limit=3").json()
    assert len(page["messages"]) == 1
    assert len(ids(client.get(f"/api/messages?limit=1&after={page['next']}"))) == 1
