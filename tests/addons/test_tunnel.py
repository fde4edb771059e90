"""What is not decrypted passes untouched and leaves one entry with its bytes."""

import socket
import ssl
import threading

import httpx
import pytest
import trustme

from tests.addons.running import running
from tests.addons.test_recorder import HOST, client, until
from tests.provider import Provider, seeded, tls
from tests.provider import running as providing

# No DNS in a test: an address that is in no list.
OUTSIDE = "127.0.0.1"


@pytest.fixture
def proxy(tmp_path):
    with running(tmp_path) as proxy:
        yield proxy


def connected(proxy, port, host=OUTSIDE):
    raw = socket.create_connection(("127.0.0.1", proxy.port), timeout=20)
    raw.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        piece = raw.recv(1)
        assert piece, head
        head += piece
    return raw, head


class Server:
    """A plain socket server; `serve(connection)` runs for the one connection it takes."""

    def __init__(self, serve):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._main, args=(serve,))
        self._thread.start()

    def _main(self, serve):
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(20)
            serve(connection)

    def join(self):
        self._thread.join(20)
        self._listener.close()


def test_bytes_are_counted_exactly_and_the_certificate_is_the_hosts_own(proxy, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with providing(Provider(tls=tls.context(authority))) as provider:
        trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        with httpx.Client(proxy=proxy.url(), verify=trust, trust_env=False) as agent:
            url = f"https://127.0.0.1:{provider.port}/raw/echo"
            body = seeded(500_000, "tunnel")
            assert agent.post(url, content=body).content == body
    entry = proxy.one()
    assert (entry.opened.kind, entry.opened.method) == ("tunnel", "CONNECT")
    assert (entry.opened.host, entry.opened.port) == ("127.0.0.1", provider.port)
    assert entry.outcome == "complete"
    assert entry.closed.request_bytes > 500_000
    assert entry.closed.response_bytes > 500_000
    assert entry.closed.server == f"127.0.0.1:{provider.port}"
    assert entry.closed.connection.connected_ns is not None
    assert {kind for kind, *_ in entry.records} == {"open", "close"}


def test_counts_to_the_byte(proxy):
    def serve(connection):
        until(connection, b"!" * 10)
        connection.sendall(b"answer" * 1000)
        connection.recv(1)

    server = Server(serve)
    raw, _ = connected(proxy, server.port)
    with raw:
        raw.sendall(b"x" * 70_000 + b"!" * 10)
        received = b""
        while len(received) < 6000:
            received += raw.recv(65536)
    server.join()
    entry = proxy.one()
    assert (entry.closed.request_bytes, entry.closed.response_bytes) == (70_010, 6000)


def test_server_that_speaks_first_is_heard(proxy):
    server = Server(lambda connection: connection.sendall(b"SSH-2.0-hello\r\n"))
    raw, _ = connected(proxy, server.port)
    with raw:
        assert until(raw, b"\r\n") == b"SSH-2.0-hello\r\n"
    server.join()
    assert proxy.one().closed.response_bytes == 15


def test_dead_host_is_answered_as_such(proxy):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        raw, head = connected(proxy, nobody.getsockname()[1])
    raw.close()
    assert b" 502 " in head
    entry = proxy.one()
    assert entry.outcome == "upstream_error"
    assert entry.closed.error
    assert entry.closed.connection.connected_ns is None


def test_half_closed_upload_gets_its_answer(proxy):
    def serve(connection):
        while connection.recv(65536):
            pass
        connection.sendall(b"all of it")

    server = Server(serve)
    raw, _ = connected(proxy, server.port)
    with raw:
        raw.sendall(b"upload")
        raw.shutdown(socket.SHUT_WR)
        assert until(raw, b"all of it")
    server.join()
    assert proxy.one().closed.request_bytes == 6


def test_server_that_ends_first_still_gets_the_rest(proxy):
    received = []

    def serve(connection):
        connection.sendall(b"early answer")
        connection.shutdown(socket.SHUT_WR)
        received.append(until(connection, b"end"))

    server = Server(serve)
    raw, _ = connected(proxy, server.port)
    with raw:
        until(raw, b"early answer")
        assert raw.recv(1) == b""
        raw.sendall(b"the rest, end")
    server.join()
    assert received == [b"the rest, end"]
    assert proxy.one().closed.request_bytes == 13


def test_tunnel_belongs_to_the_session_of_its_tag_and_stops_with_it(proxy):
    import base64

    session = "01990000-0000-7000-8000-000000000001"
    proxy.control(sessions={session: (True, "w")})
    passed = threading.Event()

    def serve(connection):
        until(connection, b"12345")
        passed.set()
        until(connection, b"end")

    server = Server(serve)
    raw = socket.create_connection(("127.0.0.1", proxy.port), timeout=20)
    tag = base64.b64encode(f"{session}:w".encode()).decode()
    raw.sendall(
        f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n"
        f"Proxy-Authorization: Basic {tag}\r\n\r\n".encode()
    )
    until(raw, b"\r\n\r\n")
    raw.sendall(b"12345")
    assert passed.wait(20)
    proxy.wait(lambda found: found)
    proxy.control(sessions={session: (False, "w")})
    entry = proxy.one()
    with raw:
        raw.sendall(b"end")
    server.join()
    assert entry.opened.session == session
    assert entry.outcome == "recording_stopped"
    assert entry.closed.request_bytes == 5


def test_plain_http_outside_of_the_scope_leaves_bytes_and_no_content(tmp_path, provider):
    with running(tmp_path) as proxy:
        with httpx.Client(proxy=proxy.url(), trust_env=False) as agent:
            url = f"{provider.url}/raw/echo?secret=1"
            assert agent.post(url, content=b"private" * 100).content == b"private" * 100
        entry = proxy.one()
        everything = b"".join(path.read_bytes() for path in proxy.datadir.spool.rglob("*.spool"))
    assert entry.opened.kind == "tunnel"
    assert (entry.opened.target, entry.opened.headers) == (b"", ())
    assert (entry.closed.request_bytes, entry.closed.response_bytes) == (700, 700)
    assert b"private" not in everything
    assert b"secret" not in everything


def test_client_that_speaks_only_http2_becomes_a_tunnel_with_a_mark(tmp_path):
    authority = trustme.CA()
    context = tls.context(authority, "127.0.0.1")
    context.set_alpn_protocols(["h2"])
    with (
        providing(Provider(tls=context)) as provider,
        running(tmp_path, extra_hosts=("127.0.0.1",)) as proxy,
    ):
        raw, _ = connected(proxy, provider.port)
        offer = ssl.create_default_context()
        authority.configure_trust(offer)
        offer.set_alpn_protocols(["h2"])
        with offer.wrap_socket(raw, server_hostname="127.0.0.1") as agent:
            assert agent.selected_alpn_protocol() == "h2"
        entry = proxy.one()
    assert entry.opened.kind == "tunnel"
    assert entry.opened.marks == ("only_http2",)
    assert entry.closed.request_bytes > 0


def test_what_is_no_http_in_scope_is_counted_with_a_mark(tmp_path):
    server = Server(lambda connection: connection.sendall(until(connection, b"\0\1\2\n")))
    with running(tmp_path, extra_hosts=("127.0.0.1",)) as proxy:
        raw, _ = connected(proxy, server.port)
        with raw:
            raw.sendall(b"\0\1\2\n")
            until(raw, b"\0\1\2\n")
        entry = proxy.one()
    server.join()
    assert entry.opened.marks == ("not_http",)
    assert (entry.closed.request_bytes, entry.closed.response_bytes) == (4, 4)


def test_scope_all_decrypts_everything(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "upstream.pem")
    with (
        providing(Provider(tls=tls.context(authority))) as provider,
        running(tmp_path, everything=True, upstream_ca=tmp_path / "upstream.pem") as proxy,
        client(proxy) as agent,
    ):
        agent.get(f"https://127.0.0.1:{provider.port}/raw/bytes?size=10")
        entry = proxy.one()
    assert entry.opened.kind == "http"
    assert len(entry.body("response")) == 10


def test_in_scope_hosts_are_decrypted_beside_it(tmp_path, provider):
    with running(tmp_path, upstreams={HOST: provider.url}) as proxy, client(proxy) as agent:
        agent.get(f"https://{HOST}/raw/bytes?size=10")
        assert proxy.one().opened.kind == "http"
