"""Flow files that mitmproxy itself has written, imported and asked for again."""

import json

import mitmproxy.test.tflow as make
import pytest
from mitmproxy import flow, http

from addons.flowfile import FlowFile
from addons.importing.exchange import Broken
from storage.errors import Unreadable
from tests.addons.importing.house import House
from tests.addons.importing.samples import flows

START = 1_795_000_000.25
START_NS = 1_795_000_000_250_000_000
MS = 1_000_000


@pytest.fixture
def house(tmp_path):
    with House(tmp_path) as opened:
        yield opened


def exchange(start=START, *, path="/v1/messages", body=b"hello", clock=None, **headers):
    """A whole HTTP flow: 10 ms for the request, the answer's head at 40 ms, its end at 90 ms."""
    found = make.tflow(
        req=make.treq(
            method=b"POST",
            scheme=b"https",
            host="api.example.com",
            port=443,
            path=path.encode(),
            headers=http.Headers([(b"X-Mixed", b"1"), (b"x-mixed", b"2")]),
            content=b"asked",
            timestamp_start=start,
            timestamp_end=start + 0.010,
        ),
        resp=make.tresp(
            content=body,
            reason=b"Fine",
            headers=http.Headers([(k.encode(), v.encode()) for k, v in headers.items()]),
            timestamp_start=start + 0.040,
            timestamp_end=start + 0.090,
        ),
    )
    found.server_conn.timestamp_start = start - 1
    if clock is not None:
        found.metadata["chunk_times"] = [[start + offset, size] for offset, size in clock]
    return found


def test_an_exchange_is_what_was_recorded(house):
    entry = house.one(flows(exchange()), "a.mitm")
    assert (entry.kind, entry.way, entry.outcome) == ("http", "import", "complete")
    assert (entry.method, entry.scheme, entry.host, entry.port, entry.target) == (
        "POST", "https", "api.example.com", 443, b"/v1/messages",
    )  # fmt: skip
    assert entry.request_headers == ((b"X-Mixed", b"1"), (b"x-mixed", b"2"))
    assert (entry.status, entry.reason, entry.http_version) == (200, b"Fine", "HTTP/1.1")
    assert (house.body(entry, "request"), house.body(entry)) == (b"asked", b"hello")
    assert (entry.request_bytes, entry.response_bytes) == (5, 5)
    assert (entry.client, entry.server) == ("127.0.0.1:22", "192.168.0.1:22")
    assert entry.started_ns == START_NS
    timing = entry.timing
    assert timing.request_done_ns == 10 * MS
    assert timing.response_head_ns == 40 * MS
    assert timing.closed_ns == 90 * MS
    assert timing.reused
    assert (house.gaps(entry), entry.marks) == ([], ())


def test_the_chunk_clock_of_the_metadata_is_taken_up(house):
    clock = [(0.041, 2), (0.0601, 3), (0.09, 0)]
    entry = house.one(flows(exchange(clock=clock)), "a.mitm")
    assert house.chunks(entry) == [(41 * MS, 2), (60_100_000, 3)]
    assert (entry.timing.first_byte_ns, entry.timing.last_byte_ns) == (41 * MS, 60_100_000)


@pytest.mark.parametrize(
    "clock", [None, [(0.05, 4)], [(0.05, -1), (0.06, 6)], []], ids=["none", "short", "odd", "empty"]
)
def test_without_a_clock_that_fits_nobody_knows_when_a_body_came(house, clock):
    entry = house.one(flows(exchange(clock=clock)), "a.mitm")
    assert house.body(entry) == b"hello"
    assert house.chunks(entry) == []
    assert (entry.timing.first_byte_ns, entry.response_bytes) == (None, 5)


def test_a_clock_of_another_shape_is_none(house):
    found = exchange()
    found.metadata["chunk_times"] = {"a": "b"}
    assert house.chunks(house.one(flows(found), "a.mitm")) == []


def test_entries_stand_in_the_order_of_their_starts(house):
    """A file has them in the order in which they were complete."""
    starts = (0.5, 0.2, 0.2000004, 0.9, 0.0)
    found = house.bring(flows(*(exchange(START + at, path=f"/{at}") for at in starts)), "a.mitm")
    targets = [entry.target.decode() for entry in house.entries(found)]
    assert targets == [f"/{at}" for at in sorted(starts)]


def test_messages_of_a_websocket(house):
    found = make.twebsocketflow()
    found.request.timestamp_start = START
    found.response.timestamp_start = START + 0.002
    for number, message in enumerate(found.websocket.messages):
        message.timestamp = START + 0.010 * (number + 1)
    found.websocket.timestamp_end = START + 0.5
    found.websocket.close_code, found.websocket.close_reason = 1000, "done"
    entry = house.one(flows(found), "a.mitm")
    assert (entry.kind, entry.outcome, entry.status) == ("websocket", "complete", 101)
    assert (entry.close_code, entry.close_reason) == (1000, "done")
    assert house.messages(entry) == [
        (10 * MS, True, 2, b"hello binary"),
        (20 * MS, True, 1, b"hello text"),
        (30 * MS, False, 1, b"it's me"),
    ]
    assert (entry.timing.closed_ns, house.gaps(entry)) == (500 * MS, [])


def test_tcp_is_a_tunnel_that_was_counted(house):
    found = make.ttcpflow()
    sent = sum(len(one.content) for one in found.messages if one.from_client)
    total = sum(len(one.content) for one in found.messages)
    entry = house.one(flows(found), "a.mitm")
    assert (entry.kind, entry.method, entry.host, entry.outcome) == (
        "tunnel", "CONNECT", "address", "complete",
    )  # fmt: skip
    assert (entry.request_bytes, entry.response_bytes) == (sent, total - sent)
    assert not house.messages(entry)


def test_what_is_no_http_is_passed_over_and_said(house):
    found = house.bring(flows(make.tdnsflow(), exchange(), make.tudpflow()), "a.mitm")
    assert (found.imported, found.total, found.fault) == (1, 3, None)
    assert [(one.number, one.reason) for one in found.skipped] == [
        (0, "dns is not recorded"),
        (2, "udp is not recorded"),
    ]


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        ("Client disconnected.", "client_aborted"),
        (flow.Error.KILLED_MESSAGE, "blocked"),
        ("peer closed connection without sending complete message body", "upstream_error"),
        ("Server disconnected.", "upstream_error"),
    ],
)
def test_how_it_ended(house, words, outcome):
    found = exchange()
    found.response.timestamp_end = None
    found.error = flow.Error(words, START + 0.07)
    entry = house.one(flows(found), "a.mitm")
    assert (entry.outcome, entry.error, entry.timing.closed_ns) == (outcome, words, 70 * MS)


@pytest.mark.parametrize("answered", [False, True])
def test_what_mitmproxy_saved_open_was_killed_with_it(house, answered):
    found = exchange()
    if answered:
        found.response.timestamp_end = None
    else:
        found.response = None
    entry = house.one(flows(found), "a.mitm")
    assert (entry.outcome, entry.status) == ("proxy_killed", 200 if answered else None)


def test_a_body_that_was_not_kept_is_a_gap(house):
    found = exchange()
    found.response.raw_content = None
    entry = house.one(flows(found), "a.mitm")
    assert entry.outcome == "gap"
    (gap,) = house.gaps(entry)
    assert (gap.reason, gap.detail) == ("not_in_file", "the response's body is not in the file")


def test_a_connection_of_its_own_has_times(house):
    found = exchange()
    server = found.server_conn
    server.timestamp_start = START + 0.001
    server.timestamp_tcp_setup = START + 0.002
    server.timestamp_tls_setup = START + 0.004
    timing = house.one(flows(found), "a.mitm").timing
    assert (timing.connect_started_ns, timing.connected_ns, timing.tls_done_ns) == (
        1 * MS, 2 * MS, 4 * MS,
    )  # fmt: skip
    assert not timing.reused


# --- damage --------------------------------------------------------------------------------------


def test_what_stands_before_a_cut_is_kept(house):
    whole = flows(exchange(path="/one"))
    found = house.bring(whole + flows(exchange(path="/two"))[:-100], "a.mitm")
    assert (found.imported, found.total) == (1, 1)
    assert found.fault == f"flow 2 is cut off or damaged, at byte {len(whole):,}"
    assert [entry.target for entry in house.entries(found)] == [b"/one"]


@pytest.mark.parametrize(
    "damage",
    [b"garbage", b"999999999999:x", b"3:abc", b"12", b"1:", b"5:hello!", b"-1:a,"],
    ids=["garbage", "huge", "no-kind", "no-colon", "nothing", "wrong-kind", "minus"],
)
def test_damage_ends_the_file(tmp_path, damage):
    path = tmp_path / "a.mitm"
    path.write_bytes(flows(exchange()) + damage)
    *sound, broken = FlowFile(path).items()
    assert len(sound) == 1
    assert isinstance(broken, Broken)
    assert broken.at_bytes == len(flows(exchange()))


def test_a_flow_that_mitmproxy_cannot_read_costs_itself_alone(house):
    odd = (b"0:}", b"8:1:a,1:b,}", b"7:garbage}")
    found = house.bring(b"".join((*odd, flows(exchange()))), "a.mitm")
    assert (found.imported, found.total, found.fault) == (1, 4, None)
    assert all(one.reason.startswith("mitmproxy cannot read it: ") for one in found.skipped)


def test_every_cut_and_every_flipped_byte_is_survived(tmp_path):
    whole = flows(exchange(clock=[(0.05, 5)]), make.twebsocketflow())
    path = tmp_path / "a.mitm"
    for at in range(1, len(whole), 41):
        for data in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]):
            path.write_bytes(data)
            list(FlowFile(path).items())


def test_nothing_at_all_is_said(house):
    with pytest.raises(Unreadable, match="flow 1 is cut off or damaged, at byte 0"):
        house.bring(b"12:abc", "a.mitm")
    assert house.sessions() == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda found: setattr(found.response, "status_code", 1 << 70),
        lambda found: setattr(found.request, "timestamp_start", 1e300),
        lambda found: setattr(found.request, "timestamp_start", -5.0),
        lambda found: setattr(found.server_conn, "peername", ("a", 1 << 70)),
        lambda found: setattr(found.request.data, "headers", http.Headers([(b"a", b"b")])),
        lambda found: found.metadata.update(chunk_times=[[1e300, 5]]),
        lambda found: found.metadata.update(chunk_times=[[float("nan"), 5]]),
        lambda found: setattr(found.request, "port", -1),
    ],
    ids=["status", "far", "before", "peer", "fine", "clock", "nan", "port"],
)
def test_numbers_beyond_all_bounds_are_survived(house, spoil):
    odd = exchange()
    spoil(odd)
    found = house.bring(flows(odd, exchange()), "a.mitm")
    assert found.imported >= 1
    assert (found.total, found.fault) == (2, None)
    assert house.store.read().execute("select reason from quarantine").fetchall() == []
    assert json.loads(house.exported(found.session_id))
