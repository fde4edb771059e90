"""A chunk reaches the agent before the provider sends the next one, whatever its content type."""

import asyncio
import queue
import threading

import msgspec
import pytest
from websockets.sync.client import connect

from tests.e2e.conftest import HOST
from tests.e2e.stack import Stack

TYPES = [
    "text/event-stream",
    "application/json",
    "application/x-ndjson",
    "application/octet-stream",
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory, provider):
    with Stack(tmp_path_factory.mktemp("stack"), upstreams={HOST: provider.url}) as started:
        yield started


@pytest.mark.parametrize("content_type", TYPES)
def test_each_chunk_arrives_before_the_next_is_sent(stack, provider, content_type):
    """The provider waits for the client's word before each next chunk: a held chunk would hang."""
    has_it = threading.Event()

    async def handler(request, reply):
        await request.read()
        await reply.head(200, [("content-type", content_type)])
        for number in range(20):
            has_it.clear()
            await reply.chunk(b"data: %d\n\n" % number)
            assert await asyncio.to_thread(has_it.wait, 20)
        await reply.end()

    path = f"/live/{content_type.rpartition('/')[2]}"
    provider.handle(path, handler)
    with stack.agent() as client, client.stream("POST", f"https://{HOST}{path}") as answer:
        seen = []
        for piece in answer.iter_raw():
            seen.append(piece)
            has_it.set()

    assert seen == [b"data: %d\n\n" % number for number in range(20)]


def test_an_upload_passes_as_it_comes(stack, provider):
    """The client sends its next chunk only when the provider has the one before."""
    got = queue.Queue()

    async def handler(request, reply):
        async for piece in request.stream():
            got.put(piece)
        await reply.whole(200, [], b"done")

    provider.handle("/live/upload", handler)

    def chunks():
        for number in range(10):
            yield b"chunk %d" % number
            assert got.get(timeout=20) == b"chunk %d" % number

    with stack.agent() as client:
        answer = client.post(f"https://{HOST}/live/upload", content=chunks())

    assert answer.content == b"done"


def test_a_tool_call_is_told_before_its_answer_ends(stack, provider):
    """The provider ends its answer only when the tool call came over `/ws`."""
    came = threading.Event()
    call = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
    delta = {"type": "input_json_delta", "partial_json": '{"command":"ls"}'}
    events = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": call},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
    ]

    async def handler(request, reply):
        await request.read()
        await reply.head(200, [("content-type", "text/event-stream")])
        for event in events:
            await reply.chunk(b"data: %b\n\n" % msgspec.json.encode(event))
        assert await asyncio.to_thread(came.wait, 20)
        await reply.end()

    provider.handle("/live/v1/messages", handler)
    stack.session()
    url = f"ws://127.0.0.1:{stack.api_port}/ws?since=0"
    body = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "go"}]}
    with (
        stack.agent() as client,
        connect(url, proxy=None) as socket,
        client.stream("POST", f"https://{HOST}/live/v1/messages", json=body) as answer,
    ):
        hook = {}
        while hook.get("hook_event_name") != "PreToolUse":
            hook = msgspec.json.decode(socket.recv(timeout=20))
        came.set()
        answer.read()
    assert (hook["tool_name"], hook["tool_input"]) == ("Bash", {"command": "ls"})
