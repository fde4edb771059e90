"""One candidate of a Gemini answer while it comes: its parts, and what is said of it beside."""

from collections.abc import Callable

import msgspec

from addons.wire.fields import Object, Raw, read_array, read_object, read_text
from addons.wire.gemini_partial import PartialCall
from addons.wire.gemini_parts import merged, note_parts, read_part
from addons.wire.running import Notes, Sink
from storage.decoded import Message, Part, TextPart, ThinkingPart, ToolCallPart

_READ = frozenset({"content", "index", "finishReason"})
_KNOWN = _READ | {
    "finishMessage", "safetyRatings", "citationMetadata", "tokenCount", "groundingAttributions",
    "groundingMetadata", "avgLogprobs", "logprobsResult", "urlContextMetadata",
}  # fmt: skip


class Candidate:
    """`begin` gives the next part its index."""

    def __init__(self, sink: Sink, notes: Notes, begin: Callable[[], int]) -> None:
        self._sink = sink
        self._notes = notes
        self._begin = begin
        self._parts: list[Part] = []
        self._run: _Run | PartialCall | None = None
        self._run_index = 0
        self._extra: Object = {}
        self._citations: list[Raw] = []
        self.finish_reason: str | None = None

    def read(self, fields: Object, *, joins: bool) -> None:
        """One chunk's piece. `joins`: its texts go on where the last ones ended."""
        content = read_object(fields.get("content")) or {}
        for name in content.keys() - {"parts", "role"}:
            self._notes.add("unknown-field", f"content.{name}")
        for raw in read_array(content.get("parts")) or ():
            self._part(read_part(raw), joins=joins)
        for name in fields.keys() - _READ:
            if name not in _KNOWN:
                self._notes.add("unknown-field", f"candidate.{name}")
            if name == "citationMetadata":
                self._citations.append(fields[name])  # of its chunk; all else is as it is by now
            else:
                self._extra[name] = fields[name]
        self.finish_reason = read_text(fields.get("finishReason")) or self.finish_reason
        if self.finish_reason:
            self._close()

    def message(self, *, is_first: bool) -> Message:
        """As far as it came. The answer itself says why the first candidate stopped."""
        parts = [*self._parts, self._run.part()] if self._run else self._parts
        extra = dict(self._extra)
        if self._citations:
            several = len(self._citations) > 1
            citations = self._citations if several else self._citations[0]
            extra["citationMetadata"] = Raw(msgspec.json.encode(citations))
        if not is_first and self.finish_reason:
            extra["finishReason"] = Raw(msgspec.json.encode(self.finish_reason))
        return Message(
            role="assistant",
            parts=tuple(parts),
            extra_json=msgspec.json.encode(extra) if extra else None,
        )

    def _part(self, part: Part, *, joins: bool) -> None:
        note_parts((part,), self._notes)
        if isinstance(part, ToolCallPart) and self._called(part):
            return
        if joins and isinstance(part, TextPart | ThinkingPart):
            self._text(part)
            return
        self._close()
        index = self._begin()
        if joins and isinstance(part, ToolCallPart):
            self._sink.delta(index, "arguments", part.arguments)
        self._done(index, part)

    def _called(self, part: ToolCallPart) -> bool:
        """Whether this is a piece of a call whose arguments come one by one."""
        if isinstance(self._run, PartialCall) and self._run.goes_on(part):
            self._run.add(part)
        elif PartialCall.begins(part):
            self._close()
            self._run = PartialCall(part)
            self._run_index = self._begin()
            self._sink.content()
        else:
            return False
        if self._run.is_whole:
            self._close()
        return True

    def _text(self, part: TextPart | ThinkingPart) -> None:
        kind = type(part)
        run = self._run if isinstance(self._run, _Run) and self._run.kind is kind else None
        if run is None:
            if not part.text and part.extra_json is None:
                return  # an empty frame around a finish reason
            self._close()
            run = self._run = _Run(part)
            self._run_index = self._begin()
        else:
            run.add(part)
        if part.text:
            is_thinking = isinstance(part, ThinkingPart)
            self._sink.delta(self._run_index, "thinking" if is_thinking else "text", part.text)

    def _close(self) -> None:
        if self._run:
            part = self._run.part()
            if isinstance(self._run, PartialCall) and self._run.failed:
                self._notes.add("malformed-arguments", "partialArgs")
            self._run = None
            self._done(self._run_index, part)

    def _done(self, index: int, part: Part) -> None:
        self._parts.append(part)
        self._sink.part(index, part)


class _Run:
    """Pieces of text, or of thinking, that make one part."""

    def __init__(self, first: TextPart | ThinkingPart) -> None:
        self.kind = type(first)
        self._texts = [first.text]
        self._extras = [first.extra_json]

    def add(self, part: TextPart | ThinkingPart) -> None:
        self._texts.append(part.text)
        if part.extra_json:
            self._extras.append(part.extra_json)

    def part(self) -> Part:
        return self.kind(text="".join(self._texts), extra_json=merged(self._extras))
