"""
What the provider served: haralyzer, a reader that we did not write, sees all of it in the HAR file,
and the schema of HAR 1.2 has nothing against it.
"""

import base64
import copy
import json

import pytest
from haralyzer import HarParser

from storage.records import Gap
from tests.har.again import check_same, exported_again
from tests.har.alteration import altered
from tests.har.recording import MS
from tests.har.schema import validator
from tests.har.served import Span, View, differences
from tests.provider import seeded


def views(document):
    (page,) = HarParser.from_string(document).pages
    return [view(entry) for entry in page.entries]


def view(entry):
    request, response = entry.request, entry.response
    return View(
        method=request.method,
        url=entry.url,
        status=entry.status,
        mime_type=None if response.mimeType == "x-unknown" else response.mimeType,
        request=body(request.text or "", request.raw_entry.get("postData", {}).get("encoding")),
        response=body(response.text, response.textEncoding),
        frames=frames(entry),
        headers=[(pair["name"], pair["value"]) for pair in response.headers],
        started_ms=entry.startTime.timestamp() * 1000,
        duration_ms=entry.time,
        ttfb_ms=until_answered(entry) if entry.status else None,
    )


def body(text, encoding):
    return base64.b64decode(text) if encoding == "base64" else text.encode()


def until_answered(entry):
    phases = ("blocked", "dns", "connect", "send", "wait")
    return sum(max(entry.timings[name], 0) for name in phases)


def frames(entry):
    """haralyzer hands out what it does not know as it stands in the file."""
    started_ms = entry.startTime.timestamp() * 1000
    messages = entry.raw_entry.get("_webSocketMessages")
    if messages is not None:
        return [
            Span(
                from_client=one["type"] == "send",
                data=base64.b64decode(one["data"]) if one["opcode"] == 2 else one["data"],
                at_ms=one["time"] * 1000 - started_ms,
            )
            for one in messages
        ]
    events = entry.raw_entry.get("_eventSourceMessages")
    if events is None:
        return None
    return [
        Span(from_client=False, data=one["data"], at_ms=one["time"] * 1000 - started_ms)
        for one in events
    ]


def test_it_sees_what_was_served(served):
    assert differences(served.expected, views(served.document)) == []


def test_it_sees_everything_there_is_to_see(served):
    """The comparison above must not have passed for want of something to compare."""
    seen = views(served.document)

    assert len(seen) == len(served.expected) == 33
    assert sum(one.frames is not None for one in seen) == 6
    assert {one.status for one in seen} == {0, 101, 200, 204, 302, 400, 404, 529}
    assert max(len(one.request) for one in seen) == 5_250_000


@pytest.mark.parametrize(
    ("url_part", "part"),
    [
        ("beta=true", "request"),
        ("beta=true", "response"),
        ("stream=gzip", "response"),
        ("stream=zstd", "frame"),
        ("binary=1", "request"),
        ("seed=br", "response"),
        ("/latin", "response"),
        ("/split", "response"),
        ("large=1", "request"),
        ("large=1", "response"),
        ("socket=1", "frame"),
        ("how=reset", "response"),
    ],
)
def test_one_altered_byte_is_noticed(served, url_part, part):
    found = differences(served.expected, views(altered(served, url_part, part)))

    assert found
    assert all(url_part in fault for fault in found)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda entries: entries.pop(3), "32 entries instead of 33"),
        (lambda entries: entries[1]["response"].update(status=201), "status is 201"),
        (lambda entries: entries[1]["request"].update(method="PUT"), "method is 'PUT'"),
        (lambda entries: entries[1].update(time=entries[1]["time"] + 2), "duration_ms"),
        (lambda entries: entries[1]["timings"].update(wait=900), "ttfb_ms"),
        (lambda entries: entries[1]["response"]["headers"].pop(), "headers"),
        (lambda entries: entries[2]["_eventSourceMessages"].pop(), "16 frames instead of 17"),
    ],
)
def test_anything_else_altered_is_noticed(served, change, fault):
    document = served.altered(lambda har: change(har["log"]["entries"]))

    assert any(fault in found for found in differences(served.expected, views(document)))


def test_events_came_between_their_sending_and_the_next(served):
    """
    The provider's own clock agrees: an event is recorded after it was sent, and before the next
    one is, which the provider sends only when the client has this one. The two clocks may be apart
    by any constant, but by one.
    """
    sent_ms = [chunk.at_ns / 1e6 for chunk in served.paced.reply_chunks]
    entry = HarParser.from_string(served.document).pages[0].entries[served.paced_index]
    came_ms = [one["time"] * 1000 for one in entry.raw_entry["_eventSourceMessages"]]

    assert len(came_ms) == len(sent_ms) == 5
    earliest = max(sent - came for sent, came in zip(sent_ms, came_ms, strict=True))
    latest = min(after - came for after, came in zip(sent_ms[1:], came_ms[:-1], strict=True))
    assert earliest <= latest + 0.01


# --- the schema -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def schema():
    return validator()


def faults(schema, document):
    return [f"{error.json_path}: {error.message}" for error in schema.iter_errors(document)]


@pytest.fixture(scope="module")
def har(served):
    return json.loads(served.document)


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
