"""Seed document 002, line by line."""

import re
import time

import pytest

from storage import sessions

KEYS = {
    "id": str,
    "name": str,
    "isActive": bool,
    "isRecording": bool,
    "createdAt": int,
    "updatedAt": int,
    "trafficCount": int,
    "totalBytes": int,
}
AUTOMATIC = re.compile(r"Session \d{1,2}/\d{1,2}/\d{4}, \d{1,2}:\d\d:\d\d [AP]M")
UNKNOWN = {"error": "Session not found", "code": "SESSION_NOT_FOUND"}
JSON = {"Content-Type": "application/json"}


def create(client, **body):
    return client.post("/api/sessions", json=body).json()


def wait_a_tick():
    """Until the clock of `updatedAt` has moved on."""
    now = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 <= now + 1:
        time.sleep(0.001)


def test_a_session_has_the_keys_of_the_document(client):
    made = create(client, name="Login Flow Testing")

    assert {key: type(made[key]) for key in KEYS} == KEYS
    assert made["origin"] == "user"
    assert list(made)[: len(KEYS)] == list(KEYS)  # what is more stands behind


def test_create_answers_201_with_a_session_at_rest(client):
    before = time.time_ns() // 1_000_000
    answer = client.post("/api/sessions", json={"name": "Login Flow Testing"})
    made = answer.json()

    assert answer.status_code == 201
    assert made["name"] == "Login Flow Testing"
    assert (made["isActive"], made["isRecording"]) == (False, False)
    assert (made["trafficCount"], made["totalBytes"]) == (0, 0)
    assert before <= made["createdAt"] == made["updatedAt"]


@pytest.mark.parametrize(
    "request_of",
    [
        {},
        {"headers": JSON},
        {"content": b"", "headers": JSON},
        {"content": b"null", "headers": JSON},
        {"json": {}},
        {"json": {"name": None}},
        {"json": {"name": ""}},
        {"json": {"name": "  "}},
        {"json": {"unknown": 1}},
    ],
)
def test_without_a_name_one_is_made(client, request_of):
    answer = client.post("/api/sessions", **request_of)

    assert answer.status_code == 201
    assert AUTOMATIC.fullmatch(answer.json()["name"])


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"name": 5}', "$.name: "),
        (b'{"name": ["a"]}', "$.name: "),
        (b"[]", "$: "),
        (b'"name"', "$: "),
        (b"{", "The body is no JSON: "),
        (b'{"name": "\xff"}', "The body is no JSON: "),
        (b'{"name": "\\ud800"}', "The body is no JSON: "),
        (b'{"x": ' + b"[" * 200_000, "The body is no JSON: it is nested too deeply"),
    ],
)
def test_create_refuses_wrong_types_and_names_the_place(client, body, place):
    answer = client.post("/api/sessions", content=body, headers=JSON)

    assert answer.status_code == 400
    assert answer.json()["error"] == "Invalid request"
    assert answer.json()["code"] == "INVALID_REQUEST"
    assert answer.json()["details"].startswith(place)
    assert client.get("/api/sessions").json() == {"sessions": [], "total": 0}


def test_the_list_has_all_sessions_newest_first(client):
    assert client.get("/api/sessions").json() == {"sessions": [], "total": 0}
    made = [create(client, name=f"n{number}") for number in range(60)]

    answer = client.get("/api/sessions")

    assert answer.status_code == 200
    assert answer.json() == {"sessions": made[::-1], "total": 60}


def test_the_list_comes_in_pages_to_who_asks(client):
    made = [create(client, name=f"n{number}") for number in range(5)]

    first = client.get("/api/sessions?limit=2").json()
    second = client.get(f"/api/sessions?after={first['next']}").json()

    assert (first["sessions"], first["total"]) == (made[:2:-1], 5)
    assert second == {"sessions": made[2::-1], "total": 5, "next": None}
    for wrong in ("limit=0", "limit=501", "limit=x", "after=x"):
        assert client.get(f"/api/sessions?{wrong}").status_code == 400


def test_a_run_makes_its_session_recording_at_once(client):
    made = create(client, name="run", origin="run", isRecording=True)

    assert (made["origin"], made["isActive"], made["isRecording"]) == ("run", False, True)
    for wrong in ({"origin": "automatic"}, {"origin": None}, {"isRecording": "yes"}):
        assert client.post("/api/sessions", json=wrong).status_code == 400


def test_get_one(client):
    made = create(client)

    assert client.get(f"/api/sessions/{made['id']}").json() == made
    assert client.get(f"/api/sessions/{made['id'][:30]}").json() == made


def test_no_active_session(client):
    answer = client.get("/api/sessions/active")

    assert answer.status_code == 404
    assert answer.json() == {"error": "No active session", "code": "NO_ACTIVE_SESSION"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/sessions/{}"),
        ("PATCH", "/api/sessions/{}"),
        ("POST", "/api/sessions/{}/activate"),
        ("DELETE", "/api/sessions/{}"),
    ],
)
@pytest.mark.parametrize("unknown", ["session-uuid-9", "0", "%F0%9F%91%BB", "a'b--", "x" * 3000])
def test_an_unknown_session_is_404_and_changes_nothing(client, method, path, unknown):
    active = create(client)["id"]
    client.post(f"/api/sessions/{active}/activate")
    before = client.get("/api/sessions").json()

    answer = client.request(method, path.format(unknown))

    assert (answer.status_code, answer.json()) == (404, UNKNOWN)
    assert client.get("/api/sessions").json() == before


def test_an_ambiguous_prefix_is_409(client):
    first, second = create(client)["id"], create(client)["id"]
    shared = first[: next(n for n in range(36) if first[n] != second[n])]

    answer = client.delete(f"/api/sessions/{shared}")

    assert answer.status_code == 409
    assert answer.json()["code"] == "CONFLICT"
    assert first in answer.json()["error"]
    assert client.get("/api/sessions").json()["total"] == 2


def test_activate_makes_it_the_only_active_one(client):
    old, new = create(client)["id"], create(client)["id"]
    client.post(f"/api/sessions/{old}/activate")
    wait_a_tick()

    answer = client.post(f"/api/sessions/{new}/activate")

    assert answer.status_code == 200
    assert (answer.json()["isActive"], answer.json()["isRecording"]) == (True, True)
    assert answer.json()["updatedAt"] > answer.json()["createdAt"]
    assert client.get("/api/sessions/active").json() == answer.json()
    former = client.get(f"/api/sessions/{old}").json()
    assert (former["isActive"], former["isRecording"]) == (False, False)


def test_patch_changes_what_is_given(client):
    made = create(client, name="old")
    client.post(f"/api/sessions/{made['id']}/activate")
    wait_a_tick()

    answer = client.patch(
        f"/api/sessions/{made['id']}", json={"name": "new", "isRecording": False, "colour": 1}
    )

    changed = answer.json()
    assert answer.status_code == 200
    assert (changed["name"], changed["isActive"], changed["isRecording"]) == ("new", True, False)
    assert changed["updatedAt"] > made["updatedAt"]
    assert client.get(f"/api/sessions/{made['id']}").json() == changed


def test_patch_pins_and_unpins(client):
    made = create(client)
    assert made["pinned"] is False

    for pinned in (True, True, False):
        changed = client.patch(f"/api/sessions/{made['id']}", json={"pinned": pinned}).json()
        assert changed["pinned"] is pinned
        client.patch(f"/api/sessions/{made['id']}", json={"name": "other"})
        assert client.get("/api/sessions").json()["sessions"][0]["pinned"] is pinned


@pytest.mark.parametrize("wrong", ["true", 1, None, []], ids=["text", "number", "null", "list"])
def test_patch_pins_by_truth_values_alone(client, wrong):
    made = create(client)
    answer = client.patch(f"/api/sessions/{made['id']}", json={"pinned": wrong})

    assert answer.status_code == 400
    assert answer.json()["details"].startswith("$.pinned: Expected `bool`")
    assert client.get(f"/api/sessions/{made['id']}").json() == made


@pytest.mark.parametrize("request_of", [{"json": {}}, {}, {"content": b"null", "headers": JSON}])
def test_patch_with_nothing_touches_updated_at_alone(client, request_of):
    made = create(client)
    wait_a_tick()

    changed = client.patch(f"/api/sessions/{made['id']}", **request_of).json()

    assert changed.pop("updatedAt") > made.pop("updatedAt")
    assert changed == made


def test_patch_is_active_activates_and_deactivates(client):
    first, second = create(client)["id"], create(client)["id"]
    client.patch(f"/api/sessions/{first}", json={"isActive": True})
    assert client.get("/api/sessions/active").json()["id"] == first

    client.patch(f"/api/sessions/{second}", json={"isActive": True})
    assert client.get("/api/sessions/active").json()["id"] == second
    assert client.get("/api/sessions/active").json()["isRecording"] is True
    assert client.get(f"/api/sessions/{first}").json()["isActive"] is False

    client.patch(f"/api/sessions/{first}", json={"isActive": False})
    assert client.get("/api/sessions/active").json()["id"] == second
    client.patch(f"/api/sessions/{second}", json={"isActive": False})
    assert client.get("/api/sessions/active").status_code == 404


@pytest.mark.parametrize("name", [None, "", " \t"])
def test_patch_with_a_blank_name_asks_for_the_automatic_one(client, name):
    made = create(client, name="mine")

    changed = client.patch(f"/api/sessions/{made['id']}", json={"name": name}).json()

    assert AUTOMATIC.fullmatch(changed["name"])


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"isActive": "true"}, "$.isActive: Expected `bool`, got `str`"),
        ({"isActive": None}, "$.isActive: Expected `bool`, got `null`"),
        ({"isRecording": 1}, "$.isRecording: Expected `bool`, got `int`"),
        ({"name": {}}, "$.name: "),
        ([1], "$: "),
    ],
)
def test_patch_refuses_wrong_types_and_names_the_place(client, body, place):
    made = create(client)

    answer = client.patch(f"/api/sessions/{made['id']}", json=body)

    assert answer.status_code == 400
    assert answer.json()["details"].startswith(place)
    assert client.get(f"/api/sessions/{made['id']}").json() == made


def test_delete_is_for_good(client):
    made = create(client)["id"]
    client.post(f"/api/sessions/{made}/activate")

    answer = client.delete(f"/api/sessions/{made}")

    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert client.get(f"/api/sessions/{made}").json() == UNKNOWN
    assert client.delete(f"/api/sessions/{made}").status_code == 404
    assert client.get("/api/sessions/active").status_code == 404


def test_what_changes_a_session_is_in_the_control_file_before_the_answer(client, store):
    made = create(client)["id"]
    client.post(f"/api/sessions/{made}/activate")

    assert f'"active": "{made}"' in store.datadir.control.read_text()


def test_the_literal_active_is_no_id(client, store):
    store.change_sessions(sessions.create, name="active").result()

    assert client.get("/api/sessions/active").status_code == 404
