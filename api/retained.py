"""Sessions that retention dropped, as the API and the command line tell them."""

from typing import Annotated

import msgspec
from msgspec import Meta

from storage.drops import Drop, Reason
from storage.records import Origin

UnixMs = Annotated[int, Meta(description="Unix time in milliseconds")]


class DropBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A session as it was when retention deleted it."""

    session_id: str
    name: str
    origin: Origin
    created_at: UnixMs
    updated_at: Annotated[int, Meta(description="Last activity in it, Unix milliseconds")]
    traffic_count: int
    total_bytes: int
    reason: Reason
    dropped_at: UnixMs


def body_of(drop: Drop) -> DropBody:
    return DropBody(
        session_id=drop.session_id,
        name=drop.name,
        origin=drop.origin,
        created_at=drop.created_ms,
        updated_at=drop.updated_ms,
        traffic_count=drop.traffic_count,
        total_bytes=drop.total_bytes,
        reason=drop.reason,
        dropped_at=drop.dropped_ms,
    )
