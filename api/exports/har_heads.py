"""The heads of a HAR entry: URL, headers, and what HAR takes out of them."""

import contextlib
import email.utils

from api.exports import har_times
from storage.records import Entry, Headers

EVENT_STREAM = "text/event-stream"


def request(entry: Entry) -> dict[str, object]:
    """HAR's request, without its `postData`."""
    headers = entry.request_headers
    return {
        "method": entry.method,
        "url": url_of(entry),
        "httpVersion": entry.http_version or "unknown",
        "cookies": _cookies(headers),
        "headers": _pairs(headers),
        "queryString": _query(entry.target),
        "headersSize": -1,  # not known: heads are kept as names and values
        "bodySize": entry.request_bytes if entry.kind == "http" else 0,
    }


def response(entry: Entry) -> dict[str, object]:
    """HAR's response, without its `content`."""
    headers = entry.response_headers or ()
    found: dict[str, object] = {
        "status": entry.status or 0,  # HAR's own sign for "no answer"
        "statusText": text(entry.reason or b""),
        "httpVersion": entry.response_http_version or "unknown",
        "cookies": _set_cookies(headers),
        "headers": _pairs(headers),
        "redirectURL": text(value_of(headers, b"location") or b""),
        "headersSize": -1,
        "bodySize": entry.response_bytes if entry.kind == "http" else 0,
        "_transferSize": entry.response_bytes,
    }
    if entry.error:
        found["_error"] = entry.error
    return found


def url_of(entry: Entry) -> str:
    """The absolute URL; of a tunnel `https://host:port/`, for a HAR reader wants one."""
    scheme = entry.scheme or "https"
    host = f"[{entry.host}]" if ":" in entry.host else entry.host
    port = "" if entry.port == {"https": 443, "http": 80}.get(scheme) else f":{entry.port}"
    if entry.kind == "websocket":
        scheme = "wss" if scheme == "https" else "ws"
    # `OPTIONS *` has a target that is no path.
    return f"{scheme}://{host}{port}/{text(entry.target).removeprefix('/')}"


def resource_type(entry: Entry) -> str:
    """DevTools' word; without it they guess from content types, and take JSON for a script."""
    if entry.kind == "websocket":
        return "websocket"
    if entry.kind == "tunnel":
        return "other"
    return "eventsource" if is_event_stream(entry) else "fetch"


def is_event_stream(entry: Entry) -> bool:
    content_type = value_of(entry.response_headers or (), b"content-type") or b""
    return content_type.partition(b";")[0].strip().lower() == EVENT_STREAM.encode()


def mime_type(headers: Headers) -> str | None:
    value = value_of(headers, b"content-type")
    return text(value) if value is not None else None


def content_type(entry: Entry) -> str:
    """What stands as the `mimeType` of an answer."""
    if is_event_stream(entry):
        # Chrome drops `_eventSourceMessages` where a charset stands here (seen with 156), and it
        # says nothing: event streams are UTF-8.
        return EVENT_STREAM
    return mime_type(entry.response_headers or ()) or "x-unknown"


def value_of(headers: Headers, name: bytes) -> bytes | None:
    """The first value of a header, its name in lower case; None if it is not there."""
    size = len(name)
    for key, value in headers:
        if len(key) == size and key.lower() == name:
            return value
    return None


def joined(headers: Headers, name: bytes) -> bytes | None:
    """All values of a header that is a list; None if it is not there."""
    values = [value for key, value in headers if key.lower() == name]
    return b", ".join(values) if values else None


def text(raw: bytes) -> str:
    """A head's bytes for people: UTF-8 where it is that, else Latin-1."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _pairs(headers: Headers) -> list[dict[str, str]]:
    return [{"name": text(name), "value": text(value)} for name, value in headers]


def _query(target: bytes) -> list[dict[str, str]]:
    # As DevTools do: the names and values as they stand, not decoded.
    query = target.partition(b"?")[2].partition(b"#")[0]
    parts = (part.partition(b"=") for part in query.split(b"&") if part)
    return [{"name": text(name), "value": text(value)} for name, _, value in parts]


def _cookies(headers: Headers) -> list[dict[str, str]]:
    values = [value for name, value in headers if len(name) == 6 and name.lower() == b"cookie"]
    pairs = [pair.strip() for value in values for pair in value.split(b";") if pair.strip()]
    parts = (pair.partition(b"=") for pair in pairs)
    return [{"name": text(name), "value": text(value)} for name, _, value in parts]


def _set_cookies(headers: Headers) -> list[dict[str, object]]:
    return [
        _set_cookie(value)
        for name, value in headers
        if len(name) == 10 and name.lower() == b"set-cookie"
    ]


def _set_cookie(value: bytes) -> dict[str, object]:
    first, *attributes = text(value).split(";")
    name, _, content = first.strip().partition("=")
    cookie: dict[str, object] = {"name": name, "value": content}
    for attribute in attributes:
        word, _, setting = attribute.strip().partition("=")
        match word.lower():
            case "path" | "domain":
                cookie[word.lower()] = setting
            case "httponly":
                cookie["httpOnly"] = True
            case "secure":
                cookie["secure"] = True
            case "samesite":
                cookie["sameSite"] = setting
            case "expires":
                # HAR wants a date here, and Chrome refuses the whole file for one that is none.
                with contextlib.suppress(ValueError, OverflowError):
                    moment = email.utils.parsedate_to_datetime(setting)
                    cookie["expires"] = har_times.iso(int(moment.timestamp()) * 1_000_000_000)
    return cookie
