"""
What an Ollama call asks for.

The messages have the shape of chat messages, save that images are a list of base64 texts, arguments
are objects and a tool's result names the tool: `chat_message` reads them all.
"""

from addons.wire import chat_content as content
from addons.wire import chat_message, chat_request
from addons.wire.chat_usage import read_count
from addons.wire.fields import (
    Object,
    read_array,
    read_boolean,
    read_number,
    read_object,
    read_text,
)
from addons.wire.running import Notes
from storage.decoded import Asked, Message, Part, TextPart

_APART = frozenset(("model", "messages", "tools"))
_GENERATE_APART = frozenset(("model", "prompt", "system", "images", "context"))


def chat(body: bytes, notes: Notes) -> Asked:
    """`POST /api/chat`. Without messages it only loads the model."""
    fields = read_object(body)
    if fields is None:
        notes.add("malformed-request")
        return Asked(model=None)
    messages = chat_request.messages(fields, notes)
    return _asked(
        fields,
        messages=messages,
        apart=_APART,
        generates=bool(messages) or "messages" not in fields,
        notes=notes,
    )


def generate(body: bytes, notes: Notes) -> Asked:
    """`POST /api/generate`. Without a prompt it only loads the model."""
    fields = read_object(body)
    if fields is None:
        notes.add("malformed-request")
        return Asked(model=None)
    message = Message(role="user", parts=tuple(_prompt(fields)))
    chat_message.note(message, notes)
    system = read_text(fields.get("system"))
    return _asked(
        fields,
        system=(TextPart(text=system),) if system else (),
        messages=(message,) if message.parts else (),
        apart=_GENERATE_APART,
        generates=bool(message.parts),
        notes=notes,
    )


def context_count(fields: Object) -> dict[str, object]:
    """`context` is the conversation as token numbers, long and of no use: how many there are."""
    context = read_array(fields.get("context"))
    return {} if context is None else {"context_count": len(context)}


def _prompt(fields: Object) -> list[Part]:
    return chat_message.parts(
        {
            name: fields[source]
            for source, name in (("prompt", "content"), ("images", "images"))
            if source in fields
        }
    )


def _asked(
    fields: Object,
    *,
    messages: tuple[Message, ...],
    apart: frozenset[str],
    generates: bool,
    notes: Notes,
    system: tuple[Part, ...] = (),
) -> Asked:
    options = read_object(fields.get("options")) or {}
    left: dict[str, object] = {
        name: value for name, value in fields.items() if name not in apart
    } | context_count(fields)
    return Asked(
        model=read_text(fields.get("model")),
        system=system,
        messages=messages,
        tools=tuple(chat_request.tools(fields, "tools", notes)),
        is_stream=read_boolean(fields.get("stream")),
        max_tokens=read_count(options.get("num_predict")),  # -1: without end
        effort=read_text(fields.get("think")),
        temperature=read_number(options.get("temperature")),
        generates=generates,
        fields_json=content.packed(left) or b"{}",
    )
