"""
Files of other recorders, and our own exports, into sessions of their own.

Document 002 imports into a session that exists. A file of unknown origin must not pass as part of
what was recorded here, so its field `sessionId` is ignored, and the answer says which session is
the file's own.
"""

from typing import Annotated, Any

import msgspec
from litestar import Request, Router, post
from msgspec import Meta

from api import uploads
from api.access import Access, Reach
from api.errors import ApiError, documented
from api.routes.openapi import FileBody
from storage.errors import Unreadable
from storage.imports import Imported


class SkippedBody(msgspec.Struct, frozen=True, kw_only=True):
    number: Annotated[int, Meta(description="Of the entry in the file, from 0")]
    reason: str


class ImportBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of a file."""

    success: bool = True
    imported: Annotated[int, Meta(description="Entries that this import added")]
    total: Annotated[int, Meta(description="Entries in the file, as far as it can be read")]
    session_id: str
    session_name: str
    skipped: Annotated[list[SkippedBody], Meta(description="The first 100 that are not imported")]
    fault: Annotated[str | None, Meta(description="Where and why the file breaks off")]
    is_repeated: Annotated[bool, Meta(description="Imported before: nothing was added")]


def body_of(found: Imported) -> ImportBody:
    return ImportBody(
        imported=found.imported,
        total=found.total,
        session_id=found.session_id,
        session_name=found.session_name,
        skipped=[SkippedBody(number=one.number, reason=one.reason) for one in found.skipped],
        fault=found.fault,
        is_repeated=found.is_repeated,
    )


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
