import pytest

from api.exports import har_times
from storage.records import Entry, Timing

MS = 1_000_000
CONNECTED = {"connect_started_ns": 1 * MS, "connected_ns": 3 * MS, "tls_done_ns": 7 * MS}


def entry(timing, kind="http", started_ns=0):
    return Entry(
        id="e",
        session_id="s",
        kind=kind,
        way="proxy",
        started_ns=started_ns,
        client="",
        method="POST",
        scheme="https",
        host="h",
        port=443,
        target=b"/",
        http_version="HTTP/1.1",
        request_headers=(),
        timing=timing,
    )


def phases(*values):
    names = ("blocked", "connect", "ssl", "send", "wait", "receive")
    return {"dns": -1, **dict(zip(names, values, strict=True))}


@pytest.mark.parametrize(
    ("kind", "timing", "expected", "total"),
    [
        pytest.param(
            "http",
            Timing(
                **CONNECTED,
                request_done_ns=9 * MS,
                response_head_ns=20 * MS,
                first_byte_ns=21 * MS,
                last_byte_ns=29 * MS,
                closed_ns=30 * MS,
            ),
            phases(1, 6, 4, 2, 11, 10),
            30,
            id="a connection of its own",
        ),
        pytest.param(
            "http",
            Timing(
                reused=True,
                request_done_ns=2 * MS,
                response_head_ns=20 * MS,
                last_byte_ns=25 * MS,
                closed_ns=25 * MS,
            ),
            phases(-1, -1, -1, 2, 18, 5),
            25,
            id="a connection that was there",
        ),
        pytest.param(
            "http",
            Timing(
                connect_started_ns=5 * MS,
                connected_ns=9 * MS,
                tls_done_ns=12 * MS,
                request_done_ns=0,
                response_head_ns=20 * MS,
                closed_ns=20 * MS,
            ),
            phases(5, 7, 3, 0, 8, 0),
            20,
            id="a request that was whole before the connection",
        ),
        pytest.param(
            "http",
            Timing(
                **CONNECTED, request_done_ns=50 * MS, response_head_ns=20 * MS, closed_ns=60 * MS
            ),
            phases(1, 6, 4, 43, 0, 10),
            60,
            id="an answer during the upload",
        ),
        pytest.param(
            "http",
            Timing(**CONNECTED, closed_ns=40 * MS),
            phases(1, 6, 4, 33, 0, 0),
            40,
            id="left in mid-upload",
        ),
        pytest.param(
            "http",
            Timing(connect_started_ns=1 * MS, request_done_ns=0, closed_ns=40 * MS),
            phases(1, 39, -1, 0, 0, 0),
            40,
            id="never connected",
        ),
        pytest.param(
            "http",
            Timing(
                reused=True,
                request_done_ns=1 * MS,
                response_head_ns=3 * MS,
                first_byte_ns=4 * MS,
                last_byte_ns=8 * MS,
            ),
            phases(-1, -1, -1, 1, 2, 5),
            8,
            id="still open",
        ),
        pytest.param("http", Timing(), phases(-1, -1, -1, 0, 0, 0), 0, id="only just begun"),
        pytest.param(
            "websocket",
            Timing(**CONNECTED, response_head_ns=10 * MS, closed_ns=500 * MS),
            phases(1, 6, 4, 0, 3, 490),
            500,
            id="a socket",
        ),
        pytest.param(
            "tunnel",
            Timing(connect_started_ns=0, connected_ns=2 * MS, closed_ns=300 * MS),
            phases(0, 2, -1, 0, 0, 298),
            300,
            id="a tunnel",
        ),
    ],
)
def test_phases_follow_each_other_up_to_the_end(kind, timing, expected, total):
    assert har_times.timings(entry(timing, kind)) == (expected, total)


def test_microseconds_are_kept():
    timing = Timing(request_done_ns=1_234_567, response_head_ns=2_000_999, closed_ns=2_001_500)

    found, total = har_times.timings(entry(timing))

    assert (found["send"], found["wait"], found["receive"]) == (1.235, 0.766, 0.001)
    assert total == pytest.approx(2.002)


def test_moments_are_utc_to_the_microsecond():
    assert har_times.iso(1_795_000_000_123_456_789) == "2026-11-18T11:06:40.123456Z"
    assert har_times.iso(0) == "1970-01-01T00:00:00.000000Z"


def test_frames_have_unix_seconds():
    made = entry(Timing(), started_ns=1_795_000_000_123_456_789)

    assert har_times.unix_seconds(made, 1_000_000_500) == 1_795_000_001.123457
