"""
Anthropic Messages: failures.

The API answers `{"type":"error","error":{...}}`; what stands before it, what it likes.
"""

from addons.wire.fields import Json, Object, kind_of, read_object, read_text
from storage.decoded import Failure

_MAX_TEXT = 2_000  # of a body that is no JSON: a gateway's page


def read_failure(body: Json, status: int | None) -> tuple[Failure, Object]:
    """The failure, and the fields that it has no place for (`request_id`, details of the error)."""
    fields = read_object(body)
    if fields is None:
        return Failure(type=None, message=_page(body), status=status), {}
    error = fields.get("error")
    left = {name: value for name, value in fields.items() if name not in ("type", "error")}
    if kind_of(error) != "object":
        message = read_text(error) or read_text(fields.get("message"))
        return Failure(type=None, message=message, status=status), left
    inner = read_object(error) or {}
    failure = Failure(
        type=read_text(inner.get("type")) or read_text(inner.get("code")),
        message=read_text(inner.get("message")),
        status=status,
    )
    if error is not None and not inner.keys() <= {"type", "message"}:
        left["error"] = error
    return failure, left


def _page(body: Json) -> str | None:
    text = body if isinstance(body, str) else bytes(body or b"").decode(errors="replace")
    return text.strip()[:_MAX_TEXT] or None
