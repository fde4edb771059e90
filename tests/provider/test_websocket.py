"""The provider's WebSocket, against a client that we did not write."""

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

from . import Provider, Reply, Request, SocketClosed


def run(test) -> None:
    async def main() -> None:
        async with Provider() as provider:
            await asyncio.wait_for(test(provider), 20)

    asyncio.run(main())


@pytest.mark.parametrize("compression", ["deflate", None])
def test_echoes_text_and_binary(compression) -> None:
    async def test(provider: Provider) -> None:
        url = provider.websocket_url + "/raw/websocket"
        async with connect(url, compression=compression, max_size=None) as socket:
            for message in ("text ü", b"\x00\xff" * 300_000, "", "x" * 100_000):
                await socket.send(message)
                assert await socket.recv() == message
            await socket.send(["in ", "three ", "frames"])
            assert await socket.recv() == "in three frames"
        (call,) = provider.requests
        assert call.status == 101
        assert [m.from_client for m in call.messages[:4]] == [True, False, True, False]
        assert call.messages[0].data == "text ü"
        deflated = any("permessage-deflate" in value for _, value in call.reply_headers)
        assert deflated == (compression is not None)

    run(test)


def test_fragments_and_pings_arrive() -> None:
    async def test(provider: Provider) -> None:
        async def handler(request: Request, reply: Reply) -> None:
            socket = await reply.websocket([("x-extra", "1")])
            await socket.send("abcdefg", fragments=3)
            await socket.ping(b"p")
            with pytest.raises(SocketClosed) as closed:
                await socket.receive()
            assert closed.value.code == 1000

        provider.handle("/", handler)
        async with connect(provider.websocket_url, compression=None) as socket:
            assert socket.response.headers["x-extra"] == "1"
            assert [piece async for piece in socket.recv_streaming()] == ["abc", "def", "g"]
        assert provider.requests[0].messages[0].data == "abcdefg"

    run(test)


def test_closes_and_resets() -> None:
    async def test(provider: Provider) -> None:
        url = provider.websocket_url + "/raw/websocket"
        async with connect(url) as socket:
            await socket.send("close")
            with pytest.raises(ConnectionClosedOK):
                await socket.recv()
            assert socket.close_code == 1001
        async with connect(url) as socket:
            await socket.send("reset")
            with pytest.raises(ConnectionClosedError):
                await socket.recv()
        assert [call.outcome for call in provider.requests] == ["complete", "reset"]

    run(test)
