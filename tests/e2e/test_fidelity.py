"""
More than 200 MB of all shapes: what the client got, what the provider sent and what is stored are
the same bytes, outside the listed cuts; both directions, heads and WebSocket messages included.
"""

import base64
import gzip
import itertools
import socket
import ssl

import pytest
import trustme
import zstandard
from websockets.sync.client import connect

from tests.e2e.stack import Stack
from tests.guarded_tls import guarded
from tests.provider import Provider, running, seeded, tls

HOST = "api.anthropic.com"
MB = 1 << 20


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    authority = trustme.CA()
    folder = tmp_path_factory.mktemp("provider")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    with running(Provider(tls=tls.context(authority, HOST))) as started:
        started.ca = folder / "ca.pem"
        yield started


@pytest.fixture(scope="module")
def stack(tmp_path_factory, provider):
    with Stack(
        tmp_path_factory.mktemp("stack"),
        upstreams={HOST: f"https://127.0.0.1:{provider.port}"},
        options=(f"--upstream-ca={provider.ca}",),
    ) as started:
        yield started


@pytest.fixture
def session(stack):
    return stack.session("fidelity")


numbers = itertools.count()


class Exchanged:
    """One request's number and what the client saw of it."""

    def __init__(self, client, target, *, method="GET", body=None, headers=()):
        self.number = next(numbers)
        mark = "&" if "?" in target else "?"
        self.target = f"{target}{mark}n={self.number}"
        self.sent = body or b""
        url = f"https://{HOST}{self.target}"
        with client.stream(method, url, content=body, headers=list(headers)) as answer:
            self.status = answer.status_code
            self.headers = [
                (k.decode("latin-1"), v.decode("latin-1")) for k, v in answer.headers.raw
            ]
            self.received = b"".join(answer.iter_raw())

    def check(self, stack, provider, entry):
        theirs = next(one for one in provider.requests if one.target == self.target)
        assert entry["outcome"] == "complete"
        assert entry["status"] == theirs.status == self.status
        assert theirs.body == self.sent
        assert theirs.reply_body == self.received
        assert stack.body(entry["id"], "request") == self.sent
        assert stack.body(entry["id"], "response") == self.received
        assert entry["requestBodySize"] == len(self.sent)
        assert entry["responseBodySize"] == len(self.received)


def by_number(entries):
    """`code=204` reads like an OAuth code, so a stored path may hold a cut: its number does not."""
    return {int(entry["path"].rpartition("n=")[2]): entry for entry in entries}


FRAMINGS = ("chunked", "length", "close")
CODINGS = ("", "gzip", "deflate", "br", "zstd")
SHAPES = [
    f"/raw/bytes?size={size}&seed={seed}&framing={framing}{coding and '&coding=' + coding}"
    for seed, (framing, coding, size) in enumerate(
        itertools.product(FRAMINGS, CODINGS, (0, 1, 1000, 300_000))
    )
] + [
    "/raw/sse?events=50",
    "/raw/sse?events=50&crlf=1&coding=gzip",
    "/raw/sse?events=300&size=2000&coding=zstd",
    "/raw/sse?events=300&size=2000&coding=br",
    "/raw/status?code=204",
    "/raw/status?code=304",
    "/raw/status?code=404",
    "/raw/status?code=529",
    "/raw/headers",
    "/raw/bytes?size=100000&chunk=1",
]  # fmt: skip


def test_every_shape_is_stored_as_it_crossed(stack, provider, session):
    uploads = [
        {"body": b"", "headers": [("content-length", "0")]},
        {"body": seeded(70_000, "up")},
        {"body": gzip.compress(seeded(50_000, "gz")), "headers": [("content-encoding", "gzip")]},
        {"body": zstandard.compress(b"text " * 9000), "headers": [("content-encoding", "zstd")]},
        {"body": iter([b"chunk one", b"", b"chunk two" * 5000])},
    ]
    with stack.agent() as client:
        done = [Exchanged(client, shape) for shape in SHAPES if "chunk=1" not in shape]
        done += [Exchanged(client, "/raw/bytes?size=3000&chunk=1")]
        for upload in uploads:
            body = upload.pop("body")
            if isinstance(body, bytes):
                done.append(Exchanged(client, "/raw/echo", method="POST", body=body, **upload))
            else:
                pieces = list(body)
                one = Exchanged(client, "/raw/echo", method="POST", body=iter(pieces), **upload)
                one.sent = b"".join(pieces)
                done.append(one)
        for method in ("HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"):
            done.append(Exchanged(client, "/raw/status?code=200", method=method))

    stack.settle()
    stored = by_number(stack.entries(session))
    for one in done:
        one.check(stack, provider, stored[one.number])


@pytest.mark.long
def test_two_hundred_megabytes(stack, provider, session):
    down, up = 100 * MB, 100 * MB
    upload = seeded(up, "large")
    with stack.agent() as client:
        done = [
            Exchanged(client, f"/raw/bytes?size={down}&seed=large&framing=length"),
            Exchanged(client, "/raw/echo", method="POST", body=upload),
        ]

    stack.settle()
    stored = by_number(stack.entries(session))
    for one in done:
        one.check(stack, provider, stored[one.number])
    assert sum(len(one.sent) + len(one.received) for one in done) >= 200_000_000


def test_heads_keep_case_order_and_repetition(stack, provider, session):
    """Written by hand on the socket, for every client library has a mind of its own."""
    number = next(numbers)
    lines = [
        f"GET /raw/headers?n={number}&q=a%20b&empty=&flag HTTP/1.1",
        f"Host: {HOST}",
        "X-MiXeD: Kept",
        "x-twice: 1",
        "accept: */*",
        "X-Twice: 2",
        "X-Empty: ",
        "X-Latin: caf\xe9",
        "authorization: Bearer sk-ant-api03-this-is-an-invented-key",
        "Connection: close",
        "",
        "",
    ]
    raw = _through_proxy(stack, "\r\n".join(lines).encode("latin-1"))

    stack.settle()
    target = f"/raw/headers?n={number}&q=a%20b&empty=&flag"
    theirs = next(one for one in provider.requests if one.target == target)
    sent = [tuple(line.split(": ", 1)) for line in lines[1:-2]]
    assert theirs.headers == sent
    entry = next(one for one in stack.entries(session) if one["path"] == target)
    stored = _stored_heads(stack, entry)
    cut = [(k, "Bearer " + "*" * (len(v) - 7)) if k == "authorization" else (k, v) for k, v in sent]
    assert stored["request"] == cut
    received = raw.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    assert [line.split(":", 1)[0] for line in received] == [k for k, _ in theirs.reply_headers]
    cookies = {"Set-Cookie", "set-cookie"}
    assert [pair for pair in stored["response"] if pair[0] not in cookies] == [
        (k, v.strip()) for k, v in theirs.reply_headers if k not in cookies
    ]


MESSAGES = [
    "",
    "text",
    "ünïcödé \U0001f600",
    "x" * 125,
    "x" * 126,
    "x" * 65_536,
    b"",
    b"\x00\xff",
    seeded(65_535, "ws"),
    seeded(1_200_000, "ws"),
]


@pytest.mark.parametrize("deflate", ["0", "1"])
def test_websocket_messages_are_stored_as_they_crossed(stack, provider, session, deflate):
    target = f"/raw/websocket?deflate={deflate}&n={next(numbers)}"
    with connect(
        f"wss://{HOST}{target}",
        proxy=stack.proxy_url(),
        ssl=guarded(stack.trust()),
        max_size=None,
        compression="deflate" if deflate == "1" else None,
    ) as client:
        echoed = []
        for message in MESSAGES:
            client.send(message)
            echoed.append(client.recv())

    assert echoed == MESSAGES
    stack.settle()
    theirs = next(one for one in provider.requests if one.target == target)
    assert [one.data for one in theirs.messages] == [m for m in MESSAGES for _ in range(2)]
    entry = next(one for one in stack.entries(session) if one["path"] == target)
    assert entry["outcome"] == "complete"
    answer = stack.api.get(f"/api/har/export/{session}").raise_for_status().json()
    har = next(one for one in answer["log"]["entries"] if one["_id"] == entry["id"])
    stored = [_har_message(one) for one in har["_webSocketMessages"]]
    sides = ["send", "receive"] * len(MESSAGES)
    expected = [m for m in MESSAGES for _ in range(2)]
    assert stored == list(zip(sides, expected, strict=True))


def _har_message(message):
    data = message["data"] if message["opcode"] == 1 else base64.b64decode(message["data"])
    return message["type"], data


def _through_proxy(stack, request):
    with socket.create_connection(("127.0.0.1", stack.proxy_port)) as wire:
        wire.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += wire.recv(1)
        assert b" 200 " in answer
        with stack.trust().wrap_socket(wire, server_hostname=HOST) as inner:
            inner.sendall(request)
            raw = b""
            try:
                while piece := inner.recv(65_536):
                    raw += piece
            except ssl.SSLEOFError:
                pass
            return raw


def _stored_heads(stack, entry):
    """Both heads as pairs, from the HAR export: the JSON of an entry may join repeated names."""
    export = stack.api.get(f"/api/har/export/{entry['sessionId']}").raise_for_status().json()
    har = next(one for one in export["log"]["entries"] if one["_id"] == entry["id"])
    return {
        side: [(pair["name"], pair["value"]) for pair in har[side]["headers"]]
        for side in ("request", "response")
    }
