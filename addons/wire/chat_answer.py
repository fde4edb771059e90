"""The answer to a chat call: the chunks of a stream, or one completion."""

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
        self._messages: dict[int, Message] = {}  # of a completion
        self._id: str | None = None
        self._model: str | None = None
        self._stop_reason: str | None = None
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
            self._notes.add("malformed-answer")
            return
        self._top(fields)
        for at, raw in enumerate(self._listed(fields)):
            choice = read_object(raw)
            if choice is None:
                self._notes.add("malformed-choice", kind_of(raw))
            else:
                self._complete(choice, at)

    def failed(self, status: int, body: bytes) -> None:
        self._failure = chat_failure.of_body(status, body)
        fields = read_object(body) or {}
        self._fields |= content.extras(fields, frozenset())

    def answer(self) -> Answer:
        tier = read_text(self._fields.get("service_tier"))
        return Answer(
            id=self._id,
            model=self._model,
            messages=self._answered(),
            stop_reason=self._stop_reason,
            usage=usage(None if self._usage is None else bytes(self._usage), tier),
            failure=self._failure,
            fields_json=content.packed(self._fields),
        )

    def _answered(self) -> tuple[Message, ...]:
        if self._messages:
            return tuple(self._messages[index] for index in sorted(self._messages))
        ordered = sorted(self._choices)
        return tuple(self._choices[at].message(is_first=at == ordered[0]) for at in ordered)

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
        return (at if self._wanted > 1 else 0) if index is None else index

    def _stop(self, index: int, choice: Object) -> str | None:
        reason = read_text(choice.get("finish_reason")) or None
        if reason and index == min((index, *self._choices, *self._messages)):
            self._stop_reason = reason
        self._count(choice)
        if failure := chat_failure.of_value(content.present(choice, "error")):
            self._failure = self._failure or failure
        return reason

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
        if reason := self._stop(index, choice):
            growth.finish_reason = reason
            growth.close()

    # --- a completion ---

    def _complete(self, choice: Object, at: int) -> None:
        index = self._index(choice, at)
        reason = self._stop(index, choice)
        fields = read_object(choice.get("message")) or {}
        before = self._messages.get(index)
        parts: list[Part] = [*(before.parts if before else ()), *chat_message.parts(fields)]
        extra: dict[str, object] = {
            **(read_object(before.extra_json) or {} if before else {}),
            **chat_message.unread(fields),
            **content.extras(choice, _CHOICE),
        }
        if reason and self._messages.keys() - {index}:
            extra["finish_reason"] = reason
        message = Message(role="assistant", parts=tuple(parts), extra_json=content.packed(extra))
        for part in parts[len(before.parts) if before else 0 :]:
            self._sink.part(self._begin(), part)
        chat_message.note(message, self._notes)
        self._messages[index] = message
