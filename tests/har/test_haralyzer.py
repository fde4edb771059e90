"""haralyzer, a reader that we did not write, sees what the provider served."""

import base64

import pytest
from haralyzer import HarParser

from tests.har.alteration import altered
from tests.har.served import Span, View, differences


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
