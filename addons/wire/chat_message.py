"""One chat message from its JSON, as a request sends it or a whole answer brings it."""

import msgspec

from addons.wire import chat_content as content
from addons.wire import chat_plain
from addons.wire import chat_reasoning as reasoning
from addons.wire.fields import Object, kind_of, read_array, read_object, read_text
from addons.wire.running import Notes
from storage.decoded import (
    MediaPart,
    Message,
    OtherPart,
    Part,
    RefusalPart,
    Role,
    TextPart,
)

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_READ = frozenset(
    (
        *("id", "role", "content", "name", "refusal", "annotations", "audio", "images"),
        *("tool_calls", "function_call", "tool_call_id", "tool_name", "is_error"),
        *reasoning.FIELDS,
    )
)
# Kept beside, and no news: marks of caching, prefill and SDKs.
QUIET = frozenset(
    (
        *("cache_control", "copilot_cache_control", "prompt_cache_breakpoint", "prefix", "partial"),
        *("weight", "parsed", "parsed_arguments", "provider_specific_fields", "extra_content"),
        *("thought_signature", "detail", "file_id", "expires_at", "transcript", "id", "audio"),
        *("annotations", "copilot_annotations", "logprobs", "finish_reason", "index", "metadata"),
        *("native_finish_reason", "content_filter_results", "content_filter_offsets"),
        *("stop_reason", "matched_stop", "token_ids", "padding", "strict", "created_at"),
        *reasoning.FIELDS,
    )
)
MALFORMED = "malformed"


def read(raw: bytes, digest: bytes) -> Message:
    """A message of a request."""
    return chat_plain.message(raw, digest) or read_fields(raw, digest)


def read_fields(raw: bytes, digest: bytes) -> Message:
    """Any message, field by field."""
    fields = read_object(raw)
    if fields is None:
        return Message(role="user", parts=(OtherPart(type=MALFORMED, json=raw),), raw_digest=digest)
    role = _ROLES.get(read_text(fields.get("role")) or "")
    found = content.result(fields) if role == "tool" else parts(fields)
    left = content.extras(fields, _READ)
    if role is None and (foreign := content.present(fields, "role")):
        left["role"] = foreign
    cited = content.present(fields, "annotations")
    if cited and read_array(cited) != [] and not any(isinstance(part, TextPart) for part in found):
        left["annotations"] = cited
    return Message(
        role=role or "user",
        parts=tuple(found),
        id=read_text(fields.get("id")),
        name=read_text(fields.get("name")),
        raw_digest=digest,
        extra_json=content.packed(left),
    )


def unread(fields: Object) -> dict[str, msgspec.Raw]:
    """The fields of an assistant's message or a delta that `parts` does not read."""
    return content.extras(fields, _READ)


def parts(fields: Object) -> list[Part]:
    """
    The parts of a message that is no tool result.

    Their order is fixed and the same as in a streamed answer: thinking, content, refusal, media,
    calls.
    """
    found: list[Part] = []
    if thinking := reasoning.whole(fields):
        found.append(thinking)
    found += content.content(content.present(fields, "content"))
    if refusal := read_text(fields.get("refusal")):
        found.append(RefusalPart(text=refusal))
    if annotations := content.present(fields, "annotations"):
        _cite(found, bytes(annotations))
    if spoken := read_object(fields.get("audio")):
        found.append(audio(spoken))
    found += [image(each) for each in read_array(fields.get("images")) or ()]
    if function := content.function_call(fields.get("function_call")):
        found.append(function)
    if calls := content.present(fields, "tool_calls"):
        found += _calls(calls)
    return found


def _calls(value: msgspec.Raw) -> list[Part]:
    calls = read_array(value)
    if calls is None:
        return [OtherPart(type=f"tool_calls-{kind_of(value)}", json=bytes(value))]
    return [content.call(each) for each in calls]


def _cite(found: list[Part], citations: bytes) -> None:
    """The message's annotations are of its text: of the last, where there are several."""
    for at in range(len(found) - 1, -1, -1):
        part = found[at]
        if isinstance(part, TextPart):
            if citations != b"[]" and part.citations_json is None:
                found[at] = msgspec.structs.replace(part, citations_json=citations)
            return


def image(raw: msgspec.Raw) -> Part:
    """One of `images`: a block (OpenRouter) or base64 (Ollama)."""
    data = read_text(raw)
    return content.block(raw) if data is None else content.medium("image", data)


def audio(fields: Object) -> MediaPart:
    """What the model said aloud; in history only its id is sent again."""
    part = content.medium("audio", read_text(fields.get("data")) or "")
    left = content.extras(fields, {"data"})
    return msgspec.structs.replace(part, extra_json=content.packed(left))


def note(message: Message, notes: Notes) -> None:
    """Say of a message what in it is not known."""
    for part in message.parts:
        if isinstance(part, OtherPart):
            kind = "malformed-message" if part.type == MALFORMED else "unknown-block"
            notes.add(kind, None if part.type == MALFORMED else part.type)
        elif extra := getattr(part, "extra_json", None):
            _note_fields(extra, notes)
    if message.extra_json:
        _note_fields(message.extra_json, notes)


def _note_fields(extra_json: bytes, notes: Notes) -> None:
    for name, value in (read_object(extra_json) or {}).items():
        if name == "role":
            notes.add("unknown-role", read_text(value))
        elif name not in QUIET:
            notes.add("unknown-field", name)
