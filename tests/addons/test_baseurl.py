"""Base-URL mode: by URL form alone, and through the proxy's own port."""

import contextlib
import socket

import httpx
import pytest
from websockets.sync.client import connect

from addons import baseurl
from addons.assignment import Tag
from tests.addons.running import running
from tests.addons.test_recorder import HOST, tunnelled, until
from tests.provider import seeded

SESSION = "01990000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/@s:w/api.anthropic.com/v1/messages?beta=true",
         ("s", "w", "https", "api.anthropic.com", 443, "/v1/messages?beta=true")),
        ("/@s:w/host.example:8443", ("s", "w", "https", "host.example", 8443, "/")),
        ("/@s:w/host.example?x=1", ("s", "w", "https", "host.example", 443, "/?x=1")),
        ("/@s:w/http:localhost:11434/v1", ("s", "w", "http", "localhost", 11434, "/v1")),
        ("/@s:w/http:localhost/v1", ("s", "w", "http", "localhost", 80, "/v1")),
        ("/%40s%3Aw/host.example/v1", ("s", "w", "https", "host.example", 443, "/v1")),
        ("/@:w/[::1]:99/x", ("", "w", "https", "::1", 99, "/x")),
        ("/@:w/host%3A8443/x", ("", "w", "https", "host", 8443, "/x")),
    ],
)  # fmt: skip
def test_form(path, expected):
    found = baseurl.parse(path)
    assert (
        found.tag.session,
        found.tag.word,
        found.scheme,
        found.host,
        found.port,
        found.path,
    ) == expected


@pytest.mark.parametrize(
    "path",
    ["/", "/v1/messages", "/@s/host/x", "/@s:/host/x", "/@s:w", "/@s:w/", "/@s:w//x",
     "/@s:w/user@host/x", "/@s:w/host:0/x", "/@s:w/host:70000/x", "/@s:w/ho st/x", "*", ""],
)  # fmt: skip
def test_no_such_form(path):
    assert baseurl.parse(path) is None


def test_url_is_its_own_inverse():
    url = baseurl.url("http://127.0.0.1:8888", Tag("s", "w"), "http:localhost:1")
    assert baseurl.parse(url.removeprefix("http://127.0.0.1:8888") + "/v1").port == 1


@pytest.mark.parametrize(
    ("host", "origin", "expected"),
    [
        ("127.0.0.1:8888", None, True),
        ("localhost:8888", None, True),
        ("[::1]:8888", None, True),
        ("localhost", "http://localhost:3000", True),
        ("evil.example:8888", None, False),
        ("127.0.0.1:8888", "https://evil.example", False),
        ("127.0.0.1:8888", "null", False),
        ("", None, False),
        (None, None, False),
        ("127.0.0.1.evil.example", None, False),
    ],
)
def test_from_this_machine(host, origin, expected):
    assert baseurl.from_this_machine(host, origin) is expected


# --- through the port ----------------------------------------------------------------------------


@pytest.fixture
def proxy(tmp_path, provider):
    with running(tmp_path, upstreams={HOST: provider.url}) as proxy:
        proxy.control(sessions={SESSION: (True, "w")})
        yield proxy


def test_request_goes_to_the_provider_as_if_sent_there(proxy, provider):
    base = f"http://127.0.0.1:{proxy.port}/@{SESSION}:w/{HOST}"
    with httpx.Client(trust_env=False) as agent:
        for number in range(7):
            answer = agent.post(f"{base}/raw/echo?n={number}", content=seeded(70_000, number))
            assert answer.content == seeded(70_000, number)
    entries = proxy.wait(lambda found: len(found) == 7 and all(entry.closed for entry in found))
    entry = entries[0]
    assert (entry.opened.way, entry.opened.session) == ("base-url", SESSION)
    assert (entry.opened.scheme, entry.opened.host, entry.opened.port) == ("https", HOST, 443)
    assert entry.opened.target == b"/raw/echo?n=0"
    assert {value for name, value in entry.opened.headers if name == b"Host"} == {HOST.encode()}
    assert provider.requests[0].host == HOST
    assert provider.requests[0].target == "/raw/echo?n=0"
    everything = b"".join(path.read_bytes() for path in proxy.datadir.spool.rglob("*.spool"))
    assert f"{SESSION}:w".encode() not in everything


def test_two_hosts_on_one_connection_and_a_plain_one(proxy, provider):
    with httpx.Client(trust_env=False) as agent:
        base = f"http://127.0.0.1:{proxy.port}/@{SESSION}:w"
        agent.get(f"{base}/{HOST}/raw/bytes?size=1")
        agent.get(f"{base}/http:127.0.0.1:{provider.port}/v1/models")
        agent.get(f"{base}/{HOST}/raw/bytes?size=2")
    entries = proxy.wait(lambda found: len(found) == 3 and all(entry.closed for entry in found))
    assert [entry.opened.host for entry in entries] == [HOST, "127.0.0.1", HOST]
    assert [entry.opened.scheme for entry in entries] == ["https", "http", "https"]


def test_websocket(proxy):
    url = f"ws://127.0.0.1:{proxy.port}/@{SESSION}:w/{HOST}/raw/websocket"
    with connect(url, proxy=None) as agent:
        agent.send("hello")
        assert agent.recv() == "hello"
    entry = proxy.one()
    assert (entry.opened.kind, entry.opened.way) == ("websocket", "base-url")
    assert entry.texts == [(True, "hello"), (False, "hello")]


def test_without_a_session_by_the_common_word(proxy):
    word = baseurl.common_word(proxy.datadir.hmac_key())
    with httpx.Client(trust_env=False) as agent:
        url = f"http://127.0.0.1:{proxy.port}/@:{word}/{HOST}/raw/bytes?size=1"
        assert agent.get(url).status_code == 200
    assert proxy.one().opened.session is None


def test_connect_beside_it_on_the_same_port(proxy):
    with tunnelled(proxy) as agent:
        agent.sendall(b"GET /raw/bytes?size=5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        until(agent, b"\r\n\r\n")
    assert proxy.one().opened.way == "proxy"


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n",
        "GET /v1/messages HTTP/1.1\r\nHost: api.anthropic.com\r\n",
        "GET /@{session}:wrong/{host}/x HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        "GET /@nobody:w/{host}/x HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        "GET /@:w/{host}/x HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        "GET /@{session}:w/{host}/x HTTP/1.1\r\nHost: evil.example:{port}\r\n",
        "POST /@{session}:w/{host}/x HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Origin: https://evil.example\r\nContent-Length: 0\r\n",
        "GET /@{session}:w/{host}/x HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: null\r\n",
        "GET /@{session}:w/{host}/x HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://[x\r\n",
        "GET /@{session}:\xff/{host}/x HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    ],
)
def test_every_other_request_to_the_port_is_404(proxy, provider, head):
    head = head.format(port=proxy.port, session=SESSION, host=HOST)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as agent:
        agent.sendall(f"{head}\r\n".encode("latin-1"))
        assert agent.recv(65536).startswith(b"HTTP/1.1 404")
    assert provider.requests == []
    assert proxy.entries() == []


def test_body_of_what_is_refused_is_not_gathered_without_an_end(proxy):
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as agent:
        agent.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(17):
                agent.sendall(bytes(1 << 20))
        assert agent.recv(65536).startswith(b"HTTP/1.1 413")
        with contextlib.suppress(ConnectionError):  # the rest is not waited for
            assert agent.recv(65536) == b""


def test_request_that_is_no_sound_http_leaves_no_tag_word(tmp_path, provider):
    with running(tmp_path, upstreams={HOST: provider.url}, everything=True) as proxy:
        proxy.control(sessions={SESSION: (True, "word-of-the-tag")})
        path = f"/@{SESSION}:word-of-the-tag/{HOST}/raw/bytes?size=1"
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as agent:
            both = "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"
            agent.sendall(f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{both}\r\n".encode())
            assert agent.recv(65536).startswith(b"HTTP/1.1 400")
            assert agent.recv(65536) == b""
        with httpx.Client(trust_env=False) as agent:
            assert agent.get(f"http://127.0.0.1:{proxy.port}{path}").status_code == 200
        assert proxy.one().outcome == "complete"
        everything = b"".join(path.read_bytes() for path in proxy.datadir.spool.rglob("*.spool"))
        assert b"word-of-the-tag" not in everything


def test_deleted_session_goes_on_unrecorded(proxy, provider):
    with httpx.Client(trust_env=False) as agent:
        url = f"http://127.0.0.1:{proxy.port}/@{SESSION}:w/{HOST}/raw/bytes?size=1"
        agent.get(url)
        proxy.control(deleted=(SESSION,))
        assert agent.get(url).status_code == 200
    assert len(provider.requests) == 2
    assert len(proxy.wait(lambda found: found)) == 1
