"""Responses: a request, by POST or as a socket's `response.create`."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from addons.wire.fields import (
    Object,
    Raw,
    kind_of,
    read_array,
    read_boolean,
    read_integer,
    read_number,
    read_object,
    read_text,
    rest,
)
from addons.wire.memo import Memo
from addons.wire.responses_items import note_unknown, read_item
from addons.wire.responses_names import REQUEST_FIELDS
from addons.wire.running import Notes
from storage.decoded import Asked, Message, Note, OtherPart, Part, Tool


class _Noted(NamedTuple):
    message: Message
    notes: tuple[Note, ...]


def _read_noted(raw: bytes, digest: bytes) -> _Noted:
    message, notes = read_item(raw, digest), Notes()
    note_unknown(message, notes)
    return _Noted(message, notes.all())


MEMO = Memo(_read_noted)
_MAX_REMEMBERED_BYTES = 1 << 20


def read_request(body: bytes, operation: str, notes: Notes, *, is_socket: bool = False) -> Asked:
    """An unreadable request is an empty `Asked` with a note."""
    fields = read_object(body)
    if fields is None:
        notes.add("malformed-request")
        return Asked(model=None, operation=operation, generates=operation != "count")
    for name in sorted(fields.keys() - REQUEST_FIELDS):
        notes.add("unknown-field", name)
    messages = tuple(_messages(fields.get("input"), notes))
    tools = list(_tools(fields.get("tools"), notes))
    kept = []
    for message in messages:
        # Codex sends tools as an item ("responses lite"): they are offered, nobody says them.
        carried = additional_tools(message)
        if carried is None:
            kept.append(message)
        else:
            tools += _tools(carried, notes)
    return Asked(
        model=read_text(fields.get("model")),
        system=_system(fields.get("instructions"), notes),
        messages=tuple(kept),
        tools=tuple(tools),
        is_stream=True if is_socket else read_boolean(fields.get("stream")),
        max_tokens=read_integer(fields.get("max_output_tokens")),
        effort=read_text((read_object(fields.get("reasoning")) or {}).get("effort")),
        temperature=read_number(fields.get("temperature")),
        previous_id=read_text(fields.get("previous_response_id")),
        generates=operation != "count" and not _only_prepares(fields),
        operation=operation,
        fields_json=rest(fields, _TAKEN) or b"{}",
    )


def additional_tools(message: Message) -> Raw | None:
    """The tools that an `additional_tools` item carries; None for every other message."""
    part = message.parts[0] if message.parts else None
    if isinstance(part, OtherPart) and part.type == "additional_tools":
        return (read_object(part.json) or {}).get("tools", Raw(b"[]"))
    return None


def _only_prepares(fields: Object) -> bool:
    """Codex warms the cache up before the first prompt: an id comes back, and no answer."""
    options = read_object(fields.get("prompt_cache_options")) or {}
    return read_boolean(fields.get("generate")) is False or bool(
        read_boolean(options.get("prewarm"))
    )


def _messages(raw: Raw | None, notes: Notes) -> Iterator[Message]:
    """One for each item; a mere text is one of the user."""
    if raw is None or kind_of(raw) == "null":
        return
    items = read_array(raw)
    for item in [raw] if items is None else items:
        message, known = MEMO.message(bytes(item))
        for note in known:
            for _ in range(note.count):
                notes.add(note.kind, note.detail)
        yield message


def _system(raw: Raw | None, notes: Notes) -> tuple[Part, ...]:
    return tuple(part for message in _messages(raw, notes) for part in message.parts)


def _tools(raw: Raw | None, notes: Notes) -> tuple[Tool, ...]:
    """The same array comes with each turn, so what was read is remembered."""
    if raw is None or kind_of(raw) == "null":
        return ()
    source = bytes(raw)
    read = _read_tools if len(source) > _MAX_REMEMBERED_BYTES else _remembered_tools
    tools, malformed = read(source)
    for kind in malformed:
        notes.add("malformed-tool", kind)
    return tools


def _read_tools(source: bytes) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
    """The tools, and the kinds of what is none."""
    raws = read_array(source)
    if raws is None:
        return (), (kind_of(source),)
    tools: list[Tool] = []
    malformed: list[str] = []
    for raw in raws:
        _read_tool(raw, None, tools, malformed)
    return tuple(tools), tuple(malformed)


_remembered_tools = lru_cache(maxsize=16)(_read_tools)


def _read_tool(raw: Raw, namespace: str | None, tools: list[Tool], malformed: list[str]) -> None:
    fields = read_object(raw)
    if fields is None:
        malformed.append(kind_of(raw))
        return
    kind = read_text(fields.get("type"))
    label = read_text(fields.get("name")) or read_text(fields.get("server_label"))
    inner = read_array(fields.get("tools")) if kind == "namespace" and namespace is None else None
    if inner is not None:
        for one in inner:
            _read_tool(one, label or "", tools, malformed)
        return
    about = fields.get("description", fields.get("server_description"))
    schema = fields.get("parameters", fields.get("format"))
    tools.append(
        Tool(
            name=label or kind or "",
            namespace=namespace,
            description=read_text(about),
            schema_json=None if kind_of(schema) in ("null", "nothing") else bytes(schema or b""),
            type=kind,
            size_bytes=len(bytes(raw)),
        )
    )


def message_of(raw: bytes) -> Message:
    """One item from its JSON."""
    return MEMO.message(raw).message


_TAKEN = ("model", "instructions", "input", "tools")
