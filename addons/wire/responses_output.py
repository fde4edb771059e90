"""
Responses: one item of an output while it comes.

What a stream held when it was cut off is written as the item would have been, and read by the same
reader as a whole one.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

from addons.wire.fields import Object, Raw, read_array, read_object, read_text
from addons.wire.responses_items import note_unknown, read_item
from addons.wire.responses_parts import as_thinking, read_part
from addons.wire.running import Notes, Sink
from storage.decoded import Message

Where = Literal["content", "summary", "call", "command"]
Place = tuple[Where, int]
Kind = Literal["text", "thinking", "arguments", "refusal"]

# Which field of an item its `call` text is.
_CALL_FIELDS = {
    "function_call": "arguments",
    "mcp_call": "arguments",
    "custom_tool_call": "input",
    "code_interpreter_call": "code",
}
_PART_TYPES = {"text": "output_text", "refusal": "refusal"}


class Indices:
    """Numbers the parts of an answer as they begin."""

    def __init__(self) -> None:
        self._next = 0

    def take(self) -> int:
        self._next += 1
        return self._next - 1


class Item:
    def __init__(self, sink: Sink, notes: Notes, indices: Indices, kind: str) -> None:
        """`kind` is what the first event about it speaks of, until the item itself comes."""
        self._sink = sink
        self._notes = notes
        self._indices = indices
        self._fields: Object = {"type": _raw(kind)}
        self._parts: dict[Place, Object] = {}
        self._texts: dict[Place, list[str]] = {}
        self._citations: dict[Place, list[Raw]] = {}
        self._index: dict[Place, int] = {}
        self._told: set[Place] = set()  # parts that were said to be whole
        self._whole: Message | None = None

    @property
    def is_done(self) -> bool:
        return self._whole is not None

    @property
    def id(self) -> str | None:
        return read_text(self._fields.get("id"))

    @property
    def kind(self) -> str:
        return read_text(self._fields.get("type")) or "object"

    def added(self, fields: Object) -> None:
        """As it is announced, mostly empty."""
        self._fields = {**self._fields, **fields}
        if self.kind not in ("message", "reasoning"):
            self._begin(("call", 0))
            self._sink.content()

    def part_added(self, place: Place, raw: Raw | None) -> None:
        self._begin(place)
        self._parts[place] = read_object(raw) or {}

    def part_done(self, place: Place, raw: Raw | None) -> None:
        self._parts[place] = fields = read_object(raw) or {}
        if raw is not None and fields and place not in self._told:
            self._told.add(place)
            self._texts.pop(place, None)
            self._citations.pop(place, None)
            part = read_part(raw)
            shown = as_thinking(part) if self.kind == "reasoning" else part
            self._sink.part(self._begin(place), shown)

    def delta(self, place: Place, kind: Kind, text: str) -> None:
        self._texts.setdefault(place, []).append(text)
        if place not in self._parts and kind != "arguments":
            self._parts[place] = {"type": _raw(_part_type(place, kind))}
        self._sink.delta(self._begin(place), kind, text)

    def text(self, place: Place, kind: Kind, text: str) -> None:
        """The whole text of what came in pieces."""
        if place not in self._told:
            self._begin(place)
            self._texts[place] = [text]
            if place not in self._parts and kind != "arguments":
                self._parts[place] = {"type": _raw(_part_type(place, kind))}

    def citation(self, place: Place, raw: Raw) -> None:
        if place not in self._told:
            self._citations.setdefault(place, []).append(raw)

    def done(self, raw: Raw) -> None:
        """The item whole: its parts are said that were not yet."""
        fields = read_object(raw) or {}
        self._fields = {**self._fields, **fields}
        message = read_item(bytes(raw), None)
        self._whole = message
        note_unknown(message, self._notes)
        for place, part in zip(self._places(len(message.parts)), message.parts, strict=True):
            if place not in self._told:
                self._told.add(place)
                self._sink.part(self._begin(place), part)
        self._parts, self._texts, self._citations = {}, {}, {}

    def message(self) -> Message:
        """The item, as far as it came."""
        if self._whole is None:
            return read_item(msgspec.json.encode(self._so_far()), None)
        return self._whole

    def _begin(self, place: Place) -> int:
        if place[0] == "command":  # a shell call has several, and is one part
            place = ("call", 0)
        if place not in self._index:
            self._index[place] = self._indices.take()
        return self._index[place]

    def _places(self, count: int) -> Iterator[Place]:
        """Where each part of the whole item stood in the stream."""
        if self.kind not in ("message", "reasoning"):
            yield from (("call", at) for at in range(count))
            return
        summaries = len(read_array(self._fields.get("summary")) or ())
        if self.kind == "message":
            summaries = 0
        for at in range(count):
            yield ("summary", at) if at < summaries else ("content", at - summaries)

    def _so_far(self) -> Object:
        fields = dict(self._fields)
        for where in ("content", "summary"):
            places = sorted(place for place in self._parts if place[0] == where)
            if places:
                fields[where] = Raw(msgspec.json.encode([self._part(place) for place in places]))
        if call := self._texts.get(("call", 0)):
            fields[_CALL_FIELDS.get(self.kind, "arguments")] = _raw("".join(call))
        commands = sorted(place for place in self._texts if place[0] == "command")
        if commands:
            texts = ["".join(self._texts[place]) for place in commands]
            fields["action"] = Raw(msgspec.json.encode({"commands": texts}))
        return fields

    def _part(self, place: Place) -> Object:
        part = dict(self._parts[place])
        if pieces := self._texts.get(place):
            name = "refusal" if read_text(part.get("type")) == "refusal" else "text"
            part[name] = _raw("".join(pieces))
        if citations := self._citations.get(place):
            part["annotations"] = Raw(msgspec.json.encode(citations))
        return part


def _part_type(place: Place, kind: Kind) -> str:
    if kind == "thinking":
        return "summary_text" if place[0] == "summary" else "reasoning_text"
    return _PART_TYPES[kind]


def _raw(value: str) -> Raw:
    return Raw(msgspec.json.encode(value))
