"""
Responses: what the provider sends, as events or as one body, made into an `Answer`.

Source of the events' names and fields: the `openai` package's types (3.54), read 2026-11.
"""

from collections.abc import Callable

from addons.wire.fields import (
    Object,
    Raw,
    kind_of,
    read_array,
    read_integer,
    read_number,
    read_object,
    read_text,
)
from addons.wire.responses_names import (
    EVENT_FIELDS,
    IDLE,
    KEPT,
    PROGRESS,
    RESPONSE_FIELDS,
    SAID_ELSEWHERE,
)
from addons.wire.responses_output import Indices, Item, Kind, Where
from addons.wire.responses_parts import json_text, kept
from addons.wire.running import Notes, Sink
from storage.decoded import Answer, Failure, Message, OtherPart, Usage

_MAX_KEPT = 50  # kinds of events that are kept as they came
_MAX_KEPT_BYTES = 64 << 10  # one of them


class Builder:
    """Makes an answer of a response's events; shared by SSE and WebSocket."""

    def __init__(self, sink: Sink, notes: Notes, operation: str) -> None:
        self._sink = sink
        self._notes = notes
        self._operation = operation
        self._indices = Indices()
        self._items: dict[int, Item] = {}
        self._response: Object = {}
        self._failure: Failure | None = None
        self._kept: dict[str, Raw] = {}
        self._done = False

    @property
    def is_done(self) -> bool:
        return self._done

    def event(self, name: str, data: str) -> None:
        if data == "[DONE]":  # of servers that also speak Chat Completions
            return
        fields = read_object(data)
        if fields is None:
            self._notes.add("malformed-event", name or None)
            return
        kind = read_text(fields.get("type")) or ("error" if "error" in fields else name)
        reader = _READERS.get(kind)
        if reader:
            reader(self, fields)
        elif kind in PROGRESS:
            self._sink.content()
        elif kind not in IDLE:
            self._keep(kind, data)
            if kind not in KEPT:
                self._notes.add("unknown-event", kind)
        unknown = fields.keys() - EVENT_FIELDS
        if unknown and kind in _KNOWN:
            for field in sorted(unknown):
                self._notes.add("unknown-field", f"{kind}: {field}")

    def whole(self, body: bytes) -> None:
        fields = read_object(body)
        if fields is None:
            self._notes.add("malformed-answer")
            return
        if "output" not in fields and _is_set(fields.get("error")):
            self._fail(fields, None)
        else:
            self._ended(fields)

    def failed(self, status: int, body: bytes) -> None:
        fields = read_object(body)
        if fields is None:
            text = body.decode(errors="replace").strip()
            self._failure = Failure(type=None, message=text[:2000] or None, status=status)
        else:
            self._fail(fields, status)

    def answer(self) -> Answer:
        response = self._response
        counts = self._operation == "count"
        return Answer(
            id=read_text(response.get("id")),
            model=read_text(response.get("model")),
            messages=tuple(self._messages()),
            stop_reason=None if counts else _stop_reason(response, self._done),
            usage=None if counts else _usage(response),
            failure=self._failure,
            counted_tokens=read_integer(response.get("input_tokens")) if counts else None,
            fields_json=self._fields(),
        )

    # --- events ----------------------------------------------------------------------------------

    def begun(self, event: Object) -> None:
        response = read_object(event.get("response"))
        if response is not None:
            self._response = response
        else:
            self._notes.add("malformed-event", read_text(event.get("type")))

    def ended(self, event: Object) -> None:
        response = read_object(event.get("response"))
        if response is None:
            self._notes.add("malformed-event", read_text(event.get("type")))
            self._done = True
            return
        self._ended(response)

    def error(self, event: Object) -> None:
        status = read_integer(event.get("status"))
        if status is None:
            status = read_integer(event.get("status_code"))
        self._fail(event, status)
        self._done = True

    def item_added(self, event: Object) -> None:
        fields = read_object(event.get("item"))
        if fields is None:
            self._malformed(event)
            return
        kind = read_text(fields.get("type")) or "object"
        self._item(event, kind).added(fields)

    def item_done(self, event: Object) -> None:
        raw = event.get("item")
        fields = read_object(raw)
        if raw is None or fields is None:
            self._malformed(event)
            return
        self._item(event, read_text(fields.get("type")) or "object").done(raw)

    def part_added(self, event: Object, where: Where) -> None:
        item = self._item(event, _ITEM_OF[where])
        item.part_added((where, _at(event, where)), event.get("part"))

    def part_done(self, event: Object, where: Where) -> None:
        item = self._item(event, _ITEM_OF[where])
        item.part_done((where, _at(event, where)), event.get("part"))

    def citation(self, event: Object) -> None:
        annotation = event.get("annotation")
        if annotation is not None:
            place: tuple[Where, int] = ("content", _at(event, "content"))
            self._item(event, "message").citation(place, annotation)
        self._sink.content()

    def delta(self, event: Object, where: Where, kind: Kind, of: str) -> None:
        text = read_text(event.get("delta"))
        if text is None:
            self._malformed(event)
        else:
            self._item(event, of).delta((where, _at(event, where)), kind, text)

    def text(self, event: Object, where: Where, kind: Kind, of: str, field: str) -> None:
        text = read_text(event.get(field))
        if text is None:
            self._malformed(event)
        else:
            self._item(event, of).text((where, _at(event, where)), kind, text)

    # --- parts of them ---------------------------------------------------------------------------

    def _item(self, event: Object, kind: str) -> Item:
        """The item that an event speaks of; by its index, else by its id, else the latest."""
        index = read_integer(event.get("output_index"))
        if index is None:
            wanted = read_text(event.get("item_id"))
            last = max(self._items, default=0)
            index = next((at for at, one in self._items.items() if one.id == wanted), last)
        item = self._items.get(index)
        if item is None:
            item = self._items[index] = Item(self._sink, self._notes, self._indices, kind)
        return item

    def _malformed(self, event: Object) -> None:
        self._notes.add("malformed-event", read_text(event.get("type")))

    def _ended(self, response: Object) -> None:
        """The response as it is at its end."""
        self._done = True
        self._response = {**self._response, **response}
        if self._operation != "count":
            for name in sorted(response.keys() - RESPONSE_FIELDS):
                self._notes.add("unknown-field", name)
            self._complete(read_array(response.get("output")) or [])
        if _is_set(response.get("error")):
            self._failure = _failure(response, None)

    def _complete(self, output: list[Raw]) -> None:
        """Items that only the whole output holds. What was streamed whole stands."""
        if len(output) == len(self._items) and all(item.is_done for item in self._items.values()):
            return
        by_id = {item.id: item for item in self._items.values() if item.id is not None}
        for index, raw in enumerate(output):
            fields = read_object(raw) or {}
            item = by_id.get(read_text(fields.get("id")) or "") or self._items.get(index)
            if item is None:
                kind = read_text(fields.get("type")) or "object"
                item = self._items[index] = Item(self._sink, self._notes, self._indices, kind)
            if not item.is_done:
                item.done(raw)

    def _fail(self, fields: Object, status: int | None) -> None:
        self._failure = _failure(fields, status)
        told: Object = {name: fields[name] for name in ("error", "headers") if name in fields}
        self._response = {**self._response, **told}

    def _keep(self, kind: str, data: str) -> None:
        raw = data.encode(errors="replace")
        if len(raw) <= _MAX_KEPT_BYTES and (kind in self._kept or len(self._kept) < _MAX_KEPT):
            self._kept[kind] = Raw(raw)

    def _messages(self) -> list[Message]:
        messages = [self._items[index].message() for index in sorted(self._items)]
        return [message for message in messages if not _is_tools(message)]

    def _fields(self) -> bytes | None:
        fields = {**self._response, **self._kept}
        if self._operation == "count":
            return kept(fields, ("input_tokens", "object"))
        return kept(fields, SAID_ELSEWHERE)


def _is_set(raw: Raw | None) -> bool:
    return kind_of(raw) not in ("null", "nothing")


def _is_tools(message: Message) -> bool:
    """As in a request: an `additional_tools` item is no message."""
    part = message.parts[0] if message.parts else None
    return isinstance(part, OtherPart) and part.type == "additional_tools"


def _at(event: Object, where: Where) -> int:
    name = _INDEX_OF.get(where)
    return (read_integer(event.get(name)) or 0) if name else 0


def _stop_reason(response: Object, done: bool) -> str | None:
    """Why it stopped short, else the status: the wire has no other word for a good end."""
    if not done:
        return None
    details = read_object(response.get("incomplete_details")) or {}
    return read_text(details.get("reason")) or read_text(response.get("status"))


def _failure(fields: Object, status: int | None) -> Failure:
    """
    From `{"error": {...}}`, from an `error` event with its fields beside `type`, or from
    `{"detail": ...}` (chatgpt.com).
    """
    raw = fields.get("error")
    error = read_object(raw)
    if error is None:
        error = {} if _is_set(raw) else {n: v for n, v in fields.items() if n != "type"}
        message = read_text(raw) or read_text(error.get("message"))
        detail = error.get("detail")
        message = message or read_text(detail) or json_text(detail) or None
    else:
        message = read_text(error.get("message"))
    named = read_text(error.get("code")) or read_text(error.get("type"))
    return Failure(type=named, message=message, status=status)


def _usage(response: Object) -> Usage | None:
    """
    `input_tokens` includes what was cached, `output_tokens` the reasoning; a later report replaces
    an earlier one.
    """
    raw = response.get("usage")
    usage = read_object(raw)
    if raw is None or usage is None:
        return None
    sent = read_object(usage.get("input_tokens_details")) or {}
    made = read_object(usage.get("output_tokens_details")) or {}
    tools = read_object(response.get("tool_usage")) or {}
    searches = read_object(tools.get("web_search")) or {}
    return Usage(
        input_tokens=read_integer(usage.get("input_tokens")),
        output_tokens=read_integer(usage.get("output_tokens")),
        cache_read_tokens=read_integer(sent.get("cached_tokens")),
        cache_write_tokens=read_integer(sent.get("cache_write_tokens")),
        reasoning_tokens=read_integer(made.get("reasoning_tokens")),
        total_tokens=read_integer(usage.get("total_tokens")),
        web_search_requests=read_integer(searches.get("num_requests")),
        service_tier=read_text(response.get("service_tier")),
        provider_cost_usd=read_number(usage.get("cost")),  # OpenRouter
        raw_json=bytes(raw),
    )


_INDEX_OF: dict[Where, str] = {
    "content": "content_index",
    "summary": "summary_index",
    "command": "command_index",
}
_ITEM_OF: dict[Where, str] = {"content": "message", "summary": "reasoning"}

_Reader = Callable[[Builder, Object], None]


def _streamed(name: str, where: Where, kind: Kind, of: str, field: str) -> dict[str, _Reader]:
    """The pair of events by which a text comes: pieces, then the whole of it in `field`."""
    return {
        f"response.{name}.delta": lambda self, event: self.delta(event, where, kind, of),
        f"response.{name}.done": lambda self, event: self.text(event, where, kind, of, field),
    }


_READERS: dict[str, _Reader] = {
    "response.created": Builder.begun,
    "response.queued": Builder.begun,
    "response.in_progress": Builder.begun,
    "response.completed": Builder.ended,
    "response.incomplete": Builder.ended,
    "response.failed": Builder.ended,
    "response.cancelled": Builder.ended,
    "error": Builder.error,
    "response.error": Builder.error,
    "response.output_item.added": Builder.item_added,
    "response.output_item.done": Builder.item_done,
    "response.content_part.added": lambda self, event: self.part_added(event, "content"),
    "response.content_part.done": lambda self, event: self.part_done(event, "content"),
    "response.reasoning_summary_part.added": lambda self, event: self.part_added(event, "summary"),
    "response.reasoning_summary_part.done": lambda self, event: self.part_done(event, "summary"),
    "response.output_text.annotation.added": Builder.citation,
    **_streamed("output_text", "content", "text", "message", "text"),
    **_streamed("refusal", "content", "refusal", "message", "refusal"),
    **_streamed("reasoning_text", "content", "thinking", "reasoning", "text"),
    **_streamed("reasoning_summary_text", "summary", "thinking", "reasoning", "text"),
    **_streamed("function_call_arguments", "call", "arguments", "function_call", "arguments"),
    **_streamed("mcp_call_arguments", "call", "arguments", "mcp_call", "arguments"),
    **_streamed("custom_tool_call_input", "call", "arguments", "custom_tool_call", "input"),
    **_streamed("code_interpreter_call_code", "call", "arguments", "code_interpreter_call", "code"),
    **_streamed("shell_call_command", "command", "arguments", "shell_call", "command"),
}

_KNOWN = frozenset(_READERS) | PROGRESS
