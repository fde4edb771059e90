"""
kill -9 of the proxy, of the server and of both, at random moments, 52 rounds.

Agents stream the whole time. Afterwards every request is on record once, its bytes are a prefix of
what the provider sent, and they hold at least what the client had a second before the kill.
"""

import asyncio
import itertools
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.e2e.stack import Stack
from tests.provider import Provider, running, seeded

HOST = "api.anthropic.com"
ROUNDS = 13
ON_RECORD_S = 1.0
TARGETS = [("proxy",), ("server",), ("proxy", "server")]


async def stream(request, reply):
    """Seeded chunks every few milliseconds, for as long as the request asks."""
    body = await request.read()
    number, count = (int(part) for part in body.split(b",")[:2])
    await reply.head(200, [("content-type", "text/event-stream")])
    for index in range(count):
        await reply.sse(seeded(300, f"{number}-{index}").hex())
        await asyncio.sleep(0.01)
    await reply.end()


class Agent(threading.Thread):
    """One client that asks again and again; notes when it had how much of each answer."""

    def __init__(self, stack, numbers):
        super().__init__(daemon=True)
        self.stack, self.numbers = stack, numbers
        self.stop = threading.Event()
        self.seen = {}  # number -> (request body, [(moment, bytes so far)], [moment of the end])

    def run(self):
        while not self.stop.is_set():
            try:
                with self.stack.agent() as client:
                    while not self.stop.is_set():
                        self._ask(client)
            except httpx.HTTPError:
                time.sleep(0.02)

    def _ask(self, client):
        number = next(self.numbers)
        body = f"{number},{random.randint(5, 150)},".encode() + seeded(20_000, number)
        had = [(time.monotonic(), 0)]
        self.seen[number] = (body, had, [])
        with client.stream("POST", f"https://{HOST}/stream?n={number}", content=body) as answer:
            total = 0
            for piece in answer.iter_raw():
                total += len(piece)
                had.append((time.monotonic(), total))
        self.seen[number][2].append(time.monotonic())


class Lateness(threading.Thread):
    """How late this machine wakes a thread that slept: the proxy's may be as late to write."""

    def __init__(self):
        super().__init__(daemon=True)
        self.over = threading.Event()
        self._seen = []  # (moment, seconds late)

    def run(self):
        due = time.monotonic() + 0.02
        while not self.over.wait(max(0, due - time.monotonic())):
            now = time.monotonic()
            self._seen.append((now, now - due))
            due = now + 0.02

    def before(self, moment):
        return max((late for at, late in self._seen if moment - 2 <= at <= moment), default=0.0)


def rounds_of(stack, seed):
    """Kill and start again; returns [(moment, roles)] of the kills."""
    rng = random.Random(seed)
    kills = []
    for _ in range(ROUNDS):
        time.sleep(rng.uniform(0.1, 1.4))
        roles = rng.choice(TARGETS)
        kills.append((time.monotonic(), roles))
        stack.kill(*roles)
        if "proxy" in roles:
            stack.start_proxy()
        if "server" in roles:
            stack.start_server()
    return kills


def had_before(moments, limit):
    return max((total for moment, total in moments if moment <= limit), default=0)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_what_the_client_had_a_second_ago_is_on_record(tmp_path):
    with running(Provider()) as provider, ThreadPoolExecutor(4) as pool:
        provider.handle("/stream", stream)
        results = list(pool.map(lambda seed: _one_stack(tmp_path, provider, seed), range(4)))

    assert sum(results) >= 50


def _one_stack(tmp_path, provider, seed):
    folder = tmp_path / str(seed)
    folder.mkdir()
    numbers = itertools.count(seed * 1_000_000)
    with Stack(folder, upstreams={HOST: provider.url}) as stack:
        session = stack.session("crash")
        agents = [Agent(stack, numbers) for _ in range(3)]
        lateness = Lateness()
        for thread in (lateness, *agents):
            thread.start()
        kills = rounds_of(stack, seed)
        time.sleep(0.3)
        lateness.over.set()
        for agent in agents:
            agent.stop.set()
        for agent in agents:
            agent.join(60)
        stack.settle()
        seen = {n: what for agent in agents for n, what in agent.seen.items()}
        _check(stack, provider, session, seen, kills, lateness)
    return len(kills)


def _check(stack, provider, session, seen, kills, lateness):
    exchanges = {}
    for one in provider.requests:
        if one.path == "/stream":
            exchanges.setdefault(int(one.target.rpartition("=")[2]), one)
    stored = {}
    for entry in stack.entries(session):
        number = int(entry["path"].rpartition("=")[2])
        assert number not in stored, f"{number} is on record twice"
        stored[number] = entry
    proxy_kills = [moment for moment, roles in kills if "proxy" in roles]
    complete = 0
    for number, (sent, had, ended) in seen.items():
        # The client lost its answer at the first kill of the proxy after it asked.
        lost_at = next((kill for kill in proxy_kills if kill > had[0][0]), None)
        lost_at = lost_at if lost_at is None else lost_at - lateness.before(lost_at)
        limit = (lost_at if lost_at is not None else time.monotonic()) - ON_RECORD_S
        must = had_before(had, limit)
        if number not in stored:
            assert must == 0, f"{number} is not on record: the client had {must} bytes"
            continue
        entry = stored[number]
        response = stack.body(entry["id"])
        # A proxy killed before it had sent the request on: the provider never saw it.
        answered = exchanges[number].reply_body if number in exchanges else b""
        assert answered.startswith(response)
        assert len(response) >= must
        assert sent.startswith(stack.body(entry["id"], "request"))
        if entry["outcome"] == "complete":
            complete += 1
            assert number in exchanges
            assert response == answered
        else:
            assert entry["outcome"] == "proxy_killed"
            assert lost_at is not None
        if ended and ended[0] <= limit:
            assert entry["outcome"] == "complete"
    assert complete > 0
