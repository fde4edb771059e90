"""What the event loop remembers of client connections and of the entries that are open on them."""

import time

import msgspec

from addons.assignment import Tag
from addons.entrylog import Closing, EntryLog
from storage.records import ConnectionTimes, EntryOpened, Outcome, ResponseHead


class Counts(msgspec.Struct):
    """Bytes of a tunnel, counted as they pass; `last_ns` is the monotonic time of the last one."""

    from_client: int = 0
    to_client: int = 0
    last_ns: int = 0


class Live:
    """
    An entry that is open. `log` None: it is not recorded (any more), and its bytes only pass.

    `head` is as the client sent it and never leaves the process.
    """

    __slots__ = (
        "connect_ns",
        "connected_ns",
        "counts",
        "forsaken",
        "head",
        "last_ns",
        "log",
        "refused",
        "request_done",
        "response",
        "response_done",
        "server",
        "session",
        "started_ns",
        "tag",
        "tls_failed",
        "tls_ns",
        "tls_version",
        "visitor",
    )

    def __init__(
        self, visitor: "Visitor", head: EntryOpened, started_ns: int, tag: Tag | None
    ) -> None:
        self.visitor = visitor
        self.head = head
        self.response: ResponseHead | None = None
        self.started_ns = started_ns  # monotonic
        self.last_ns = started_ns  # of the last byte that passed
        self.tag = tag
        self.log: EntryLog | None = None
        self.session: str | None = None  # of the log
        self.counts: Counts | None = None  # of a tunnel
        self.request_done = False
        self.response_done = False
        self.refused = False  # by the proxy itself
        self.forsaken = False  # its session was deleted while it was open
        # When the upstream connection was made, if it was made for this entry.
        self.connect_ns: int | None = None
        self.connected_ns: int | None = None
        self.tls_ns: int | None = None
        self.tls_failed = False
        self.server: str | None = None
        self.tls_version: str | None = None

    def closing(self, outcome: Outcome, error: str | None = None) -> Closing:
        """The end of what is recorded of it, as far as this entry knows."""
        counts = self.counts
        return Closing(
            outcome=outcome,
            error=error,
            connection=self._connection_times(),
            server=self.server,
            tls_version=self.tls_version,
            tunnelled=None if counts is None else (counts.from_client, counts.to_client),
        )

    def _connection_times(self) -> ConnectionTimes:
        start = self.started_ns if self.log is None else self.log.started_ns
        if self.connect_ns is None or self.connect_ns < start:
            return ConnectionTimes(reused=self.server is not None)
        return ConnectionTimes(
            connect_started_ns=self.connect_ns - start,
            connected_ns=None if self.connected_ns is None else self.connected_ns - start,
            tls_done_ns=None if self.tls_ns is None else self.tls_ns - start,
        )


class Visitor:
    """One client connection."""

    __slots__ = (
        "address",
        "connect",
        "current",
        "id",
        "lives",
        "tag",
        "tunnel",
        "upstream_name",
    )

    def __init__(self, connection_id: str, address: str) -> None:
        self.id = connection_id
        self.address = address
        self.tag: Tag | None = None
        self.connect: Connect | None = None
        self.current: Live | None = None  # whose head came last
        self.tunnel: Live | None = None
        self.upstream_name: str | None = None  # to be verified instead of the address, if any
        self.lives: dict[str, Live] = {}  # by flow id


class Connect(msgspec.Struct, frozen=True):
    """The target of the CONNECT that this connection began with, and when its head came."""

    host: str
    port: int
    at_unix_ns: int
    at_ns: int  # monotonic

    @classmethod
    def now(cls, host: str, port: int) -> "Connect":
        return cls(host, port, time.time_ns(), time.monotonic_ns())


def shown(address: tuple[object, ...] | None) -> str | None:
    """`host:port` of a socket address."""
    if not address:
        return None
    host, port = str(address[0]), address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
