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
    marks = _Ladder()
    blocked = connect = ssl = float(_NEVER)
    if at.connect_started_ns is not None:
        blocked = marks.climb(at.connect_started_ns)
        ended = (at.response_head_ns, at.closed_ns)  # of a connection that was never made
        connect = marks.climb(_first(at.tls_done_ns, at.connected_ns, *ended))
        if at.tls_done_ns is not None and at.connected_ns is not None:
            ssl = _ms(max(at.tls_done_ns - at.connected_ns, 0))
    # A request that was never whole was being sent until the answer came, or until the end. That of
    # a WebSocket is its head.
    unsent = (at.response_head_ns, at.closed_ns) if entry.kind == "http" else ()
    send = marks.climb(_first(at.request_done_ns, *unsent))
    wait = marks.climb(_first(at.response_head_ns, at.closed_ns))
    receive = marks.climb(_first(at.closed_ns, at.last_byte_ns))
    if entry.kind == "tunnel":  # no answer is known: all of it is one stream
        wait, receive = 0, round(wait + receive, 3)
    phases = {
        "blocked": blocked,
        "dns": _NEVER,  # the proxy looks names up while it connects
        "connect": connect,
        "ssl": ssl,
        "send": send,
        "wait": wait,
        "receive": receive,
    }
    # `ssl` is part of `connect` (the specification, "timings").
    total = max(blocked, 0) + max(connect, 0) + send + wait + receive
    return phases, round(total, 3)


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
    return round((entry.started_ns + offset_ns) / 1e9, 6)


class _Ladder:
    """Where the phases have come to; it never goes back."""

    __slots__ = ("_at_ns",)

    def __init__(self) -> None:
        self._at_ns = 0

    def climb(self, to_ns: int | None) -> float:
        """The milliseconds from the last mark to this one; 0 to one that is unknown or before."""
        begun_ns = self._at_ns
        if not to_ns or to_ns <= begun_ns:
            return 0.0
        self._at_ns = to_ns
        return _ms(to_ns - begun_ns)


def _ms(nanoseconds: int) -> float:
    return round(nanoseconds / 1e6, 3)


def _first(*values: int | None) -> int | None:
    for value in values:
        if value is not None:
            return value
    return None
