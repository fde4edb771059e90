"""
Anthropic Messages: one content block as a part, the same in requests and in answers.

Source: the block types of the API reference (platform.claude.com/docs/en/api/messages) and of the
official SDK 2.12 (`ContentBlockParam`, `ContentBlock` and their beta forms), read 2026-11.
"""

from collections.abc import Callable

from addons.wire import anthropic_results
from addons.wire.anthropic_media import media_part
from addons.wire.fields import (
    Object,
    Raw,
    kind_of,
    read_array,
    read_boolean,
    read_object,
    read_text,
    rest,
)
from addons.wire.running import Notes
from storage.decoded import (
    CompactionPart,
    MediaPart,
    OtherPart,
    Part,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)

# Known and kept whole: they are about the call, not words of the conversation.
_KEPT = frozenset(
    {
        "container_upload",
        "fallback",
        "mcp_tool_listing",
        "search_result",
        "tool_addition",
        "tool_reference",
        "tool_removal",
    }
)
# Of each block: the fields that its part says.
_TEXT = frozenset({"type", "text", "citations"})
_THINKING = frozenset({"type", "thinking"})
_REDACTED = frozenset({"type"})
_CALL = frozenset({"type", "id", "name", "input", "toolset_name", "server_name"})
_RESULT = frozenset({"type", "tool_use_id", "content", "is_error"})
_SERVER_RESULT = frozenset({"type", "tool_use_id", "is_error"})
_COMPACTION = frozenset({"type", "content"})
# Of all blocks: the other fields that are known. They are kept and make no note.
_KNOWN = frozenset(
    {
        "cache_control",
        "caller",  # of a call that code execution made
        "content",
        "data",
        "deltas",  # ours: what a stream sent that the block cannot take
        "encrypted_content",
        "signature",
        "tool_changes",
        "toolset_name",
    }
)


def content(value: Raw | None, notes: Notes) -> tuple[Part, ...]:
    """What `content` or `system` holds: a string stands for one block of text."""
    kind = kind_of(value)
    if kind == "string":
        text = read_text(value)
        return (TextPart(text=text),) if text else ()
    if kind == "array":
        return tuple(part(block, notes) for block in read_array(value) or ())
    if value is None or kind == "null":
        return ()
    notes.add("malformed-content", kind)
    return (OtherPart(type="", json=bytes(value)),)


def part(raw: Raw, notes: Notes) -> Part:
    """One block; what cannot be read is kept whole, with a note."""
    fields = read_object(raw)
    if fields is None:
        notes.add("malformed-block", kind_of(raw))
        return OtherPart(type="", json=bytes(raw))
    return part_of(fields, bytes(raw), notes)


def part_of(fields: Object, raw: bytes, notes: Notes, text: str | None = None) -> Part:
    """
    A block from its fields. `text` is what a stream sent of it piece by piece (text, thinking, or
    the arguments of a call) and goes before what the fields hold.
    """
    type_ = read_text(fields.get("type")) or ""
    reader = _READERS.get(type_)
    if reader is None and type_.endswith("_tool_result"):
        reader = _server_result
    made = reader(type_, fields, notes, text) if reader else None
    if made is not None:
        return made
    if reader:
        notes.add("malformed-block", type_)
    elif type_ not in _KEPT:
        notes.add("unknown-block", type_)
    return OtherPart(type=type_, json=raw)


# --- one function a kind of block ----------------------------------------------------------------
# None: the field that makes the block what it is has another type than it must have.


def _text(type_: str, fields: Object, notes: Notes, text: str | None) -> TextPart | None:
    text = read_text(fields.get("text")) if text is None else text
    if text is None:
        return None
    citations = fields.get("citations")
    has_citations = bool(read_array(citations))
    return TextPart(
        text=text,
        citations_json=bytes(citations) if citations and has_citations else None,
        extra_json=_extra(type_, fields, _TEXT, notes),
    )


def _thinking(type_: str, fields: Object, notes: Notes, text: str | None) -> ThinkingPart | None:
    text = read_text(fields.get("thinking")) if text is None else text
    if text is None:
        return None
    return ThinkingPart(text=text, extra_json=_extra(type_, fields, _THINKING, notes))


def _redacted(type_: str, fields: Object, notes: Notes, text: str | None) -> ThinkingPart:
    extra = _extra(type_, fields, _REDACTED, notes)
    return ThinkingPart(text="", is_redacted=True, extra_json=extra)


def _call(type_: str, fields: Object, notes: Notes, text: str | None) -> ToolCallPart | None:
    name = read_text(fields.get("name"))
    if name is None:
        return None
    if text is None:
        text = bytes(fields.get("input", b"")).decode(errors="replace")
    return ToolCallPart(
        call_id=read_text(fields.get("id")),
        name=name,
        namespace=read_text(fields.get("server_name")) or read_text(fields.get("toolset_name")),
        arguments=text,
        on_server=type_ != "tool_use",
        extra_json=_extra(type_, fields, _CALL, notes),
    )


def _result(type_: str, fields: Object, notes: Notes, text: str | None) -> ToolResultPart:
    """A result that the agent sends: a string, or blocks of text, images and documents."""
    value = fields.get("content")
    kind = kind_of(value)
    found = anthropic_results.Content()
    if kind == "string":
        found.texts.append(read_text(value) or "")
    elif kind == "array":
        for block in read_array(value) or ():
            found.add(block, notes)
    elif value is not None and kind != "null":
        found.add(value, notes)
    left = found.left_json()
    extra = fields if left is None else fields | {"content": left}
    return ToolResultPart(
        call_id=read_text(fields.get("tool_use_id")),
        text="\n".join(found.texts),
        is_error=read_boolean(fields.get("is_error")),
        media=tuple(found.media),
        extra_json=_extra(type_, extra, _RESULT if left is None else _SERVER_RESULT, notes),
    )


def _server_result(type_: str, fields: Object, notes: Notes, text: str | None) -> ToolResultPart:
    """A result of a tool that the provider runs: its content differs by tool and is kept whole."""
    value = fields.get("content")
    media: list[MediaPart] = []
    texts = anthropic_results.readable(value, media)
    is_error = read_boolean(fields.get("is_error"))
    if is_error is None and anthropic_results.is_error(value):
        is_error = True
    return ToolResultPart(
        call_id=read_text(fields.get("tool_use_id")),
        text="\n".join(texts),
        is_error=is_error,
        media=tuple(media),
        on_server=True,
        extra_json=_extra(type_, fields, _SERVER_RESULT, notes),
    )


def _media(type_: str, fields: Object, notes: Notes, text: str | None) -> MediaPart | None:
    return media_part(type_, fields, notes)


def _compaction(
    type_: str, fields: Object, notes: Notes, text: str | None
) -> CompactionPart | None:
    # `content` null: no summary could be made; the block goes back and forth all the same.
    summary = fields.get("content")
    if kind_of(summary) not in ("string", "null", "nothing"):
        return None
    extra = _extra(type_, fields, _COMPACTION, notes)
    return CompactionPart(text=read_text(summary) or "", extra_json=extra)


def _extra(type_: str, fields: Object, typed: frozenset[str], notes: Notes) -> bytes | None:
    """The fields that the part does not say, as an object; unknown ones make a note."""
    if fields.keys() <= typed:
        return None
    for name in fields:
        if name not in typed and name not in _KNOWN:
            notes.add("unknown-field", f"{type_}.{name}")
    return rest(fields, typed)


_READERS: dict[str, Callable[[str, Object, Notes, str | None], Part | None]] = {
    "text": _text,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _call,
    "server_tool_use": _call,
    "mcp_tool_use": _call,
    "tool_result": _result,
    "image": _media,
    "document": _media,
    "compaction": _compaction,
}
