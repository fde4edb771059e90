"""
Anthropic Messages: the request.

Source: the API reference (see `anthropic`), and `MessageCreateParams` with its beta form in the
official SDK 2.12 and older ones. Read 2026-11.
"""

from addons.wire import anthropic_blocks
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
from addons.wire.running import Notes
from storage.decoded import Asked, Message, Note, OtherPart, Role, Tool

_TYPED = frozenset({"model", "system", "messages", "tools"})
_KNOWN = _TYPED | {
    "anthropic_beta",
    "anthropic_version",
    "betas",
    "billing_policy",
    "cache_control",
    "compaction",
    "container",
    "context_management",
    "diagnostics",
    "fallback_credit_token",
    "fallbacks",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "metadata",
    "output_config",
    "output_format",
    "safeguards",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "temperature",
    "thinking",
    "thread",
    "tool_choice",
    "top_k",
    "top_p",
    "user_profile_id",
    "workspace_id",
}
_MESSAGE = frozenset({"role", "content"})
_MESSAGE_KNOWN = _MESSAGE | {"output_config", "clear_at"}  # of system messages between the others
_ROLES: dict[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "developer",
    "tool": "tool",
}


def asked(body: bytes, notes: Notes, *, is_count: bool) -> Asked:
    """The request of `/v1/messages` or of `/v1/messages/count_tokens`."""
    fields = read_object(body)
    if fields is None:
        notes.add("malformed-request", kind_of(body[:64]))
        fields = {}
    for name in fields:
        if name not in _KNOWN:
            notes.add("unknown-field", name)
    max_tokens = read_integer(fields.get("max_tokens"))
    operation = "compact" if kind_of(fields.get("compaction")) == "object" else "generate"
    return Asked(
        model=read_text(fields.get("model")),
        system=anthropic_blocks.content(fields.get("system"), notes),
        messages=_messages(fields, notes),
        tools=_tools(fields, notes),
        is_stream=read_boolean(fields.get("stream")),
        max_tokens=max_tokens,
        effort=_effort(fields),
        temperature=read_number(fields.get("temperature")),
        # With `max_tokens` 0 a request only fills the prompt cache.
        generates=not is_count and max_tokens != 0,
        operation="count" if is_count else operation,
        fields_json=rest(fields, _TYPED) or b"{}",
    )


def message(raw: bytes) -> Message:
    """One message of a request."""
    return _MEMO.message(raw)[0]


def _messages(fields: Object, notes: Notes) -> tuple[Message, ...]:
    found = []
    for raw in _items(fields, "messages", notes):
        one, noted = _MEMO.message(bytes(raw))
        found.append(one)
        for note in noted:
            for _ in range(note.count):
                notes.add(note.kind, note.detail)
    return tuple(found)


def _read_message(raw: bytes, digest: bytes) -> tuple[Message, tuple[Note, ...]]:
    notes = Notes()
    fields = read_object(raw)
    if fields is None:
        notes.add("malformed-message", kind_of(raw))
        parts = (OtherPart(type="", json=raw),)
        return Message(role="user", parts=parts, raw_digest=digest), notes.all()
    name = read_text(fields.get("role"))
    role = _ROLES.get(name or "")
    if role is None:
        notes.add("unknown-role", name)
    for field in fields:
        if field not in _MESSAGE_KNOWN:
            notes.add("unknown-field", f"message.{field}")
    made = Message(
        role=role or "user",
        parts=anthropic_blocks.content(fields.get("content"), notes),
        raw_digest=digest,
        extra_json=rest(fields, _MESSAGE if role else {"content"}),
    )
    return made, notes.all()


def _tools(fields: Object, notes: Notes) -> tuple[Tool, ...]:
    return tuple(_tool(raw, notes) for raw in _items(fields, "tools", notes))


def _tool(raw: Raw, notes: Notes) -> Tool:
    """A tool; those of a set or of an MCP server are offered by one entry without a name."""
    fields = read_object(raw)
    if fields is None:
        notes.add("malformed-tool", kind_of(raw))
        return Tool(name="", size_bytes=len(bytes(raw)))
    type_ = read_text(fields.get("type"))
    schema = fields.get("input_schema")
    return Tool(
        name=read_text(fields.get("name")) or type_ or "",
        namespace=read_text(fields.get("mcp_server_name")),
        description=read_text(fields.get("description")),
        schema_json=None if schema is None else bytes(schema),
        type=type_,
        size_bytes=len(bytes(raw)),
    )


def _items(fields: Object, name: str, notes: Notes) -> list[Raw]:
    items = read_array(fields.get(name))
    if items is None and kind_of(fields.get(name)) not in ("null", "nothing"):
        notes.add(f"malformed-{name}", kind_of(fields.get(name)))
    return items or []


def _effort(fields: Object) -> str | None:
    """`output_config.effort`; before that came, the budget of thinking."""
    effort = read_text((read_object(fields.get("output_config")) or {}).get("effort"))
    if effort is not None:
        return effort
    budget = read_integer((read_object(fields.get("thinking")) or {}).get("budget_tokens"))
    return None if budget is None else str(budget)


_MEMO = Memo(_read_message)
