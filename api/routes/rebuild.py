"""Making what was understood anew from the raw bytes, and how far that is."""

from litestar import Router, get, post
from litestar.params import JSONBody

from api.access import Access, Reach
from api.errors import documented
from api.rebuilding import Rebuild, of_state
from api.routes import sessions
from api.routes.openapi import OptionalBody
from storage.projection import keeping
from storage.records import Record


class RebuildAsked(Record, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Without `session_id` all of it; `force` swaps even for a result that holds less."""

    session_id: str | None = None
    force: bool = False


@post(
    status_code=202,
    operation_id="startRebuild",
    summary="Make conversations, messages and tool calls anew from the raw entries",
    operation_class=OptionalBody,
    responses=documented(404, 409, 413, 415),
)
async def start_rebuild(access: Reach, data: JSONBody[RebuildAsked | None] = None) -> Rebuild:
    asked = data or RebuildAsked()
    if asked.session_id is not None:
        session = sessions.find(access.read(), asked.session_id)
        await access.committed(access.store.call(keeping.requeue_session, session.id))
    else:
        await access.committed(access.store.call(keeping.begin, is_forced=asked.force))
    return _now(access)


@get(
    operation_id="getRebuild",
    summary="How far the rebuild is, or how the last one ended",
    sync_to_thread=False,
)
def get_rebuild(access: Reach) -> Rebuild:
    return _now(access)


def _now(access: Access) -> Rebuild:
    return of_state(access.read())


ROUTER = Router("/api/rebuild", route_handlers=[start_rebuild, get_rebuild], tags=["projection"])
