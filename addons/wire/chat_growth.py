"""One message of an answer while it comes: the pieces of its parts, said on as they arrive."""

from collections.abc import Callable
from typing import Literal

import msgspec

from addons.wire import chat_content as content
from addons.wire import chat_reasoning
from addons.wire.chat_calls import Calls
from addons.wire.chat_plain import Delta
from addons.wire.fields import Object, Raw, read_array, read_text
from addons.wire.running import Sink
from storage.decoded import MediaPart, Message, Part, RefusalPart, TextPart

Kind = Literal["thinking", "text", "refusal"]


class _Text:
    def __init__(self, index: int) -> None:
        self.index = index
        self.pieces: list[str] = []
        self.is_said = False  # that it is whole


class Growth:
    """
    A message has one text, one thinking and one refusal, however often they take turns.

    So does the message that the client sends back. A part that goes on after it was said to be
    whole is said to be whole once more. Calls are not: someone may have acted on them.
    """

    def __init__(self, sink: Sink, begin: Callable[[], int]) -> None:
        """`begin` gives the next part of the answer its index."""
        self._sink = sink
        self._begin = begin
        self._texts: dict[Kind, _Text] = {}
        self._reasoning = chat_reasoning.Reasoning()
        self._citations: list[Raw] = []
        self._whole: list[Part] = []
        self._audio: _Audio | None = None
        self._extra: dict[str, list[Raw]] = {}
        self.calls = Calls(sink, begin)
        self.finish_reason: str | None = None

    @property
    def is_empty(self) -> bool:
        return not (self._texts or self._whole or self._audio or self.calls.any)

    def text(self, kind: Kind, piece: str) -> None:
        """More text; an empty piece begins nothing."""
        if not piece:
            return
        text = self._texts.get(kind)
        if text is None or text.is_said:
            self._close_texts(but=kind)
        if text is None:
            text = self._texts[kind] = _Text(self._begin())
        text.is_said = False
        text.pieces.append(piece)
        self._sink.delta(text.index, kind, piece)

    def reasoning(self, delta: Object) -> None:
        """What a delta, or a whole message, has of reasoning."""
        self.text("thinking", chat_reasoning.text_of(delta))
        if self._reasoning.add(delta):
            self._sink.content()

    def cite(self, citations: Raw) -> None:
        self._citations += read_array(citations) or ()

    def call(self, raw: Raw) -> bool:
        """A piece of a tool call; False if it is none."""
        self._close_texts()
        return self.calls.add(raw)

    def go_on(self, delta: Delta) -> None:
        """A delta that has nothing unusual."""
        self.text("thinking", delta.reasoning_content or delta.reasoning or "")
        self.text("text", delta.content or "")
        if delta.tool_calls:
            self._close_texts()
            for piece in delta.tool_calls:
                self.calls.go_on(piece)

    def function_call(self, raw: Raw) -> bool:
        self._close_texts()
        return self.calls.add_function(raw)

    def part(self, part: Part) -> None:
        """A part that came whole."""
        self._close_texts()
        self._whole.append(part)
        self._sink.part(self._begin(), part)

    def audio(self, fields: Object) -> None:
        if self._audio is None:
            self._audio = _Audio(self._begin())
        self._audio.add(fields)
        self._sink.content()

    def keep(self, name: str, value: Raw) -> None:
        """A field that has no place in the parts."""
        values = self._extra.setdefault(name, [])
        if not values or bytes(values[-1]) != bytes(value):
            values.append(value)

    def close(self) -> None:
        """The message is whole."""
        self._close_texts()
        if self._audio and not self._audio.is_said:
            self._audio.is_said = True
            self._sink.part(self._audio.index, self._audio.part())
        self.calls.close()

    def message(self, *, is_first: bool) -> Message:
        """With the parts in the order of `chat_message.parts`."""
        extra: dict[str, object] = {
            name: values[0] if len(values) == 1 else values for name, values in self._extra.items()
        }
        if self.finish_reason is not None and not is_first:
            extra["finish_reason"] = self.finish_reason
        if self._citations and "text" not in self._texts:
            extra["annotations"] = self._citations
        texts = [self._text_part(kind) for kind in ("thinking", "text", "refusal")]
        parts = [part for part in texts if part is not None]
        if self._audio:
            parts.append(self._audio.part())
        return Message(
            role="assistant",
            parts=(*parts, *self._whole, *self.calls.parts()),
            extra_json=content.packed(extra),
        )

    def _close_texts(self, but: Kind | None = None) -> None:
        for kind, text in self._texts.items():
            if kind == but or text.is_said:
                continue
            text.is_said = True
            if part := self._text_part(kind):
                self._sink.part(text.index, part)

    def _text_part(self, kind: Kind) -> Part | None:
        pieces = self._texts[kind].pieces if kind in self._texts else []
        text = "".join(pieces)
        if kind == "thinking":
            return self._reasoning.part(text)
        if kind not in self._texts:
            return None
        if kind == "refusal":
            return RefusalPart(text=text)
        citations = msgspec.json.encode(self._citations) if self._citations else None
        return TextPart(text=text, citations_json=citations)


class _Audio:
    def __init__(self, index: int) -> None:
        self.index = index
        self.is_said = False
        self._data: list[str] = []
        self._transcript: list[str] = []
        self._fields: Object = {}

    def add(self, fields: Object) -> None:
        self._data.append(read_text(fields.get("data")) or "")
        self._transcript.append(read_text(fields.get("transcript")) or "")
        self._fields |= content.extras(fields, {"data", "transcript"})

    def part(self) -> MediaPart:
        extra: dict[str, object] = dict(self._fields)
        if transcript := "".join(self._transcript):
            extra["transcript"] = transcript
        part = content.medium("audio", "".join(self._data))
        size = sum(map(content.base64_size_bytes, self._data)) if part.size_bytes else None
        return msgspec.structs.replace(part, size_bytes=size, extra_json=content.packed(extra))
