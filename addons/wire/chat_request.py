"""What a chat call asks for."""

from addons.wire import chat_content as content
from addons.wire import chat_message
from addons.wire.chat_usage import read_count
from addons.wire.fields import (
    Object,
    Raw,
    kind_of,
    read_array,
    read_boolean,
    read_number,
    read_object,
    read_text,
    rest,
)
from addons.wire.memo import Memo
from addons.wire.running import Notes
from storage.decoded import Asked, Message, Tool

MEMO = Memo(chat_message.read)
_APART = frozenset(("model", "messages", "tools", "functions"))


def asked(body: bytes, notes: Notes, model: str | None = None) -> Asked:
    """`model`: what the path says, for servers that name it there."""
    fields = read_object(body)
    if fields is None:
        notes.add("malformed-request")
        return Asked(model=model)
    return Asked(
        model=read_text(fields.get("model")) or model,
        messages=messages(fields, notes),
        tools=(*tools(fields, "tools", notes), *tools(fields, "functions", notes)),
        is_stream=read_boolean(fields.get("stream")),
        max_tokens=_first_count(fields, "max_completion_tokens", "max_tokens"),
        effort=_effort(fields),
        temperature=read_number(fields.get("temperature")),
        fields_json=rest(fields, _APART) or b"{}",
    )


def wanted(asked: Asked) -> int:
    """How many choices."""
    fields = read_object(asked.fields_json) or {}
    return max(read_count(fields.get("n")) or 1, 1)


def messages(fields: Object, notes: Notes) -> tuple[Message, ...]:
    found = tuple(MEMO.message(bytes(raw)) for raw in listed(fields, "messages", notes))
    for message in found:
        chat_message.note(message, notes)
    return found


def tools(fields: Object, name: str, notes: Notes) -> list[Tool]:
    """The tools that are offered under `tools`, or `functions` as the API once had it."""
    return [tool(raw) for raw in listed(fields, name, notes)]


def listed(fields: Object, name: str, notes: Notes) -> list[Raw]:
    value = content.present(fields, name)
    found = read_array(value)
    if found is None and value is not None:
        notes.add(f"malformed-{name}", kind_of(value))
    return found or []


def tool(raw: Raw) -> Tool:
    """A tool that has no name of its own (a server's web search) is called by its type."""
    fields = read_object(raw) or {}
    kind = read_text(fields.get("type"))
    inner = read_object(fields.get("function")) or read_object(fields.get("custom")) or fields
    schema = content.present(inner, "parameters") or content.present(inner, "format")
    return Tool(
        name=read_text(inner.get("name")) or kind or "",
        description=read_text(inner.get("description")),
        schema_json=bytes(schema) if schema else None,
        type=kind,
        size_bytes=len(bytes(raw)),
    )


def _first_count(fields: Object, *names: str) -> int | None:
    counts = (read_count(fields.get(name)) for name in names if name in fields)
    return next((count for count in counts if count is not None), None)


def _effort(fields: Object) -> str | None:
    """`reasoning_effort`; `reasoning` of OpenRouter; budgets of Anthropic's door and DashScope."""
    if effort := read_text(fields.get("reasoning_effort")):
        return effort
    reasoning = read_object(fields.get("reasoning")) or {}
    thinking = read_object(fields.get("thinking")) or {}
    budgets = (reasoning.get("max_tokens"), thinking.get("budget_tokens"))
    for budget in (*budgets, fields.get("thinking_budget")):
        if (count := read_count(budget)) is not None:
            return str(count)
    return read_text(reasoning.get("effort"))
