"""In which session traffic lands: each case of architecture.md, through a real proxy."""

import base64
import threading
import time

import httpx
import pytest
from websockets.sync.client import connect

from addons.entries import Entries
from tests.addons.running import PATIENCE_S, running
from tests.addons.test_recorder import HOST, Gate, client, tunnelled
from tests.guarded_tls import guarded

ONE, TWO = "01990000-0000-7000-8000-000000000001", "01990000-0000-7000-8000-000000000002"


@pytest.fixture
def proxy(tmp_path, provider):
    with running(tmp_path, upstreams={HOST: provider.url}) as proxy:
        yield proxy


def call(proxy, tag=None):
    with client(proxy, tag) as agent:
        assert agent.get(f"https://{HOST}/raw/bytes?size=10").status_code == 200


def sessions(proxy, count):
    entries = proxy.wait(lambda found: len(found) == count and all(entry.closed for entry in found))
    return [entry.opened.session for entry in entries]


@pytest.fixture(autouse=True)
def looks(monkeypatch):
    """A mark for each look at the control file that the proxy of a test brought to its end."""
    look_again, _looks[:] = Entries.look_again, []

    def look(self):
        look_again(self)
        _looks.append(True)

    monkeypatch.setattr(Entries, "look_again", look)


_looks = []


def settle(proxy):
    """After this, what the proxy was told before is in force for open streams as well."""
    enough = len(_looks) + 2  # the next one may have begun before
    end = time.monotonic() + PATIENCE_S
    while len(_looks) < enough:
        assert time.monotonic() < end
        time.sleep(0.01)


# --- at the head ---------------------------------------------------------------------------------


def test_no_server_ever_ran_automatic(proxy):
    call(proxy)
    assert sessions(proxy, 1) == [None]


def test_none_is_active_automatic(proxy):
    proxy.control(sessions={ONE: (True, "w1")})
    call(proxy)
    assert sessions(proxy, 1) == [None]


def test_none_is_active_and_automatic_sessions_are_off(proxy):
    proxy.control(sessions={ONE: (True, "w1")}, automatic=False)
    call(proxy)
    call(proxy, f"{ONE}:w1")
    assert sessions(proxy, 1) == [ONE]


def test_active_session_records(proxy):
    proxy.control(active=ONE, sessions={ONE: (True, "w1")})
    call(proxy)
    assert sessions(proxy, 1) == [ONE]


def test_active_session_that_does_not_record_takes_nothing(proxy):
    proxy.control(active=ONE, sessions={ONE: (False, "w1"), TWO: (True, "w2")})
    call(proxy)
    call(proxy, f"{TWO}:w2")
    assert sessions(proxy, 1) == [TWO]


def test_tag_wins_over_the_active_session(proxy):
    proxy.control(active=ONE, sessions={ONE: (True, "w1"), TWO: (True, "w2")})
    call(proxy, f"{TWO}:w2")
    call(proxy)
    assert sessions(proxy, 2) == [TWO, ONE]


def test_two_agents_at_once_land_in_their_own_sessions(proxy):
    proxy.control(sessions={ONE: (True, "w1"), TWO: (True, "w2")})
    with client(proxy, f"{ONE}:w1") as one, client(proxy, f"{TWO}:w2") as two:
        for _ in range(3):
            one.get(f"https://{HOST}/raw/bytes?size=1")
            two.get(f"https://{HOST}/raw/bytes?size=2")
    assert sessions(proxy, 6) == [ONE, TWO] * 3


def test_tag_of_a_session_that_does_not_record(proxy):
    proxy.control(active=ONE, sessions={ONE: (True, "w1"), TWO: (False, "w2")})
    call(proxy, f"{TWO}:w2")
    call(proxy)
    assert sessions(proxy, 1) == [ONE]


def test_tag_of_a_deleted_session(proxy):
    proxy.control(active=ONE, sessions={ONE: (True, "w1")}, deleted=(TWO,))
    call(proxy, f"{TWO}:w2")
    call(proxy)
    assert sessions(proxy, 1) == [ONE]


def test_tag_that_was_good_once_stays_deleted_when_the_list_forgets_it(proxy):
    proxy.control(sessions={TWO: (True, "w2")})
    call(proxy, f"{TWO}:w2")
    proxy.control(active=ONE, sessions={ONE: (True, "w1")})
    call(proxy, f"{TWO}:w2")
    call(proxy)
    assert sessions(proxy, 2) == [TWO, ONE]


@pytest.mark.parametrize(
    ("tag", "mark"), [("nobody:w", "unknown_tag"), (f"{ONE}:wrong", "unmatched_tag_word")]
)
def test_unknown_tag_is_as_none_and_noted(proxy, tag, mark):
    proxy.control(active=TWO, sessions={ONE: (True, "w1"), TWO: (True, "w2")})
    call(proxy, tag)
    (entry,) = proxy.wait(lambda found: len(found) == 1 and found[0].closed)
    assert entry.opened.session == TWO
    assert entry.opened.marks == (mark,)


def test_tag_of_plain_http(proxy):
    proxy.control(sessions={ONE: (True, "w1")})
    with httpx.Client(proxy=proxy.url(f"{ONE}:w1"), trust_env=False) as agent:
        agent.get(f"http://{HOST}/raw/bytes?size=1")
    assert sessions(proxy, 1) == [ONE]


def test_unreadable_control_file_keeps_the_last_state(proxy):
    proxy.control(active=ONE, sessions={ONE: (True, "w1")})
    call(proxy)
    proxy.datadir.control.write_text("{")
    call(proxy)
    assert sessions(proxy, 2) == [ONE, ONE]


# --- streams that are open when the state changes ------------------------------------------------


def streaming(provider):
    """A stream that sends one event per opened gate, and a last one."""
    gates = [Gate(), Gate()]

    async def handler(request, reply):
        await reply.head(200, [("content-type", "text/event-stream")])
        await reply.sse("first")
        for number, gate in enumerate(gates):
            await gate.passed()
            await reply.sse(f"later {number}")
        await reply.end()

    provider.handle("/v1/messages", handler)
    return gates


def test_recording_off_in_mid_stream(proxy, provider):
    gates = streaming(provider)
    proxy.control(active=ONE, sessions={ONE: (True, "w1")})
    with client(proxy) as agent, agent.stream("POST", f"https://{HOST}/v1/messages") as answer:
        chunks = answer.iter_raw()
        next(chunks)
        proxy.control(active=ONE, sessions={ONE: (False, "w1")})
        settle(proxy)
        gates[0].open()
        gates[1].open()
        assert b"later 1" in b"".join(chunks)
    entry = proxy.one()
    assert entry.outcome == "recording_stopped"
    assert entry.body("response") == b"data: first\n\n"
    assert "response" not in entry.ends


def test_recording_off_in_mid_stream_while_every_thread_is_busy(proxy, provider, monkeypatch):
    """As when the resolver does not answer; and a look that failed is not the last one."""
    gates, busy = streaming(provider), threading.Event()
    proxy.control(active=ONE, sessions={ONE: (True, "w1")})
    look_again, failures = Entries.look_again, iter([True])

    def look(self):
        if next(failures, False):
            raise RuntimeError("broken on purpose")
        look_again(self)

    monkeypatch.setattr(Entries, "look_again", look)
    with client(proxy) as agent, agent.stream("POST", f"https://{HOST}/v1/messages") as answer:
        chunks = answer.iter_raw()
        next(chunks)
        for _ in range(40):
            proxy._loop.call_soon_threadsafe(proxy._loop.run_in_executor, None, busy.wait, 20)
        threading.Event().wait(1.1)  # whoever waits for a thread once a second does so now
        proxy.control(active=ONE, sessions={ONE: (False, "w1")})
        settle(proxy)
        gates[0].open()
        gates[1].open()
        assert b"later 1" in b"".join(chunks)
        busy.set()
    entry = proxy.one()
    assert entry.outcome == "recording_stopped"
    assert entry.body("response") == b"data: first\n\n"


def test_another_session_becomes_active_http_stays_where_it_began(proxy, provider):
    gates = streaming(provider)
    both = {ONE: (True, "w1"), TWO: (True, "w2")}
    proxy.control(active=ONE, sessions=both)
    with client(proxy) as agent, agent.stream("POST", f"https://{HOST}/v1/messages") as answer:
        chunks = answer.iter_raw()
        next(chunks)
        proxy.control(active=TWO, sessions=both)
        settle(proxy)
        gates[0].open()
        gates[1].open()
        b"".join(chunks)
    entry = proxy.one()
    assert entry.opened.session == ONE
    assert entry.outcome == "complete"
    assert b"later 1" in entry.body("response")


def test_deleted_in_mid_stream_leaves_no_further_trace(proxy, provider):
    gates = streaming(provider)
    proxy.control(active=ONE, sessions={ONE: (True, "w1")})
    with client(proxy) as agent, agent.stream("POST", f"https://{HOST}/v1/messages") as answer:
        chunks = answer.iter_raw()
        next(chunks)
        proxy.wait(lambda found: found and found[0].chunks["response"])
        proxy.control(deleted=(ONE,))
        settle(proxy)
        gates[0].open()
        gates[1].open()
        assert b"later 1" in b"".join(chunks)
    call(proxy)
    entries = proxy.wait(lambda found: len(found) == 2 and found[1].closed)
    assert entries[0].body("response") == b"data: first\n\n"
    assert entries[0].closed is None
    assert entries[1].opened.session is None


class Socket:
    """An echoing WebSocket of an agent that keeps it for its whole life, as Codex does."""

    def __init__(self, agent):
        self._agent = agent

    def say(self, text):
        self._agent.send(text)
        assert self._agent.recv() == text


@pytest.fixture
def socket_(proxy):
    proxy.control(active=ONE, sessions={ONE: (True, "w1"), TWO: (True, "w2")})
    with connect(
        f"wss://{HOST}/raw/websocket", sock=tunnelled(proxy, tls=False), ssl=guarded(proxy.trust)
    ) as agent:
        yield Socket(agent)


def both(text):
    return [(True, text), (False, text)]


def test_socket_goes_on_in_the_session_that_becomes_active(proxy, socket_):
    socket_.say("one")
    proxy.control(active=TWO, sessions={ONE: (True, "w1"), TWO: (True, "w2")})
    socket_.say("two")
    first, second = proxy.wait(lambda found: len(found) == 2 and len(found[1].messages) == 2)
    assert (first.opened.session, second.opened.session) == (ONE, TWO)
    assert (first.texts, second.texts) == (both("one"), both("two"))
    assert first.outcome == "continued"
    assert second.opened.continues == first.id
    assert second.opened.headers == first.opened.headers
    assert second.answered == first.answered
    assert second.opened.marks == ()
    assert second.opened.started_ns > first.opened.started_ns


def test_socket_stays_until_the_client_speaks_again(proxy, provider):
    gate = Gate()

    async def handler(request, reply):
        socket = await reply.websocket()
        await socket.receive()
        await socket.send("early")
        await gate.passed()
        await socket.send("late")
        await socket.receive()
        await socket.close()

    provider.handle("/v1/responses", handler)
    both_sessions = {ONE: (True, "w1"), TWO: (True, "w2")}
    proxy.control(active=ONE, sessions=both_sessions)
    with connect(
        f"wss://{HOST}/v1/responses", sock=tunnelled(proxy, tls=False), ssl=guarded(proxy.trust)
    ) as agent:
        agent.send("ask")
        agent.recv()
        proxy.control(active=TWO, sessions=both_sessions)
        settle(proxy)
        gate.open()
        assert agent.recv() == "late"
        agent.send("again")
    first, second = proxy.wait(lambda found: len(found) == 2 and found[1].closed)
    assert first.texts == [(True, "ask"), (False, "early"), (False, "late")]
    assert second.texts == [(True, "again")]


def test_socket_with_a_tag_stays_in_its_session(proxy, provider):
    proxy.control(active=ONE, sessions={ONE: (True, "w1"), TWO: (True, "w2")})
    raw = tunnelled_with_tag(proxy, f"{TWO}:w2")
    with connect(f"wss://{HOST}/raw/websocket", sock=raw, ssl=guarded(proxy.trust)) as agent:
        Socket(agent).say("one")
        proxy.control(active=None, sessions={ONE: (True, "w1"), TWO: (True, "w2")})
        Socket(agent).say("two")
    entry = proxy.one()
    assert entry.opened.session == TWO
    assert entry.texts == both("one") + both("two")


def tunnelled_with_tag(proxy, tag):
    import socket

    raw = socket.create_connection(("127.0.0.1", proxy.port), timeout=20)
    value = base64.b64encode(tag.encode()).decode()
    raw.sendall(
        f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\nProxy-Authorization: Basic {value}\r\n"
        "\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += raw.recv(1)
    return raw


def test_recording_off_and_on_in_the_middle_of_a_socket(proxy, socket_):
    socket_.say("one")
    proxy.control(active=ONE, sessions={ONE: (False, "w1")})
    settle(proxy)
    socket_.say("unseen")
    proxy.control(active=ONE, sessions={ONE: (True, "w1")})
    socket_.say("three")
    first, second = proxy.wait(lambda found: len(found) == 2 and len(found[1].messages) == 2)
    assert first.outcome == "recording_stopped"
    assert (first.texts, second.texts) == (both("one"), both("three"))
    assert second.opened.marks == ("started_late",)
    assert second.opened.continues is None
    assert second.answered.status == 101
    everything = b"".join(path.read_bytes() for path in proxy.datadir.spool.rglob("*.spool"))
    assert b"unseen" not in everything


def test_client_message_is_enough_to_stop(proxy, socket_):
    socket_.say("one")
    proxy.control(active=ONE, sessions={ONE: (False, "w1")})
    socket_.say("unseen")  # at once: the file is looked at for this very message
    entry = proxy.one()
    assert entry.texts == both("one")


def test_recording_on_in_the_middle_of_a_socket_that_began_unrecorded(proxy):
    proxy.control(active=ONE, sessions={ONE: (False, "w1")})
    with connect(
        f"wss://{HOST}/raw/websocket", sock=tunnelled(proxy, tls=False), ssl=guarded(proxy.trust)
    ) as agent:
        Socket(agent).say("unseen")
        proxy.control(active=ONE, sessions={ONE: (True, "w1")})
        Socket(agent).say("seen")
    entry = proxy.one()
    assert entry.texts == both("seen")
    assert entry.opened.marks == ("started_late",)
    assert (entry.opened.kind, entry.outcome) == ("websocket", "complete")


def test_socket_of_a_deleted_session_is_not_taken_up_by_an_automatic_one(proxy, socket_):
    socket_.say("one")
    proxy.wait(lambda found: found and len(found[0].messages) == 2)
    proxy.control(deleted=(ONE,))
    socket_.say("unseen")
    proxy.control(active=TWO, sessions={TWO: (True, "w2")}, deleted=(ONE,))
    socket_.say("three")
    first, second = proxy.wait(lambda found: len(found) == 2 and len(found[1].messages) == 2)
    assert first.closed is None
    assert second.opened.session == TWO
    assert second.texts == both("three")
    everything = b"".join(path.read_bytes() for path in proxy.datadir.spool.rglob("*.spool"))
    assert b"unseen" not in everything
