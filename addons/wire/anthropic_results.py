"""
Anthropic Messages: what stands in the results of tools.

An agent's `tool_result` holds text, images and documents. The results of tools that the provider
runs (web search and fetch, code execution, text editor, tool search, advisor, MCP) each have a form
of their own; what a person can read in them is gathered by the names of their fields.
"""

from collections.abc import Iterator

import msgspec

from addons.wire.anthropic_media import media_part
from addons.wire.fields import Object, Raw, kind_of, read_array, read_object, read_text, rest
from addons.wire.running import Notes
from storage.decoded import MediaPart

_MAX_DEPTH = 8
_TEXT = frozenset({"type", "text"})
_TEXT_EXTRA = frozenset({"cache_control", "citations"})
_KEPT = frozenset({"tool_reference", "search_result", "browser_state"})
_READABLE = frozenset(
    {"text", "title", "url", "stdout", "stderr", "tool_name", "error_code", "error_message"}
)
_NESTED = frozenset({"content", "tool_references"})


class Content:
    """
    What the blocks of a `tool_result` come to: texts, media, and what is neither.

    Of a block of text with more than its text, the more is what is left.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.media: list[MediaPart] = []
        self.left: list[Raw] = []

    def add(self, block: Raw, notes: Notes) -> None:
        fields = read_object(block)
        type_ = read_text(fields.get("type")) if fields else None
        if fields is None or type_ is None:
            notes.add("malformed-block", "tool_result")
            self.left.append(block)
        elif type_ == "text":
            self._add_text(block, fields, notes)
        elif type_ in ("image", "document"):
            self._add_media(type_, block, fields, notes)
        else:
            if type_ not in _KEPT:
                notes.add("unknown-block", type_)
            self.texts += readable(fields.get("content"), self.media)
            self.left.append(block)

    def _add_text(self, block: Raw, fields: Object, notes: Notes) -> None:
        text = read_text(fields.get("text"))
        if text is None:
            notes.add("malformed-block", "text")
            self.left.append(block)
            return
        self.texts.append(text)
        if fields.keys() > _TEXT:
            for name in fields:
                if name not in _TEXT and name not in _TEXT_EXTRA:
                    notes.add("unknown-field", f"text.{name}")
            self.left.append(Raw(rest(fields, {"text"}) or b"{}"))

    def _add_media(self, type_: str, block: Raw, fields: Object, notes: Notes) -> None:
        media = media_part(type_, fields, notes)
        if media is None:
            notes.add("malformed-block", type_)
            self.left.append(block)
        else:
            self.media.append(media)

    def left_json(self) -> Raw | None:
        """What is neither text nor media, as an array; None if there is nothing."""
        return Raw(msgspec.json.encode(self.left)) if self.left else None


def readable(value: Raw | None, media: list[MediaPart], depth: int = 0) -> list[str]:
    """The texts in a server tool's result, in their order; images and documents go to `media`."""
    kind = kind_of(value)
    if kind == "string":
        return [read_text(value) or ""]
    if depth >= _MAX_DEPTH:
        return []
    if kind == "array":
        return [
            text for item in read_array(value) or () for text in readable(item, media, depth + 1)
        ]
    fields = read_object(value) if kind == "object" else None
    return list(_of_object(fields, media, depth)) if fields else []


def _of_object(fields: Object, media: list[MediaPart], depth: int) -> Iterator[str]:
    type_ = read_text(fields.get("type"))
    if type_ in ("image", "document"):
        # A source of a new kind is no news here: the whole result is kept as it came.
        made = media_part(type_, fields, Notes())
        if made:
            media.append(made)
        source = read_object(fields.get("source")) or {}
        if read_text(source.get("type")) == "text":
            yield read_text(source.get("data")) or ""
        return
    for name, value in fields.items():
        if name in _READABLE:
            text = read_text(value)
            if text:
                yield text
        elif name in _NESTED:
            yield from readable(value, media, depth + 1)


def is_error(value: Raw | None) -> bool:
    """Whether a server tool's result says that the tool failed."""
    fields = read_object(value) if kind_of(value) == "object" else None
    return (read_text((fields or {}).get("type")) or "").endswith("_error")
