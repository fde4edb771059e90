"""Traffic entries: pages of them, one of them, and their deletion."""

import sqlite3
from typing import Annotated, Literal

import msgspec
from litestar import Router, delete, get
from litestar.params import FromPath, QueryParameter

from api.access import Access, Reach
from api.entries import EntryBody, body_of
from api.errors import documented
from api.routes import sessions
from api.routes.sessions import Success
from storage import traffic
from storage.records import EntryKind, Outcome
from storage.traffic import Query

_QUICK = 100  # entries that are read and shaped in 5 ms
_STATUS = r"^([1-5][0-9][0-9]|[1-5]xx)$"


class TrafficPage(msgspec.Struct, frozen=True, kw_only=True):
    """`total` counts all that match, with filters up to 10 000; `next` is the next `after`."""

    entries: list[EntryBody]
    total: int
    next: str | None


class TrafficStats(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Counts over all entries of a session."""

    total_requests: int
    completed_requests: int
    failed_requests: int
    open_requests: int
    total_bytes: int
    avg_duration: float | None  # milliseconds, of those that ended; None: none has


class Cleared(msgspec.Struct, frozen=True, kw_only=True):
    success: bool = True
    deleted: int


@get(
    operation_id="listTraffic",
    summary="List traffic entries, a page at a time",
    responses=documented(404, 409),
)
async def list_traffic(
    access: Reach,
    session_id: Annotated[str | None, QueryParameter(name="sessionId")] = None,
    host: Annotated[str | None, QueryParameter(description="The whole name")] = None,
    method: Annotated[str | None, QueryParameter(description="GET, POST ...")] = None,
    status: Annotated[
        str | None, QueryParameter(pattern=_STATUS, description="200, or 4xx for a class")
    ] = None,
    kind: Annotated[EntryKind | None, QueryParameter(required=False)] = None,
    outcome: Annotated[Outcome | Literal["open"] | None, QueryParameter(required=False)] = None,
    text: Annotated[
        str | None,
        QueryParameter(description="Part of host, path, query, content type or error"),
    ] = None,
    after: Annotated[str | None, QueryParameter(description="`next` of the page before")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 100,
    order: Annotated[Literal["newest", "oldest"], QueryParameter(required=False)] = "newest",
) -> TrafficPage:
    query = Query(
        session_id=sessions.find(access.read(), session_id).id if session_id else None,
        host=host,
        method=method,
        status=None if status is None else int(status.removesuffix("xx")),
        kind=kind,
        outcome=outcome,
        text=text or None,
    )

    def page(conn: sqlite3.Connection) -> TrafficPage:
        found = traffic.page(conn, query, after=after, limit=limit, newest_first=order == "newest")
        return TrafficPage(
            entries=[body_of(entry) for entry in found.entries], total=found.total, next=found.next
        )

    # A page of a session is read off an index; other filters may look at every entry.
    is_quick = limit <= _QUICK and query == Query(session_id=query.session_id)
    return page(access.read()) if is_quick else await access.in_thread(page)


@get(
    "/{entry_id:str}",
    operation_id="getTrafficEntry",
    summary="Get a traffic entry",
    responses=documented(404, 409),
    sync_to_thread=False,
)
def get_entry(access: Reach, entry_id: FromPath[str]) -> EntryBody:
    return body_of(traffic.find(access.read(), entry_id))


@get(
    "/stats/{session_id:str}",
    operation_id="getTrafficStats",
    summary="Count a session's entries by how they ended",
    responses=documented(404, 409),
)
async def get_stats(access: Reach, session_id: FromPath[str]) -> TrafficStats:
    session = sessions.find(access.read(), session_id)
    return await access.in_thread(lambda conn: _stats(conn, session.id))


@delete(
    "/{entry_id:str}",
    status_code=200,
    operation_id="deleteTrafficEntry",
    summary="Delete a traffic entry with all that hangs on it",
    responses=documented(404, 409, 415),
)
async def delete_entry(access: Reach, entry_id: FromPath[str]) -> Success:
    found = traffic.find(access.read(), entry_id)
    await access.committed(access.store.delete_traffic(traffic.delete, found.id))
    return Success()


@delete(
    "/session/{session_id:str}",
    status_code=200,
    operation_id="clearTraffic",
    summary="Delete all entries of a session; the session stays",
    responses=documented(404, 409, 415),
)
async def clear_traffic(access: Reach, session_id: FromPath[str]) -> Cleared:
    session = sessions.find(access.read(), session_id)
    return Cleared(deleted=await _clear(access, session.id))


async def _clear(access: Access, session_id: str) -> int:
    """In short transactions, so that ingest goes on between them."""
    deleted = 0
    clear = access.store.delete_traffic
    while count := await access.committed(clear(traffic.clear, session_id)):
        deleted += count
    return deleted


def _stats(conn: sqlite3.Connection, session_id: str) -> TrafficStats:
    total = completed = open_ = size_bytes = duration_ns = timed = 0
    for entry in traffic.each(conn, session_id):
        total += 1
        size_bytes += entry.request_bytes + entry.response_bytes
        open_ += entry.outcome is None
        completed += entry.outcome in _COMPLETED
        if entry.timing.closed_ns is not None:
            duration_ns += entry.timing.closed_ns
            timed += 1
    return TrafficStats(
        total_requests=total,
        completed_requests=completed,
        failed_requests=total - completed - open_,
        open_requests=open_,
        total_bytes=size_bytes,
        avg_duration=round(duration_ns / timed / 1e6, 3) if timed else None,
    )


# Ends that are nobody's failure: a recording that was stopped, a socket that goes on elsewhere.
_COMPLETED = frozenset({"complete", "recording_stopped", "continued"})

ROUTER = Router(
    "/api/traffic",
    route_handlers=[list_traffic, get_entry, get_stats, delete_entry, clear_traffic],
    tags=["traffic"],
)
