"""
What a session records when an agent did a bit of everything, with a mark in every part of it.

Of the provider it needs `answer` at /answer and `events` at /events.
"""

import asyncio
import gzip
import itertools
import secrets

import brotli
import zstandard
from websockets.sync.client import connect

from tests.guarded_tls import guarded
from tests.provider import seeded

HOST = "api.anthropic.com"
CODINGS = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstandard.compress}

numbers = itertools.count()


async def answer(request, reply):
    """Echoes the body, in the coding that is asked for, and the note."""
    body = await request.read()
    coding = request.exchange.header("x-coding")
    headers = [("x-answer", request.exchange.header("x-note") or "")]
    if coding:
        headers.append(("content-encoding", coding))
        body = CODINGS[coding](body)
    await reply.whole(200, headers, body)


async def events(request, reply):
    """
    As many events as the body asks for, `mark,count,pause_ms`, one every few milliseconds; then on
    and on while the mark is in `streaming`.
    """
    mark, count, pause_ms = (await request.read()).decode().split(",")[:3]
    await reply.head(200, [("content-type", "text/event-stream")])
    for number in itertools.count():
        if number >= int(count) and mark not in streaming:
            break
        await reply.sse(event(mark, number))
        await asyncio.sleep(int(pause_ms) / 1000)
    await reply.end()


def event(mark, number):
    return f"{mark} {number} {seeded(60, f'{mark}{number}').hex()}"


streaming: set[str] = set()


def new_mark():
    return "cnry" + secrets.token_hex(12)


class Content:
    """What one agent did in one session, and how it is checked."""

    def __init__(self, stack, provider, mark, *, tag=None, size=300_000):
        self.stack, self.mark, self.tag = stack, mark, tag
        self.bodies = {}  # number -> (sent, received)
        self.messages = {}  # number -> messages, each of which came back
        with stack.agent(tag) as client:
            text = f'{{"prompt": "{mark} and the same again, again and again"}}'.encode()
            self._ask(client, text * 300)
            self._ask(client, mark.encode() + seeded(size, mark))  # no block of it is compressed
            self._ask(client, mark.encode())
            for coding in CODINGS:
                self._ask(
                    client, mark.encode() + seeded(3000, coding + mark).hex().encode(), coding
                )
            self._stream(client)
            # Refused, if the proxy knows the server's port by now; and out of scope, where an
            # entry only counts.
            client.get(f"http://localhost:{stack.api_port}/{mark}")
            client.get(f"{provider.url}/raw/echo?{mark}").raise_for_status()
        self._talk()

    def _ask(self, client, body, coding=""):
        number = next(numbers)
        with client.stream(
            "POST",
            f"https://{HOST}/answer?note={self.mark}&n={number}",
            content=body,
            headers={
                "authorization": f"Bearer sk-ant-{self.mark}",
                "x-note": self.mark,
                "x-coding": coding,
            },
        ) as reply:
            self.bodies[number] = body, b"".join(reply.iter_raw())

    def _stream(self, client):
        number = next(numbers)
        body = f"{self.mark},20,2,".encode()
        with client.stream("POST", f"https://{HOST}/events?n={number}", content=body) as reply:
            self.bodies[number] = body, b"".join(reply.iter_raw())

    def _talk(self):
        number = next(numbers)
        mark = self.mark
        sent = [mark, f"{mark} " * 2000, mark.encode() + seeded(70_000, mark), b"", mark.encode()]
        with socket(self.stack, f"/raw/websocket?q={mark}&n={number}", self.tag) as client:
            for message in sent:
                client.send(message)
                assert client.recv() == message
        self.messages[number] = sent

    def check(self, session):
        """All of it is on record in `session`."""
        stored = {
            int(entry["path"].rpartition("n=")[2]): entry
            for entry in self.stack.entries(session)
            if "n=" in entry["path"]
        }
        for number, (sent, received) in self.bodies.items():
            entry = stored[number]
            assert entry["outcome"] == "complete"
            assert self.stack.body(entry["id"], "request") == sent
            assert self.stack.body(entry["id"]) == received
        for number, sent in self.messages.items():
            wanted = [one if isinstance(one, bytes) else one.encode() for one in sent]
            assert self.stack.messages(stored[number]["id"]) == [m for m in wanted for _ in "12"]


def socket(stack, target, tag=None):
    return connect(
        f"wss://{HOST}{target}",
        proxy=stack.proxy_url(tag),
        ssl=guarded(stack.trust()),
        max_size=None,
    )
