"""
Captured bytes on their way out: any range of them, and as nothing that a browser would run.

Source: RFC 9110 sections 13 and 14 (conditional and range requests). One range is served; a
request for several gets the whole, as section 14.2 allows.
"""

import re
from typing import Any

from litestar import Request, Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import Stream

from api.access import Access
from api.content import Content
from api.entries import digest_text
from api.errors import ApiError, documented

MEDIA_TYPE = "application/octet-stream"
# Enough decimal digits for any size; more would only be work for the parser.
_RANGE = re.compile(r"bytes=\s*(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))\s*", re.IGNORECASE)
# Read at once up to here: a stream costs a connection of its own.
_AT_ONCE_BYTES = 1 << 18

Span = tuple[int, int]


def responses(*statuses: int) -> dict[int, ResponseSpec]:
    """What a route that answers with `send` may answer, for the OpenAPI document."""
    return {
        206: ResponseSpec(
            bytes, description="The range that was asked for", media_type=MEDIA_TYPE,
            generate_examples=False,
        ),
        304: ResponseSpec(None, description="Not modified", generate_examples=False),
        **documented(404, 409, 416, *statuses),
    }  # fmt: skip


async def send(
    access: Access, request: Request[Any, Any, Any], content: Content, filename: str
) -> Response[Any]:
    """`filename` is of our own making: no captured text goes into a header."""
    headers = {
        "Content-Disposition": f'attachment; filename="{filename}"',
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Accept-Ranges": "bytes",
    }
    tag = f'"{digest_text(content.digest)}"' if content.digest else None
    if tag:
        headers["ETag"] = tag
    if content.decoding:
        headers["Wirescribe-Decoding"] = content.decoding
    if tag and _matches(request.headers.get("if-none-match"), tag):
        return Response(b"", status_code=304, headers=headers)
    span = _span(request, tag, content.size_bytes)
    if span is None:
        return await _bytes(access, content, (0, content.size_bytes), headers, 200)
    start, stop = span
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size_bytes}"
    return await _bytes(access, content, span, headers, 206)


async def _bytes(
    access: Access, content: Content, span: Span, headers: dict[str, str], status: int
) -> Response[Any]:
    start, stop = span
    if stop - start <= _AT_ONCE_BYTES:
        data = await access.in_thread(lambda conn: b"".join(content.stream(conn, start, stop)))
        return Response(data, status_code=status, headers=headers, media_type=MEDIA_TYPE)
    headers["Content-Length"] = str(stop - start)
    pieces = access.stream(lambda conn: content.stream(conn, start, stop))
    return Stream(pieces, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def _matches(wanted: str | None, tag: str) -> bool:
    if wanted is None:
        return False
    return any(
        candidate.strip().removeprefix("W/") in ("*", tag) for candidate in wanted.split(",")
    )


def _span(request: Request[Any, Any, Any], tag: str | None, size_bytes: int) -> Span | None:
    """The range to send; None for all. Raises ApiError (416) if there are no such bytes."""
    asked = request.headers.get("range")
    condition = request.headers.get("if-range")
    if asked is None or (condition is not None and condition.strip() != tag):
        return None
    found = _RANGE.fullmatch(asked.strip())
    if found is None:
        return None  # another unit, several ranges, or no range at all
    first, last, suffix = found.groups()
    if suffix is not None:
        span = (max(size_bytes - int(suffix), 0), size_bytes)
    else:
        span = (int(first), min(int(last) + 1, size_bytes) if last else size_bytes)
        if last and int(last) < int(first):
            return None
    if span[0] >= span[1]:
        raise ApiError(
            416,
            "There are no such bytes",
            "RANGE_NOT_SATISFIABLE",
            f"the body has {size_bytes} bytes",
            headers={"Content-Range": f"bytes */{size_bytes}"},
        )
    return span
