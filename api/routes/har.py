"""A session as a HAR file."""

import re
import time
from typing import Annotated, Any, Literal

from litestar import Response, Router, get
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from api.access import Reach
from api.errors import documented
from api.exports import captured, har
from api.routes import sessions


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


def _filename(name: str) -> str:
    """As document 002's server makes it: no captured sign but letters and digits."""
    return (
        f"{re.sub('[^a-z0-9]', '_', name[:100], flags=re.IGNORECASE)}_{int(time.time() * 1000)}.har"
    )


ROUTER = Router("/api/har", route_handlers=[export_har], tags=["har"])
