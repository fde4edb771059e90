"""How long what was recorded is kept, and which sessions were dropped for it."""

from typing import Annotated

import msgspec
from litestar import Router, delete, get
from msgspec import Meta

from api import cursors
from api.access import Reach
from api.errors import documented
from api.retained import DropBody, body_of
from api.routes.parameters import After, Limit
from storage import drops, retention

_PAGE = 50


class RetentionBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The limits in force, and what they took: newest first, the latest 10,000."""

    days: Annotated[float | None, Meta(description="retention.days; null: no limit")]
    max_bytes: Annotated[int | None, Meta(description="retention.max_gb in bytes; null: no limit")]
    live_bytes: Annotated[int, Meta(description="Of the database, without its free pages")]
    is_exceeded: Annotated[bool, Meta(description="By bytes, and no session may go")]
    drops: list[DropBody]
    total: int
    next: Annotated[str | None, Meta(description="The `after` of the next page; null: the last")]


class Cleared(msgspec.Struct, frozen=True, kw_only=True):
    cleared: int


@get(
    operation_id="getRetention",
    summary="The limits of what is kept, and the sessions that were dropped",
    responses=documented(),
)
async def get_retention(access: Reach, after: After = None, limit: Limit = _PAGE) -> RetentionBody:
    place = cursors.decode(after, tuple[int, str])
    state = await access.in_thread(lambda conn: retention.state(conn, access.store.datadir))
    page = drops.page(access.read(), after=place, limit=limit)
    return RetentionBody(
        days=state.limits.days,
        max_bytes=state.limits.max_bytes,
        live_bytes=state.live_bytes,
        is_exceeded=state.is_exceeded,
        drops=[body_of(drop) for drop in page.drops],
        total=page.total,
        next=cursors.encode(page.next),
    )


@delete(
    "/drops",
    status_code=200,
    operation_id="clearDrops",
    summary="Forget which sessions were dropped, names and all",
    responses=documented(415),
)
async def clear_drops(access: Reach) -> Cleared:
    return Cleared(cleared=await access.committed(access.store.call(drops.clear)))


ROUTER = Router("/api/retention", route_handlers=[get_retention, clear_drops], tags=["retention"])
