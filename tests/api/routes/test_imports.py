"""Uploads of files, over a real socket, into a store that a real ingest fills."""

import json

import httpx
import pytest

from addons.importing import Importer
from addons.ingest import Ingest
from addons.redaction import Redactor
from api.app import create_app
from storage.datadir import DataDir
from storage.store import Store
from tests.addons.importing.samples import har, har_entry
from tests.api.conftest import serving

HAR = har(har_entry(), har_entry(url="https://api.example.com/second"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return DataDir(tmp_path_factory.mktemp("imports") / "data").prepare()


@pytest.fixture(scope="module")
def api(place):
    from api.settings import ApiSettings

    with Store.open(place, background=Ingest(place).step) as store:
        importer = Importer(store, lambda: Redactor(place.hmac_key()))
        app = create_app(store, ApiSettings(version="0.1.0"), importer)
        with serving(app) as url, httpx.Client(base_url=url, timeout=60) as client:
            yield client


def send(api, path, data, name="chrome.har", **more):
    return api.post(path, files={"file": (name, data)}, **more)


@pytest.mark.parametrize("path", ["/api/import", "/api/har/import"])
def test_a_file_becomes_a_session_of_its_own(api, path):
    name = f"{path.count('/')}.har"
    answer = send(api, path, har(har_entry(url=f"https://a.example{path}")), name)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    session = body.pop("sessionId")
    assert body == {
        "success": True,
        "imported": 1,
        "total": 1,
        "sessionName": name,
        "skipped": [],
        "fault": None,
        "isRepeated": False,
    }
    shown = api.get(f"/api/sessions/{session}").json()
    assert (shown["name"], shown["origin"], shown["trafficCount"]) == (name, "import", 1)
    assert not shown["isActive"]
    assert not shown["isRecording"]


def test_the_same_file_again_adds_nothing_and_another_session_is_not_touched(api):
    first = send(api, "/api/import", HAR).json()
    files = {"file": ("another name.har", HAR), "sessionId": (None, "some-other")}
    again = api.post("/api/import", files=files).json()
    assert again["sessionId"] == first["sessionId"]
    assert (again["imported"], again["total"], again["isRepeated"]) == (0, 2, True)
    assert api.get(f"/api/sessions/{first['sessionId']}").json()["trafficCount"] == 2


def test_what_stands_before_a_break_is_kept_and_said(api):
    broken = HAR[: HAR.rindex(b"second")]
    body = send(api, "/api/import", broken).json()
    assert (body["imported"], body["total"]) == (1, 1)
    assert body["fault"] == f"entry 2: the file ends, at byte {broken.rindex(b'"url"') + 7:,}"


def test_entries_that_cannot_be_imported_are_named(api):
    odd = har(har_entry(), har_entry(url="data:text/plain,hello"), har_entry(started="yesterday"))
    body = send(api, "/api/import", odd).json()
    assert (body["imported"], body["total"]) == (1, 3)
    assert body["skipped"] == [
        {"number": 1, "reason": "its URL is not of HTTP or WebSocket (data:)"},
        {"number": 2, "reason": "its startedDateTime is no time ('yesterday')"},
    ]


@pytest.mark.parametrize(
    ("path", "data", "error"),
    [
        ("/api/import", b"", "the file is empty"),
        ("/api/import", b"GIF89a", "this is neither a HAR file nor a flow file of mitmproxy"),
        ("/api/import", b'{"log": {"entries": []}}', "nothing can be imported"),
        ("/api/har/import", b"5:hello,", "Invalid HAR structure"),
        ("/api/har/import", b"{nonsense", "Invalid HAR file format"),
        ("/api/har/import", b'{"log": {}}', "Invalid HAR structure"),
        ("/api/har/validate", b'{"log": []}', "Invalid HAR structure"),
        ("/api/har/validate", HAR[:-9], "Invalid HAR file format"),
    ],
    ids=["empty", "gif", "no-entries", "flows", "no-json", "no-list", "list", "cut-off"],
)
def test_what_is_refused_leaves_nothing(api, place, path, data, error):
    before = api.get("/api/sessions").json()["total"]
    answer = send(api, path, data)
    assert answer.status_code == 400
    assert (answer.json()["error"], answer.json()["code"]) == (error, "UNREADABLE_FILE")
    assert api.get("/api/sessions").json()["total"] == before
    assert not list(place.run.glob(".*upload*"))


def test_validate_says_what_a_har_is_and_imports_nothing(api):
    before = api.get("/api/sessions").json()["total"]
    answer = send(api, "/api/har/validate", HAR)
    assert (answer.status_code, answer.json()) == (
        200,
        {"valid": True, "version": "1.2", "creator": "Test 1", "entryCount": 2},
    )
    assert api.get("/api/sessions").json()["total"] == before


def test_a_request_without_a_file_is_told_so(api):
    answer = api.post("/api/har/import", files={"other": ("a.har", HAR)})
    assert (answer.status_code, answer.json()["error"]) == (400, "No file provided")
    answer = api.post("/api/har/import", json={})
    assert (answer.status_code, answer.json()["error"]) == (400, "No file provided")


def test_a_cut_off_form_imports_nothing(api):
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + HAR
    kind = {"content-type": "multipart/form-data; boundary=b"}
    answer = api.post("/api/import", content=form, headers=kind)
    assert (answer.status_code, answer.json()["error"]) == (400, "Invalid multipart/form-data")


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}],
    ids=["origin", "null", "site"],
)
def test_a_form_of_another_site_is_refused(api, headers):
    assert send(api, "/api/import", HAR, headers=headers).status_code == 403


def test_forms_are_for_files_alone(api):
    assert api.post("/api/sessions", files={"file": ("a", b"{}")}).status_code == 415


def test_a_server_without_an_importer_says_so(server):
    answer = send(server, "/api/import", HAR)
    assert (answer.status_code, answer.json()["code"]) == (503, "BUSY")


def test_the_document_tells_of_the_file(api):
    paths = api.get("/api/openapi.json").json()["paths"]
    for path in ("/api/import", "/api/har/import", "/api/har/validate"):
        content = paths[path]["post"]["requestBody"]["content"]
        schema = content["multipart/form-data"]["schema"]
        assert json.dumps(schema["properties"]["file"]) == '{"type": "string", "format": "binary"}'
