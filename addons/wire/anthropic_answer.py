"""
Anthropic Messages: the answer, as a stream of events, as one JSON text, or as an error.

Source: platform.claude.com/docs/en/build-with-claude/streaming and `accumulate_event` of the
official SDK 2.12, read 2026-11.
"""

from collections.abc import Callable, Collection

import msgspec

from addons.wire.anthropic_blocks import part
from addons.wire.anthropic_failure import read_failure
from addons.wire.anthropic_stream import Block
from addons.wire.anthropic_usage import Counts
from addons.wire.fields import (
    Object,
    Raw,
    kind_of,
    read_array,
    read_integer,
    read_object,
    read_text,
)
from addons.wire.running import Notes, Sink
from storage.decoded import Answer, Failure, Message, Part

_MESSAGE = frozenset({"type", "id", "role", "model", "content", "usage", "stop_reason"})
# Other fields of the answer that are known and kept: of the message, of `message_delta`, of its
# `delta`, of a count.
_KEPT = frozenset(
    {
        "container",
        "context_management",
        "diagnostics",
        "input_transformations",
        "stop_details",
        "stop_sequence",
        "thread",
    }
)
_MAX_UNKNOWN_EVENTS = 100


class Reply:
    """A Builder: the answer of one model call, as far as it came."""

    def __init__(self, sink: Sink, notes: Notes, *, is_count: bool) -> None:
        self._sink = sink
        self._notes = notes
        self._is_count = is_count
        self._began = False
        self._done = False
        self._id: str | None = None
        self._model: str | None = None
        self._stop_reason: str | None = None
        self._failure: Failure | None = None
        self._counted: int | None = None
        self._counts = Counts()
        self._left: Object = {}
        self._unknown_events: list[Raw] = []
        self._parts: list[Part | Block] = []  # in the order in which they began
        self._open: dict[int, Block] = {}  # by the wire's index

    @property
    def is_done(self) -> bool:
        return self._done

    def event(self, name: str, data: str) -> None:
        fields = read_object(data)
        if fields is None:
            self._notes.add("malformed-event", name)
            return
        type_ = read_text(fields.get("type")) or name
        handler = _EVENTS.get(type_)
        if handler:
            handler(self, fields)
            return
        self._notes.add("unknown-event", type_)
        if len(self._unknown_events) < _MAX_UNKNOWN_EVENTS:
            self._unknown_events.append(Raw(msgspec.json.encode(fields)))

    def whole(self, body: bytes) -> None:
        fields = read_object(body)
        if fields is None:
            self._notes.add("malformed-answer", kind_of(body[:64]))
            return
        self._done = True
        if "error" in fields:
            self._fail(body, None)
        elif self._is_count:
            self._counted = read_integer(fields.get("input_tokens"))
            if self._counted is None:
                self._notes.add("malformed-answer", "input_tokens")
            self._keep(fields, {"input_tokens"}, "count")
        else:
            if "content" not in fields:
                self._notes.add("malformed-answer", "content")
            self._message(fields)

    def failed(self, status: int, body: bytes) -> None:
        self._fail(body, status)

    def answer(self) -> Answer:
        parts = tuple(
            part.part(self._notes, is_whole=False) if isinstance(part, Block) else part
            for part in self._parts
        )
        left = dict(self._left)
        if self._unknown_events:
            left["events"] = Raw(msgspec.json.encode(self._unknown_events))
        message = Message(role="assistant", parts=parts, id=self._id)
        return Answer(
            id=self._id,
            model=self._model,
            messages=(message,) if self._began or parts else (),
            stop_reason=self._stop_reason,
            usage=self._counts.usage(),
            failure=self._failure,
            counted_tokens=self._counted,
            fields_json=msgspec.json.encode(left) if left else None,
        )

    # --- events ----------------------------------------------------------------------------------

    def _message_start(self, fields: Object) -> None:
        message = read_object(fields.get("message"))
        if message is None or self._began:
            self._notes.add("malformed-event", "message_start")
        self._message(message or {})
        self._keep(fields, {"type", "message"}, "message_start")

    def _content_block_start(self, fields: Object) -> None:
        index = read_integer(fields.get("index"))
        raw = fields.get("content_block")
        block_fields = read_object(raw)
        if index is None or raw is None or block_fields is None:
            self._notes.add("malformed-event", "content_block_start")
            return
        if index in self._open:
            self._notes.add("malformed-event", "content_block_start")
            self._close(index)
        block = Block(len(self._parts), block_fields, bytes(raw))
        self._parts.append(block)
        self._open[index] = block
        if block.type == "fallback":
            served = read_object(block_fields.get("to")) or {}
            self._model = read_text(served.get("model")) or self._model
        elif block.type not in ("text", "thinking"):
            self._sink.content()
        self._keep(fields, {"type", "index", "content_block"}, "content_block_start")

    def _content_block_delta(self, fields: Object) -> None:
        block = self._open.get(_index(fields))
        if block is None:
            self._notes.add("malformed-event", "content_block_delta")
            return
        block.delta(fields.get("delta"), self._sink, self._notes)
        if len(fields) > 3:
            self._keep(fields, {"type", "index", "delta"}, "content_block_delta")

    def _content_block_stop(self, fields: Object) -> None:
        index = _index(fields)
        if index not in self._open:
            self._notes.add("malformed-event", "content_block_stop")
            return
        self._close(index)
        self._keep(fields, {"type", "index"}, "content_block_stop")

    def _message_delta(self, fields: Object) -> None:
        delta = read_object(fields.get("delta"))
        if delta is None:
            self._notes.add("malformed-event", "message_delta")
            delta = {}
        self._stop_reason = read_text(delta.get("stop_reason")) or self._stop_reason
        self._counts.update(fields.get("usage"), self._notes)
        self._keep(delta, {"stop_reason"}, "message_delta.delta")
        self._keep(fields, {"type", "delta", "usage"}, "message_delta")

    def _message_stop(self, fields: Object) -> None:
        for index in list(self._open):
            self._close(index)
        self._done = True
        self._keep(fields, {"type"}, "message_stop")

    def _error(self, fields: Object) -> None:
        # No more comes after it: the answer ended, if not as it was meant to.
        self._fail(msgspec.json.encode(fields), None)

    def _ping(self, fields: Object) -> None:
        """Says only that the connection stands."""

    # --- what they have in common ----------------------------------------------------------------

    def _message(self, fields: Object) -> None:
        """The message at the beginning of a stream (then without content), or the whole one."""
        self._began = True
        self._id = read_text(fields.get("id")) or self._id
        self._model = read_text(fields.get("model")) or self._model
        self._stop_reason = read_text(fields.get("stop_reason")) or self._stop_reason
        self._counts.update(fields.get("usage"), self._notes)
        content = fields.get("content")
        if kind_of(content) not in ("array", "null", "nothing"):
            self._notes.add("malformed-content", kind_of(content))
        for raw in read_array(content) or ():
            made = part(raw, self._notes)
            self._sink.part(len(self._parts), made)
            self._parts.append(made)
        self._keep(fields, _MESSAGE, "message")

    def _close(self, index: int) -> None:
        """The block is whole."""
        block = self._open.pop(index)
        made = block.part(self._notes, is_whole=True)
        self._parts[block.index] = made
        self._sink.part(block.index, made)

    def _fail(self, body: bytes, status: int | None) -> None:
        self._failure, left = read_failure(body, status)
        self._left |= left
        self._done = True

    def _keep(self, fields: Object, typed: Collection[str], where: str) -> None:
        """Keeps the fields that `Answer` has no place for; unknown ones make a note."""
        for name, value in fields.items():
            if name in typed:
                continue
            if name not in _KEPT:
                self._notes.add("unknown-field", f"{where}.{name}")
            if kind_of(value) != "null":
                self._left[name] = value


def _index(fields: Object) -> int:
    """The wire's index of a block; one that none has if it cannot be read."""
    index = read_integer(fields.get("index"))
    return -1 if index is None else index


_EVENTS: dict[str, Callable[[Reply, Object], None]] = {
    "message_start": Reply._message_start,
    "content_block_start": Reply._content_block_start,
    "content_block_delta": Reply._content_block_delta,
    "content_block_stop": Reply._content_block_stop,
    "message_delta": Reply._message_delta,
    "message_stop": Reply._message_stop,
    "error": Reply._error,
    "ping": Reply._ping,
}
