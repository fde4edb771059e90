"""The request of a Gemini call: contents, system instruction, tools and configuration."""

import functools

from addons.wire.fields import (
    Object,
    Raw,
    kind_of,
    read_array,
    read_integer,
    read_number,
    read_object,
    read_text,
    rest,
)
from addons.wire.gemini_parts import note_extra, note_parts, read_fields, read_part
from addons.wire.memo import Memo
from addons.wire.running import Notes
from storage.decoded import (
    Asked,
    Message,
    OtherPart,
    Part,
    Role,
    TextPart,
    Tool,
    ToolResultPart,
)

_OPERATIONS = {"generateContent": "generate", "streamGenerateContent": "generate"}
_ROLES: dict[str, Role] = {
    "user": "user",
    "model": "assistant",
    "function": "tool",
    "system": "system",
}
_READ = frozenset({"model", "contents", "systemInstruction", "tools"})
_KNOWN = _READ | {
    "toolConfig", "generationConfig", "safetySettings", "cachedContent", "labels", "serviceTier",
    "session_id", "store", "modelArmorConfig",
}  # fmt: skip
_SNAKE = {
    "system_instruction": "systemInstruction",
    "tool_config": "toolConfig",
    "generation_config": "generationConfig",
    "safety_settings": "safetySettings",
    "cached_content": "cachedContent",
}
_MAX_KEPT_BYTES = 1 << 20  # of one system prompt or tool list that is remembered
_ENVELOPE = frozenset({"model", "project", "user_prompt_id", "request", "enabled_credit_types"})


def read_request(body: bytes, model: str | None, method: str, notes: Notes) -> Asked:
    """
    The request; `model` and `method` are the URL's.

    Of Code Assist's envelope the fields stand beside those of the request in it: agents find
    `session_id` and `user_prompt_id` in `fields_json` as they find `generationConfig`.
    """
    operation = _OPERATIONS.get(method, "count")
    is_stream = None if operation == "count" else method.startswith("stream")
    outer = read_object(body)
    if outer is None:
        notes.add("malformed-request")
        outer = {}
    fields, envelope = _opened(outer, notes)
    config = read_fields(fields.get("generationConfig")) or {}
    asked_model = model or read_text(envelope.get("model")) or read_text(fields.get("model"))
    return Asked(
        model=asked_model.removeprefix("models/") if asked_model else None,
        system=_system(fields.get("systemInstruction"), notes),
        messages=_messages(fields.get("contents"), notes),
        tools=_tools(fields.get("tools"), notes),
        is_stream=is_stream,
        max_tokens=read_integer(config.get("maxOutputTokens")),
        temperature=read_number(config.get("temperature")),
        effort=_effort(config),
        generates=operation == "generate",
        operation=operation,
        fields_json=rest({**envelope, **fields}, _READ | {"request"}) or b"{}",
    )


def _opened(outer: Object, notes: Notes) -> tuple[Object, Object]:
    """The request itself and the envelope around it (empty without one)."""
    inner = read_object(outer.get("request"))
    if inner is not None:
        envelope = outer
        _note_unknown(envelope, _ENVELOPE, notes)
    else:
        # countTokens may carry a whole request, so that system prompt and tools count too.
        envelope = {}
        inner = read_object(outer.get("generateContentRequest")) or outer
    fields = {_SNAKE.get(name, name): value for name, value in inner.items()}
    _note_unknown(fields, _KNOWN, notes)
    return fields, envelope


def _note_unknown(fields: Object, known: frozenset[str], notes: Notes) -> None:
    for name in fields:
        if name not in known:
            notes.add("unknown-field", name)


def _system(raw: Raw | None, notes: Notes) -> tuple[Part, ...]:
    if raw is None or kind_of(raw) == "null":
        return ()
    text = bytes(raw)
    parts = _known_system(text) if len(text) <= _MAX_KEPT_BYTES else _read_system(text)
    note_parts(parts, notes)
    return parts


def _read_system(raw: bytes) -> tuple[Part, ...]:
    text = read_text(raw)
    if text is not None:
        return (TextPart(text=text),)
    content = read_fields(raw)
    parts = read_array(content.get("parts")) if content else None
    if parts is None:
        return (OtherPart(type="malformed", json=raw),)
    return tuple(read_part(part) for part in parts)


def _messages(raw: Raw | None, notes: Notes) -> tuple[Message, ...]:
    contents = read_array(raw)
    if contents is None:
        if raw is None or kind_of(raw) == "null":
            return ()
        contents = [raw]  # one content, not in a list
    messages = tuple(MESSAGES.message(bytes(content)) for content in contents)
    for message in messages:
        note_parts(message.parts, notes)
        note_extra(message.extra_json, notes)
    return messages


def _message(raw: bytes, digest: bytes) -> Message:
    content = read_fields(raw)
    if content is None:
        part = OtherPart(type="malformed", json=raw)
        return Message(role="user", parts=(part,), raw_digest=digest)
    parts = _content_parts(content.get("parts"))
    said = read_text(content.get("role"))
    role = _ROLES.get(said or "user", "user")
    if role == "user" and any(isinstance(part, ToolResultPart) for part in parts):
        role = "tool"
    known = {"parts", "role"} if said is None or said in _ROLES else {"parts"}
    return Message(role=role, parts=parts, raw_digest=digest, extra_json=rest(content, known))


def _content_parts(raw: Raw | None) -> tuple[Part, ...]:
    if raw is None or kind_of(raw) == "null":
        return ()
    parts = read_array(raw)
    if parts is None:
        return (OtherPart(type="malformed", json=bytes(raw)),)
    return tuple(read_part(part) for part in parts)


MESSAGES = Memo(_message)


def _tools(raw: Raw | None, notes: Notes) -> tuple[Tool, ...]:
    if raw is None or kind_of(raw) == "null":
        return ()
    text = bytes(raw)
    tools = _known_tools(text) if len(text) <= _MAX_KEPT_BYTES else _read_tools(text)
    if tools is None:
        notes.add("malformed-tools")
    return tools or ()


def _read_tools(raw: bytes) -> tuple[Tool, ...] | None:
    groups = read_array(raw)
    if groups is None:
        return None
    found: list[Tool] = []
    for group in groups:
        for name, value in (read_fields(group) or {}).items():
            if name == "functionDeclarations":
                found += [_declared(each) for each in read_array(value) or ()]
            else:
                found.append(Tool(name=name, type=name, size_bytes=len(bytes(value))))
    return tuple(found)


def _declared(raw: Raw) -> Tool:
    fields = read_fields(raw) or {}
    schema = fields.get("parametersJsonSchema") or fields.get("parameters")
    return Tool(
        name=read_text(fields.get("name")) or "",
        description=read_text(fields.get("description")),
        schema_json=bytes(schema) if schema is not None else None,
        type="function",
        size_bytes=len(bytes(raw)),
    )


def _effort(config: Object) -> str | None:
    thinking = read_fields(config.get("thinkingConfig")) or {}
    level = read_text(thinking.get("thinkingLevel"))
    budget = read_integer(thinking.get("thinkingBudget"))
    return level if level is not None else None if budget is None else str(budget)


# System prompt and tools are most of an agent's first requests and the same in all of them.
_known_system = functools.lru_cache(maxsize=32)(_read_system)
_known_tools = functools.lru_cache(maxsize=32)(_read_tools)
