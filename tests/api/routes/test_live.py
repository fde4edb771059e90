"""The live feed over real sockets: what is sent, where it continues, who is let go."""

import itertools
import time

import httpx
import msgspec
import pytest
import websockets.exceptions
from websockets.sync.client import connect

from api.app import create_app
from storage import feed as module
from storage import sessions
from tests.api.conftest import serving


class Body(msgspec.Struct):
    n: object


def publish(store, *numbers, channel="hooks", about=()):
    for n in numbers:
        store.feed.publish(channel, "tick", Body(n), about)


@pytest.fixture
def ws(store, server):
    """Connects, and returns once the server has the subscription."""
    opened = []

    def make(query="", **options):
        before = set(store.feed._subscriptions)  # one that just left may still stand here
        url = str(server.base_url).replace("http", "ws").rstrip("/")
        client = connect(f"{url}/ws{query}", **{"compression": None, "proxy": None} | options)
        opened.append(client)
        while not set(store.feed._subscriptions) - before:
            time.sleep(0.001)
        return client

    yield make
    for client in opened:
        client.close()


def received(client, count):
    return [msgspec.json.decode(client.recv(timeout=60)) for _ in range(count)]


def ended(client):
    """The code and reason that the server closed with, once all before was read."""
    try:
        while True:
            client.recv(timeout=60)
    except websockets.exceptions.ConnectionClosed as closed:
        return closed.rcvd.code, closed.rcvd.reason


def test_events_come_in_order_without_a_greeting(store, ws):
    client = ws()
    client.send("what a client says is ignored")
    publish(store, *range(100))
    events = received(client, 100)
    assert [event["n"] for event in events] == list(range(100))
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)


def test_who_comes_back_gets_what_came_meanwhile(store, ws):
    client = ws()
    publish(store, 0, 1, 2)
    seq = received(client, 1)[0]["seq"]
    client.close()
    publish(store, 3)
    again = ws(f"?since={seq}")
    publish(store, 4)
    assert [event["n"] for event in received(again, 4)] == [1, 2, 3, 4]


def test_a_gap_is_said_first(store, ws):
    publish(store, 0)
    gap, event = received(ws("?since=5"), 2)
    assert gap == {"type": "gap", "since": 5, "oldest_seq": event["seq"]}


def test_only_events_of_a_session_or_conversation(store, ws):
    session = store.change_sessions(sessions.create, name="mine").result()
    for query in (session.id, session.id[:12], "some-conversation"):
        client = ws(f"?session={query}")
        publish(store, 1, about=["elsewhere"])
        publish(store, 2, about=[session.id, "some-conversation"])
        publish(store, 3)
        assert [event["n"] for event in received(client, 2)] == [2, 3]


def test_a_query_that_means_nothing_is_answered_with_a_close(store, server):
    made = [store.change_sessions(sessions.create, name=name).result().id for name in "ab"]
    url = str(server.base_url).replace("http", "ws").rstrip("/")
    both = made[0][:8]  # made in the same minute
    for query, code in (("since=x", 4400), (f"session={both}", 4409)):
        with connect(f"{url}/ws?{query}", proxy=None) as client:
            assert ended(client)[0] == code
    assert server.get("/api/live", params={"session": both}).status_code == 409


def test_a_slow_consumer_is_let_go_and_told_why(monkeypatch, store, ws):
    monkeypatch.setattr(module, "_WAITING_EVENTS", 20)
    slow, quick = ws(max_queue=1), ws("?session=quick")
    for n in itertools.count():
        publish(store, n, about=["quick"])
        assert received(quick, 1)[0]["n"] == n
        publish(store, "x" * 500_000, about=["slow"])
        if any(one.reason for one in list(store.feed._subscriptions)):
            break
    assert ended(slow) == (1013, "too slow")
    publish(store, "still here")
    assert received(quick, 1)[0]["n"] == "still here"


def test_pings_are_answered(store, ws):
    assert ws().ping().wait(60)


def test_a_page_of_another_site_cannot_listen(store, server, ws):
    url = str(server.base_url).replace("http", "ws").rstrip("/")
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        connect(f"{url}/ws", origin="https://elsewhere.example", proxy=None)
    assert refused.value.response.status_code == 403
    answer = httpx.get(
        f"{server.base_url}/api/live", headers={"Origin": "https://elsewhere.example"}
    )
    assert answer.status_code == 403
    port = server.base_url.port
    ws(origin=f"http://127.0.0.1:{port}").close()


def test_a_server_that_stops_says_so(store, settings):
    with serving(create_app(store, settings)) as url:
        client = connect(url.replace("http", "ws") + "/ws", proxy=None)
        stream = httpx.stream("GET", f"{url}/api/live")
        lines = stream.__enter__().iter_lines()
        assert next(lines) == ": live"
        while len(store.feed._subscriptions) < 2:
            time.sleep(0.001)
    assert ended(client) == (1001, "server stops")
    assert "event: closing" in list(lines)
    stream.__exit__(None, None, None)


# --- server-sent events ---------------------------------------------------------------------------


def blocks(lines, count):
    """The next events of a stream, as (event, id, data)."""
    found, fields = [], {}
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        if fields:
            data = msgspec.json.decode(fields["data"])
            found.append((fields["event"], fields.get("id"), data))
            fields = {}
        if len(found) == count:
            return found
    return found


def test_a_stream_of_native_events(store, server):
    with server.stream("GET", "/api/live", params={"session": "a"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == ": live"
        publish(store, 1, channel="native", about=["b"])
        publish(store, 2, 3, channel="native", about=["a"])
        first, second = blocks(lines, 2)
    assert first[0] == "tick"
    assert (first[2]["n"], second[2]["n"]) == (2, 3)
    assert first[1] == str(first[2]["seq"])

    publish(store, 4, channel="native", about=["a"])
    headers = {"Last-Event-ID": first[1]}
    with server.stream("GET", "/api/live", headers=headers) as answer:
        assert [data["n"] for _, _, data in blocks(answer.iter_lines(), 2)] == [3, 4]
    with server.stream("GET", "/api/live", params={"since": 7}) as answer:
        gap, *_ = blocks(answer.iter_lines(), 1)
    assert gap[0] == "gap"
    assert gap[2]["since"] == 7


def test_a_stream_that_is_not_read_is_let_go(monkeypatch, store, server):
    monkeypatch.setattr(module, "_WAITING_EVENTS", 20)
    with server.stream("GET", "/api/live") as answer:
        lines = answer.iter_lines()
        assert next(lines) == ": live"
        (subscription,) = store.feed._subscriptions
        while subscription.reason is None:
            publish(store, "x" * 500_000, channel="native")
        *_, last = blocks(lines, 1000)
    assert last == ("dropped", None, {"type": "dropped", "reason": "too slow"})


def test_queries_are_checked(server):
    assert server.get("/api/live", params={"since": "x"}).status_code == 400
    assert server.get("/api/live", headers={"Last-Event-ID": "x"}).status_code == 400


def test_a_run_that_is_over(store, server):
    session = store.change_sessions(sessions.create, name="mine").result()
    answer = server.post(f"/api/sessions/{session.id}/run-ended")
    assert answer.status_code == 204
    assert store.feed.take_ended_runs() == [session.id]
    assert server.post("/api/sessions/x/run-ended").status_code == 404
