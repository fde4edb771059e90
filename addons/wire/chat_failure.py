"""
Errors as OpenAI answers with them, and as others do in their place.

`{"error": {"message", "type", "code"}}` (platform.openai.com, error codes), `{"error": "text"}`
(Ollama), a list with one such object (Gemini's compatible endpoint), the fields without an envelope
(vLLM), `{"detail": ...}` (FastAPI), or no JSON at all (gateways). Read 2026-11.
"""

from addons.wire.fields import Json, Object, read_array, read_integer, read_object, read_text
from storage.decoded import Failure

_MAX_TEXT = 2_000  # of a page in place of an error


def of_body(status: int, body: bytes) -> Failure:
    """The error that a whole body is."""
    listed = read_array(body)
    fields = read_object(listed[0] if listed else body)
    if fields is None:
        text = body[: _MAX_TEXT * 4].decode(errors="replace").strip()[:_MAX_TEXT]
        return Failure(type=None, message=text or None, status=status)
    return of_value(fields.get("error"), status) or _of_fields(fields, status)


def of_value(value: Json, status: int | None = None) -> Failure | None:
    """What stands under `error`; None: nothing does."""
    fields = read_object(value)
    if fields is not None:
        return _of_fields(fields, status)
    text = read_text(value)
    return None if text is None else Failure(type=None, message=text, status=status)


def _of_fields(fields: Object, status: int | None) -> Failure:
    code = read_integer(fields.get("code"))
    kind = read_text(fields.get("type")) or read_text(fields.get("code"))
    detail = fields.get("detail")
    message = read_text(fields.get("message")) or read_text(detail)
    if message is None and detail is not None:
        message = bytes(detail).decode(errors="replace")
    return Failure(
        type=kind or (None if code is None else str(code)), message=message, status=status
    )
