"""
Responses: one item of an input or an output as a `Message`.

An item's own fields (status, phase, encrypted_content ...) go to `Message.extra_json`, so that its
parts are the same when a client sends it again without them.
"""

from collections.abc import Callable

from addons.wire.fields import Object, kind_of, read_array, read_object, read_text
from addons.wire.responses_calls import CALL_READERS
from addons.wire.responses_names import ITEM_FIELDS, WHOLE_ITEMS
from addons.wire.responses_parts import PART_READERS, as_thinking, kept, read_content
from addons.wire.responses_read import Read
from addons.wire.running import Notes
from storage.decoded import (
    CompactionPart,
    Message,
    OtherPart,
    Part,
    Role,
    TextPart,
    ThinkingPart,
    ToolResultPart,
)

_LABELS = "internal_chat_message_metadata_passthrough"  # Codex: who wrote it, and of what kind
_EVERYWHERE = ("type", "id", _LABELS)


def read_item(raw: bytes, digest: bytes | None) -> Message:
    """An item from its JSON; total. `digest` is None in answers."""
    fields = read_object(raw)
    if fields is None:
        return _bare(raw, digest)
    kind = read_text(fields.get("type")) or _untyped(fields)
    reader = _READERS.get(kind)
    if reader is None:
        role = _role_of(kind, fields, is_answer=digest is None)
        read = Read(role, (OtherPart(type=kind, json=raw),), tuple(fields))
    else:
        read = reader(fields, raw)
    labels = fields.get(_LABELS)
    return Message(
        role=read.role,
        parts=read.parts,
        id=read_text(fields.get("id")),
        name=read.name,
        labels_json=None if labels is None else bytes(labels),
        raw_digest=digest,
        extra_json=kept(fields, (*_EVERYWHERE, *read.used)),
    )


def note_unknown(message: Message, notes: Notes) -> None:
    """Say what of a message was not understood."""
    _note_fields(message.extra_json, notes)
    for part in message.parts:
        if isinstance(part, OtherPart):
            _note_block(part.type, notes)
        elif isinstance(part, ToolResultPart):
            _note_output(part, notes)
        else:
            _note_fields(getattr(part, "extra_json", None), notes)


def _note_block(kind: str, notes: Notes) -> None:
    if kind not in WHOLE_ITEMS:
        known = kind in PART_READERS or kind in _READERS
        notes.add("malformed-block" if known else "unknown-block", kind)


def _note_fields(extra_json: bytes | None, notes: Notes) -> None:
    if extra_json is None:
        return
    for name in read_object(extra_json) or ():
        if name not in ITEM_FIELDS:
            notes.add("unknown-field", name)


def _note_output(part: ToolResultPart, notes: Notes) -> None:
    """Parts of an output that no text and no medium stands for are kept as `parts`."""
    extra = read_object(part.extra_json) or {}
    for left in read_array(extra.get("parts")) or ():
        _note_block(read_text((read_object(left) or {}).get("type")) or kind_of(left), notes)


def _bare(raw: bytes, digest: bytes | None) -> Message:
    """An input may be a mere text; anything else that is no object is kept."""
    text = read_text(raw)
    part: Part = OtherPart(type=kind_of(raw), json=raw) if text is None else TextPart(text=text)
    return Message(role="user", parts=(part,), raw_digest=digest)


def _untyped(fields: Object) -> str:
    """`type` may be left out of messages and references."""
    if "role" in fields:
        return "message"
    return "item_reference" if "id" in fields else "object"


def _role_of(kind: str, fields: Object, *, is_answer: bool) -> Role:
    """The role of an item that is not known: by its own word, its name, or who sent it."""
    role = _ROLES.get(read_text(fields.get("role")) or "")
    if role:
        return role
    if kind.endswith("_output"):
        return "tool"
    return "assistant" if is_answer or kind.endswith("_call") else "user"


def _message(fields: Object, raw: bytes) -> Read:
    named = read_text(fields.get("role")) or ""
    role = _ROLES.get(named)
    used = ("content", "role") if role else ("content",)
    return Read(role or "user", read_content(fields.get("content")), used)


def _agent_message(fields: Object, raw: bytes) -> Read:
    """Between Codex's agents; the receiver is prompted by it."""
    author = read_text(fields.get("author"))
    return Read("user", read_content(fields.get("content")), ("content",), author)


def _reasoning(fields: Object, raw: bytes) -> Read:
    """Summaries first, then the reasoning itself where a server shows it."""
    said = (*read_content(fields.get("summary")), *read_content(fields.get("content")))
    parts = tuple(as_thinking(part) for part in said)
    if not parts:
        parts = (ThinkingPart(text="", is_redacted=True),)
    return Read("assistant", parts, ("summary", "content"))


def _compaction(fields: Object, raw: bytes) -> Read:
    text = next((t for n in ("summary", "text") if (t := read_text(fields.get(n)))), "")
    return Read("assistant", (CompactionPart(text=text),), ("summary", "text"))


def _whole(role: Role) -> Callable[[Object, bytes], Read]:
    """Items that no part stands for."""

    def read(fields: Object, raw: bytes) -> Read:
        kind = read_text(fields.get("type")) or "item_reference"
        return Read(role, (OtherPart(type=kind, json=raw),), tuple(fields))

    return read


_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}

_READERS: dict[str, Callable[[Object, bytes], Read]] = {
    "message": _message,
    "agent_message": _agent_message,
    "reasoning": _reasoning,
    "compaction": _compaction,
    "compaction_summary": _compaction,
    "context_compaction": _compaction,
    "compaction_trigger": _whole("user"),
    "configuration_update": _whole("developer"),
    "additional_tools": _whole("developer"),
    "item_reference": _whole("user"),
    "mcp_list_tools": _whole("assistant"),
    "mcp_approval_request": _whole("assistant"),
    "mcp_approval_response": _whole("user"),
    **CALL_READERS,
}
