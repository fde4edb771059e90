"""
The domain types: what the proxy writes, what the tables hold and what the API shows.

All are frozen. Bytes of heads are kept as bytes, for HTTP does not promise an encoding. A time of
day is in Unix nanoseconds (`_ns` on a wall clock, named `started_ns`) or milliseconds (`_ms`); an
`offset_ns` counts monotonic nanoseconds from the start of its entry. None always means unknown.
"""

from typing import Literal

import msgspec

Header = tuple[bytes, bytes]
Headers = tuple[Header, ...]

EntryKind = Literal["http", "websocket", "tunnel"]
Way = Literal["proxy", "base-url", "import"]
Side = Literal["request", "response"]
Outcome = Literal[
    "complete",
    "client_aborted",
    "upstream_error",
    "tls_failed",
    "refused",
    "blocked",
    "idle_timeout",
    "proxy_killed",
    "recording_stopped",
    "continued",
    "gap",
]
Origin = Literal["user", "run", "automatic", "import"]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of what is stored as msgpack: fields at their default take no space."""


# --- what the spool carries, one type per kind of record ---------------------------------------


class EntryOpened(Record, frozen=True, kw_only=True):
    """Kind `open`, always the first record of an entry: its request's head, redacted."""

    kind: EntryKind
    way: Way
    started_ns: int  # Unix time at which the head was complete (a tunnel: at CONNECT)
    session: str | None  # None: no session is active, ingest finds an automatic one
    client: str  # "127.0.0.1:51234"
    method: str
    scheme: str  # http, https; of a tunnel "" (unknown)
    host: str
    port: int
    target: bytes = b""  # path and query as they went to the provider, query secrets cut
    http_version: str = ""  # "HTTP/1.1"
    headers: Headers = ()
    marks: tuple[str, ...] = ()  # "started_late", "unknown_tag", "unmatched_tag_word" ...
    continues: str | None = None  # id of the entry that ended `continued` for this one


class ResponseHead(Record, frozen=True, kw_only=True):
    """Kind `response`: the answer's head, redacted."""

    status: int
    reason: bytes = b""
    http_version: str = ""
    headers: Headers = ()


class BodyEnd(Record, frozen=True, kw_only=True):
    """Kinds `request-end` and `response-end`: this body ended as HTTP says it should."""

    size_bytes: int  # as it crossed, after transfer decoding
    cut_coded: bool = False  # its coded bytes were replaced from the first secret on; the decoded
    # text, cut, then comes in records of the kinds `request-decoded` and `response-decoded`
    wire_hmac: str | None = None  # where something was cut: keyed fingerprint of what crossed
    unscanned: str | None = None  # why redaction could not look into all of it


class Cut(Record, frozen=True, kw_only=True):
    """Kind `cut`: one redacted span. As many `*` stand in its place."""

    part: str  # "request-target", "request-header", "request-body", "client-message" ...
    offset_bytes: int  # in that value, body or message
    length_bytes: int
    kind: str  # "authorization", "cookie", "known-value" ...
    hmac: str  # keyed hash of the secret: same secret, same hash
    name: str | None = None  # header or query name
    index: int | None = None  # which header, or which message


class ConnectionTimes(Record, frozen=True, kw_only=True):
    """
    When the upstream connection of an entry was made, in monotonic offsets of the entry.

    All None for a connection that was there already, and then `reused` is true.
    """

    connect_started_ns: int | None = None
    connected_ns: int | None = None
    tls_done_ns: int | None = None
    reused: bool = False


class EntryClosed(Record, frozen=True, kw_only=True):
    """Kind `close`, the last record of an entry."""

    outcome: Outcome
    error: str | None = None  # the proxy's own words
    request_bytes: int = 0  # bodies, messages or tunnelled bytes as they crossed
    response_bytes: int = 0
    connection: ConnectionTimes = ConnectionTimes()
    server: str | None = None  # "203.0.113.5:443", what was really connected to
    tls_version: str | None = None
    close_code: int | None = None  # WebSocket
    close_reason: str | None = None
    dropped_bytes: int = 0  # lost to gaps inside this entry


class Gap(Record, frozen=True, kw_only=True):
    """Kind `gap`: something was not recorded. Under the nil id it is nobody's in particular."""

    reason: str  # "queue_full", "disk_low", "spool_full", "write_failed", "capture_failed", ...
    records: int | None = None
    size_bytes: int | None = None
    started_ns: int | None = None  # wall clock
    ended_ns: int | None = None
    detail: str | None = None


# --- what the tables hold ------------------------------------------------------------------------


class Session(Record, frozen=True, kw_only=True):
    """A capture session. `word` is the tag word of architecture.md, no secret of the API."""

    id: str
    name: str
    is_active: bool
    is_recording: bool
    created_ms: int
    updated_ms: int
    traffic_count: int
    total_bytes: int
    origin: Origin = "user"
    word: str = ""
    is_pinned: bool = False  # retention leaves it alone


class Timing(Record, frozen=True, kw_only=True):
    """
    The clock of an entry in monotonic nanoseconds from its start; None where it never happened.

    The start is the complete request head as the proxy saw it.
    """

    connect_started_ns: int | None = None
    connected_ns: int | None = None
    tls_done_ns: int | None = None
    reused: bool = False
    request_done_ns: int | None = None  # last byte of the request's body passed
    response_head_ns: int | None = None
    first_byte_ns: int | None = None  # first byte of the answer's body
    last_byte_ns: int | None = None
    closed_ns: int | None = None


class Body(Record, frozen=True, kw_only=True):
    """A reference to stored bytes: `digest` is the SHA-256 of what is stored."""

    digest: bytes  # 32 bytes
    size_bytes: int


class Entry(Record, frozen=True, kw_only=True):
    """A traffic entry as the tables hold it. `outcome` is None while it is open."""

    id: str
    session_id: str
    kind: EntryKind
    way: Way
    started_ns: int
    client: str
    method: str
    scheme: str
    host: str
    port: int
    target: bytes
    http_version: str
    request_headers: Headers
    marks: tuple[str, ...] = ()
    continues: str | None = None
    status: int | None = None
    reason: bytes | None = None
    response_http_version: str | None = None
    response_headers: Headers | None = None
    outcome: Outcome | None = None
    error: str | None = None
    request_bytes: int = 0  # as crossed so far
    response_bytes: int = 0
    request_body: Body | None = None  # None: none stored (yet)
    response_body: Body | None = None
    request_decoded: Body | None = None  # kept beside a body that is `cut_coded`
    response_decoded: Body | None = None
    request_wire_hmac: str | None = None
    response_wire_hmac: str | None = None
    timing: Timing = Timing()
    server: str | None = None
    tls_version: str | None = None
    close_code: int | None = None
    close_reason: str | None = None
    message_count: int = 0  # WebSocket messages


class Frame(Record, frozen=True, kw_only=True):
    """
    One WebSocket message, or one chunk of a streamed body.

    A message has its own `body`; a chunk is a span (`at_bytes`) of its side's body.
    """

    number: int  # from 0: of a message in its entry; of a chunk in its side
    side: Side  # "request" = from the client
    offset_ns: int
    size_bytes: int
    opcode: int | None = None  # messages: 1 text, 2 binary
    at_bytes: int | None = None  # chunks: where it begins in its body
    body: Body | None = None
