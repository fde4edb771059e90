"""The answer to a chat call: the chunks of a stream, or one completion."""

from collections.abc import Mapping

from addons.framing import sse
from addons.wire import chat_content as content
from addons.wire import chat_delta, chat_failure, chat_message, chat_plain
from addons.wire.chat_growth import Growth
from addons.wire.chat_usage import usage
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

_READ = frozenset(("id", "model", "choices", "usage", "error", "object", "obfuscation"))
# Kept in `fields_json`, and no news.
_QUIET = frozenset(
    (
        *("created", "system_fingerprint", "service_tier", "provider", "moderation", "metadata"),
        *("prompt_filter_results", "content_filter_results", "content_filter_offsets"),
        *("copilot_usage", "copilot_references", "copilot_errors", "copilot_confirmation"),
        *("citations", "search_results", "images", "related_questions", "x_groq", "request_id"),
        *("prompt_logprobs", "prompt_token_ids", "kv_transfer_params", "timings", "time_info"),
        *("openrouter_metadata", "warning", "nvext", "sglext", "prompt", "type", "p"),
    )
)
_CHOICE = frozenset(("index", "delta", "message", "finish_reason", "usage"))


class Answering:
    """A Builder."""

    def __init__(self, sink: Sink, notes: Notes, wanted: int) -> None:
        """`wanted`: how many choices the request asks for."""
        self._sink = sink
        self._notes = notes
        self._wanted = wanted
        self._begun = 0  # parts, of all choices
        self._choices: dict[int, Growth] = {}
        self._completed: dict[int, _Completed] = {}
        self._first: int | None = None  # the lowest index of a choice
        self._id: str | None = None
        self._model: str | None = None
        self._usage: Raw | None = None
        self._failure: Failure | None = None
        self._fields: Object = {}
        self._said_done = False

    @property
    def is_done(self) -> bool:
        """
        `[DONE]` came, or a reason to stop for each choice: some servers leave `[DONE]` out.

        An error in the middle ends a stream too, but not the answer.
        """
        if self._failure:
            return False
        finished = sum(growth.finish_reason is not None for growth in self._choices.values())
        return self._said_done or finished >= max(self._wanted, len(self._choices))

    def event(self, name: str, data: str) -> None:
        text = data.strip()
        if text == "[DONE]":
            self._said_done = True
            for growth in self._choices.values():
                growth.close()
            return
        plain = chat_plain.delta(text)
        if plain and (running := self._choices.get(plain[0])):
            running.go_on(plain[1])
            return
        fields = read_object(text)
        if fields is None:
            self._notes.add("malformed-event", None if name == "message" else name)
            return
        self._top(fields)
        if "choices" not in fields and not {"usage", "error"} & fields.keys():
            self._notes.add("unknown-event", read_text(fields.get("object")) or name)
        for at, raw in enumerate(self._listed(fields)):
            choice = read_object(raw)
            if choice is None:
                self._notes.add("malformed-choice", kind_of(raw))
            else:
                self._grow(choice, at)

    def whole(self, body: bytes) -> None:
        fields = read_object(body)
        if fields is None:
            self._misnamed(body)
            return
        self._top(fields)
        for at, raw in enumerate(self._listed(fields)):
            choice = read_object(raw)
            if choice is None:
                self._notes.add("malformed-choice", kind_of(raw))
            else:
                self._complete(choice, at)

    def _misnamed(self, body: bytes) -> None:
        """Gateways send streams without calling them so."""
        decoder = sse.Decoder()
        events = [*decoder.feed(body), *decoder.finish()]
        if not any(read_object(event.data) for event in events):
            self._notes.add("malformed-answer")
            return
        for event in events:
            self.event(event.name, event.data)

    def failed(self, status: int, body: bytes) -> None:
        self._failure = chat_failure.of_body(status, body)
        fields = read_object(body) or {}
        self._fields |= content.extras(fields, frozenset())

    def answer(self) -> Answer:
        choices: Mapping[int, Growth | _Completed] = self._completed or self._choices
        tier = read_text(self._fields.get("service_tier"))
        return Answer(
            id=self._id,
            model=self._model,
            messages=tuple(
                choices[index].message(is_first=index == self._first) for index in sorted(choices)
            ),
            stop_reason=None if self._first is None else choices[self._first].finish_reason,
            usage=usage(None if self._usage is None else bytes(self._usage), tier),
            failure=self._failure,
            fields_json=content.packed(self._fields),
        )

    def _top(self, fields: Object) -> None:
        """What stands around the choices."""
        self._id = self._id or read_text(fields.get("id"))
        self._model = self._model or read_text(fields.get("model"))
        for name, value in fields.items():
            if name in _READ or bytes(value) == b"null":
                continue
            if name not in _QUIET:
                self._notes.add("unknown-field", name)
            self._fields[name] = value
        self._count(fields)
        if groq := read_object(fields.get("x_groq")):
            self._count(groq)
        if failure := chat_failure.of_value(content.present(fields, "error")):
            self._failure = failure
            self._fields["error"] = fields["error"]

    def _count(self, fields: Object) -> None:
        """Counts are of the whole answer each time: the last ones stand."""
        counts = fields.get("usage")
        if counts is not None and kind_of(counts) == "object":
            self._usage = counts

    def _listed(self, fields: Object) -> list[Raw]:
        choices = content.present(fields, "choices")
        listed = read_array(choices)
        if listed is None and choices is not None:
            self._notes.add("malformed-choices", kind_of(choices))
        return listed or []

    def _index(self, choice: Object, at: int) -> int:
        # Copilot spreads one answer over several choices without an index.
        index = read_integer(choice.get("index"))
        if index is None:
            index = at if self._wanted > 1 else 0
        self._first = index if self._first is None else min(self._first, index)
        return index

    def _stop(self, choice: Object) -> str | None:
        self._count(choice)
        if failure := chat_failure.of_value(content.present(choice, "error")):
            self._failure = self._failure or failure
        return read_text(choice.get("finish_reason")) or None

    def _begin(self) -> int:
        self._begun += 1
        return self._begun - 1

    # --- a stream ---

    def _grow(self, choice: Object, at: int) -> None:
        index = self._index(choice, at)
        growth = self._choices.get(index)
        if growth is None:
            growth = self._choices[index] = Growth(self._sink, self._begin)
        delta = read_object(choice.get("delta"))
        if delta is None and growth.is_empty:
            delta = read_object(choice.get("message"))  # a whole message in place of deltas
        if delta:
            chat_delta.read(delta, growth, self._notes)
        for name, value in content.extras(choice, _CHOICE).items():
            chat_delta.keep(growth, name, value, self._notes)
        if reason := self._stop(choice):
            growth.finish_reason = reason
            growth.close()

    # --- a completion ---

    def _complete(self, choice: Object, at: int) -> None:
        index = self._index(choice, at)
        fields = read_object(choice.get("message")) or {}
        parts = chat_message.parts(fields)
        extra = {**chat_message.unread(fields), **content.extras(choice, _CHOICE)}
        completed = self._completed.setdefault(index, _Completed())
        completed.parts += parts
        completed.extra |= extra
        completed.finish_reason = self._stop(choice) or completed.finish_reason
        for part in parts:
            self._sink.part(self._begin(), part)
        chat_message.note(
            Message(role="assistant", parts=tuple(parts), extra_json=content.packed(extra)),
            self._notes,
        )


class _Completed:
    """A choice of a completion; several without an index are one."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.extra: dict[str, object] = {}
        self.finish_reason: str | None = None

    def message(self, *, is_first: bool) -> Message:
        reason = {} if is_first or not self.finish_reason else {"finish_reason": self.finish_reason}
        extra = content.packed({**self.extra, **reason})
        return Message(role="assistant", parts=tuple(self.parts), extra_json=extra)
