"""What hangs on a traffic entry: its bodies, frames, clock and cuts."""

import sqlite3
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.params import FromPath, QueryParameter
from msgspec import Meta

from api import attachments, content, frames
from api.access import Access, Reach
from api.content import Content
from api.errors import documented
from api.frames import FramePage
from storage import traffic
from storage.errors import NotFound
from storage.records import Cut, Entry, Gap, Side

Us = Annotated[int | None, Meta(description="Microseconds from the entry's start")]


class TimingBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The clock of an entry: monotonic, and null for what did not happen or is not known."""

    timestamp: Annotated[int, Meta(description="Unix milliseconds of the request's head")]
    started_us: Annotated[int, Meta(description="The same in Unix microseconds")]
    reused: Annotated[bool, Meta(description="The upstream connection was there already")]
    connect_started_us: Us
    connected_us: Us
    tls_done_us: Us
    request_done_us: Us
    response_head_us: Us
    first_byte_us: Us
    last_byte_us: Us
    closed_us: Us


class CutBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One redacted span; as many `*` stand in its place."""

    part: str
    name: str | None
    index: int | None
    offset: int
    length: int
    kind: str
    hmac: Annotated[str, Meta(description="Keyed: the same secret has the same")]


class GapBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that was not recorded."""

    reason: str
    records: int | None
    size: int | None
    started_at: Annotated[int | None, Meta(description="Unix milliseconds")]
    ended_at: Annotated[int | None, Meta(description="Unix milliseconds")]
    detail: str | None


class CutList(msgspec.Struct, frozen=True, kw_only=True):
    """How the record differs from what crossed the wire."""

    cuts: list[CutBody]
    gaps: list[GapBody]


Decoded = Annotated[
    bool,
    QueryParameter(
        required=False,
        description="Undo the content coding; the header Wirescribe-Decoding says how that went",
    ),
]


@get(
    "/request-body",
    operation_id="getRequestBody",
    summary="The request's body as captured, or decoded",
    responses=attachments.responses(),
    media_type=attachments.MEDIA_TYPE,
)
async def get_request_body(
    access: Reach,
    request: Request[Any, Any, Any],
    entry_id: FromPath[str],
    decoded: Decoded = False,
) -> Response[Any]:
    return await _send_body(access, request, entry_id, "request", decoded)


@get(
    "/response-body",
    operation_id="getResponseBody",
    summary="The response's body as captured, or decoded",
    responses=attachments.responses(),
    media_type=attachments.MEDIA_TYPE,
)
async def get_response_body(
    access: Reach,
    request: Request[Any, Any, Any],
    entry_id: FromPath[str],
    decoded: Decoded = False,
) -> Response[Any]:
    return await _send_body(access, request, entry_id, "response", decoded)


@get(
    "/frames",
    operation_id="listFrames",
    summary="The messages of a WebSocket, or the chunks of a body, with their times",
    responses=documented(404, 409),
)
async def list_frames(
    access: Reach,
    entry_id: FromPath[str],
    side: Annotated[
        Side | None,
        QueryParameter(description="Messages: of both sides by default; chunks: of the response"),
    ] = None,
    after: Annotated[
        int | None, QueryParameter(ge=-1, le=2**53, description="Number of the frame before")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
) -> FramePage:
    entry = traffic.find(access.read(), entry_id)
    return await access.in_thread(
        lambda conn: frames.page(conn, entry, side=side, after=after, limit=limit)
    )


@get(
    "/frames/{number:int}",
    operation_id="getMessage",
    summary="One whole message of a WebSocket, as captured",
    responses=attachments.responses(),
    media_type=attachments.MEDIA_TYPE,
)
async def get_message(
    access: Reach,
    request: Request[Any, Any, Any],
    entry_id: FromPath[str],
    number: FromPath[int],
) -> Response[Any]:
    entry = traffic.find(access.read(), entry_id)
    body = frames.message(access.read(), entry, number)
    name = f"{entry.id}-message-{number}.bin"
    found = content.stored(body) if body else content.EMPTY
    return await attachments.send(access, request, found, name)


@get(
    "/timing",
    operation_id="getTiming",
    summary="The clock of an entry",
    responses=documented(404, 409),
    sync_to_thread=False,
)
def get_timing(access: Reach, entry_id: FromPath[str]) -> TimingBody:
    entry = traffic.find(access.read(), entry_id)
    at = entry.timing
    return TimingBody(
        timestamp=entry.started_ns // 1_000_000,
        started_us=entry.started_ns // 1000,
        reused=at.reused,
        connect_started_us=_us(at.connect_started_ns),
        connected_us=_us(at.connected_ns),
        tls_done_us=_us(at.tls_done_ns),
        request_done_us=_us(at.request_done_ns),
        response_head_us=_us(at.response_head_ns),
        first_byte_us=_us(at.first_byte_ns),
        last_byte_us=_us(at.last_byte_ns),
        closed_us=_us(at.closed_ns),
    )


@get(
    "/cuts",
    operation_id="listCuts",
    summary="What was redacted, and what is missing",
    responses=documented(404, 409),
    sync_to_thread=False,
)
def list_cuts(access: Reach, entry_id: FromPath[str]) -> CutList:
    conn = access.read()
    entry = traffic.find(conn, entry_id)
    return CutList(
        cuts=[_cut(cut) for cut in traffic.cuts(conn, entry.id)],
        gaps=[_gap(gap) for gap in traffic.gaps(conn, entry.id)],
    )


async def _send_body(
    access: Access, request: Request[Any, Any, Any], entry_id: str, side: Side, decoded: bool
) -> Response[Any]:
    entry = traffic.find(access.read(), entry_id)
    if entry.kind != "http":
        raise NotFound("This entry has no body")
    make: Callable[[sqlite3.Connection, Entry, Side], Content] = (
        content.decoded if decoded else content.captured
    )
    found = await access.in_thread(lambda conn: make(conn, entry, side))
    return await attachments.send(access, request, found, f"{entry.id}-{side}-body.bin")


def _cut(cut: Cut) -> CutBody:
    return CutBody(
        part=cut.part,
        name=cut.name,
        index=cut.index,
        offset=cut.offset_bytes,
        length=cut.length_bytes,
        kind=cut.kind,
        hmac=cut.hmac,
    )


def _gap(gap: Gap) -> GapBody:
    return GapBody(
        reason=gap.reason,
        records=gap.records,
        size=gap.size_bytes,
        started_at=None if gap.started_ns is None else gap.started_ns // 1_000_000,
        ended_at=None if gap.ended_ns is None else gap.ended_ns // 1_000_000,
        detail=gap.detail,
    )


def _us(offset_ns: int | None) -> int | None:
    return None if offset_ns is None else offset_ns // 1000


ROUTER = Router(
    "/api/traffic/{entry_id:str}",
    route_handlers=[
        get_request_body,
        get_response_body,
        list_frames,
        get_message,
        get_timing,
        list_cuts,
    ],
    tags=["traffic"],
)
