"""What goes through the proxy arrives whole, live and on record, however it ends."""

import contextlib
import socket
import ssl
import threading
import time

import h2.connection
import h2.events
import httpx
import pytest
import trustme
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from addons import entries as entries_module
from tests.addons.running import running
from tests.guarded_tls import guarded
from tests.provider import Provider, seeded, tls
from tests.provider import running as providing

HOST = "api.anthropic.com"


@pytest.fixture
def proxy(tmp_path, provider):
    with running(tmp_path, upstreams={HOST: provider.url}) as proxy:
        yield proxy


def client(proxy, tag=None, **more):
    return httpx.Client(proxy=proxy.url(tag), verify=proxy.trust, trust_env=False, **more)


def tunnelled(proxy, host=HOST, port=443, *, tls=True):
    """A raw socket to `host` through a CONNECT."""
    raw = socket.create_connection(("127.0.0.1", proxy.port), timeout=20)
    raw.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += raw.recv(1)
    assert b" 200 " in head.split(b"\r\n")[0], head
    return proxy.trust.wrap_socket(raw, server_hostname=host) if tls else raw


def until(raw, text):
    data = b""
    while text not in data:
        piece = raw.recv(65536)
        assert piece, data
        data += piece
    return data


class Gate:
    """Opened by the test, awaited by a handler of the provider."""

    def __init__(self):
        self._event = threading.Event()

    def open(self):
        self._event.set()

    async def passed(self):
        import asyncio

        assert await asyncio.to_thread(self._event.wait, 20)


# --- whole ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("coding", [None, "gzip", "br", "zstd"])
def test_bodies_are_the_same_at_client_provider_and_on_record(proxy, provider, framing, coding):
    sent = seeded(300_000, "up")
    path = f"/raw/bytes?size=200000&seed=7&framing={framing}" + (
        f"&coding={coding}" if coding else ""
    )
    with client(proxy) as agent, agent.stream("POST", f"https://{HOST}{path}", content=sent) as got:
        received = b"".join(got.iter_raw())
    entry = proxy.one()
    (call,) = provider.requests
    assert call.body == sent == entry.body("request")
    assert received == call.reply_body == entry.body("response")
    assert entry.outcome == "complete"
    assert entry.ends["request"].size_bytes == len(sent) == entry.closed.request_bytes
    assert entry.ends["response"].size_bytes == len(received) == entry.closed.response_bytes
    assert (entry.opened.method, entry.opened.target) == ("POST", path.encode())
    assert (entry.opened.scheme, entry.opened.host, entry.opened.port) == ("https", HOST, 443)
    assert entry.opened.kind == "http"
    assert entry.opened.way == "proxy"
    assert entry.answered.status == 200


def test_heads_keep_names_order_and_repetition(proxy, provider):
    with tunnelled(proxy) as agent:
        agent.sendall(
            b"GET /raw/headers?count=9 HTTP/1.1\r\nHost: api.anthropic.com\r\nx-LOWER: 1\r\n"
            b"X-Twice: a\r\nX-Empty:\r\nX-Twice: b\r\nConnection: close\r\n\r\n"
        )
        answer = b""
        while piece := agent.recv(65536):
            answer += piece
    entry = proxy.one()
    assert entry.opened.headers == (
        (b"Host", b"api.anthropic.com"),
        (b"x-LOWER", b"1"),
        (b"X-Twice", b"a"),
        (b"X-Empty", b""),
        (b"X-Twice", b"b"),
        (b"Connection", b"close"),
    )
    head = answer.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    recorded = [name + b": " + value for name, value in entry.answered.headers]
    assert [line.split(b":")[0] for line in recorded] == [line.split(b":")[0] for line in head]
    # Cookies are cut; everything else is as it came, repetition and empty values too.
    assert [line for line in recorded if b"ookie" not in line] == [
        line for line in head if b"ookie" not in line
    ]
    assert [name for name, _ in provider.requests[0].headers] == [
        name.decode() for name, _ in entry.opened.headers
    ]


def test_empty_bodies_end_too(proxy):
    with client(proxy) as agent:
        assert agent.get(f"https://{HOST}/raw/status?code=204").status_code == 204
    entry = proxy.one()
    assert entry.ends["request"].size_bytes == 0
    assert entry.ends["response"].size_bytes == 0
    assert entry.outcome == "complete"


def test_requests_on_one_connection_say_that_it_was_reused(proxy):
    with client(proxy) as agent:
        for _ in range(3):
            agent.get(f"https://{HOST}/raw/bytes?size=10")
    entries = proxy.wait(lambda found: len(found) == 3 and all(entry.closed for entry in found))
    assert [entry.closed.connection.reused for entry in entries] == [False, True, True]
    first = entries[0].closed.connection
    assert 0 <= first.connect_started_ns <= first.connected_ns
    assert {entry.closed.server for entry in entries} == {entries[0].closed.server}
    assert all(entry.closed.server.startswith("127.0.0.1:") for entry in entries)


def test_provider_with_tls_is_verified_and_its_handshake_timed(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "upstream.pem")
    with (
        providing(Provider(tls=tls.context(authority, HOST))) as provider,
        running(
            tmp_path, upstreams={HOST: provider.url}, upstream_ca=tmp_path / "upstream.pem"
        ) as proxy,
        client(proxy) as agent,
    ):
        assert agent.get(f"https://{HOST}/raw/bytes?size=10").status_code == 200
        entry = proxy.one()
    times = entry.closed.connection
    assert times.connected_ns < times.tls_done_ns
    assert entry.closed.tls_version == "TLSv1.3"


@pytest.mark.parametrize("certificate_for", ["other.example", HOST])
def test_provider_that_cannot_be_verified_gets_nothing(tmp_path, certificate_for):
    """A wrong name, and a right one of an authority that nobody trusts."""
    authority = trustme.CA()
    trusted = {}
    if certificate_for != HOST:
        authority.cert_pem.write_to_path(tmp_path / "upstream.pem")
        trusted = {"upstream_ca": tmp_path / "upstream.pem"}
    with (
        providing(Provider(tls=tls.context(authority, certificate_for))) as provider,
        running(tmp_path, upstreams={HOST: provider.url}, **trusted) as proxy,
        client(proxy) as agent,
    ):
        answer = agent.post(f"https://{HOST}/v1/messages", content=b"secret prompt")
        assert answer.status_code == 502
        assert provider.requests == []
        entry = proxy.one()
    assert entry.outcome == "tls_failed"
    assert "ertificate" in entry.closed.error


# --- live ----------------------------------------------------------------------------------------


def test_event_reaches_the_client_before_the_next_one_is_sent(proxy, provider):
    gate = Gate()

    async def handler(request, reply):
        await reply.head(200, [("content-type", "text/event-stream")])
        await reply.sse("one")
        await gate.passed()
        await reply.sse("two")
        await reply.end()

    provider.handle("/v1/messages", handler)
    with client(proxy) as agent, agent.stream("POST", f"https://{HOST}/v1/messages") as answer:
        chunks = answer.iter_raw()
        assert next(chunks) == b"data: one\n\n"
        gate.open()
        assert b"".join(chunks) == b"data: two\n\n"
    entry = proxy.one()
    assert [data for _, data, _ in entry.chunks["response"]] == [b"data: one\n\n", b"data: two\n\n"]


def test_request_is_streamed_as_well(proxy, provider):
    gate = Gate()
    first = threading.Event()

    async def handler(request, reply):
        async for piece in request.stream():
            if piece == b"first":
                first.set()
        await reply.whole(200, [], b"done")

    provider.handle("/upload", handler)

    def body():
        yield b"first"
        assert first.wait(20)
        yield b"second"

    with client(proxy) as agent:
        assert agent.post(f"https://{HOST}/upload", content=body()).content == b"done"
    gate.open()
    assert [data for _, data, _ in proxy.one().chunks["request"]] == [b"first", b"second"]


def test_open_stream_is_on_record_before_it_ends(proxy, provider):
    gate = Gate()

    async def handler(request, reply):
        await reply.head(200, [("content-type", "text/event-stream")])
        await reply.sse("early")
        await gate.passed()
        await reply.end()

    provider.handle("/v1/messages", handler)
    with client(proxy) as agent, agent.stream("POST", f"https://{HOST}/v1/messages") as answer:
        chunks = answer.iter_raw()
        next(chunks)
        (entry,) = proxy.wait(lambda found: found and found[0].chunks["response"])
        assert entry.body("response") == b"data: early\n\n"
        assert entry.closed is None
        gate.open()


def test_chunks_have_the_time_at_which_they_came(proxy, provider):
    async def handler(request, reply):
        import asyncio

        await reply.head(200)
        await reply.chunk(b"a")
        await asyncio.sleep(0.3)
        await reply.chunk(b"b")
        await reply.end()

    provider.handle("/slow", handler)
    with client(proxy) as agent, agent.stream("GET", f"https://{HOST}/slow") as answer:
        had_ns = [time.monotonic_ns() for _ in answer.iter_raw()]
    entry = proxy.one()
    (_, _, first), (_, _, second) = entry.chunks["response"]
    # Each came after it was sent and before the client had it: so much apart, whatever the load.
    sent_ns = [chunk.at_ns for chunk in provider.requests[0].reply_chunks]
    assert sent_ns[1] - had_ns[0] <= second - first <= had_ns[1] - sent_ns[0]
    numbers = [number for *_, number in entry.records]
    assert numbers == list(range(len(numbers)))


# --- endings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["cut", "reset"])
def test_provider_that_breaks_off_leaves_what_passed(proxy, how):
    with client(proxy) as agent, pytest.raises(httpx.RemoteProtocolError):
        agent.get(f"https://{HOST}/raw/half?size=50000&seed=3&how={how}")
    entry = proxy.one()
    assert entry.outcome == "upstream_error"
    assert "response" not in entry.ends
    assert seeded(50_000, "3").startswith(entry.body("response"))
    assert entry.closed.response_bytes == len(entry.body("response")) > 0


def test_client_that_leaves_is_told_from_a_provider_that_does(proxy):
    with client(proxy) as agent, agent.stream("GET", f"https://{HOST}/raw/stall?size=1000") as got:
        assert len(next(got.iter_raw())) == 1000
    entry = proxy.one()
    assert entry.outcome == "client_aborted"
    assert len(entry.body("response")) == 1000


def test_client_that_leaves_in_its_upload(proxy):
    with tunnelled(proxy) as agent:
        agent.sendall(b"POST /raw/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        proxy.wait(lambda found: found and found[0].body("request") == b"half")
    entry = proxy.one()
    assert entry.outcome == "client_aborted"
    assert entry.body("request") == b"half"


def test_dead_provider_is_an_answer_of_the_proxy(tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with running(tmp_path, upstreams={HOST: url}) as proxy, client(proxy) as agent:
            assert agent.post(f"https://{HOST}/v1/messages", content=b"x").status_code == 502
            entry = proxy.one()
    assert entry.outcome == "upstream_error"
    assert entry.closed.connection.connect_started_ns is not None
    assert entry.closed.connection.connected_ns is None


def test_answer_with_two_lengths_is_refused(proxy, provider):
    async def handler(request, reply):
        await reply.raw(
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        )
        await reply.cut()

    provider.handle("/smuggle", handler)
    with client(proxy) as agent:
        assert agent.get(f"https://{HOST}/smuggle").status_code == 502
    entry = proxy.one()
    assert entry.outcome == "refused"
    assert entry.answered.status == 200


def test_head_that_cannot_be_read_is_not_quoted_on_record(proxy, provider):
    async def handler(request, reply):
        await reply.raw(b"HTTP/1.1 200 OK\r\nSet-Cookie session=a-fresh-secret\r\n\r\n")
        await reply.cut()

    provider.handle("/broken", handler)
    with client(proxy) as agent:
        assert agent.get(f"https://{HOST}/broken").status_code == 502
    entry = proxy.one()
    assert entry.outcome == "upstream_error"
    assert entry.closed.error == "Cannot parse HTTP response: Invalid header line: (bytes)"


def test_early_answer_to_a_long_upload(proxy, provider):
    async def handler(request, reply):
        await reply.whole(413, [("connection", "close")], b"too large")
        async for _ in request.stream():
            pass

    provider.handle("/upload", handler)
    with tunnelled(proxy) as agent:
        agent.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        until(agent, b"too large")
        with contextlib.suppress(OSError):
            agent.sendall(b"rest..")
    entry = proxy.one()
    assert entry.answered.status == 413
    assert entry.body("response") == b"too large"
    assert entry.outcome == "complete"


def test_client_that_does_not_trust_the_authority(proxy):
    raw = tunnelled(proxy, tls=False)
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(raw, server_hostname=HOST)
    entry = proxy.one()
    assert entry.opened.kind == "tunnel"
    assert entry.opened.host == HOST
    assert entry.outcome == "tls_failed"
    assert "wirescribe" in entry.closed.error


# --- a failure of the recorder -------------------------------------------------------------------


def test_failing_tee_leaves_the_stream_whole(proxy, provider, monkeypatch):
    """mitmproxy would drop the chunk and end the stream as if it were complete."""
    real, failed = entries_module.Scribe.put, threading.Event()

    def put(self, log, step, at_ns, content, size=0):
        if step is entries_module.EntryLog.chunk and content[0] == "response":
            failed.set()
            raise RuntimeError("broken on purpose")
        return real(self, log, step, at_ns, content, size)

    monkeypatch.setattr(entries_module.Scribe, "put", put)
    with client(proxy) as agent:
        got = agent.get(f"https://{HOST}/raw/bytes?size=100000&seed=1").content
    assert failed.is_set()
    assert got == seeded(100_000, "1")
    entry = proxy.one()
    assert entry.outcome == "gap"
    assert entry.gaps[0].reason == "capture_failed"


def test_proxy_authorization_of_any_bytes_is_no_tag_and_no_obstacle(proxy):
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as raw:
        raw.sendall(
            f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n".encode()
            + b"Proxy-Authorization: Basic \xff\xfe\r\n\r\n"
        )
        until(raw, b"\r\n\r\n")
        with proxy.trust.wrap_socket(raw, server_hostname=HOST) as agent:
            agent.sendall(
                b"GET /raw/bytes?size=5&framing=chunked HTTP/1.1\r\n"
                b"Host: x\r\nConnection: close\r\n\r\n"
            )
            until(agent, b"\r\n0\r\n\r\n")  # to its very end: leaving earlier is an abort
    assert proxy.one().outcome == "complete"


def test_failing_hook_leaves_the_traffic_whole(proxy, monkeypatch):
    def begin(self, *arguments):
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(entries_module.Entries, "begin", begin)
    with client(proxy) as agent:
        assert agent.get(f"https://{HOST}/raw/bytes?size=100000&seed=1").content == seeded(
            100_000, "1"
        )
    assert proxy.entries() == []


# --- WebSocket -----------------------------------------------------------------------------------


@pytest.mark.parametrize("deflate", ["0", "1"])
def test_websocket_messages_are_recorded_one_by_one(proxy, provider, deflate):
    url = f"wss://{HOST}/raw/websocket?deflate={deflate}"
    big = seeded(3_000_000, "ws")
    with connect(
        url, sock=tunnelled(proxy, tls=False), ssl=guarded(proxy.trust), max_size=None
    ) as agent:
        agent.send("hello")
        assert agent.recv() == "hello"
        (entry,) = proxy.wait(lambda found: found and len(found[0].messages) == 2)
        assert entry.closed is None
        agent.send(big)
        assert agent.recv() == big
    entry = proxy.one()
    assert entry.opened.kind == "websocket"
    assert entry.answered.status == 101
    assert [(from_client, opcode) for from_client, opcode, *_ in entry.messages] == [
        (True, 1),
        (False, 1),
        (True, 2),
        (False, 2),
    ]
    assert [data for _, _, data, *_ in entry.messages] == [b"hello", b"hello", big, big]
    assert (entry.outcome, entry.closed.close_code) == ("complete", 1000)
    assert entry.closed.request_bytes == len(big) + 5


def test_websocket_that_the_provider_drops(proxy):
    url = f"wss://{HOST}/raw/websocket"
    with connect(url, sock=tunnelled(proxy, tls=False), ssl=guarded(proxy.trust)) as agent:
        agent.send("reset")
        with pytest.raises(ConnectionClosed):
            agent.recv()
    entry = proxy.one()
    assert (entry.outcome, entry.closed.close_code) == ("upstream_error", 1006)


def test_websocket_that_the_client_drops(proxy):
    url = f"wss://{HOST}/raw/websocket"
    with connect(url, sock=tunnelled(proxy, tls=False), ssl=guarded(proxy.trust)) as agent:
        agent.send("hello")
        agent.recv()
        agent.socket.shutdown(socket.SHUT_RDWR)
        entry = proxy.one()
    assert (entry.outcome, entry.closed.close_code) == ("client_aborted", 1006)


# --- plain HTTP and what must not leak -----------------------------------------------------------


def test_plain_http_goes_through_without_the_proxys_own_headers(proxy, provider):
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as agent:
        agent.sendall(
            b"POST http://api.anthropic.com/raw/echo HTTP/1.1\r\nHost: api.anthropic.com\r\n"
            b"Proxy-Authorization: Basic czE6d29yZA==\r\nProxy-Connection: keep-alive\r\n"
            b"Content-Length: 4\r\n\r\nbody"
        )
        until(agent, b"body")
    entry = proxy.one()
    assert entry.opened.scheme == "http"
    assert entry.body("response") == b"body"
    sent = {name.lower() for name, _ in provider.requests[0].headers}
    recorded = {name.lower() for name, _ in entry.opened.headers}
    assert not {"proxy-authorization", "proxy-connection"} & sent
    assert not {b"proxy-authorization", b"proxy-connection"} & recorded


def test_secret_is_nowhere_in_the_spool_and_arrives_intact(proxy, provider):
    key = "sk-ant-api03-" + "x7Qz" * 12
    with client(proxy) as agent:
        agent.post(
            f"https://{HOST}/raw/echo", headers={"x-api-key": key}, content=f"my key is {key}!"
        )
    entry = proxy.one()
    assert provider.requests[0].header("x-api-key") == key
    assert provider.requests[0].body.decode() == f"my key is {key}!"
    everything = b"".join(path.read_bytes() for path in proxy.datadir.spool.rglob("*.spool"))
    assert key.encode() not in everything
    assert entry.body("request") == b"my key is " + b"*" * len(key) + b"!"
    assert {cut.part for cut in entry.cuts} >= {"request-header", "request-body", "response-body"}
    assert entry.ends["request"].wire_hmac is not None


# --- HTTP/2 --------------------------------------------------------------------------------------


def http2_answers(raw, paths):
    """The bodies of GET requests that are all sent before the first answer is read."""
    session = h2.connection.H2Connection()
    session.initiate_connection()
    for number, path in enumerate(paths):
        headers = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", HOST),
            (":path", path),
        ]
        session.send_headers(2 * number + 1, headers, end_stream=True)
    raw.sendall(session.data_to_send())
    bodies, ended = dict.fromkeys(range(1, 2 * len(paths), 2), b""), 0
    while ended < len(paths):
        for event in session.receive_data(raw.recv(65536)):
            if isinstance(event, h2.events.DataReceived):
                bodies[event.stream_id] += event.data
            ended += isinstance(event, h2.events.StreamEnded)
        raw.sendall(session.data_to_send())
    return list(bodies.values())


def test_http2_of_a_client_when_it_is_asked_for(tmp_path, provider):
    """Eight streams at once: left to itself, mitmproxy lets the sixth one wait for ever."""
    paths = [f"/raw/bytes?size=1000&seed={number}&chunk=100&pause_ms=5" for number in range(8)]
    with running(tmp_path, upstreams={HOST: provider.url}, http2=True) as proxy:
        trust = proxy.trust
        trust.set_alpn_protocols(["h2"])
        plain = tunnelled(proxy, tls=False)
        with trust.wrap_socket(plain, server_hostname=HOST) as agent:
            assert http2_answers(agent, paths) == [seeded(1000, str(n)) for n in range(8)]
        entries = proxy.wait(lambda found: len(found) == 8 and all(e.closed for e in found))
    assert {entry.opened.http_version for entry in entries} == {"HTTP/2.0"}
    assert {entry.outcome for entry in entries} == {"complete"}
    assert {entry.body("response") for entry in entries} == {seeded(1000, str(n)) for n in range(8)}


def test_without_being_asked_both_sides_speak_http_1(proxy):
    with client(proxy, http2=True) as agent:
        assert agent.get(f"https://{HOST}/raw/bytes?size=1").http_version == "HTTP/1.1"
    assert proxy.one().opened.http_version == "HTTP/1.1"
