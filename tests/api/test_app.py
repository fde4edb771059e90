"""The whole API at once: every route of its document, under attack and in peace."""

import itertools

import pytest

from storage.records import ResponseHead
from tests.api import records
from tests.api.test_guards import FOREIGN_HOSTS, MALFORMED_HOSTS, assert_guarded
from tests.storage import projected

ATTACKS = [
    *({"Origin": origin} for origin in ("http://evil.com", "null", "http://localhost:8889.evil")),
    *({"Sec-Fetch-Site": site} for site in ("cross-site", "same-site")),
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    *({"Host": host} for host in (*FOREIGN_HOSTS, *MALFORMED_HOSTS) if host.isascii()),
]
BODIES = [
    ("text/plain", b'{"name": "evil"}'),
    ("application/x-www-form-urlencoded", b"name=evil"),
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="name"\r\n'),
    ("text/plain", b""),
    (None, b'{"name": "evil"}'),
]

TAKE_FILES = ("/api/import", "/api/har/import", "/api/har/validate")


@pytest.fixture
def filled(client, store):
    """Ids by the name of the path parameter that they stand for."""
    session = records.session(store, name="one")
    entry_id = records.entry(
        store,
        session.id,
        request=b"{}",
        response=b"data: a\n\n",
        answer=ResponseHead(status=200, headers=((b"content-type", b"text/event-stream"),)),
    )
    records.entry(store, session.id, kind="websocket", messages=[("request", 1, 5, b"hello")])
    client.post(f"/api/sessions/{session.id}/activate")
    story = store.call(projected.tell, session.id).result()
    return {
        "session_id": session.id,
        "entry_id": entry_id,
        "number": "0",
        "conversation_id": story.root,
        "turn_id": story.turns[0],
        "project_id": "-home-user-work-dir",
    }


def operations(client, filled):
    """(method, path) of every route, with real ids."""
    paths = client.get("/api/openapi.json").json()["paths"]
    for path, item in paths.items():
        for method in item:
            yield method.upper(), path.format(**filled)


def everything(store):
    """All rows of all tables; of the search index, which is read by words, those that it keeps."""
    conn = store.read()
    names = conn.execute(
        "select name from sqlite_master where type = 'table' and sql not like 'create virtual%'"
    ).fetchall()
    return {name: conn.execute(f'select * from "{name}"').fetchall() for (name,) in names}


def test_the_document_names_every_route(client):
    document = client.get("/api/openapi.json").json()
    found = {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }

    assert document["openapi"].startswith("3.1")
    assert set(found) == {
        "GET /api/health",
        "GET /api/retention",
        "DELETE /api/retention/drops",
        "GET /api/sessions",
        "POST /api/sessions",
        "GET /api/sessions/active",
        "GET /api/sessions/{session_id}",
        "PATCH /api/sessions/{session_id}",
        "DELETE /api/sessions/{session_id}",
        "POST /api/sessions/{session_id}/activate",
        "GET /api/sessions/{session_id}/events",
        "GET /api/sessions/{session_id}/timeline",
        "GET /api/sessions/{session_id}/messages",
        "GET /api/sessions/{session_id}/tool-calls",
        "GET /api/conversations",
        "GET /api/conversations/{conversation_id}",
        "GET /api/conversations/{conversation_id}/messages",
        "GET /api/turns/{turn_id}",
        "GET /api/traffic/{entry_id}/turns",
        "GET /api/messages",
        "GET /api/tool-calls",
        "GET /api/subagents",
        "GET /api/tasks",
        "GET /api/projects",
        "GET /api/projects/{project_id}",
        "GET /api/rebuild",
        "POST /api/rebuild",
        "GET /api/live",
        "POST /api/sessions/{session_id}/run-ended",
        "GET /api/har/export/{session_id}",
        *(f"POST {path}" for path in TAKE_FILES),
        "GET /api/traffic",
        "GET /api/traffic/stats/{session_id}",
        "DELETE /api/traffic/session/{session_id}",
        "GET /api/traffic/{entry_id}",
        "DELETE /api/traffic/{entry_id}",
        "GET /api/traffic/{entry_id}/request-body",
        "GET /api/traffic/{entry_id}/response-body",
        "GET /api/traffic/{entry_id}/frames",
        "GET /api/traffic/{entry_id}/frames/{number}",
        "GET /api/traffic/{entry_id}/timing",
        "GET /api/traffic/{entry_id}/cuts",
    }
    names = [operation["operationId"] for operation in found.values()]
    assert len(set(names)) == len(names)
    for name, operation in found.items():
        assert operation["summary"], name
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                schema = answer["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (name, status)
        if "requestBody" in operation:
            takes_file = "multipart/form-data" in operation["requestBody"]["content"]
            assert operation["requestBody"]["required"] is takes_file, name
            assert takes_file is (name.removeprefix("POST ") in TAKE_FILES)


def test_strangers_reach_no_route_and_change_nothing(client, store, filled):
    before = everything(store)
    routes = [*operations(client, filled), ("GET", "/"), ("GET", "/api/openapi.json")]
    assert len(routes) > 20

    for (method, path), headers in itertools.product(routes, ATTACKS):
        if path == "/" and headers.get("Sec-Fetch-Mode"):
            continue  # a link to a page
        refused = client.request(method, path, headers=headers)
        assert refused.status_code in (400, 403), (method, path, headers)
        assert_guarded(refused)
    for (method, path), (content_type, body) in itertools.product(routes, BODIES):
        if method != "GET":
            headers = {"Content-Type": content_type} if content_type else {}
            refused = client.request(method, path, content=body, headers=headers)
            # Forms are let in there; what keeps other sites out is the Origin that they carry.
            may_come = path in TAKE_FILES and content_type and "multipart" in content_type
            assert refused.status_code == (503 if may_come else 415), (method, path, content_type)
            assert_guarded(refused)

    assert everything(store) == before


def test_get_changes_nothing(client, store, filled):
    before = everything(store)

    for method, path in operations(client, filled):
        if method == "GET" and path != "/api/live":  # which does not end
            answer = client.get(path)
            assert answer.status_code in (200, 404), path
            assert_headers_of_data(answer)

    assert everything(store) == before


def assert_headers_of_data(answer):
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_head_and_unknown_methods(client, filled):
    for method in ("PUT", "TRACE", "HEAD"):
        refused = client.request(method, "/api/sessions")
        assert refused.status_code == 405
        assert set(refused.headers["allow"].split(", ")) == {"GET", "POST", "OPTIONS"}
