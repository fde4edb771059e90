"""The export as document 002 serves it; what is in the file is tested beside the exporter."""

import re

from tests.api import records


def test_a_session_as_har(server, store):
    session = records.session(store, name='Checkout/Flow "Debug" ü')
    made = [records.entry(store, session.id, response=b"x" * 300_000) for _ in range(3)]

    answer = server.get(f"/api/har/export/{session.id}")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert re.fullmatch(
        r'attachment; filename="Checkout_Flow__Debug____\d{13}\.har"',
        answer.headers["content-disposition"],
    )
    log = answer.json()["log"]
    assert log["version"] == "1.2"
    assert [entry["_id"] for entry in log["entries"]] == made


def test_an_empty_session(client, store):
    session = records.session(store)

    assert client.get(f"/api/har/export/{session.id}").json()["log"]["entries"] == []


def test_an_unknown_session(client):
    answer = client.get("/api/har/export/nowhere")

    assert answer.status_code == 404
    assert answer.json() == {"error": "Session not found", "code": "SESSION_NOT_FOUND"}


def test_recorded_credentials_are_cut_unless_they_are_asked_for(server, store):
    key = b"sk-ant-api03-invented-for-this-test-0123456789"
    session = records.session(store)
    records.entry(store, session.id, request=b"it is " + key, headers=((b"x-api-key", key),))
    path = f"/api/har/export/{session.id}"

    cut, kept = server.get(path), server.get(path, params={"secrets": "keep"})

    assert key not in cut.content
    assert kept.content.count(key) == 2
    assert len(cut.json()["log"]["entries"]) == 1
    assert server.get(path, params={"secrets": "perhaps"}).status_code == 400
