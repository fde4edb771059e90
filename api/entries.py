"""
A traffic entry as the API shows it.

The keys are those of the servers that document 002 belongs to, and more; bodies stand by
reference. Null means unknown or not there, never zero.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from storage.records import Body, Entry, EntryKind, Headers, Outcome, Side, Way

Protocol = Literal["http", "https", "ws", "wss"]
HeaderMap = Annotated[
    dict[str, str | list[str]],
    Meta(
        description="Values by name as it was written; several values of one name, whatever its "
        "case, in the order in which they came"
    ),
]


class BodyRef(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where the bytes of a body are. `size` and `digest` are of what is stored."""

    url: str
    size: Annotated[int | None, Meta(description="Null while the body still grows")]
    digest: Annotated[str | None, Meta(description="sha256:HEX; null while the body still grows")]
    wire_hmac: Annotated[
        str | None, Meta(description="Where something was cut: keyed fingerprint of what crossed")
    ]


class EntryBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One request and its response, one WebSocket connection, or one tunnel."""

    id: str
    session_id: str
    kind: EntryKind
    way: Way
    timestamp: Annotated[int, Meta(description="Unix time of the request's head, milliseconds")]
    method: str
    url: Annotated[str, Meta(description="Of a tunnel host:port, all that is known of it")]
    protocol: Annotated[Protocol | None, Meta(description="Null of a tunnel")]
    host: str
    port: int
    path: Annotated[str, Meta(description="With the query")]
    http_version: str | None
    request_headers: HeaderMap
    request_body: BodyRef | None
    request_body_size: Annotated[int, Meta(description="Bytes that crossed, so far or in all")]
    status: int | None
    status_text: str | None
    response_http_version: str | None
    response_headers: HeaderMap | None
    response_body: BodyRef | None
    response_body_size: Annotated[int, Meta(description="Bytes that crossed, so far or in all")]
    duration: Annotated[int | None, Meta(description="Milliseconds; null while it is open")]
    client_address: str
    remote_address: Annotated[str | None, Meta(description="What was really connected to")]
    tls_version: str | None
    outcome: Annotated[Outcome | None, Meta(description="How it ended; null while it is open")]
    error: str | None
    marks: tuple[str, ...]
    continues: Annotated[str | None, Meta(description="Id of the entry that it goes on with")]
    frame_count: Annotated[int | None, Meta(description="Messages of a WebSocket")]
    close_code: int | None
    close_reason: str | None
    is_complete: Annotated[bool, Meta(description="It has ended, however it did")]
    is_truncated: Annotated[
        bool | None, Meta(description="Less is stored than crossed; null where that is not known")
    ]
    is_mocked: bool = False
    is_breakpointed: bool = False


def body_of(entry: Entry) -> EntryBody:
    return EntryBody(
        id=entry.id,
        session_id=entry.session_id,
        kind=entry.kind,
        way=entry.way,
        timestamp=entry.started_ns // 1_000_000,
        method=entry.method,
        url=url_of(entry),
        protocol=protocol_of(entry),
        host=entry.host,
        port=entry.port,
        path=text_of(entry.target),
        http_version=entry.http_version or None,
        request_headers=header_map(entry.request_headers),
        request_body=_reference(entry, "request"),
        request_body_size=entry.request_bytes,
        status=entry.status,
        status_text=None if entry.reason is None else text_of(entry.reason),
        response_http_version=entry.response_http_version or None,
        response_headers=(
            None if entry.response_headers is None else header_map(entry.response_headers)
        ),
        response_body=_reference(entry, "response"),
        response_body_size=entry.response_bytes,
        duration=None if entry.timing.closed_ns is None else entry.timing.closed_ns // 1_000_000,
        client_address=entry.client,
        remote_address=entry.server,
        tls_version=entry.tls_version,
        outcome=entry.outcome,
        error=entry.error,
        marks=entry.marks,
        continues=entry.continues,
        frame_count=entry.message_count if entry.kind == "websocket" else None,
        close_code=entry.close_code,
        close_reason=entry.close_reason,
        is_complete=entry.outcome is not None,
        is_truncated=_is_truncated(entry),
    )


def protocol_of(entry: Entry) -> Protocol | None:
    if entry.kind == "tunnel" or entry.scheme not in ("https", "http"):
        return None
    secure = entry.scheme == "https"
    if entry.kind == "websocket":
        return "wss" if secure else "ws"
    return "https" if secure else "http"


def url_of(entry: Entry) -> str:
    """The absolute URL as a client writes it; of a tunnel its authority."""
    host = f"[{entry.host}]" if ":" in entry.host else entry.host
    protocol = protocol_of(entry)
    if protocol is None:
        return f"{host}:{entry.port}"
    own_port = entry.port == (443 if protocol in ("https", "wss") else 80)
    return f"{protocol}://{host}{'' if own_port else f':{entry.port}'}{text_of(entry.target)}"


def header_map(headers: Headers) -> dict[str, str | list[str]]:
    """No value is lost: a name that comes again makes a list, under its first spelling."""
    # Mostly none does, and all is UTF-8. Of a page of entries this is what takes longest.
    if len({name.lower() for name, _ in headers}) == len(headers):
        try:
            return {name.decode(): value.decode() for name, value in headers}
        except UnicodeDecodeError:
            pass
    values: dict[bytes, list[str]] = {}
    names: dict[bytes, str] = {}
    for name, value in headers:
        key = name.lower()
        names.setdefault(key, text_of(name))
        values.setdefault(key, []).append(text_of(value))
    return {
        names[key]: several[0] if len(several) == 1 else several for key, several in values.items()
    }


def text_of(raw: bytes) -> str:
    """HTTP does not say what its heads are written in: UTF-8 where they are, else latin-1."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def digest_text(digest: bytes | None) -> str | None:
    return None if digest is None else f"sha256:{digest.hex()}"


def _reference(entry: Entry, side: Side) -> BodyRef | None:
    if entry.kind != "http":
        return None
    stored, crossed, hmac = _side(entry, side)
    if stored is None and not crossed:
        return None
    return BodyRef(
        url=f"/api/traffic/{entry.id}/{side}-body",
        size=stored.size_bytes if stored else None,
        digest=digest_text(stored.digest) if stored else None,
        wire_hmac=hmac,
    )


def _is_truncated(entry: Entry) -> bool | None:
    if entry.kind != "http" or entry.outcome is None:
        return None
    return any(
        crossed != (stored.size_bytes if stored else 0)
        for stored, crossed, _ in (_side(entry, "request"), _side(entry, "response"))
    )


def _side(entry: Entry, side: Side) -> tuple[Body | None, int, str | None]:
    if side == "request":
        return entry.request_body, entry.request_bytes, entry.request_wire_hmac
    return entry.response_body, entry.response_bytes, entry.response_wire_hmac
