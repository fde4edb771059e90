"""
Files of other recorders, and our own exports, into sessions of their own.

Document 002 imports into a session that exists. A file of unknown origin must not pass as part of
what was recorded here, so its field `sessionId` is ignored, and the answer says which session is
the file's own.
"""

from typing import Any

from litestar import Request, Router, post

from api import uploads
from api.access import Access, Reach
from api.errors import ApiError, documented
from api.imported import ImportBody, body_of
from api.routes.openapi import FileBody
from storage.errors import Unreadable


async def imported(
    request: Request[Any, Any, Any], access: Access, *, only_har: bool = False
) -> ImportBody:
    """Import the file that a request carries. Raises ApiError."""
    importer = access.importer()
    async with uploads.received(request, access.store.datadir.run) as (path, name):
        try:
            found = await access.in_thread(
                lambda _: importer.import_file(path, name, only_har=only_har)
            )
        except Unreadable as error:
            raise unreadable(error) from error
    return body_of(found)


def unreadable(error: Unreadable) -> ApiError:
    return ApiError(400, error.what, "UNREADABLE_FILE", error.details)


@post(
    status_code=200,
    operation_id="importFile",
    summary="Import a HAR file or a flow file of mitmproxy into a session of its own",
    operation_class=FileBody,
    request_max_body_size=uploads.BODY_BYTES,
    responses=documented(413, 415, 503),
)
async def import_file(request: Request[Any, Any, Any], access: Reach) -> ImportBody:
    return await imported(request, access)


ROUTER = Router("/api/import", route_handlers=[import_file], tags=["import"])
