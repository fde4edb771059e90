import msgspec
import pytest

from api.exports import har_heads
from tests.api.exports.test_har_times import Timing, entry

BASE = entry(Timing())


def made(**fields):
    return msgspec.structs.replace(BASE, **{"host": "api.openai.com", **fields})


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"target": b"/v1/x?a=1&b=%20"}, "https://api.openai.com/v1/x?a=1&b=%20"),
        ({"port": 8443}, "https://api.openai.com:8443/"),
        ({"scheme": "http", "port": 80}, "http://api.openai.com/"),
        ({"scheme": "http", "port": 443}, "http://api.openai.com:443/"),
        ({"host": "2001:db8::1", "port": 8443}, "https://[2001:db8::1]:8443/"),
        ({"kind": "websocket", "target": b"/v1/r"}, "wss://api.openai.com/v1/r"),
        ({"kind": "websocket", "scheme": "http", "port": 80}, "ws://api.openai.com/"),
        ({"kind": "tunnel", "scheme": "", "target": b""}, "https://api.openai.com/"),
        ({"kind": "tunnel", "scheme": "", "target": b"", "port": 22}, "https://api.openai.com:22/"),
        ({"method": "OPTIONS", "target": b"*"}, "https://api.openai.com/*"),
        ({"target": b"//double"}, "https://api.openai.com//double"),
        ({"target": b"/caf\xe9"}, "https://api.openai.com/café"),
        ({"target": "/café".encode()}, "https://api.openai.com/café"),
    ],
)
def test_urls_are_absolute(fields, url):
    assert har_heads.url_of(made(**fields)) == url


def test_headers_keep_order_case_and_repetition():
    headers = ((b"X-B", b"1"), (b"x-a", b""), (b"X-B", b"2"), (b"X-Latin", b"caf\xe9"))

    found = har_heads.request(made(request_headers=headers))["headers"]

    assert [(pair["name"], pair["value"]) for pair in found] == [
        ("X-B", "1"),
        ("x-a", ""),
        ("X-B", "2"),
        ("X-Latin", "café"),
    ]


def test_query_is_taken_as_it_stands():
    found = har_heads.request(made(target=b"/p?a=1&&b&c=x%3Dy=z&a=+#part"))["queryString"]

    assert [(pair["name"], pair["value"]) for pair in found] == [
        ("a", "1"),
        ("b", ""),
        ("c", "x%3Dy=z"),
        ("a", "+"),
    ]


def test_cookies_of_a_request():
    headers = ((b"Cookie", b"a=1; b=x=y;"), (b"cookie", b"c=3"))

    found = har_heads.request(made(request_headers=headers))["cookies"]

    assert [(pair["name"], pair["value"]) for pair in found] == [
        ("a", "1"),
        ("b", "x=y"),
        ("c", "3"),
    ]


def test_cookies_of_an_answer():
    headers = (
        (
            b"Set-Cookie",
            b"sid=***; Path=/; Domain=.openai.com; HttpOnly; Secure; SameSite=Lax;"
            b" Expires=Wed, 18 Nov 2026 11:06:40 GMT; Max-Age=60",
        ),
        (b"set-cookie", b"odd; expires=whenever"),
    )

    assert har_heads.response(made(response_headers=headers))["cookies"] == [
        {
            "name": "sid",
            "value": "***",
            "path": "/",
            "domain": ".openai.com",
            "httpOnly": True,
            "secure": True,
            "sameSite": "Lax",
            "expires": "2026-11-18T11:06:40.000000Z",
        },
        {"name": "odd", "value": ""},
    ]


def test_no_answer_is_status_0():
    found = har_heads.response(made(error="connection refused"))

    assert (found["status"], found["httpVersion"]) == (0, "unknown")
    assert found["_error"] == "connection refused"


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        (b"text/event-stream", "eventsource"),
        (b"Text/Event-Stream; charset=utf-8", "eventsource"),
        (b"text/event-streams", "fetch"),
        (b"application/json", "fetch"),
        (b"", "fetch"),
    ],
)
def test_resource_types(content_type, kind):
    headers = ((b"Content-Type", content_type),)

    assert har_heads.resource_type(made(response_headers=headers)) == kind
