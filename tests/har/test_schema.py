"""The JSON schema of HAR 1.2, and what its text says beyond it."""

import copy
import json

import pytest

from storage.records import Gap
from tests.har.again import check_same, exported_again
from tests.har.recording import MS
from tests.har.schema import validator
from tests.provider import seeded


@pytest.fixture(scope="module")
def schema():
    return validator()


@pytest.fixture(scope="module")
def har(served):
    return json.loads(served.document)


def faults(schema, document):
    return [f"{error.json_path}: {error.message}" for error in schema.iter_errors(document)]


def test_real_traffic_is_valid(schema, har):
    assert faults(schema, har) == []


def test_real_traffic_is_exported_the_same_once_it_was_imported(served, tmp_path):
    check_same(served.document, exported_again(tmp_path, served.document))


def test_odd_records_are_valid(schema, recording):
    damaged = recording.http(request=b"x" * 900, chunks=[(1, seeded(9000))])
    recording.http(closed_ns=None, headers=((b"set-cookie", b"a=1; expires=never"),))
    recording.http(status=None, closed={"outcome": "refused", "error": "no", "server": None})
    recording.http(gaps=(Gap(reason="queue_full", started_ns=1),), request=b"\xff")
    recording.http(headers=((b"content-encoding", b"gzip"),), http_version="", target=b"*")
    recording.websocket([(1 * MS, True, 2, b"\xff"), (2 * MS, False, 1, b"")])
    recording.tunnel()
    recording.ingest()
    recording.damage(damaged)
    recording.damage(damaged, "request")

    document = recording.export()

    assert len(document["log"]["entries"]) == 7
    assert faults(schema, document) == []


def test_an_empty_session_is_valid(schema, recording):
    assert faults(schema, recording.export()) == []


@pytest.mark.parametrize(
    "path",
    [
        ("startedDateTime",),
        ("time",),
        ("cache",),
        ("timings",),
        ("timings", "send"),
        ("timings", "wait"),
        ("timings", "receive"),
        ("request", "httpVersion"),
        ("request", "url"),
        ("request", "cookies"),
        ("request", "headersSize"),
        ("request", "bodySize"),
        ("response", "status"),
        ("response", "content"),
        ("response", "content", "size"),
        ("response", "content", "mimeType"),
        ("response", "redirectURL"),
    ],
)
def test_the_schema_bites(schema, har, path):
    entry = copy.deepcopy(har["log"]["entries"][1])
    assert entry["request"]["method"] == "POST"
    holder = entry
    for name in path[:-1]:
        holder = holder[name]
    del holder[path[-1]]

    assert faults(schema, {"log": {**har["log"], "entries": [entry]}})


def test_addresses_are_checked(schema, har):
    entry = {**har["log"]["entries"][1], "serverIPAddress": "localhost:80"}

    assert faults(schema, {"log": {**har["log"], "entries": [entry]}})


def test_what_the_schema_does_not_say(har):
    for entry in har["log"]["entries"]:
        phases = entry["timings"]
        assert all(value >= 0 or value == -1 for value in phases.values())
        spent = sum(value for name, value in phases.items() if name != "ssl" and value > 0)
        assert entry["time"] == pytest.approx(spent, abs=0.01)
        assert entry["timings"]["ssl"] <= max(entry["timings"]["connect"], 0)
        assert entry["response"]["content"]["size"] >= 0
        own = set(entry) - _HAR_ENTRY
        assert all(name.startswith("_") for name in own)


_HAR_ENTRY = {
    "startedDateTime",
    "time",
    "request",
    "response",
    "cache",
    "timings",
    "serverIPAddress",
    "connection",
    "comment",
}


def test_entries_stand_oldest_first(har):
    moments = [entry["startedDateTime"] for entry in har["log"]["entries"]]

    assert moments == sorted(moments)
