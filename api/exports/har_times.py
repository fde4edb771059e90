"""The clock of an entry as HAR counts it: phases of milliseconds that follow each other."""

import datetime
import functools

from storage.records import Entry

_NEVER = -1  # HAR's word for a phase that does not apply


def timings(entry: Entry) -> tuple[dict[str, float], float]:
    """
    HAR's timings in milliseconds and their sum, which is the time from the head to the end.

    The clock starts at the complete request head, so what came before it is not counted. The proxy
    connects after that: `blocked` is the time until it began to. A phase begins where the one
    before ended, also where the two overlapped on the wire (an answer during the upload). Of an
    entry that is still open they count up to the last thing seen.
    """
    at = entry.timing
    is_known = at.connect_started_ns is not None
    connected_ns = None
    if is_known:
        # The last two of a connection that was never made.
        connected_ns = _first(at.tls_done_ns, at.connected_ns, at.response_head_ns, at.closed_ns)
    # A request that was never whole was being sent until the answer came, or until the end. That of
    # a WebSocket is its head.
    sent_ns = at.request_done_ns
    if sent_ns is None and entry.kind == "http":
        sent_ns = _first(at.response_head_ns, at.closed_ns)
    blocked_us, connect_us, send_us, wait_us, receive_us = _phases_us(
        at.connect_started_ns,
        connected_ns,
        sent_ns,
        _first(at.response_head_ns, at.closed_ns),
        _first(at.closed_ns, at.last_byte_ns),
    )
    ssl_us = None
    if is_known and at.tls_done_ns is not None and at.connected_ns is not None:
        ssl_us = _us(max(at.tls_done_ns - at.connected_ns, 0))
    if entry.kind == "tunnel":  # no answer is known: all of it is one stream
        wait_us, receive_us = 0, wait_us + receive_us
    phases = {
        "blocked": blocked_us / 1000 if is_known else _NEVER,
        "dns": _NEVER,  # the proxy looks names up while it connects
        "connect": connect_us / 1000 if is_known else _NEVER,
        "ssl": _NEVER if ssl_us is None else ssl_us / 1000,
        "send": send_us / 1000,
        "wait": wait_us / 1000,
        "receive": receive_us / 1000,
    }
    # `ssl` is part of `connect` (the specification, "timings").
    return phases, (blocked_us + connect_us + send_us + wait_us + receive_us) / 1000


def iso(unix_ns: int) -> str:
    """A moment in UTC, to the microsecond."""
    minutes, rest_us = divmod(unix_ns // 1000, 60_000_000)
    seconds, rest_us = divmod(rest_us, 1_000_000)
    return f"{_minute(minutes)}:{seconds:02d}.{rest_us:06d}Z"


@functools.lru_cache(maxsize=64)
def _minute(minutes: int) -> str:
    """Up to the minute, for traffic comes many entries in one."""
    return datetime.datetime.fromtimestamp(minutes * 60, datetime.UTC).isoformat()[:16]


def unix_seconds(entry: Entry, offset_ns: int) -> float:
    """A moment of an entry as DevTools write those of frames."""
    return _us(entry.started_ns + offset_ns) / 1_000_000


def _phases_us(*ended_ns: int | None) -> list[int]:
    """How long phases took, by their ends; 0 of one that is unknown or before the last one."""
    found = []
    at_ns = 0
    for to_ns in ended_ns:
        if to_ns and to_ns > at_ns:
            found.append(_us(to_ns - at_ns))
            at_ns = to_ns
        else:
            found.append(0)
    return found


def _us(nanoseconds: int) -> int:
    # Halves are so seldom that nobody minds where they go, and `round` takes five times as long.
    return (nanoseconds + 500) // 1000


def _first(*values: int | None) -> int | None:
    for value in values:
        if value is not None:
            return value
    return None
