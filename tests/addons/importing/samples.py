"""HAR files and flow files made to measure."""

import io
import json
import warnings

STARTED = "2026-11-18T11:06:40.123456Z"
STARTED_NS = 1_795_000_000_123_456_000


def har(*entries, **log) -> bytes:
    log = {"version": "1.2", "creator": {"name": "Test", "version": "1"}, **log}
    return json.dumps({"log": {**log, "entries": list(entries)}}, ensure_ascii=False).encode()


def har_entry(
    *,
    url="https://api.example.com/v1/messages?a=b",
    method="POST",
    started=STARTED,
    headers=(),
    post=None,
    status=200,
    answer_headers=(),
    content=None,
    timings=None,
    body_size=-1,
    response=None,
    **more,
):
    """An entry as DevTools write it; `headers` are pairs."""
    request = {
        "method": method,
        "url": url,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": [{"name": name, "value": value} for name, value in headers],
        "queryString": [],
        "headersSize": -1,
        "bodySize": -1,
    }
    if post is not None:
        request["postData"] = post
    answer = {
        "status": status,
        "statusText": "OK",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": [{"name": name, "value": value} for name, value in answer_headers],
        "content": {"size": 2, "mimeType": "application/json", "text": "{}"}
        if content is None
        else content,
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": body_size,
        **(response or {}),
    }
    return {
        "startedDateTime": started,
        "time": 50,
        "request": request,
        "response": answer,
        "cache": {},
        "timings": timings or {"blocked": 1, "dns": 2, "connect": 4, "ssl": 3, "send": 5,
                               "wait": 20, "receive": 18},
        **more,
    }  # fmt: skip


def flows(*found) -> bytes:
    """A flow file of mitmproxy's own writer."""
    from mitmproxy.io import FlowWriter

    file = io.BytesIO()
    writer = FlowWriter(file)
    for flow in found:
        writer.add(flow)
    return file.getvalue()


def flow_file(path) -> bytes:
    """A flow file with one exchange, for tests that do not load mitmproxy otherwise."""
    with warnings.catch_warnings():
        # mitmproxy uses names that pyparsing has deprecated; nothing of ours does.
        warnings.simplefilter("ignore", DeprecationWarning)
        from mitmproxy.test import tflow

        return flows(tflow.tflow(req=tflow.treq(path=path), resp=True))
