"""How the recorder is: what is wrong, what lags behind, what runs."""

import time
from typing import Annotated, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from msgspec import Meta

from api.access import Access, Reach
from api.errors import documented
from api.guards import Guard
from api.settings import ApiSettings
from storage import health, retention
from storage.chunks import moving
from storage.health import Health
from storage.processes import Process
from storage.retention import State

_LAG_BYTES = 64 << 20  # of spool that waits: more than a burst of a few seconds


class GapsBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    reason: str
    count: int
    size: int | None


class ProcessBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    role: Annotated[str, Meta(description="up, proxy, server, run")]
    pid: int
    started_at: Annotated[int, Meta(description="Unix milliseconds")]
    version: str
    host: str | None
    port: int | None
    writer: str | None
    scope: str | None
    session: Annotated[str | None, Meta(description="That a run records into")]
    degraded: tuple[str, ...]


class HealthBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`degraded` says in words what is wrong; empty means that all is well."""

    status: Literal["ok", "degraded"]
    timestamp: Annotated[int, Meta(description="Unix milliseconds")]
    connected_clients: Annotated[int, Meta(description="WebSockets of the live feed")]
    degraded: tuple[str, ...]
    version: str
    sqlite_version: str
    sessions: int
    entries: int
    open_entries: int
    gaps: tuple[GapsBody, ...]
    quarantined: Annotated[int, Meta(description="Records that could not be digested")]
    unswept_sessions: Annotated[int, Meta(description="Deleted, and still being removed")]
    unmoved_bodies: Annotated[
        int | None,
        Meta(
            description="Stored by an earlier version, and being moved to the present form; "
            "null: there are none"
        ),
    ]
    dropped_sessions: Annotated[int, Meta(description="By retention: `GET /api/retention`")]
    spool_lag_bytes: Annotated[dict[str, int], Meta(description="By writer: not ingested yet")]
    database_bytes: int
    free_bytes: int
    processes: tuple[ProcessBody, ...]


@get(
    "/api/health",
    operation_id="getHealth",
    summary="How the recorder is",
    tags=["health"],
    responses=documented(),
)
async def get_health(
    access: Reach,
    guard: NamedDependency[SkipValidation[Guard]],
    settings: NamedDependency[SkipValidation[ApiSettings]],
) -> HealthBody:
    found = await access.in_thread(lambda conn: health.report(conn, access.store.datadir))
    kept = await access.in_thread(lambda conn: retention.state(conn, access.store.datadir))
    unmoved = await access.in_thread(moving.progress)
    degraded = _degraded(access, found, kept)
    return HealthBody(
        status="degraded" if degraded else "ok",
        timestamp=time.time_ns() // 1_000_000,
        connected_clients=guard.websockets,
        degraded=degraded,
        version=settings.version,
        sqlite_version=found.sqlite_version,
        sessions=found.sessions,
        entries=found.entries,
        open_entries=found.open_entries,
        gaps=tuple(
            GapsBody(reason=gap.reason, count=gap.count, size=gap.size_bytes) for gap in found.gaps
        ),
        quarantined=found.quarantined,
        unswept_sessions=found.unswept_sessions,
        unmoved_bodies=unmoved.bodies if unmoved else None,
        dropped_sessions=kept.dropped,
        spool_lag_bytes=found.spool_lag_bytes,
        database_bytes=found.database_bytes,
        free_bytes=found.free_bytes,
        processes=tuple(_process(process) for process in found.processes),
    )


def _degraded(access: Access, found: Health, kept: State) -> tuple[str, ...]:
    """What is wrong now. Gaps and quarantine of the past are counted, not held against it."""
    reasons = [access.store.degraded] if access.store.degraded else []
    for process in found.processes:
        reasons += [f"{process.role} {process.pid}: {reason}" for reason in process.degraded]
    for writer, lag_bytes in found.spool_lag_bytes.items():
        if lag_bytes > _LAG_BYTES:
            reasons.append(f"{lag_bytes} bytes of {writer} wait to be read into the database")
    if kept.is_exceeded:
        reasons.append(
            f"the database holds {kept.live_bytes} bytes, more than retention.max_gb allows "
            f"({kept.limits.max_bytes}), and no session may go"
        )
    return tuple(reasons)


def _process(process: Process) -> ProcessBody:
    return ProcessBody(
        role=process.role,
        pid=process.pid,
        started_at=process.started_ms,
        version=process.version,
        host=process.host,
        port=process.port,
        writer=process.writer,
        scope=process.scope,
        session=process.session,
        degraded=process.degraded,
    )
