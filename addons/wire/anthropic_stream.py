"""Anthropic Messages: one content block of an answer while it is streamed."""

from typing import Literal

import msgspec

from addons.wire.anthropic_blocks import part_of
from addons.wire.fields import Object, Raw, read_array, read_object, read_text
from addons.wire.running import Notes, Sink
from storage.decoded import Part

_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
_KNOWN = _CALLS | {"text", "thinking", "compaction"}
# Deltas that add a piece of text: the field that holds it, what it is, the blocks that take it.
_PIECES: dict[str, tuple[str, Literal["text", "thinking", "arguments"], frozenset[str]]] = {
    "text_delta": ("text", "text", frozenset({"text"})),
    "thinking_delta": ("thinking", "thinking", frozenset({"thinking"})),
    "input_json_delta": ("partial_json", "arguments", _CALLS),
}
# Deltas that set fields of the block.
_SET = {
    "signature_delta": ("signature",),
    "compaction_delta": ("content", "encrypted_content"),
}


class Block:
    """`index` counts the answer's parts as they begin; the wire's own index may skip some."""

    def __init__(self, index: int, fields: Object, raw: bytes) -> None:
        self.index = index
        self.type = read_text(fields.get("type")) or ""
        self._fields = fields
        self._raw = raw
        self._pieces: list[str] = []
        self._citations: list[Raw] = []
        self._odd: list[Raw] = []  # deltas that this block cannot take

    def delta(self, raw: Raw | None, sink: Sink, notes: Notes) -> None:
        fields = read_object(raw)
        if raw is None or fields is None:
            notes.add("malformed-event", "content_block_delta")
            return
        type_ = read_text(fields.get("type")) or ""
        if not self._taken(type_, fields, sink, notes):
            self._odd.append(raw)
            if type_ not in _PIECES and type_ not in _SET and type_ != "citations_delta":
                notes.add("unknown-event", f"content_block_delta.{type_}")
            elif self.type in _KNOWN:
                notes.add("malformed-event", f"{self.type}.{type_}")

    def _taken(self, type_: str, fields: Object, sink: Sink, notes: Notes) -> bool:
        if type_ in _PIECES:
            field, kind, takers = _PIECES[type_]
            text = read_text(fields.get(field)) if self.type in takers else None
            if text is None:
                return False
            self._pieces.append(text)
            if text:
                sink.delta(self.index, kind, text)
            if len(fields) > 2:
                self._note_unknown(type_, fields, (field, "estimated_tokens"), notes)
            return True
        if type_ == "citations_delta" and self.type == "text" and "citation" in fields:
            self._citations.append(fields["citation"])
            return True
        if type_ in _SET and self.type in _KNOWN:
            # The SDK lets a later one replace an earlier one.
            self._fields |= {name: fields[name] for name in _SET[type_] if name in fields}
            self._note_unknown(type_, fields, _SET[type_], notes)
            return True
        return False

    def _note_unknown(
        self, type_: str, fields: Object, known: tuple[str, ...], notes: Notes
    ) -> None:
        for name in fields:
            if name != "type" and name not in known:
                notes.add("unknown-field", f"{type_}.{name}")

    def part(self, notes: Notes, *, is_whole: bool) -> Part:
        """The part as far as it came."""
        fields = dict(self._fields)
        if self._citations:
            fields["citations"] = _array(
                [*(read_array(fields.get("citations")) or ()), *self._citations]
            )
        raw = self._raw
        if self._odd:
            fields["deltas"] = _array(self._odd)
            raw = msgspec.json.encode(fields)
        return part_of(fields, raw, notes, self._text(fields, is_whole))

    def _text(self, fields: Object, is_whole: bool) -> str | None:
        if self.type in ("text", "thinking"):
            return (read_text(fields.get(self.type)) or "") + "".join(self._pieces)
        if self.type not in _CALLS:
            return None
        text = "".join(self._pieces)
        # A call begins with the input `{}`: of a call that ran to its end it is the arguments if no
        # others came; of one that was cut off it only holds their place.
        is_unsaid = not is_whole and bytes(fields.get("input", b"")) == b"{}"
        return text if text or is_unsaid else None


def _array(items: list[Raw]) -> Raw:
    return Raw(msgspec.json.encode(items))
