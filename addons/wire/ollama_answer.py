"""The answer to an Ollama call: lines of a stream, or one object of the same shape."""

from addons.wire import chat_content as content
from addons.wire import chat_delta, chat_failure, chat_message, chat_plain
from addons.wire.chat_growth import Growth
from addons.wire.chat_usage import read_count
from addons.wire.fields import Object, read_array, read_boolean, read_object, read_text
from addons.wire.ollama_request import context_count
from addons.wire.running import Notes, Sink
from storage.decoded import Answer, Failure, Message, Usage

_COUNTS = ("prompt_eval_count", "eval_count")
_SAID = ("message", "response", "thinking", "tool_calls")
_READ = frozenset((*_SAID, *_COUNTS, "model", "done", "done_reason", "error", "context"))
# Kept in `fields_json`, and no news. Durations are nanoseconds.
_QUIET = frozenset(
    (
        *("created_at", "total_duration", "load_duration"),
        *("prompt_eval_duration", "eval_duration", "remote_model", "remote_host", "logprobs"),
    )
)


class Answering:
    """A Builder, for both endpoints: `generate` says its text and thinking in the line itself."""

    def __init__(self, sink: Sink, notes: Notes) -> None:
        self._sink = sink
        self._notes = notes
        self._begun = 0
        self._growth = Growth(sink, self._begin)
        self._whole: Message | None = None
        self._answered = False
        self._model: str | None = None
        self._stop_reason: str | None = None
        self._counts: Object = {}
        self._failure: Failure | None = None
        self._fields: dict[str, object] = {}
        self._said_done = False

    @property
    def is_done(self) -> bool:
        return self._said_done and self._failure is None

    def event(self, name: str, data: str) -> None:
        plain = chat_plain.line(data) if self._answered else None
        if plain:
            self._growth.text("thinking", plain.thinking or "")
            self._growth.text("text", plain.content or "")
            return
        fields = read_object(data)
        if fields is None:
            self._notes.add("malformed-event")
            return
        self._top(fields)
        if not fields.keys() & (*_SAID, "error", "done"):
            self._notes.add("unknown-event", ",".join(sorted(fields)[:5]))
        said = self._said(fields)
        for raw in read_array(said.pop("tool_calls", None)) or ():
            self._growth.part(content.call(raw))
        chat_delta.read(said, self._growth, self._notes)
        if self._said_done:
            self._growth.close()

    def whole(self, body: bytes) -> None:
        fields = read_object(body)
        if fields is None:
            self._lines(body)
            return
        self._top(fields)
        said = self._said(fields)
        if not self._answered:
            return
        parts = tuple(chat_message.parts(said))
        extra = content.packed(chat_message.unread(said))
        self._whole = Message(role="assistant", parts=parts, extra_json=extra)
        for part in parts:
            self._sink.part(self._begin(), part)
        chat_message.note(self._whole, self._notes)

    def failed(self, status: int, body: bytes) -> None:
        self._failure = chat_failure.of_body(status, body)

    def answer(self) -> Answer:
        message = self._whole or self._growth.message(is_first=True)
        return Answer(
            model=self._model,
            messages=(message,) if self._answered else (),
            stop_reason=self._stop_reason,
            usage=self._usage(),
            failure=self._failure,
            fields_json=content.packed(self._fields),
        )

    def _lines(self, body: bytes) -> None:
        """A proxy may call a stream plain JSON; then the lines tell."""
        lines = body.decode(errors="replace").split("\n")
        if all(read_object(line) is not None for line in lines if line.strip()) and body.strip():
            for line in lines:
                if line.strip():
                    self.event("", line)
        else:
            self._notes.add("malformed-answer")

    def _top(self, fields: Object) -> None:
        self._model = read_text(fields.get("model")) or self._model
        self._stop_reason = read_text(fields.get("done_reason")) or self._stop_reason
        self._said_done = self._said_done or read_boolean(fields.get("done")) is True
        self._counts |= {name: fields[name] for name in _COUNTS if name in fields}
        self._failure = chat_failure.of_value(fields.get("error")) or self._failure
        self._fields |= context_count(fields)
        for name, value in content.extras(fields, _READ).items():
            if name not in _QUIET:
                self._notes.add("unknown-field", name)
            if name != "created_at" or name not in self._fields:
                self._fields[name] = value

    def _said(self, fields: Object) -> Object:
        """What a line says, as a delta of chat."""
        message = read_object(fields.get("message"))
        if message is None:
            message = {name: fields[name] for name in ("thinking", "tool_calls") if name in fields}
            if "response" in fields:
                message["content"] = fields["response"]
        self._answered = self._answered or bool(message)
        return message

    def _begin(self) -> int:
        self._begun += 1
        return self._begun - 1

    def _usage(self) -> Usage | None:
        if not self._counts:
            return None
        return Usage(
            input_tokens=read_count(self._counts.get("prompt_eval_count")),
            output_tokens=read_count(self._counts.get("eval_count")),
            raw_json=content.packed(self._counts),
        )
