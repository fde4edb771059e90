"""A file that a client sends: multipart/form-data, streamed to a private file of the data dir."""

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO

import multipart
from litestar import Request
from litestar.exceptions import HTTPException

from api.errors import ApiError
from storage import files, ids
from storage.errors import StoreError

# Of the whole request; what may be in the file its reader decides.
BODY_BYTES = (1 << 30) + (1 << 20)

_FIELD = "file"
_MAX_NAME_SIGNS = 1000


@contextlib.asynccontextmanager
async def received(
    request: Request[Any, Any, Any], folder: Path
) -> AsyncIterator[tuple[Path, str]]:
    """
    The path of the field `file` and the name that the client gives it, for the length of a block.

    All other fields are ignored. Raises ApiError.
    """
    path = folder / f".upload-{ids.new()}{files.FRESH_SUFFIX}"
    try:
        name = await _written(request, path)
        yield path, name
    finally:
        path.unlink(missing_ok=True)


async def _written(request: Request[Any, Any, Any], path: Path) -> str:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as out:
            return await _received(request, out)
    except OSError as error:
        raise StoreError(f"{path} could not be written: {error.strerror}") from error


async def _received(request: Request[Any, Any, Any], out: BinaryIO) -> str:
    content_type, parameters = request.content_type
    boundary = parameters.get("boundary", "")
    if content_type != "multipart/form-data" or not boundary:
        raise ApiError(400, "No file provided", "NO_FILE", "send multipart/form-data")
    name: str | None = None
    try:
        with multipart.PushMultipartParser(boundary, max_segment_size=BODY_BYTES) as parser:
            is_wanted = False
            async for chunk in request.stream():
                for part in parser.parse(chunk):
                    if isinstance(part, multipart.MultipartSegment):
                        is_wanted = part.name == _FIELD and name is None
                        name = (part.filename or "upload") if is_wanted else name
                    elif part and is_wanted:
                        out.write(part)
            parser.close(check_complete=True)
    except multipart.MultipartError as error:
        raise ApiError(400, "Invalid multipart/form-data", "INVALID_REQUEST", str(error)) from error
    except HTTPException as error:
        if error.status_code == 413:
            limit = f"more than {BODY_BYTES >> 20} MB"
            raise ApiError(413, "The file is too long", "BODY_TOO_LARGE", limit) from error
        raise
    if name is None:
        raise ApiError(400, "No file provided", "NO_FILE", f"the field `{_FIELD}` is missing")
    return name[:_MAX_NAME_SIGNS]
