"""Pages of traffic entries, one entry, statistics and deletion."""

import pytest

from storage import sessions, traffic
from storage.records import ResponseHead
from tests.api import records

UNKNOWN = {"error": "Traffic entry not found", "code": "TRAFFIC_ENTRY_NOT_FOUND"}
# seed-apis of the servers of document 002: Entry.
KEYS = {
    "id", "sessionId", "timestamp", "method", "url", "protocol", "host", "path", "requestHeaders",
    "requestBody", "requestBodySize", "status", "statusText", "responseHeaders", "responseBody",
    "responseBodySize", "duration", "remoteAddress", "tlsVersion", "error", "isComplete",
    "isMocked", "isBreakpointed", "isTruncated",
}  # fmt: skip


def answer(status, content_type=b"application/json"):
    return ResponseHead(status=status, headers=((b"Content-Type", content_type),))


@pytest.fixture
def session(store):
    return records.session(store, name="one")


def ids_of(page):
    return [entry["id"] for entry in page["entries"]]


def test_an_entry_has_the_keys_of_its_relatives(client, store, session):
    made = records.entry(
        store,
        session.id,
        request=b'{"a":1}',
        response=b"data: x\n\n",
        started_ns=1_795_000_000_123_456_789,
        target=b"/v1/messages?beta=true",
        headers=((b"Accept", b"a"), (b"X-Odd", b"\xff"), (b"accept", b"b"), (b"X-U", "é".encode())),
        answer=ResponseHead(
            status=200,
            reason=b"OK",
            http_version="HTTP/2.0",
            headers=((b"set-cookie", b"a=1"), (b"Set-Cookie", b"b=2")),
        ),
        marks=("started_late",),
    )

    shown = client.get(f"/api/traffic/{made}").json()

    assert set(shown) >= KEYS
    assert shown["sessionId"] == session.id
    assert shown["timestamp"] == 1_795_000_000_123
    assert shown["url"] == "https://api.example.com/v1/messages?beta=true"
    assert (shown["protocol"], shown["path"]) == ("https", "/v1/messages?beta=true")
    assert shown["requestHeaders"] == {"Accept": ["a", "b"], "X-Odd": "ÿ", "X-U": "é"}
    assert shown["responseHeaders"] == {"set-cookie": ["a=1", "b=2"]}
    assert (shown["status"], shown["statusText"]) == (200, "OK")
    assert shown["requestBody"] == {
        "url": f"/api/traffic/{made}/request-body",
        "size": 7,
        "digest": "sha256:015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862",
        "wireHmac": None,
    }
    assert (shown["requestBodySize"], shown["responseBodySize"]) == (7, 9)
    assert shown["duration"] == 1
    assert (shown["outcome"], shown["isComplete"], shown["isTruncated"]) == (
        "complete",
        True,
        False,
    )
    assert (shown["isMocked"], shown["isBreakpointed"], shown["frameCount"]) == (False, False, None)
    assert shown["marks"] == ["started_late"]


def test_unknown_is_null(client, store, session):
    made = records.entry(store, session.id, answer=None, outcome=None, request=b"abc")

    shown = client.get(f"/api/traffic/{made}").json()

    for key in ("status", "statusText", "responseHeaders", "responseBody", "duration", "outcome",
                "remoteAddress", "tlsVersion", "error", "isTruncated", "closeCode"):  # fmt: skip
        assert shown[key] is None, key
    assert shown["requestBody"]["size"] is None
    assert shown["requestBody"]["digest"] is None
    assert shown["requestBodySize"] == 3
    assert shown["isComplete"] is False


@pytest.mark.parametrize(
    ("opened", "url", "protocol"),
    [
        ({}, "https://api.example.com/v1/messages", "https"),
        ({"port": 8443}, "https://api.example.com:8443/v1/messages", "https"),
        ({"scheme": "http", "port": 80}, "http://api.example.com/v1/messages", "http"),
        ({"kind": "websocket"}, "wss://api.example.com/v1/messages", "wss"),
        (
            {"kind": "websocket", "scheme": "http", "port": 81},
            "ws://api.example.com:81/v1/messages",
            "ws",
        ),
        ({"host": "::1"}, "https://[::1]/v1/messages", "https"),
        (
            {"kind": "tunnel", "method": "CONNECT", "scheme": "", "target": b""},
            "api.example.com:443",
            None,
        ),
    ],
)
def test_url(client, store, session, opened, url, protocol):
    shown = client.get(f"/api/traffic/{records.entry(store, session.id, **opened)}").json()

    assert (shown["url"], shown["protocol"]) == (url, protocol)


def test_less_stored_than_crossed_shows(client, store, session):
    made = records.entry(store, session.id, request=b"abc", crossed=5, outcome="gap")

    assert client.get(f"/api/traffic/{made}").json()["isTruncated"] is True


def test_pages_follow_each_other_without_hole_or_double(client, store, session):
    made = [records.entry(store, session.id) for _ in range(7)]
    for order, expected in (("newest", made[::-1]), ("oldest", made)):
        seen, after = [], None
        while True:
            params = {"limit": 3, "order": order} | ({"after": after} if after else {})
            page = client.get("/api/traffic", params=params).json()
            assert page["total"] == 7
            seen += ids_of(page)
            after = page["next"]
            if after is None:
                break
            if len(seen) == 3:  # what comes meanwhile moves no page
                late = records.entry(store, session.id)
                client.delete(f"/api/traffic/{late}")
        assert seen == expected
    assert ids_of(client.get("/api/traffic").json()) == made[::-1]


def test_filters(client, store, session):
    other = records.session(store, name="two")
    plain = records.entry(store, session.id, method="GET", answer=answer(200), target=b"/a?q=Find")
    failed = records.entry(store, session.id, host="b.example", answer=answer(429))
    gone = records.entry(store, session.id, answer=answer(404), outcome="client_aborted")
    socket = records.entry(store, session.id, kind="websocket", answer=answer(101), outcome=None)
    tunnel = records.entry(
        store, other.id, kind="tunnel", method="CONNECT", scheme="", answer=None, error="Findings"
    )

    for params, expected in [
        ({"sessionId": session.id}, {plain, failed, gone, socket}),
        ({"sessionId": other.id[:35]}, {tunnel}),
        ({"host": "b.example"}, {failed}),
        ({"method": "get"}, {plain}),
        ({"status": "200"}, {plain}),
        ({"status": "4xx"}, {failed, gone}),
        ({"status": "429", "host": "api.example.com"}, set()),
        ({"kind": "websocket"}, {socket}),
        ({"outcome": "open"}, {socket}),
        ({"outcome": "client_aborted"}, {gone}),
        ({"text": "find"}, {plain, tunnel}),
        ({"text": "%"}, set()),
        ({"text": ""}, {plain, failed, gone, socket, tunnel}),
        ({"after": "zzz", "unknown": "1"}, {plain, failed, gone, socket, tunnel}),
    ]:
        page = client.get("/api/traffic", params=params).json()
        assert set(ids_of(page)) == expected, params
        assert page["total"] == len(expected)
        assert page["next"] is None


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ({"limit": 0}, "limit: "),
        ({"limit": 501}, "limit: "),
        ({"limit": "many"}, "limit: "),
        ({"status": "abc"}, "status: "),
        ({"status": "6xx"}, "status: "),
        ({"status": "0200"}, "status: "),
        ({"kind": "ftp"}, "kind: "),
        ({"outcome": "done"}, "outcome: "),
        ({"order": "asc"}, "order: "),
    ],
)
def test_bad_filters_are_refused_by_name(client, params, place):
    refused = client.get("/api/traffic", params=params)

    assert refused.status_code == 400
    assert refused.json()["details"].startswith(place)


def test_of_an_unknown_session(client):
    assert client.get("/api/traffic", params={"sessionId": "nowhere"}).status_code == 404
    assert client.get("/api/traffic/stats/nowhere").status_code == 404
    assert client.delete("/api/traffic/session/nowhere").status_code == 404


def test_an_entry_is_found_by_a_prefix(client, store, session):
    first = records.entry(store, session.id)
    second = records.entry(store, session.id)
    shared = first[: next(n for n in range(36) if first[n] != second[n])]

    assert client.get(f"/api/traffic/{first[:-1]}").json()["id"] == first
    assert client.get(f"/api/traffic/{first.upper()}").json()["id"] == first
    assert client.get(f"/api/traffic/{shared}").status_code == 409
    for unknown in (first[:3], "abcdef", "%25%25%25%25", first + "0"):
        missing = client.get(f"/api/traffic/{unknown}")
        assert (missing.status_code, missing.json()) == (404, UNKNOWN)


def test_stats(client, store, session):
    assert client.get(f"/api/traffic/stats/{session.id}").json() == {
        "totalRequests": 0,
        "completedRequests": 0,
        "failedRequests": 0,
        "openRequests": 0,
        "totalBytes": 0,
        "avgDuration": None,
    }
    records.entry(store, session.id, request=b"12", response=b"345")
    records.entry(store, session.id, outcome="continued")
    records.entry(store, session.id, outcome="upstream_error", answer=None)
    records.entry(store, session.id, outcome=None, request=b"6")

    assert client.get(f"/api/traffic/stats/{session.id}").json() == {
        "totalRequests": 4,
        "completedRequests": 2,
        "failedRequests": 1,
        "openRequests": 1,
        "totalBytes": 6,
        "avgDuration": 1.5,
    }


def test_delete_an_entry(client, store, session):
    kept, gone = records.entry(store, session.id), records.entry(store, session.id, request=b"x")

    deleted = client.delete(f"/api/traffic/{gone}")

    assert (deleted.status_code, deleted.json()) == (200, {"success": True})
    assert client.get(f"/api/traffic/{gone}").json() == UNKNOWN
    assert client.delete(f"/api/traffic/{gone}").status_code == 404
    assert client.get(f"/api/traffic/{gone}/request-body").status_code == 404
    assert ids_of(client.get("/api/traffic").json()) == [kept]
    shown = client.get(f"/api/sessions/{session.id}").json()
    assert (shown["trafficCount"], shown["totalBytes"]) == (1, 0)


def test_clear_a_session(client, store, session):
    other = records.session(store, name="other")
    kept = records.entry(store, other.id)
    for _ in range(5):
        records.entry(store, session.id)

    cleared = client.delete(f"/api/traffic/session/{session.id}")

    assert (cleared.status_code, cleared.json()) == (200, {"success": True, "deleted": 5})
    assert ids_of(client.get("/api/traffic").json()) == [kept]
    assert client.get(f"/api/sessions/{session.id}").json()["trafficCount"] == 0
    assert client.delete(f"/api/traffic/session/{session.id}").json()["deleted"] == 0


def test_deleting_a_session_takes_its_traffic_out_of_sight(client, store, session):
    records.entry(store, session.id)

    client.delete(f"/api/sessions/{session.id}")
    while store.call(sessions.sweep).result():
        pass

    assert list(traffic.each(store.read(), session.id)) == []
    assert client.get("/api/traffic").json()["entries"] == []


def test_a_session_that_a_running_agent_uses_goes_on_recording(client, store, session):
    run = records.session(store, name="run", origin="run", is_recording=True)
    client.post(f"/api/sessions/{run.id}/activate")
    records.entry(store, run.id, outcome=None)

    client.post(f"/api/sessions/{session.id}/activate")

    shown = client.get(f"/api/sessions/{run.id}").json()
    assert (shown["isActive"], shown["isRecording"]) == (False, True)


def test_a_session_whose_agent_ended_stops_recording(client, store, session):
    run = records.session(store, name="run", origin="run", is_recording=True)
    client.post(f"/api/sessions/{run.id}/activate")
    records.entry(store, run.id, started_ns=1_600_000_000_000_000_000)

    client.patch(f"/api/sessions/{session.id}", json={"isActive": True})

    shown = client.get(f"/api/sessions/{run.id}").json()
    assert (shown["isActive"], shown["isRecording"]) == (False, False)
