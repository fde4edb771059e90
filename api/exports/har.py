"""
A session as HAR 1.2, streamed: one entry at a time, a long body in pieces, memory flat.

Source: http://www.softwareishard.com/blog/har-12-spec/ (read 2026-11). Beyond it, what Chrome's
DevTools write and read: `_resourceType`, `_webSocketMessages`, `_eventSourceMessages`, and our own:
`_id`, `_kind`, `_way`, `_outcome`, `_error`, `_marks`, `_cuts`, `_gaps`.

Entries stand oldest first. A text is UTF-8 that decodes; everything else is base64. Bodies stand
as they were before content coding, as HAR wants it; `bodySize` is what crossed the wire. A
WebSocket's messages are in `_webSocketMessages` alone. A tunnel is a CONNECT without body.
"""

import importlib.metadata
import sqlite3
from collections.abc import Iterator

import msgspec

from api.exports import har_bodies, har_frames
from storage import traffic
from storage.records import Entry, Headers, Session, Timing

_encode = msgspec.json.encode


def export(conn: sqlite3.Connection, session: Session) -> Iterator[bytes]:
    """
    The whole document in pieces of UTF-8 JSON.

    A body whose stored bytes are damaged is left out and said so in its `comment`; the rest of
    the export goes on.
    """
    creator = {"name": "Wirescribe", "version": importlib.metadata.version("wirescribe")}
    yield b'{"log":{"version":"1.2","creator":' + _encode(creator)
    yield b',"_session":' + _encode({"id": session.id, "name": session.name})
    yield b',"pages":[],"entries":['
    separator = b""
    for entry in traffic.each(conn, session.id):
        yield separator
        yield from _entry(conn, entry)
        separator = b",\n"
    yield b"]}}\n"


def _entry(conn: sqlite3.Connection, entry: Entry) -> Iterator[bytes]:
    # Heads are small and made whole; the two bodies are spliced in, for they may be long.
    timings, total_ms = timings_of(entry.timing)
    started_ms, started_us = divmod(entry.started_ns // 1000, 1000)
    head = {
        "startedDateTime": _iso(started_ms, started_us),
        "time": total_ms,
        "timings": timings,
        "cache": {},
        **({"serverIPAddress": _address(entry.server)} if entry.server else {}),
        **_own(conn, entry),
    }
    yield _open_object(head) + b',"request":'
    yield _open_object(_request(entry))
    yield from har_bodies.request(conn, entry)
    yield b'},"response":' + _open_object(_response(entry))
    yield from har_bodies.response(conn, entry)
    yield b"}"
    yield from har_frames.of(conn, entry)
    yield b"}"


def timings_of(timing: Timing) -> tuple[dict[str, float], float]:
    """
    HAR's timings in milliseconds and their sum; -1 where a phase does not apply.

    The clock starts at the complete request head, so what came before it is not counted. The proxy
    connects after that: `blocked` is the time until it began to.
    """
    at = timing
    connected_ns = at.tls_done_ns or at.connected_ns
    send_from = connected_ns or 0
    sent = at.request_done_ns if at.request_done_ns is not None else send_from
    answered = _first(at.response_head_ns, at.closed_ns, sent)
    ended = _first(at.last_byte_ns, at.response_head_ns, answered)
    timings = {
        "blocked": _ms(at.connect_started_ns) if at.connect_started_ns is not None else -1,
        "dns": -1,  # the proxy looks names up while it connects
        "connect": _span(at.connect_started_ns, connected_ns),
        "ssl": _span(at.connected_ns, at.tls_done_ns),
        "send": _ms(max(sent - send_from, 0)),
        "wait": _ms(max(answered - max(sent, send_from), 0)),
        "receive": _ms(max(ended - answered, 0)),
    }
    # `ssl` is part of `connect` (the specification, "timings").
    total = sum(value for name, value in timings.items() if name != "ssl" and value > 0)
    return timings, round(total, 3)


def _request(entry: Entry) -> dict[str, object]:
    headers = entry.request_headers
    return {
        "method": entry.method,
        "url": url_of(entry),
        "httpVersion": entry.http_version or "unknown",
        "cookies": _cookies(headers),
        "headers": _pairs(headers),
        "queryString": _query(entry.target),
        "headersSize": -1,
        "bodySize": entry.request_bytes if entry.kind == "http" else 0,
    }


def _response(entry: Entry) -> dict[str, object]:
    headers = entry.response_headers or ()
    return {
        "status": entry.status or 0,  # HAR's own sign for "no answer"
        "statusText": _text(entry.reason or b""),
        "httpVersion": entry.response_http_version or "unknown",
        "cookies": _set_cookies(headers),
        "headers": _pairs(headers),
        "redirectURL": _text(value_of(headers, b"location") or b""),
        "headersSize": -1,
        "bodySize": entry.response_bytes if entry.kind == "http" else 0,
    }


def _own(conn: sqlite3.Connection, entry: Entry) -> dict[str, object]:
    own: dict[str, object] = {
        "_id": entry.id,
        "_kind": entry.kind,
        "_way": entry.way,
        "_outcome": entry.outcome,  # null: still open
        "_resourceType": _resource_type(entry),
    }
    if entry.error:
        own["_error"] = entry.error
    if entry.marks:
        own["_marks"] = entry.marks
    if entry.continues:
        own["_continues"] = entry.continues
    if entry.kind == "tunnel":
        own["_tunnel"] = {"sentBytes": entry.request_bytes, "receivedBytes": entry.response_bytes}
        own["comment"] = "Passed through undecrypted: only its size and times are known."
    if cuts := traffic.cuts(conn, entry.id):
        own["_cuts"] = cuts
    if gaps := traffic.gaps(conn, entry.id):
        own["_gaps"] = gaps
    return own


def url_of(entry: Entry) -> str:
    """The absolute URL; of a tunnel `https://host:port`, for a HAR reader wants one."""
    scheme = entry.scheme or "https"
    host = f"[{entry.host}]" if ":" in entry.host else entry.host
    port = "" if entry.port == {"https": 443, "http": 80}.get(scheme) else f":{entry.port}"
    if entry.kind == "websocket":
        scheme = "wss" if scheme == "https" else "ws"
    return f"{scheme}://{host}{port}{_text(entry.target) or '/'}"


def value_of(headers: Headers, name: bytes) -> bytes | None:
    """The first value of a header, its name in lower case; None if it is not there."""
    return next((value for key, value in headers if key.lower() == name), None)


def _resource_type(entry: Entry) -> str:
    if entry.kind == "websocket":
        return "websocket"
    if entry.kind == "tunnel":
        return "other"
    content_type = value_of(entry.response_headers or (), b"content-type") or b""
    return "eventsource" if content_type.lower().startswith(b"text/event-stream") else "fetch"


def _pairs(headers: Headers) -> list[dict[str, str]]:
    return [{"name": _text(name), "value": _text(value)} for name, value in headers]


def _query(target: bytes) -> list[dict[str, str]]:
    query = target.partition(b"?")[2].partition(b"#")[0]
    parts = (part.partition(b"=") for part in query.split(b"&") if part)
    return [{"name": _text(name), "value": _text(value)} for name, _, value in parts]


def _cookies(headers: Headers) -> list[dict[str, str]]:
    found = []
    for name, value in headers:
        if name.lower() == b"cookie":
            for part in value.split(b";"):
                key, _, content = part.strip().partition(b"=")
                found.append({"name": _text(key), "value": _text(content)})
    return found


def _set_cookies(headers: Headers) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for name, value in headers:
        if name.lower() == b"set-cookie":
            first, *attributes = value.split(b";")
            key, _, content = first.strip().partition(b"=")
            cookie: dict[str, object] = {"name": _text(key), "value": _text(content)}
            for attribute in attributes:
                word, _, setting = attribute.strip().partition(b"=")
                if word.lower() in (b"path", b"domain"):
                    cookie[word.lower().decode()] = _text(setting)
                elif word.lower() == b"httponly":
                    cookie["httpOnly"] = True
                elif word.lower() == b"secure":
                    cookie["secure"] = True
            found.append(cookie)
    return found


def _open_object(fields: dict[str, object]) -> bytes:
    return _encode(fields)[:-1]


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _iso(unix_ms: int, microseconds: int) -> str:
    import datetime

    moment = datetime.datetime.fromtimestamp(unix_ms // 1000, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{unix_ms % 1000:03d}{microseconds:03d}Z"


def _address(server: str) -> str:
    return server.rpartition(":")[0].strip("[]")


def _ms(nanoseconds: int) -> float:
    return round(nanoseconds / 1e6, 3)


def _span(start_ns: int | None, end_ns: int | None) -> float:
    if start_ns is None or end_ns is None:
        return -1
    return _ms(max(end_ns - start_ns, 0))


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)
