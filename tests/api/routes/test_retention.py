"""What is kept for how long, and what was dropped for it."""

import pytest
from litestar.testing import TestClient

from storage import drops, retention, sessions
from storage.retention import Limits
from tests.api import records


@pytest.fixture
def dropped(store):
    """Five sessions that retention dropped, oldest first."""
    made = [records.session(store, name=f"n{number}") for number in range(5)]
    for number, session in enumerate(made):
        store.call(drops.add, session, "retention.days", 1_795_000_000_000 + number).result()
        store.change_sessions(sessions.delete, session.id).result()
    return made


def test_without_limits_all_is_kept(client: TestClient):
    shown = client.get("/api/retention").json()

    assert shown.pop("liveBytes") > 0
    assert shown == {
        "days": None,
        "maxBytes": None,
        "isExceeded": False,
        "drops": [],
        "total": 0,
        "next": None,
    }


def test_what_was_dropped_comes_in_pages(client, store, dropped):
    store.call(retention.set_limits, Limits(days=30, max_bytes=1 << 30)).result()

    first = client.get("/api/retention?limit=3").json()
    second = client.get(f"/api/retention?limit=3&after={first['next']}").json()

    assert (first["days"], first["maxBytes"], first["total"]) == (30.0, 1 << 30, 5)
    found = [*first["drops"], *second["drops"]]
    assert [one["sessionId"] for one in found] == [one.id for one in reversed(dropped)]
    assert second["next"] is None
    assert found[0] == {
        "sessionId": dropped[4].id,
        "name": "n4",
        "origin": "user",
        "createdAt": dropped[4].created_ms,
        "updatedAt": dropped[4].updated_ms,
        "trafficCount": 0,
        "totalBytes": 0,
        "reason": "retention.days",
        "droppedAt": 1_795_000_000_004,
    }
    assert client.get("/api/health").json()["droppedSessions"] == 5
    for wrong in ("limit=0", "limit=501", "after=x"):
        assert client.get(f"/api/retention?{wrong}").status_code == 400


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_dropped_session_says_what_became_of_it(client, dropped, method):
    answer = client.request(method, f"/api/sessions/{dropped[0].id}")

    assert answer.status_code == 404
    assert answer.json() == {
        "error": "Session not found",
        "code": "SESSION_NOT_FOUND",
        "details": "retention.days dropped it at 2026-11-18T11:06:40Z",
    }


def test_the_list_can_be_forgotten(client, dropped):
    assert client.delete("/api/retention/drops").json() == {"cleared": 5}
    assert client.get("/api/retention").json()["total"] == 0
    answer = client.get(f"/api/sessions/{dropped[0].id}").json()
    assert answer == {"error": "Session not found", "code": "SESSION_NOT_FOUND"}


def test_a_limit_that_cannot_be_kept_is_told(client, store):
    session = records.session(store)
    records.entry(store, session.id)
    store.change_sessions(sessions.update, session.id, is_pinned=True).result()
    store.call(retention.set_limits, Limits(max_bytes=1000)).result()

    shown = client.get("/api/health").json()

    assert shown["status"] == "degraded"
    (reason,) = shown["degraded"]
    assert "more than retention.max_gb allows (1000), and no session may go" in reason
    assert client.get("/api/retention").json()["isExceeded"] is True
