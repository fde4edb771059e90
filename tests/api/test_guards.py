"""Who is let in: T1 to T6 and T16 of the threat model, on real sockets where it matters."""

import os
import socket
import subprocess
import sys

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.testing import TestClient
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from api.app import create_app
from api.errors import ApiError
from api.guards import SECURITY_HEADERS, check
from api.settings import ApiSettings
from storage.errors import ConfigError
from tests.api.conftest import BASE, serving

TOKEN = "c2l4dGVlbiByYW5kb20gYnl0ZXM"
SETTINGS = ApiSettings(version="0.1.0", allowed_hosts=("box.lan", "proxy.example:443"))

GOOD_HOSTS = (
    "127.0.0.1:8889",
    "localhost:8889",
    "LOCALHOST:8889",
    "[::1]:8889",
    "box.lan",
    "box.lan:8889",
    "proxy.example:443",
)
FOREIGN_HOSTS = (
    "evil.com",
    "evil.com:8889",
    "127.0.0.1",  # port 80 is another server's
    "127.0.0.1:80",
    "127.0.0.1:8888",
    "127.0.0.1:08889",
    "localhost",
    "localhost.:8889",
    "127.0.0.1.evil.com:8889",
    "localhost.evil.com:8889",
    "127.1:8889",
    "0.0.0.0:8889",
    "2130706433:8889",
    "[::]:8889",
    "[::ffff:127.0.0.1]:8889",
    "box.lan:1",
    "proxy.example",
)
MALFORMED_HOSTS = (
    "",
    " ",
    ":8889",
    "127.0.0.1:8889@evil.com",
    "evil.com@127.0.0.1:8889",
    "http://127.0.0.1:8889",
    "127.0.0.1:8889/",
    "127.0.0.1:8889, evil.com",
    "127.0.0.1:port",
    "127.0.0.1:8889:8889",
    "[::1:8889",
    "local host:8889",
    "\xff\xfe",
)


def scope(*headers, method="GET", path="/api/sessions", kind="http", **more):
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {
        "type": kind,
        "method": method,
        "path": path,
        "headers": pairs,
        "server": ("127.0.0.1", 8889),
        "client": ("192.0.2.1", 50_000),
        **more,
    }


def status_of(call, settings=SETTINGS):
    try:
        check(call, settings)
    except ApiError as error:
        return error.status
    return 200


def ours(*headers, **more):
    return scope(("host", "localhost:8889"), *headers, **more)


@pytest.mark.parametrize(
    ("hosts", "status"), [(GOOD_HOSTS, 200), (FOREIGN_HOSTS, 403), (MALFORMED_HOSTS, 400)]
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_host(hosts, status, kind):
    for host in hosts:
        assert status_of(scope(("host", host), kind=kind)) == status, host


def test_a_host_must_come_once():
    assert status_of(scope()) == 400
    assert status_of(ours(("host", "evil.com"))) == 400
    assert status_of(ours(("host", "localhost:8889"))) == 400


def test_on_port_80_a_browser_leaves_the_port_out():
    at_80 = {"server": ("127.0.0.1", 80)}

    assert status_of(scope(("host", "localhost"), **at_80)) == 200
    assert status_of(scope(("host", "localhost:8889"), **at_80)) == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8889", 200),
        ("null", 403),
        ("", 403),
        ("http://evil.com", 403),
        ("http://localhost", 403),
        ("http://localhost:8888", 403),
        ("http://127.0.0.1:8889", 403),  # another origin than the page's own, says the Host
        ("http://localhost:8889.evil.com", 403),
        ("http://localhost:8889/", 403),
        ("localhost:8889", 403),
        ("file://", 403),
        ("chrome-extension://abcdef", 403),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_an_origin_must_be_our_own(origin, status, kind):
    assert status_of(ours(("origin", origin), kind=kind)) == status
    assert status_of(ours(("origin", origin), ("origin", origin), kind=kind)) == 400


@pytest.mark.parametrize(
    ("site", "status"),
    [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403), ("x", 403)],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_browser_must_not_say_that_another_site_asks(site, status, kind):
    assert status_of(ours(("sec-fetch-site", site), kind=kind)) == status


def test_a_link_elsewhere_may_lead_to_a_page_only():
    link = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ]
    for page in ("/", "/ui/sessions", "/session/0190"):
        assert status_of(ours(*link, path=page)) == 200
        assert status_of(ours(*link, path=page, method="POST")) == 403
        assert status_of(ours(*link[:2], ("sec-fetch-dest", "iframe"), path=page)) == 403
        assert status_of(ours(link[0], ("sec-fetch-mode", "no-cors"), path=page)) == 403
    for other in ("/api/sessions", "/session/0190/download", "/ws", "/openapi.json"):
        assert status_of(ours(*link, path=other)) == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 200),
        ([("content-length", "0")], 200),
        ([("content-length", "2")], 415),
        ([("transfer-encoding", "chunked")], 415),
        ([("content-type", "application/json")], 200),
        ([("content-type", "Application/JSON; charset=UTF-8")], 200),
        ([("content-type", 'application/json;charset="utf-8"')], 200),
        ([("content-type", "application/json; charset=utf-16")], 415),
        ([("content-type", "application/json; a=b")], 415),
        ([("content-type", "application/jsonx")], 415),
        ([("content-type", "text/plain; application/json")], 415),
        ([("content-type", "text/plain"), ("content-length", "0")], 415),
        ([("content-type", "application/x-www-form-urlencoded")], 415),
        ([("content-type", "multipart/form-data; boundary=a")], 415),
        ([("content-type", "")], 415),
        ([("content-type", "application/json"), ("content-type", "text/plain")], 400),
    ],
)
def test_what_changes_something_comes_as_json(method, headers, status):
    assert status_of(ours(*headers, method=method)) == status


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN} ", 200),
        (TOKEN, 401),
        (f"Basic {TOKEN}", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Bearer {TOKEN}x", 401),
        ("Bearer", 401),
        ("Bearer \xe9", 401),
        ("", 401),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_the_token_opens_where_one_is_set(authorization, status, kind):
    settings = ApiSettings(version="0.1.0", token=TOKEN)

    assert status_of(ours(("authorization", authorization), kind=kind), settings) == status
    assert status_of(ours(kind=kind), settings) == 401
    assert status_of(ours(("authorization", authorization), kind=kind)) == 200


text = st.text(st.characters(max_codepoint=0xFF), max_size=60)
names = st.sampled_from(
    ["host", "origin", "sec-fetch-site", "sec-fetch-mode", "content-type", "content-length"]
)


@examples(max_examples=1000)
@given(st.lists(st.tuples(names, text), max_size=4), st.sampled_from(["GET", "POST"]), text)
def test_no_header_breaks_the_guard(headers, method, path):
    assert status_of(scope(*headers, method=method, path=path)) in (200, 400, 401, 403, 415)


def assert_guarded(answer):
    for name, value in SECURITY_HEADERS:
        assert answer.headers.get_list(name.decode()) == [value.decode()]
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/api/sessions", {}, 200),
        ("GET", "/api/sessions/unknown", {}, 404),
        ("GET", "/nowhere", {}, 404),
        ("PUT", "/api/sessions", {}, 405),
        ("OPTIONS", "/api/sessions", {}, 204),
        ("OPTIONS", "/api/sessions", {"Origin": "http://evil.com"}, 403),
        ("GET", "/api/sessions", {"Origin": "http://evil.com"}, 403),
        ("GET", "/nowhere", {"Origin": "http://evil.com"}, 403),
        ("GET", "/api/sessions", {"Host": "evil.com"}, 403),
        ("POST", "/api/sessions", {"Content-Type": "text/plain"}, 415),
    ],
)
def test_every_answer_carries_the_security_headers(server, method, path, headers, status):
    answer = server.request(method, path, headers=headers)

    assert answer.status_code == status
    assert_guarded(answer)
    if status >= 400:
        assert set(answer.json()) <= {"error", "code", "details"}
        assert answer.json()["error"]
        assert answer.json()["code"]


def test_a_body_of_more_than_10_mb_is_refused(server):
    answer = server.post(
        "/api/sessions", content=b" " * 10_000_001, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 413
    assert answer.json()["code"] == "BODY_TOO_LARGE"
    assert_guarded(answer)
    assert server.get("/api/sessions").json()["total"] == 0


def test_a_failure_of_ours_says_nothing_of_what_was_recorded(client, store):
    store.change_sessions(lambda db: db.execute("drop table sessions")).exception()

    answer = client.get("/api/sessions")

    assert answer.status_code == 500
    assert answer.json() == {"error": "Internal error", "code": "INTERNAL_ERROR"}
    assert_guarded(answer)


def raw(server, text):
    """What a real server answers to these bytes."""
    url = httpx.URL(server.base_url)
    with socket.create_connection((url.host, url.port)) as conn:
        conn.sendall(text.replace("PORT", str(url.port)).encode("latin-1"))
        conn.settimeout(60)
        return conn.makefile("rb").readline().decode("latin-1")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /api/sessions HTTP/1.1\r\nHost: localhost:PORT\r\nHost: evil.com\r\n", 400),
        ("GET /api/sessions HTTP/1.1\r\n", 400),
        ("GET /api/sessions HTTP/1.0\r\n", 400),
        ("GET http://evil.com/api/sessions HTTP/1.1\r\nHost: localhost:PORT\r\n", 400),
        ("GET http://localhost:PORT/api/sessions HTTP/1.1\r\nHost: localhost:PORT\r\n", 400),
        ("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n", 400),
        ("GET /api/sessions HTTP/1.1\r\nHost: \x01\r\n", 400),
        ("GET /api/sessions HTTP/1.1\r\nHost: localhost:PORT\r\nOrigin: \xff\r\n", 403),
        ("GET /api/sessions HTTP/1.1\r\nHost: localhost:PORT\r\n", 200),
        ("GET /%00%ff HTTP/1.1\r\nHost: localhost:PORT\r\n", 404),
    ],
)
def test_odd_requests_on_the_wire(server, head, status):
    assert f" {status} " in raw(server, f"{head}\r\n")
    assert server.get("/api/sessions").status_code == 200


# The standard library alone, and loaded before: another user may not read this interpreter's files.
CALL = """
import encodings.idna, os, socket, sys
host, port, user = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if user != "-": os.setgroups([]); os.setgid(int(user)); os.setuid(int(user))
with socket.create_connection((host, port)) as conn:
    conn.sendall(f"GET /api/sessions HTTP/1.1\\r\\nHost: localhost:{port}\\r\\n\\r\\n".encode())
    print(conn.recv(100).split()[1].decode())
"""


def call_as(user, url):
    """The status that another process gets; `user` "-" is ours."""
    at = httpx.URL(url)
    command = [sys.executable, "-c", CALL, at.host, str(at.port), user]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_another_process_of_this_user_is_let_in(server):
    assert call_as("-", server.base_url) == 200


def test_another_user_is_refused(server, monkeypatch):
    if os.getuid() == 0:  # only root can become somebody else
        assert call_as("54321", server.base_url) == 403
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)

    # No header changes who is at the other end.
    for headers in ({}, {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}):
        answer = httpx.get(f"{server.base_url}/api/sessions", headers=headers)
        assert answer.status_code == 403
        assert answer.json()["code"] == "OTHER_USER"


def test_a_token_stands_for_the_user(store, monkeypatch):
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    with serving(create_app(store, ApiSettings(version="0.1.0", token=TOKEN))) as url:
        headers = {"Authorization": f"Bearer {TOKEN}"}

        assert httpx.get(f"{url}/api/sessions", headers=headers).status_code == 200
        refused = httpx.get(f"{url}/api/sessions")
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"


def test_over_ipv6(store, settings):
    with serving(create_app(store, settings), "::1") as url:
        assert httpx.get(f"{url}/api/sessions").status_code == 200
        assert call_as("-", f"{url}/api/sessions") == 200


@websocket("/ws")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


@pytest.mark.parametrize(
    ("headers", "let_in"),
    [
        ({}, True),
        ({"Origin": BASE}, True),
        ({"Origin": "null"}, False),
        ({"Origin": "http://evil.com"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Host": "evil.com"}, False),
    ],
)
def test_a_websocket_is_guarded_like_a_request(store, settings, headers, let_in):
    app = create_app(store, settings)
    app.register(echo)
    with TestClient(app, base_url=BASE) as client:
        if let_in:
            with client.websocket_connect("/ws", headers=headers) as conn:
                assert conn.receive_text() == "hello"
        else:
            with (
                pytest.raises(WebSocketDisconnect),
                client.websocket_connect("/ws", headers=headers) as conn,
            ):
                conn.receive_text()


def test_a_websocket_on_a_real_socket(store, settings):
    app = create_app(store, settings)
    app.register(echo)
    with serving(app) as url:
        place = url.replace("http:", "ws:") + "/ws"
        with connect(place) as conn:
            assert conn.recv() == "hello"
        with pytest.raises(InvalidStatus) as refused:
            connect(place, origin="http://evil.com")
        assert refused.value.response.status_code == 403
        with pytest.raises(InvalidStatus) as refused:
            connect(place.replace("/ws", "/elsewhere"))
        assert refused.value.response.status_code in (403, 404)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "box.lan"])
def test_beyond_loopback_nothing_starts_without_a_good_token(store, host):
    for token in (None, "short"):
        with pytest.raises(ConfigError):
            create_app(store, ApiSettings(version="0.1.0", host=host, token=token))
    create_app(store, ApiSettings(version="0.1.0", host=host, token=TOKEN))
