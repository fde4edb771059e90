"""HAR files: a session as one, and one as a session."""

import re
import time
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from api import uploads
from api.access import Reach
from api.errors import documented
from api.exports import captured, har
from api.imported import ImportBody
from api.routes import imports, sessions
from api.routes.openapi import FileBody
from storage.errors import Unreadable


@get(
    "/export/{session_id:str}",
    operation_id="exportHar",
    summary="A session as HAR 1.2, oldest entry first",
    responses=documented(404, 409),
)
async def export_har(
    access: Reach,
    session_id: FromPath[str],
    secrets: Annotated[
        Literal["cut", "keep"],
        QueryParameter(
            required=False, description="keep: credentials too, where they were recorded"
        ),
    ] = "cut",
) -> Response[Any]:
    session = sessions.find(access.read(), session_id)
    key = access.store.datadir.hmac_key()
    redactor = captured.redactor(key) if secrets == "cut" else None
    return Stream(
        access.stream(lambda conn: har.export(conn, session, redactor=redactor)),
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{_filename(session.name)}"'},
    )


class HarBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a HAR file says of itself."""

    valid: bool = True
    version: str
    creator: str
    entry_count: int


@post(
    "/import",
    status_code=200,
    operation_id="importHar",
    summary="Import a HAR file into a session of its own",
    operation_class=FileBody,
    request_max_body_size=uploads.BODY_BYTES,
    responses=documented(413, 415, 503),
)
async def import_har(request: Request[Any, Any, Any], access: Reach) -> ImportBody:
    return await imports.imported(request, access, only_har=True)


@post(
    "/validate",
    status_code=200,
    operation_id="validateHar",
    summary="Whether a file is a HAR; nothing is imported",
    operation_class=FileBody,
    request_max_body_size=uploads.BODY_BYTES,
    responses=documented(413, 415, 503),
)
async def validate_har(request: Request[Any, Any, Any], access: Reach) -> HarBody:
    importer = access.importer()
    async with uploads.received(request, access.store.datadir.run) as (path, _):
        try:
            found = await access.in_thread(lambda _: importer.har_facts(path))
        except Unreadable as error:
            raise imports.unreadable(error) from error
    return HarBody(version=found.version, creator=found.creator, entry_count=found.entry_count)


def _filename(name: str) -> str:
    """As document 002's server makes it: no captured sign but letters and digits."""
    return (
        f"{re.sub('[^a-z0-9]', '_', name[:100], flags=re.IGNORECASE)}_{int(time.time() * 1000)}.har"
    )


ROUTER = Router("/api/har", route_handlers=[export_har, import_har, validate_har], tags=["har"])
