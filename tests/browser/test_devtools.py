"""Chrome DevTools' own importer, the one behind "Import HAR file", sees what was served."""

import base64
import json

import pytest

from tests.har.alteration import altered
from tests.har.recording import Recording
from tests.har.served import Span, View, differences

pytestmark = pytest.mark.browser

# The front end's modules are bundled with the browser; nothing is fetched.
DEVTOOLS = "devtools://devtools/bundled"
IMPORT = """
async ([document, bundle]) => {
    const {HARFormat, Importer} = await import(bundle);
    const root = new HARFormat.HARRoot(JSON.parse(document));
    const requests = Importer.Importer.requestsFromHARLog(root.log);
    return Promise.all(requests.map(async request => {
        const content = await request.requestContentData();
        return {
            method: request.requestMethod,
            url: request.url(),
            status: request.statusCode,
            mimeType: request.mimeType,
            headers: request.responseHeaders.map(header => [header.name, header.value]),
            form: await request.requestFormData(),
            text: content.createdFromBase64 ? null : content.text,
            base64: content.createdFromBase64 ? content.base64 : null,
            startedS: request.issueTime(),
            endedS: request.endTime,
            receivedHeadMs: request.timing.receiveHeadersEnd,
            type: request.resourceType().name(),
            address: request.remoteAddress(),
            frames: request.frames(),
            events: request.eventSourceMessages(),
        };
    }));
}
"""


@pytest.fixture(scope="module")
def importer(browser):
    """Gives the requests that DevTools make of a document."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{DEVTOOLS}/devtools_app.html")

    def imported(document):
        bundle = f"{DEVTOOLS}/models/har/har.js"
        return page.evaluate(IMPORT, [document.decode(), bundle])

    yield imported
    context.close()


@pytest.fixture(scope="module")
def requests(importer, served):
    """What DevTools make of all of it."""
    return importer(served.document)


@pytest.fixture(scope="module")
def small(served):
    """Without the large body, which takes seconds on its way into the browser and out again."""
    return served.without("large=1")


def views(requests, document):
    # DevTools know no encoding of a request's body: whether it is base64 is in the file alone.
    entries = json.loads(document)["log"]["entries"]
    return [view(request, entry) for request, entry in zip(requests, entries, strict=True)]


def view(request, entry):
    post = entry["request"].get("postData", {})
    sent = request["form"] or ""
    is_answered = request["status"] != 0
    return View(
        method=request["method"],
        url=request["url"],
        status=request["status"],
        mime_type=request["mimeType"] or None,
        request=base64.b64decode(sent) if post.get("encoding") == "base64" else sent.encode(),
        response=content_of(request),
        headers=[tuple(pair) for pair in request["headers"]],
        frames=frames_of(request),
        started_ms=request["startedS"] * 1000,
        duration_ms=(request["endedS"] - request["startedS"]) * 1000,
        ttfb_ms=request["receivedHeadMs"] if is_answered else None,
    )


def content_of(request):
    if request["base64"] is not None:
        return base64.b64decode(request["base64"])
    return request["text"].encode()


def frames_of(request):
    start_s = request["startedS"]
    if request["type"] == "websocket":
        return [
            Span(
                from_client=one["type"] == "send",
                data=base64.b64decode(one["text"]) if one["opCode"] == 2 else one["text"],
                at_ms=(one["time"] - start_s) * 1000,
            )
            for one in request["frames"]
        ]
    if request["type"] == "eventsource":
        return [
            Span(from_client=False, data=one["data"], at_ms=(one["time"] - start_s) * 1000)
            for one in request["events"]
        ]
    return None


def test_it_sees_what_was_served(requests, served):
    assert differences(served.expected, views(requests, served.document)) == []


def test_it_sees_everything_there_is_to_see(requests):
    """The comparison above must not have passed for want of something to compare."""
    assert len(requests) == 33
    kinds = [request["type"] for request in requests]
    assert (kinds.count("eventsource"), kinds.count("websocket"), kinds.count("other")) == (5, 1, 1)
    assert sum(len(request["events"]) for request in requests) == 17 + 3 * 10 + 5
    assert sum(len(request["frames"]) for request in requests) == 10
    assert all(request["address"].startswith("127.0.0.1:") for request in requests)


@pytest.mark.parametrize(
    ("url_part", "part"),
    [
        ("beta=true", "request"),
        ("beta=true", "response"),
        ("stream=gzip", "frame"),
        ("binary=1", "request"),
        ("seed=zstd", "response"),
        ("/split", "response"),
        ("socket=1", "frame"),
        ("how=cut", "response"),
    ],
)
def test_one_altered_byte_is_noticed(importer, small, url_part, part):
    document = altered(small, url_part, part)

    found = differences(small.expected, views(importer(document), document))

    assert found
    assert all(url_part in fault for fault in found)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda entry: entry["timings"].update(wait=entry["timings"]["wait"] + 2), "ttfb_ms"),
        (lambda entry: entry.update(time=entry["time"] + 2), "duration_ms"),
        (lambda entry: entry["response"].update(status=500), "status"),
        (lambda entry: entry["_eventSourceMessages"][4].update(time=1), "frame 4 came at"),
        (lambda entry: entry["_eventSourceMessages"].pop(), "16 frames instead of 17"),
    ],
)
def test_anything_else_altered_is_noticed(importer, small, change, fault):
    document = small.altered(lambda har: change(har["log"]["entries"][2]))

    found = differences(small.expected, views(importer(document), document))

    assert any(fault in one for one in found)


def test_a_file_of_odd_records_is_taken(importer, tmp_path):
    """What is damaged, open, refused or empty: DevTools throw at whatever they cannot read."""
    with Recording(tmp_path) as recording:
        damaged = recording.http(request=b"x" * 900, chunks=[(1, b"y" * 9000)])
        recording.http(closed_ns=None, headers=((b"set-cookie", b"a=1; expires=never"),))
        recording.http(status=None, closed={"outcome": "refused", "server": None})
        recording.http(request=b"\xff", http_version="", method="OPTIONS", target=b"*")
        recording.tunnel()
        recording.ingest()
        recording.damage(damaged)
        recording.damage(damaged, "request")

        requests = importer(b"".join(recording.pieces()))

    assert [request["status"] for request in requests] == [200, 200, 0, 200, 0]
    assert (requests[0]["form"], requests[0]["text"]) == ("", "")
