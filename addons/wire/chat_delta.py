"""One delta of a chat stream, handed to the message that it makes grow."""

from addons.wire import chat_content as content
from addons.wire import chat_message, chat_reasoning
from addons.wire.chat_growth import Growth
from addons.wire.fields import Object, Raw, kind_of, read_array, read_object, read_text
from addons.wire.running import Notes
from storage.decoded import Message, Part, RefusalPart, TextPart, ThinkingPart

_PLAIN = frozenset(("role", "content", "refusal", "tool_calls", *chat_reasoning.FIELDS))
_READ = _PLAIN | {
    *("annotations", "audio", "images", "function_call"),
    *("tool_call_id", "name", "index"),  # Mistral's and DashScope's: null, empty or the choice's
}


def read(delta: Object, growth: Growth, notes: Notes) -> None:
    if not chat_reasoning.FIELDS.isdisjoint(delta):
        growth.reasoning(delta)
    if (value := delta.get("content")) is not None:
        _content(growth, value, notes)
    if (value := delta.get("refusal")) is not None:
        growth.text("refusal", read_text(value) or "")
    if (value := content.present(delta, "tool_calls")) is not None:
        # One call without a list around it is a list of one.
        for raw in [value] if (listed := read_array(value)) is None else listed:
            if not growth.call(raw):
                notes.add("malformed-tool-call", kind_of(raw))
    if not delta.keys() <= _PLAIN:
        _rarer(delta, growth, notes)


def _rarer(delta: Object, growth: Growth, notes: Notes) -> None:
    if (value := content.present(delta, "function_call")) and not growth.function_call(value):
        notes.add("malformed-tool-call", kind_of(value))
    if value := content.present(delta, "annotations"):
        growth.cite(value)
    if audio := read_object(delta.get("audio")):
        growth.audio(audio)
    for raw in read_array(delta.get("images")) or ():
        _whole(growth, chat_message.image(raw), notes)
    for name, value in content.extras(delta, _READ).items():
        keep(growth, name, value, notes)


def keep(growth: Growth, name: str, value: Raw, notes: Notes) -> None:
    """A field of a delta or its choice that has no place in the parts."""
    if name not in chat_message.QUIET:
        notes.add("unknown-field", name)
    growth.keep(name, value)


def _content(growth: Growth, value: Raw, notes: Notes) -> None:
    """A string; or blocks (Mistral), of which texts and thinking go on from piece to piece."""
    text = read_text(value)
    if text is not None:
        growth.text("text", text)
        return
    for raw in read_array(value) or ():
        part = content.block(raw)
        if isinstance(part, TextPart):
            growth.text("text", part.text)
        elif isinstance(part, ThinkingPart):
            growth.text("thinking", part.text)
        elif isinstance(part, RefusalPart):
            growth.text("refusal", part.text)
        else:
            _whole(growth, part, notes)


def _whole(growth: Growth, part: Part, notes: Notes) -> None:
    growth.part(part)
    chat_message.note(Message(role="assistant", parts=(part,)), notes)
