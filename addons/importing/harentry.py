"""
One entry of a HAR file: what stands in it, and the exchange that it tells of.

Beyond HAR 1.2 it reads what DevTools and our own export write (see api.exports.har). A phase that
HAR counts begins where the one before ended, so the clock is what our export makes of it again.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from addons.entrylog import Closing
from addons.importing import harbodies
from addons.importing.document import Texts
from addons.importing.exchange import Exchange, Half
from addons.importing.harbodies import Content, Event, PostData, WireMessage
from addons.visits import shown
from storage.records import (
    ConnectionTimes,
    Cut,
    EntryKind,
    EntryOpened,
    Gap,
    Headers,
    Outcome,
    ResponseHead,
)

NO_ENTRY = "it is no HAR entry"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_SCHEMES = {"ws": "http", "wss": "https"}
_LONGEST_NS = 1 << 50  # 13 days: of what a phase of a hostile file may claim

Size = Annotated[int, Meta(ge=0, le=1 << 40)]


class Unfit(Exception):
    """An entry that is none of ours; the text says why."""


class Named(msgspec.Struct, frozen=True):
    name: str
    value: str = ""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    url: str
    http_version: str | None = msgspec.field(default=None, name="httpVersion")
    headers: list[Named | tuple[str, str]] = []
    post_data: PostData | None = msgspec.field(default=None, name="postData")
    body_size: float | None = msgspec.field(default=None, name="bodySize")


class Response(msgspec.Struct, frozen=True, kw_only=True):
    status: Annotated[int, Meta(ge=0, le=999)] | None = None  # 0: no answer
    status_text: str | None = msgspec.field(default=None, name="statusText")
    http_version: str | None = msgspec.field(default=None, name="httpVersion")
    headers: list[Named | tuple[str, str]] = []
    content: Content = Content()
    body_size: float | None = msgspec.field(default=None, name="bodySize")
    error: str | None = msgspec.field(default=None, name="_error")


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds; -1 or None: the phase does not apply."""

    blocked: float | None = None
    dns: float | None = None
    connect: float | None = None
    ssl: float | None = None  # part of connect
    send: float | None = None
    wait: float | None = None
    receive: float | None = None


class Close(msgspec.Struct, frozen=True, kw_only=True):
    code: Annotated[int, Meta(ge=0, le=65535)] | None = None
    reason: str | None = None


class Tunnel(msgspec.Struct, frozen=True, kw_only=True):
    sent_bytes: Size = msgspec.field(default=0, name="sentBytes")
    received_bytes: Size = msgspec.field(default=0, name="receivedBytes")


class OwnCut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    part: str
    offset_bytes: Size
    length_bytes: Size
    kind: str
    hmac: str
    name: str | None = None
    index: Size | None = None


class OwnGap(msgspec.Struct, frozen=True, kw_only=True):
    reason: str
    records: Size | None = None
    size_bytes: Size | None = msgspec.field(default=None, name="sizeBytes")
    started: str | None = msgspec.field(default=None, name="startedDateTime")
    ended: str | None = msgspec.field(default=None, name="endedDateTime")
    detail: str | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """As it stands in the file."""

    started: str = msgspec.field(name="startedDateTime")
    request: Request
    response: Response
    timings: Timings = Timings()
    server_address: str | None = msgspec.field(default=None, name="serverIPAddress")
    connection: Any = None
    resource_type: Any = msgspec.field(default=None, name="_resourceType")
    messages: list[WireMessage] | None = msgspec.field(default=None, name="_webSocketMessages")
    events: list[Event] | None = msgspec.field(default=None, name="_eventSourceMessages")
    id: str | None = msgspec.field(default=None, name="_id")
    kind: EntryKind | None = msgspec.field(default=None, name="_kind")
    outcome: Outcome | UnsetType | None = msgspec.field(default=UNSET, name="_outcome")
    marks: tuple[str, ...] = msgspec.field(default=(), name="_marks")
    continues: str | None = msgspec.field(default=None, name="_continues")
    close: Close = msgspec.field(default=Close(), name="_close")
    tunnel: Tunnel | None = msgspec.field(default=None, name="_tunnel")
    cuts: list[OwnCut] = msgspec.field(default=[], name="_cuts")
    gaps: list[OwnGap] = msgspec.field(default=[], name="_gaps")

    @property
    def is_ours(self) -> bool:
        return self.kind is not None and self.outcome is not UNSET


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """Offsets in nanoseconds, from HAR's phases."""

    connection: ConnectionTimes
    sent_ns: int
    answered_ns: int
    closed_ns: int


def exchange(entry: Entry, texts: Texts, number: int, at_bytes: int) -> Exchange:
    """Raises Unfit. The texts are read when the bodies are."""
    opened = _opened(entry)
    clock = _clock(entry)
    kind = opened.kind
    is_answered = bool(entry.response.status) and kind != "tunnel"
    body = harbodies.Bodies(
        texts,
        opened=opened,
        is_ours=entry.is_ours,
        answered_ns=clock.answered_ns,
        answer_headers=_headers(entry.response.headers),
        cut_kinds={cut.part: cut.kind for cut in entry.cuts if cut.kind in harbodies.HIDING},
    )
    asked, unasked = body.request(entry.request.post_data, _size(entry.request.body_size))
    answer, unanswered = body.response(
        entry.response.content, _size(entry.response.body_size), entry.events or ()
    )
    marks = (*opened.marks, *(("recoded",) if body.is_recoded else ()))
    is_http = kind == "http"
    whole = entry.outcome in ("complete", UNSET) or not is_answered
    return Exchange(
        number=number,
        at_bytes=at_bytes,
        opened=msgspec.structs.replace(opened, marks=marks),
        request=_ended(asked if is_http else Half(), clock.sent_ns if kind != "tunnel" else None),
        answered_ns=clock.answered_ns if is_answered else None,
        head=_head(entry.response) if is_answered else None,
        response=_ended(answer, clock.closed_ns if whole else None)
        if is_http and is_answered
        else Half(),
        messages=harbodies.messages(entry.messages or (), texts, opened.started_ns),
        cuts=tuple(_cut(cut) for cut in entry.cuts),
        gaps=(*map(_gap, entry.gaps), *((*unasked, *unanswered) if is_http else ())),
        closed_ns=max(clock.closed_ns, _last_message(entry, opened.started_ns)),
        closing=_closing(entry, opened, clock),
        id=entry.id,
        continues=entry.continues,
    )


def _ended(half: Half, ended_ns: int | None) -> Half:
    return msgspec.structs.replace(half, ended_ns=ended_ns)


# --- heads ---------------------------------------------------------------------------------------


def _opened(entry: Entry) -> EntryOpened:
    request = entry.request
    scheme, host, port, target = place(request.url)
    kind = entry.kind or _kind(entry, scheme)
    is_tunnel = kind == "tunnel"
    return EntryOpened(
        kind=kind,
        way="import",
        started_ns=unix_ns(entry.started),
        session=None,
        client="",  # HAR does not say
        method=request.method,
        scheme="" if is_tunnel else _SCHEMES.get(scheme, scheme),
        host=host,
        port=port,
        target=b"" if is_tunnel else target,
        http_version=_version(request.http_version),
        headers=_headers(request.headers),
        marks=tuple(mark for mark in entry.marks if mark != "recoded"),
    )


def _kind(entry: Entry, scheme: str) -> EntryKind:
    if entry.tunnel is not None or entry.request.method == "CONNECT":
        return "tunnel"
    is_socket = entry.messages is not None or entry.resource_type == "websocket"
    return "websocket" if is_socket or scheme in ("ws", "wss") else "http"


def place(url: str) -> tuple[str, str, int, bytes]:
    """Scheme, host, port and target of a URL, the target as it stands. Raises Unfit."""
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _PORTS:
        known = url.partition(":")[0][:20]
        raise Unfit(f"its URL is not of HTTP or WebSocket ({known}:)")
    ends = [at for sign in "/?#" if (at := rest.find(sign)) >= 0]
    authority, target = rest[: min(ends, default=len(rest))], rest[min(ends, default=len(rest)) :]
    authority = authority.rpartition("@")[2]
    host, colon, digits = authority.rpartition(":")
    if not colon or "]" in digits:
        host, digits = authority, ""
    if not host or (digits and not (digits.isascii() and digits.isdigit())):
        raise Unfit("its URL names no host")
    port = int(digits[:6]) if digits else _PORTS[scheme]
    if port > 65535:
        raise Unfit("its URL names no port")
    target = target.partition("#")[0]
    target = target if target.startswith("/") else f"/{target}"
    return scheme, host.strip("[]"), port, target.encode("utf-8", "replace")


def _headers(found: list[Named | tuple[str, str]]) -> Headers:
    pairs = ((one.name, one.value) if isinstance(one, Named) else one for one in found)
    # DevTools put the pseudo headers of HTTP/2 among them.
    return tuple(
        (name.encode("utf-8", "replace"), value.encode("utf-8", "replace"))
        for name, value in pairs
        if not name.startswith(":")
    )


def _head(response: Response) -> ResponseHead:
    return ResponseHead(
        status=response.status or 0,
        reason=(response.status_text or "").encode("utf-8", "replace"),
        http_version=_version(response.http_version),
        headers=_headers(response.headers),
    )


def _version(text: str | None) -> str:
    return "" if text in (None, "unknown") else text


# --- the clock -----------------------------------------------------------------------------------


def unix_ns(moment: str) -> int:
    """Of ISO 8601; UTC where it names no zone. Raises Unfit."""
    try:
        found = datetime.fromisoformat(moment)
    except ValueError as error:
        raise Unfit(f"its startedDateTime is no time ({moment[:40]!r})") from error
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    nanoseconds = (found - _EPOCH) // _MICROSECOND * 1000
    if not 0 <= nanoseconds < 1 << 62:
        raise Unfit(f"its startedDateTime is out of range ({moment[:40]!r})")
    return nanoseconds


def _clock(entry: Entry) -> Clock:
    at = entry.timings
    begun_ns = _ns(at.blocked) + _ns(at.dns)
    tls_ns = connected_ns = begun_ns + _ns(at.connect)
    connection = ConnectionTimes(reused=bool(entry.server_address))
    if at.connect is not None and at.connect >= 0:
        has_tls = at.ssl is not None and at.ssl >= 0
        connected_ns = max(tls_ns - _ns(at.ssl), begun_ns)
        connection = ConnectionTimes(
            connect_started_ns=begun_ns,
            connected_ns=connected_ns,
            tls_done_ns=tls_ns if has_tls else None,
        )
    sent_ns = tls_ns + _ns(at.send)
    answered_ns = sent_ns + _ns(at.wait)
    return Clock(
        connection=connection,
        sent_ns=sent_ns,
        answered_ns=answered_ns,
        closed_ns=answered_ns + _ns(at.receive),
    )


def _ns(milliseconds: float | None) -> int:
    if milliseconds is None or not 0 < milliseconds < _LONGEST_NS / 1e6:
        return 0
    return round(milliseconds * 1000) * 1000


def _last_message(entry: Entry, started_ns: int) -> int:
    times = [message.time for message in entry.messages or ()]
    return harbodies.offset(max(times), started_ns) if times else 0


# --- the end -------------------------------------------------------------------------------------


def _closing(entry: Entry, opened: EntryOpened, clock: Clock) -> Closing:
    tunnel = entry.tunnel or Tunnel()
    is_tunnel = opened.kind == "tunnel"
    return Closing(
        outcome=_outcome(entry),
        error=entry.response.error,
        connection=clock.connection,
        server=_server(entry, opened),
        close_code=entry.close.code,
        close_reason=entry.close.reason,
        tunnelled=(tunnel.sent_bytes, tunnel.received_bytes) if is_tunnel else None,
    )


def _outcome(entry: Entry) -> Outcome:
    if entry.outcome is None:
        return "proxy_killed"  # it was open when it was exported
    if entry.outcome is not UNSET:
        return entry.outcome
    if entry.response.status:
        return "complete"
    error = entry.response.error or ""
    if "ABORTED" in error:  # DevTools' net::ERR_ABORTED
        return "client_aborted"
    return "blocked" if "BLOCKED" in error else "upstream_error"


def _server(entry: Entry, opened: EntryOpened) -> str | None:
    if not entry.server_address:
        return None
    # In DevTools' files this is the number of a connection; in ours, the server's port.
    port: Any = opened.port
    if entry.is_ours and isinstance(entry.connection, str):
        port = entry.connection
    return shown((entry.server_address.strip("[]"), port))


def _cut(cut: OwnCut) -> Cut:
    return Cut(**msgspec.structs.asdict(cut))


def _gap(gap: OwnGap) -> Gap:
    return Gap(
        reason=gap.reason,
        records=gap.records,
        size_bytes=gap.size_bytes,
        started_ns=None if gap.started is None else unix_ns(gap.started),
        ended_ns=None if gap.ended is None else unix_ns(gap.ended),
        detail=gap.detail,
    )


def _size(claimed: float | None) -> int | None:
    return None if claimed is None or not 0 <= claimed < 1 << 40 else int(claimed)
