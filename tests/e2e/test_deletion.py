"""
A deleted session is gone: from every table, every file and the spool; all others are whole.

At rest, while agents stream into it, and with kill -9 of proxy, server and both around the call.
What is searched for: a mark that stands in every part of what was recorded, and prints of the
packed rows, which a search for text would not find in the slack of a page.
"""

import contextlib
import itertools
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.e2e import traces
from tests.e2e.content import (
    HOST,
    Content,
    answer,
    event,
    events,
    new_mark,
    numbers,
    socket,
    streaming,
)
from tests.e2e.stack import PATIENCE_S, Stack
from tests.provider import Provider, running

STACKS = 3
ROUNDS = 5
TARGETS = [("server",), ("proxy",), ("proxy", "server")]


@pytest.fixture(scope="module")
def provider():
    with running(Provider()) as started:
        started.handle("/answer", answer)
        started.handle("/events", events)
        yield started


def wait_until_gone(stack, mark, needles=()):
    """Until the server says that all is swept, and nothing of it is in any file."""
    folder = stack.datadir.root.parent
    deadline = time.monotonic() + PATIENCE_S
    while True:
        left = ["unswept"] if _is_unswept(stack) else traces.found(folder, [mark])
        if not left and not (left := traces.found(folder, needles)):
            return
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def _is_unswept(stack):
    return stack.api.get("/api/health").raise_for_status().json()["unsweptSessions"] > 0


def in_spool(entry_id):
    """The id of an entry as its records have it."""
    return bytes.fromhex(entry_id.replace("-", ""))


def size_bytes(stack):
    """Of the database with its WAL."""
    return stack.api.get("/api/health").raise_for_status().json()["databaseBytes"]


def prints(stack, kept):
    """Of what will be deleted, plain and as it is packed."""
    path = stack.datadir.database
    return traces.prints((traces.chunks(path) - kept) | traces.frames(path, kept), kept)


def status(stack, session):
    return stack.api.get(f"/api/sessions/{session}").status_code


# --- at rest -------------------------------------------------------------------------------------


def test_nothing_of_a_deleted_session_is_left(tmp_path, provider):
    with Stack(tmp_path, upstreams={HOST: provider.url}) as stack:
        kept_mark, mark = new_mark(), new_mark()
        kept = stack.session(f"kept {kept_mark}")
        kept_content = Content(stack, provider, kept_mark)
        stack.settle()
        kept_chunks = traces.chunks(stack.datadir.database)
        doomed = stack.session(f"doomed {mark}")
        stack.api.patch(f"/api/sessions/{kept}", json={"isRecording": True}).raise_for_status()
        content = Content(stack, provider, mark, size=600_000)
        Content(stack, provider, mark, tag=stack.tag(doomed))  # the same content a second time
        with stack.agent() as doomed_agent, stack.agent(stack.tag(kept)) as kept_agent:
            # So many rows beside each other that pages are split and joined.
            for number in range(60):
                path = f"/raw/status?q={{}}{'.' * number}"
                doomed_agent.get(f"https://{HOST}{path.format(mark)}").raise_for_status()
                kept_agent.get(f"https://{HOST}{path.format(kept_mark)}").raise_for_status()
        stack.settle()
        content.check(doomed)
        ids = [entry["id"] for entry in stack.entries(doomed)]
        assert {e["kind"] for e in stack.entries(doomed)} == {"http", "websocket", "tunnel"}
        before = traces.found(tmp_path, [mark.encode()])
        assert any("wirescribe.db " in line for line in before)
        pieces = prints(stack, kept_chunks)
        size = size_bytes(stack)

        assert stack.api.delete(f"/api/sessions/{doomed}").json() == {"success": True}

        assert stack.api.get("/api/sessions/active").status_code == 404
        assert status(stack, doomed) == 404
        assert {stack.api.get(f"/api/traffic/{one}").status_code for one in ids} == {404}
        needles = {mark.encode(), *pieces, *map(in_spool, ids)}
        wait_until_gone(stack, mark.encode(), needles)
        assert size_bytes(stack) < size - 600_000
        kept_content.check(kept)
        assert traces.chunks(stack.datadir.database) == kept_chunks
        stack.stop()
        assert traces.found(tmp_path, needles) == []


def test_a_deleted_entry_leaves_the_spool_as_well(tmp_path, provider):
    with Stack(tmp_path, upstreams={HOST: provider.url}) as stack:
        session, mark = stack.session(), new_mark()
        time.sleep(0.6)  # the proxy has seen it by now, and parted with the segment before
        Content(stack, provider, mark)
        stack.settle()
        *_, last = stack.entries(session)
        assert traces.found(tmp_path, [in_spool(last["id"])]) != []
        stack.api.delete(f"/api/traffic/{last['id']}").raise_for_status()
        wait_until_gone(stack, in_spool(last["id"]))
        stack.api.delete(f"/api/traffic/session/{session}").raise_for_status()
        wait_until_gone(stack, mark.encode())
        assert status(stack, session) == 200


# --- while it streams ----------------------------------------------------------------------------


class Streaming(threading.Thread):
    """An agent that is in the middle of something; `failure` says what was not as it should be."""

    def __init__(self, work):
        super().__init__(daemon=True)
        self._work = work
        self.failure = None
        self.start()

    def run(self):
        try:
            self._work()
        except Exception as error:
            self.failure = error


def read_events(stack, mark, tag=None, count=20):
    number = next(numbers)
    body = f"{mark},{count},20,".encode()
    with (
        stack.agent(tag) as client,
        client.stream("POST", f"https://{HOST}/events?n={number}", content=body) as reply,
    ):
        received = b"".join(reply.iter_raw()).decode()
    had = received.count("\n\n")
    assert had >= count
    assert received == "".join(f"data: {event(mark, number)}\n\n" for number in range(had))


def going_on(mark, count):
    """Numbers, one every 20 ms: so many, and then on and on while the mark is in `streaming`."""
    for number in itertools.count():
        if number >= count and mark not in streaming:
            return
        yield number
        time.sleep(0.02)


def upload(stack, mark, tag=None, count=20):
    sent = []

    def pieces():
        for number in going_on(mark, count):
            sent.append(f"{mark} {number};".encode())
            yield sent[-1]

    with stack.agent(tag) as client:
        reply = client.post(f"https://{HOST}/answer?n={next(numbers)}", content=pieces())
    assert reply.content == b"".join(sent)


def chat(stack, mark, tag=None, count=20):
    with socket(stack, f"/raw/websocket?n={next(numbers)}", tag) as client:
        for number in going_on(mark, count):
            client.send(f"{mark} {number}")
            assert client.recv() == f"{mark} {number}"


@contextlib.contextmanager
def agents_stream(*marks):
    """Whoever streams one of these marks comes to no end in this block, however long it takes."""
    streaming.update(marks)
    try:
        yield
    finally:
        streaming.difference_update(marks)


def test_deleted_while_agents_stream_into_it(tmp_path, provider):
    with Stack(tmp_path, upstreams={HOST: provider.url}) as stack:
        mark, kept_mark = new_mark(), new_mark()
        kept, doomed = stack.session("kept"), stack.session(f"doomed {mark}")
        tag, kept_tag = stack.tag(doomed), stack.tag(kept)
        stack.api.patch(f"/api/sessions/{kept}", json={"isRecording": True}).raise_for_status()
        with agents_stream(mark, kept_mark):
            agents = [
                Streaming(lambda work=work, own=own: work(stack, mark, own))
                for work in (read_events, upload, chat)
                for own in (None, tag)
            ]
            agents.append(Streaming(lambda: read_events(stack, kept_mark, kept_tag)))
            deadline = time.monotonic() + PATIENCE_S
            while len(growing := grown(stack, doomed)) < 6:
                assert time.monotonic() < deadline, growing
                time.sleep(0.05)

            assert stack.api.delete(f"/api/sessions/{doomed}").status_code == 200

            assert stack.api.get("/api/sessions/active").status_code == 404
            assert all(agent.is_alive() for agent in agents), "it was not deleted in mid-stream"
            with stack.agent(tag) as client:  # its tag records no more
                client.post(f"https://{HOST}/answer?n=0", content=mark.encode()).raise_for_status()
        for agent in agents:
            agent.join(PATIENCE_S)
        assert [agent.failure for agent in agents if agent.failure] == []
        stack.settle()
        wait_until_gone(stack, mark.encode())
        # The streams that were open are in no automatic session either.
        (only,) = stack.api.get("/api/sessions").json()["sessions"]
        assert only["id"] == kept
        (entry,) = stack.entries(kept)
        assert (entry["outcome"], kept_mark in stack.body(entry["id"]).decode()) == (
            "complete",
            True,
        )
        with stack.agent() as client:  # an untagged newcomer is for an automatic one
            client.post(f"https://{HOST}/answer?n=1", content=b"new").raise_for_status()
        stack.settle()
        (automatic,) = (
            one
            for one in stack.api.get("/api/sessions").json()["sessions"]
            if one["origin"] == "automatic"
        )
        assert len(stack.entries(automatic["id"])) == 1
        stack.stop()
        assert traces.found(tmp_path, [mark.encode()]) == []


def grown(stack, session):
    """The entries that are open and have bytes on record."""
    return [
        entry
        for entry in stack.entries(session)
        if entry["outcome"] is None
        and max(entry["requestBodySize"], entry["responseBodySize"]) > 200
    ]


# --- with kill -9 --------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.timeout(600)
def test_deleted_and_killed(tmp_path, provider):
    """kill -9 before the answer, right after it and during the sweep: deleted, or still whole."""
    with ThreadPoolExecutor(STACKS) as pool:
        answered = list(pool.map(lambda seed: _stack(tmp_path, provider, seed), range(STACKS)))

    assert sum(map(len, answered)) == STACKS * ROUNDS
    assert any(itertools.chain.from_iterable(answered))


def _stack(tmp_path, provider, seed):
    folder = tmp_path / str(seed)
    folder.mkdir()
    rng = random.Random(seed)
    with Stack(folder, upstreams={HOST: provider.url}) as stack:
        kept = stack.session("kept")
        content = Content(stack, provider, new_mark(), size=30_000)
        stack.settle()
        answers = [
            _round(stack, provider, rng, TARGETS[(seed + number) % 3]) for number in range(ROUNDS)
        ]
        content.check(kept)
        stack.stop()
    return answers


def _round(stack, provider, rng, roles):
    """Whether the call was answered with 200 before the kill."""
    kept = traces.chunks(stack.datadir.database)
    mark = new_mark()
    doomed = stack.session(f"doomed {mark}")
    content = Content(stack, provider, mark, size=rng.choice([30_000, 800_000]))
    stack.settle()
    with agents_stream(mark):
        streams = [
            Streaming(lambda: read_events(stack, mark)),
            Streaming(lambda: chat(stack, mark)),
        ]
        deadline = time.monotonic() + PATIENCE_S
        while len(grown(stack, doomed)) < 2:
            assert time.monotonic() < deadline, [stream.failure for stream in streams]
            time.sleep(0.02)
        pieces = prints(stack, kept)
        size = size_bytes(stack)

        answered = _delete_and_kill(stack, rng, doomed, roles)

        for role in reversed(roles):  # the server first, for the proxy looks at what it wrote
            getattr(stack, f"start_{role}")()
    for stream in streams:
        stream.join(PATIENCE_S)
        if "proxy" not in roles:
            assert stream.failure is None
    stack.settle()
    if status(stack, doomed) == 200:
        assert not answered, "it was said to be deleted"
        content.check(doomed)
        stack.api.delete(f"/api/sessions/{doomed}").raise_for_status()
    wait_until_gone(stack, mark.encode(), pieces)
    assert status(stack, doomed) == 404
    assert size_bytes(stack) < size
    assert traces.chunks(stack.datadir.database) == kept
    return answered


def _delete_and_kill(stack, rng, session, roles):
    moment_s = rng.choice([0.0, rng.uniform(0, 0.03), None, rng.uniform(0, 0.4)])
    if moment_s is None:  # right after the answer
        stack.api.delete(f"/api/sessions/{session}").raise_for_status()
        stack.kill(*roles)
        return True
    killer = threading.Timer(moment_s, stack.kill, roles)
    killer.start()
    answered = False
    with contextlib.suppress(httpx.TransportError):
        stack.api.delete(f"/api/sessions/{session}").raise_for_status()
        answered = True
    killer.join()
    return answered
