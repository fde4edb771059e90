"""
Errors as the API answers them: `{"error": text, "code": WORD, "details"?: text}`.

The only place where an error of ours meets an HTTP status.
"""

import logging
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ExceptionHandlersMap

from storage.errors import (
    Busy,
    ConfigError,
    Conflict,
    NotFound,
    StoreError,
    Unreadable,
    WirescribeError,
)

_log = logging.getLogger("wirescribe.api")


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong, for people (`error`, `details`) and for programs (`code`)."""

    error: str
    code: str
    details: str | None = None


class ApiError(Exception):
    """An answer that is an error; its headers come on top of the usual ones."""

    def __init__(
        self,
        status: int,
        error: str,
        code: str,
        details: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(error)
        self.status = status
        self.body = ErrorBody(error=error, code=code, details=details)
        self.headers = headers or {}


# The texts of document 002, and ours for what it does not have. Longer texts name candidates.
_CODES = {
    "Session not found": "SESSION_NOT_FOUND",
    "No active session": "NO_ACTIVE_SESSION",
    "Traffic entry not found": "TRAFFIC_ENTRY_NOT_FOUND",
    "This entry has no body": "NO_BODY",
    "Conversation not found": "CONVERSATION_NOT_FOUND",
    "Turn not found": "TURN_NOT_FOUND",
    "Project not found": "PROJECT_NOT_FOUND",
    "Frame not found": "FRAME_NOT_FOUND",
}
_OURS: tuple[tuple[type[WirescribeError], int, str], ...] = (
    (NotFound, 404, "NOT_FOUND"),
    (Conflict, 409, "CONFLICT"),
    (ConfigError, 400, "INVALID_CONFIG"),
    (Unreadable, 400, "UNREADABLE_FILE"),
    (Busy, 503, "BUSY"),
    (StoreError, 500, "STORE_FAILED"),
)
_STATUS_CODES = {
    400: "INVALID_REQUEST",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "BODY_TOO_LARGE",
}


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """The error answers of a route, for the OpenAPI document: these and what any route may say."""
    return {
        status: ResponseSpec(
            data_container=ErrorBody,
            description=HTTPStatus(status).phrase,
            generate_examples=False,
        )
        for status in sorted({400, 401, 403, 500, *statuses})
    }


def _api_error(_: Request[Any, Any, Any], error: ApiError) -> Response[ErrorBody]:
    return _response(error.status, error.body, error.headers)


def _ours(request: Request[Any, Any, Any], error: WirescribeError) -> Response[ErrorBody]:
    status, code = next((s, c) for kind, s, c in _OURS if isinstance(error, kind))
    if status == 500 and request.method != "GET":
        status = 507  # what could not be stored; mostly the disk is full
    text = str(error)
    details = error.details if isinstance(error, NotFound) else None
    return _response(status, ErrorBody(error=text, code=_CODES.get(text, code), details=details))


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[ErrorBody]:
    """What Litestar refuses by itself: unknown paths and methods, bodies that do not parse."""
    status = error.status_code
    if status >= 500:
        return _unexpected(request, error)
    code = _STATUS_CODES.get(status, HTTPStatus(status).name)
    phrase = HTTPStatus(status).phrase.capitalize()
    details = _places(error) if isinstance(error, ValidationException) else None
    if status == 400:
        phrase, details = "Invalid request", details or error.detail
    return _response(status, ErrorBody(error=phrase, code=code, details=details), error.headers)


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[ErrorBody]:
    # No text of the error: it may quote what was recorded.
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _response(500, ErrorBody(error="Internal error", code="INTERNAL_ERROR"))


def _places(error: ValidationException) -> str | None:
    """`$.isActive: Expected `bool`, got `str``, one line for each place."""
    found = error.extra if isinstance(error.extra, list) else []
    lines = []
    for place in found:
        source, key = place.get("source"), place.get("key")
        if source in (None, "body") and key:
            name = "$" if key == "data" else f"$.{key}"  # Litestar's own name of the whole body
        else:
            name = key
        lines.append(f"{name}: {place['message']}" if name else str(place["message"]))
    return "\n".join(lines) or None


def _response(
    status: int, body: ErrorBody, headers: dict[str, str] | None = None
) -> Response[ErrorBody]:
    return Response(body, status_code=status, headers=headers, media_type=MediaType.JSON)


HANDLERS: ExceptionHandlersMap = {
    ApiError: _api_error,
    WirescribeError: _ours,
    HTTPException: _http,
    Exception: _unexpected,
}
