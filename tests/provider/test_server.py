"""The provider's wire: what handlers script is what clients get, byte by byte."""

import asyncio
import ssl
import struct
from collections.abc import Awaitable, Callable

import httpx
import pytest
import trustme

from . import ClientLeft, Provider, Reply, Request, running, seeded, tls


def scripted(test: Callable[[Provider], Awaitable[None]]) -> None:
    """Run a test with a started provider."""

    async def run() -> None:
        async with Provider() as provider:
            await test(provider)

    asyncio.run(run())


async def exchange_bytes(provider: Provider, request: bytes) -> bytes:
    """Everything that comes back until the server closes."""
    reader, writer = await asyncio.open_connection(provider.host, provider.port)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()


def test_event_reaches_the_client_before_the_next_is_sent() -> None:
    async def test(provider: Provider) -> None:
        seen = asyncio.Event()

        async def handler(request: Request, reply: Reply) -> None:
            await request.read()
            await reply.head(200, [("content-type", "text/event-stream")])
            await reply.sse("one")
            await seen.wait()
            await reply.sse("two", event="last")

        provider.handle("/live", handler)
        async with (
            httpx.AsyncClient() as client,
            client.stream("POST", provider.url + "/live") as r,
        ):
            stream = r.aiter_raw()
            assert await anext(stream) == b"data: one\n\n"
            seen.set()
            assert b"".join([piece async for piece in stream]) == b"event: last\ndata: two\n\n"
        (call,) = provider.requests
        assert [chunk.data for chunk in call.reply_chunks] == [
            b"data: one\n\n",
            b"event: last\ndata: two\n\n",
        ]
        assert call.reply_chunks[0].at_ns <= call.reply_chunks[1].at_ns
        assert (call.kind, call.outcome) == ("handler", "complete")

    scripted(test)


def test_head_goes_out_as_given() -> None:
    async def test(provider: Provider) -> None:
        async def handler(request: Request, reply: Reply) -> None:
            headers = [("X-Odd", "a"), ("x-odd", "b\xe9"), ("Content-Length", "2")]
            await reply.interim(103, [("link", "</a>")])
            await reply.head(299, [*headers, ("connection", "close")], date=False)
            await reply.chunk(b"ok")

        provider.handle("/", handler)
        got = await exchange_bytes(provider, b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        assert got == (
            b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
            b"HTTP/1.1 299 Scripted\r\nX-Odd: a\r\nx-odd: b\xe9\r\nContent-Length: 2\r\n"
            b"connection: close\r\n\r\nok"
        )

    scripted(test)


def test_request_is_recorded_as_received() -> None:
    async def test(provider: Provider) -> None:
        got = await exchange_bytes(
            provider,
            b"POST /nowhere?x=%20 HTTP/1.1\r\nHost: api.example\r\nX-A: 1\r\nx-a: \xff2\r\n"
            b"Transfer-Encoding: chunked\r\nconnection: close\r\n\r\n"
            b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        )
        assert got.startswith(b"HTTP/1.1 404 Not Found\r\n")
        (call,) = provider.requests
        assert (call.method, call.target, call.host) == ("POST", "/nowhere?x=%20", "api.example")
        assert ("X-A", "1") in call.headers
        assert ("x-a", "\xff2") in call.headers
        assert call.body == b"abcde"
        assert call.kind == "unknown"
        assert call.body_ended_ns is not None

    scripted(test)


def test_pipelined_requests_share_a_connection() -> None:
    async def test(provider: Provider) -> None:
        one = b"POST /raw/echo HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\none"
        two = b"POST /raw/echo HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n"
        got = await exchange_bytes(provider, one + two + b"connection: close\r\n\r\ntwo")
        assert b"\r\n3\r\none\r\n" in got
        assert b"\r\n3\r\ntwo\r\n" in got
        assert [call.connection for call in provider.requests] == [1, 1]

    scripted(test)


def test_expect_continue_is_answered_when_the_body_is_wanted() -> None:
    async def test(provider: Provider) -> None:
        reader, writer = await asyncio.open_connection(provider.host, provider.port)
        writer.write(
            b"POST /raw/echo HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n"
            b"expect: 100-continue\r\nconnection: close\r\n\r\n"
        )
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hi")
        assert b"2\r\nhi\r\n" in await reader.read()
        writer.close()
        assert provider.requests[0].interim == [100]

    scripted(test)


def test_reset_is_an_rst() -> None:
    async def test(provider: Provider) -> None:
        resets = asyncio.Event()

        async def handler(request: Request, reply: Reply) -> None:
            await reply.head(200)
            await reply.chunk(b"half")
            await resets.wait()
            await reply.reset()

        provider.handle("/", handler)
        reader, writer = await asyncio.open_connection(provider.host, provider.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        await reader.readuntil(b"half\r\n")
        resets.set()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        assert provider.requests[0].outcome == "reset"

    scripted(test)


def test_cut_is_a_fin_in_the_middle() -> None:
    async def test(provider: Provider) -> None:
        got = await exchange_bytes(provider, b"GET /raw/half?size=100 HTTP/1.1\r\nhost: h\r\n\r\n")
        assert got.endswith(b"\r\n32\r\n" + seeded(100)[:50] + b"\r\n")
        assert provider.requests[0].outcome == "cut"

    scripted(test)


def test_client_that_leaves_is_noticed() -> None:
    async def test(provider: Provider) -> None:
        gone = asyncio.Event()

        async def handler(request: Request, reply: Reply) -> None:
            await reply.head(200)
            await reply.chunk(b"some")
            await reply.client_gone()
            gone.set()

        provider.handle("/", handler)
        reader, writer = await asyncio.open_connection(provider.host, provider.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        await reader.readuntil(b"some\r\n")
        writer.close()
        await gone.wait()
        assert provider.requests[0].outcome == "client_left"

    scripted(test)


def test_half_a_request_is_recorded() -> None:
    async def test(provider: Provider) -> None:
        left = asyncio.Event()

        async def handler(request: Request, reply: Reply) -> None:
            with pytest.raises(ClientLeft):
                await request.read()
            left.set()
            raise ClientLeft

        provider.handle("/", handler)
        _, writer = await asyncio.open_connection(provider.host, provider.port)
        writer.write(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nabc")
        writer.close()
        await left.wait()
        assert provider.requests[0].body == b"abc"
        assert provider.requests[0].body_ended_ns is None

    scripted(test)


def test_streamed_request_is_readable_while_it_comes() -> None:
    async def test(provider: Provider) -> None:
        first = asyncio.Event()

        async def handler(request: Request, reply: Reply) -> None:
            pieces = []
            async for piece in request.stream():
                pieces.append(piece)
                first.set()
            await reply.json([piece.decode() for piece in pieces])

        async def upload():
            yield b"one"
            await first.wait()
            yield b"two"

        provider.handle("/", handler)
        async with httpx.AsyncClient() as client:
            response = await client.post(provider.url, content=upload())
        assert response.json() == ["one", "two"]

    scripted(test)


def test_https_with_a_test_ca() -> None:
    ca = trustme.CA()

    async def test() -> None:
        client_context = ssl.create_default_context()
        ca.configure_trust(client_context)
        async with (
            Provider(tls=tls.context(ca)) as provider,
            httpx.AsyncClient(verify=client_context) as client,
        ):
            response = await client.get(f"{provider.url}/raw/bytes?size=300000&framing=length")
            assert response.content == seeded(300000)

    asyncio.run(test())


def test_routes_by_method_and_host() -> None:
    async def test(provider: Provider) -> None:
        async def handler(request: Request, reply: Reply) -> None:
            await reply.json("mine")

        provider.handle("/x", handler, method="GET", host="a.example")
        async with httpx.AsyncClient() as client:
            url = provider.url + "/x"
            mine = await client.get(url, headers={"host": "a.example"})
            other_host = await client.get(url, headers={"host": "b.example"})
            other_method = await client.post(url, headers={"host": "a.example"})
        assert mine.json() == "mine"
        assert (other_host.status_code, other_method.status_code) == (404, 404)

    scripted(test)


def test_runs_in_a_thread_and_stops_with_open_connections() -> None:
    with running(Provider()) as provider, httpx.Client() as client:
        assert client.get(provider.url + "/raw/bytes?size=10").content == seeded(10)
        stalled = httpx.Client()
        stream = stalled.stream("GET", provider.url + "/raw/stall")
        stream.__enter__()
    stalled.close()
    assert [call.outcome for call in provider.requests] == ["complete", "failed"]


def test_raw_bytes_pass_unchanged() -> None:
    async def test(provider: Provider) -> None:
        async def handler(request: Request, reply: Reply) -> None:
            await reply.raw(struct.pack("4s", b"junk"))
            await reply.cut()

        provider.handle("/", handler)
        assert await exchange_bytes(provider, b"GET / HTTP/1.0\r\nhost: h\r\n\r\n") == b"junk"

    scripted(test)


def test_what_a_handler_raises_fails_the_test() -> None:
    async def test(provider: Provider) -> None:
        async def handler(request: Request, reply: Reply) -> None:
            raise AssertionError("seen by nobody else")

        provider.handle("/", handler)
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.ReadError):
                await client.get(provider.url)

    with pytest.raises(ExceptionGroup) as raised:
        scripted(test)
    assert raised.group_contains(AssertionError, match="seen by nobody else")
