"""500 open streams, and 200 sockets with a day's messages in a minute: all whole, memory flat."""

import asyncio
import contextlib
import threading
import time
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from storage import spool
from tests.e2e.conftest import HOST
from tests.provider import seeded

STREAMS = 500
SOCKETS = 200
MESSAGES = 25  # a socket: what an agent sends in a day of work
MB = 1_000_000


class Watch(threading.Thread):
    """Looks at the spool and at the processes' memory while something runs."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.stack, self.over = stack, threading.Event()
        self.most_segments = 0
        self.memory = {"proxy": [], "server": []}

    def run(self):
        while not self.over.wait(0.2):
            for folder in spool.writers(self.stack.datadir.spool):
                self.most_segments = max(self.most_segments, len(spool.segments(folder)))
            for role, seen in self.memory.items():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    seen.append(resident(getattr(self.stack, role).pid))

    def end(self):
        self.over.set()
        if self.ident:
            self.join()


def resident(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


async def stream(port, number):
    """One event stream by plain HTTP through the proxy; the body without its chunk framing."""
    target = f"http://{HOST}/raw/sse?events=20&size=400&pause_ms=200&seed=s&n={number}"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0]
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    writer.close()
    return body


@pytest.mark.long
def test_five_hundred_open_streams(stack, provider):
    async def all_at_once():
        return await asyncio.gather(*(stream(stack.proxy_port, n) for n in range(STREAMS)))

    session = stack.session()
    bodies = asyncio.run(all_at_once())

    assert len(set(bodies)) == 1
    stack.settle()
    entries = stack.entries(session)
    numbers = sorted(int(entry["path"].rpartition("=")[2]) for entry in entries)
    assert numbers == list(range(STREAMS))
    assert {entry["outcome"] for entry in entries} == {"complete"}
    digests = {entry["responseBody"]["digest"] for entry in entries}
    assert len(digests) == 1
    assert stack.body(entries[0]["id"]) == bodies[0]
    assert gaps(stack) == []


async def socket(stack, number, warm):
    """`warm` is where all wait for each other with an eighth of the messages behind them."""
    uri = f"ws://{HOST}/raw/websocket?n={number}"
    async with connect(uri, proxy=stack.proxy_url(), max_size=None) as client:
        for index in range(MESSAGES):
            if index == MESSAGES // 8:
                await warm.wait()
            message = seeded(1000, f"{number}-{index}").hex()
            await client.send(message)
            assert await client.recv() == message


@pytest.mark.long
def test_two_hundred_sockets_with_a_days_messages(stack, provider):
    watch = Watch(stack)
    # What the first entry that is understood has the server load (prices, decoders) is no growth.
    with stack.agent() as agent:
        agent.get(f"http://{HOST}/raw/sse?events=1&size=1&pause_ms=0&seed=s&n=0").raise_for_status()
    stack.settle()

    async def all_at_once():
        # Memory is looked at from when all sockets are open and speak: on a loaded machine
        # opening them may take longer than all that follows.
        warm = asyncio.Barrier(SOCKETS + 1)
        async with asyncio.TaskGroup() as group:
            for number in range(SOCKETS):
                group.create_task(socket(stack, number, warm))
            await warm.wait()
            watch.start()

    session = stack.session()
    try:
        asyncio.run(all_at_once())
        time.sleep(1)
    finally:
        watch.end()

    stack.settle()
    entries = stack.entries(session)
    assert len(entries) == SOCKETS
    assert {entry["frameCount"] for entry in entries} == {2 * MESSAGES}
    assert watch.most_segments <= 2
    for role, seen in watch.memory.items():
        assert len(seen) > 4
        half = len(seen) // 2
        assert max(seen[half:]) - max(seen[:half]) < 20 * MB, f"the {role} grows"
    assert gaps(stack) == []


def gaps(stack):
    return stack.api.get("/api/health").raise_for_status().json()["gaps"]
