"""mitmproxy's HTTP/1 reader, where it breaks what is allowed (capture.md 2.18)."""

import socket

import pytest

from tests.addons.running import running
from tests.addons.test_recorder import HOST, client, tunnelled, until


@pytest.fixture
def proxy(tmp_path, provider):
    with running(tmp_path, upstreams={HOST: provider.url}) as proxy:
        yield proxy


def test_trailers_of_an_answer_are_dropped_and_the_body_is_whole(proxy):
    with client(proxy) as agent:
        for _ in range(3):
            answer = agent.get(f"https://{HOST}/raw/trailers", timeout=60)
            assert answer.status_code == 200
    entries = proxy.wait(lambda found: len(found) == 3 and all(entry.closed for entry in found))
    assert {entry.outcome for entry in entries} == {"complete"}
    assert entries[0].body("response") == answer.content != b""


def test_trailers_of_a_request_are_dropped_and_the_body_is_whole(proxy, provider):
    with tunnelled(proxy) as agent:
        agent.sendall(
            b"POST /raw/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n"
            b"GET /raw/bytes?size=3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        until(agent, b"hello")
        while agent.recv(65536):  # to the end of the second answer: who leaves early aborts
            pass
    entries = proxy.wait(lambda found: len(found) == 2 and found[0].closed)
    assert provider.requests[0].body == b"hello" == entries[0].body("request")
    assert entries[0].outcome == "complete"


def test_early_hints_do_not_swallow_the_answer(proxy):
    with client(proxy) as agent:
        for _ in range(3):
            assert agent.get(f"https://{HOST}/raw/hints", timeout=60).status_code == 200
    entries = proxy.wait(lambda found: len(found) == 3 and all(entry.closed for entry in found))
    assert {entry.answered.status for entry in entries} == {200}


@pytest.mark.parametrize("split", [5, 14, 30, 60])
def test_early_hints_in_pieces(proxy, provider, split):
    async def handler(request, reply):
        import asyncio

        head = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
        await reply.raw(head[:split])
        await asyncio.sleep(0.02)
        await reply.raw(head[split:])
        await reply.whole(200, [], b"done")

    provider.handle("/hints", handler)
    with client(proxy) as agent:
        assert agent.get(f"https://{HOST}/hints", timeout=60).content == b"done"


def test_expect_100_continue_is_answered(proxy, provider):
    with tunnelled(proxy) as agent:
        agent.sendall(
            b"POST /raw/echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Content-Length: 4\r\n\r\n"
        )
        assert until(agent, b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        agent.sendall(b"body")
        until(agent, b"body")
    assert provider.requests[0].body == b"body"
    assert (b"Expect", b"100-continue") in proxy.one().opened.headers


def test_upgrade_to_something_else_passes_and_leaves_a_gap(proxy, provider):
    async def handler(request, reply):
        await reply.raw(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\nhi"
        )
        await reply.client_gone()

    provider.handle("/other", handler)
    with tunnelled(proxy) as agent:
        agent.sendall(
            b"GET /other HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n"
        )
        until(agent, b"hi")
        agent.shutdown(socket.SHUT_RDWR)
    entry = proxy.one()
    assert entry.answered.status == 101
    assert entry.gaps[0].reason == "upgrade_not_recorded"
    assert entry.outcome == "gap"
    assert entry.closed.response_bytes == 2
