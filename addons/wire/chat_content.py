"""
What chat messages are made of: content blocks, media, tool calls and results.

A message of an answer has the shape of an assistant's message in a request, so that both are read
here and come out as equal parts. Types of blocks: openai-python `types/chat/*_param.py` (3.54),
OpenRouter's and DashScope's references for video (read 2026-11).
"""

import hashlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import msgspec

from addons.wire.fields import (
    Json,
    Object,
    Raw,
    kind_of,
    read_array,
    read_boolean,
    read_object,
    read_text,
)
from storage.decoded import (
    Media,
    MediaPart,
    OtherPart,
    Part,
    RefusalPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)


def present(fields: Object, name: str) -> Raw | None:
    """A field's value; null is as good as none."""
    value = fields.get(name)
    return None if value is None or bytes(value) == b"null" else value


def extras(fields: Object, known: AbstractSet[str]) -> dict[str, Raw]:
    """The fields that are neither in `known` nor null."""
    if fields.keys() <= known:
        return {}
    return {name: fields[name] for name in fields if name not in known and present(fields, name)}


def packed(fields: Mapping[str, object]) -> bytes | None:
    """As a JSON object; None if there are none."""
    return msgspec.json.encode(fields) if fields else None


def canonical(value: Json) -> str:
    """JSON as text, keys sorted and without white space; as it came if that cannot be done."""
    text = bytes(value) if isinstance(value, bytes | Raw) else (value or "").encode()
    try:
        return msgspec.json.encode(msgspec.json.decode(text), order="sorted").decode()
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return text.decode(errors="replace")


# --- content -------------------------------------------------------------------------------------


def content(value: Raw | None) -> list[Part]:
    """A message's content: a string or blocks."""
    text = read_text(value)
    if text is not None:
        return [TextPart(text=text)] if text else []
    blocks = read_array(value)
    if blocks is not None:
        return [block(each) for each in blocks]
    return [] if value is None else [block(value)]


def block(raw: Raw) -> Part:
    """One block of a content list; one that is not known is kept whole."""
    fields = read_object(raw)
    if fields is None:
        text = read_text(raw)
        return (
            OtherPart(type=kind_of(raw), json=bytes(raw)) if text is None else TextPart(text=text)
        )
    kind = read_text(fields.get("type")) or "untyped"
    part = _known_block(kind, fields)
    return OtherPart(type=kind, json=bytes(raw)) if part is None else part


def _known_block(kind: str, fields: Object) -> Part | None:
    if kind in ("text", "input_text", "output_text"):
        return _text(fields)
    if kind == "refusal":
        refusal = read_text(fields.get("refusal"))
        return None if refusal is None else RefusalPart(text=refusal)
    if kind in ("thinking", "reasoning"):
        return _thinking_block(fields)
    if kind in _MEDIA:
        return _media(kind, fields)
    return None


def _text(fields: Object) -> TextPart | None:
    text = read_text(fields.get("text"))
    if text is None:
        return None
    left = extras(fields, {"type", "text", "annotations"})
    citations = present(fields, "annotations")
    return TextPart(
        text=text,
        citations_json=bytes(citations) if citations else None,
        extra_json=packed(left),
    )


def _thinking_block(fields: Object) -> ThinkingPart | None:
    """Mistral puts a list of text blocks under `thinking`, others a string."""
    value = fields.get("thinking", fields.get("text"))
    text = read_text(value)
    if text is None:
        blocks = read_array(value)
        if blocks is None:
            return None
        text = "".join(read_text((read_object(each) or {}).get("text")) or "" for each in blocks)
    left = extras(fields, {"type", "thinking", "text"})
    return ThinkingPart(text=text, extra_json=packed(left))


_AUDIO_TYPES = {"mp3": "audio/mpeg", "pcm16": "audio/pcm"}

# --- media ---------------------------------------------------------------------------------------

_MEDIA: dict[str, tuple[Media, tuple[str, ...]]] = {
    "image_url": ("image", ("url",)),
    "video_url": ("video", ("url",)),
    "document_url": ("document", ("url",)),
    "input_audio": ("audio", ("data",)),
    "file": ("document", ("file_data",)),
}


def _media(kind: str, fields: Object) -> MediaPart | None:
    """The block's own object has the type's name; image_url may be a bare string."""
    media, (key,) = _MEDIA[kind]
    bare = read_text(fields.get(kind))
    inner = read_object(fields.get(kind))
    if bare is None and inner is None:
        return None
    data = bare if inner is None else read_text(inner.get(key))
    part = medium(media, data or "")
    inner = inner or {}
    extension = read_text(inner.get("format"))
    left = {**extras(inner, {key, "filename", "format"}), **extras(fields, {"type", kind})}
    media_type = part.media_type
    if extension and media == "audio":
        media_type = _AUDIO_TYPES.get(extension, f"audio/{extension}")
    return msgspec.structs.replace(
        part,
        media_type=media_type,
        name=read_text(inner.get("filename")),
        extra_json=packed(left),
    )


def medium(media: Media, data: str) -> MediaPart:
    """Media by a URL, a `data:` URL or its base64 text."""
    if not data:
        return MediaPart(media=media)
    if "://" in data[:20]:
        return MediaPart(media=media, url=data, digest=_sha256(data))
    media_type = None
    is_base64 = True
    if data[:5].lower() == "data:":
        head, _, body = data.partition(",")
        media_type = head[5:].partition(";")[0] or None
        is_base64 = head.endswith(";base64")
        data = body if is_base64 else data
    size = base64_size_bytes(data) if is_base64 else None
    return MediaPart(media=media, media_type=media_type, size_bytes=size, digest=_sha256(data))


def base64_size_bytes(text: str) -> int:
    """How much a base64 text holds."""
    return len(text) * 3 // 4 - text[-2:].count("=")


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()


# --- tool calls and results ----------------------------------------------------------------------

CALL = frozenset(("index", "id", "type", "function", "custom"))
FUNCTION = frozenset(("index", "name", "arguments", "input"))


def arguments(value: Raw | None) -> str:
    """Arguments as text; servers that send an object mean its JSON."""
    text = read_text(value)
    if text is not None:
        return text
    return "" if value is None or bytes(value) == b"null" else canonical(value)


def call(raw: Raw) -> Part:
    """One of a message's `tool_calls`."""
    fields = read_object(raw)
    function = read_object(fields.get("function")) if fields else None
    custom = read_object(fields.get("custom")) if fields else None
    inner = function if function is not None else custom
    if fields is None or inner is None:
        kind = read_text(fields.get("type")) if fields else None
        return OtherPart(type=kind or "tool_call", json=bytes(raw))
    return ToolCallPart(
        call_id=read_text(fields.get("id")) or None,
        name=read_text(inner.get("name")) or "",
        arguments=arguments(inner.get("arguments" if custom is None else "input")),
        is_custom=function is None,
        extra_json=packed({**extras(fields, CALL), **extras(inner, FUNCTION)}),
    )


def function_call(value: Raw | None) -> ToolCallPart | None:
    """The one call of the API before `tool_calls`."""
    fields = read_object(value)
    if fields is None:
        return None
    return ToolCallPart(
        call_id=None,
        name=read_text(fields.get("name")) or "",
        arguments=arguments(fields.get("arguments")),
        extra_json=packed(extras(fields, FUNCTION)),
    )


def result(fields: Object) -> list[Part]:
    """A message with role `tool` or `function`; blocks that are not known stand behind it."""
    name = read_text(fields.get("name")) or read_text(fields.get("tool_name")) or None
    parts = content(present(fields, "content"))
    texts = [part for part in parts if isinstance(part, TextPart)]
    media = [part for part in parts if isinstance(part, MediaPart)]
    media += [
        medium("image", data)
        for each in read_array(fields.get("images")) or ()
        if (data := read_text(each))
    ]
    left: dict[str, Raw] = {}
    for part in texts:
        left |= read_object(part.extra_json) or {}
    found = ToolResultPart(
        call_id=read_text(fields.get("tool_call_id")) or None,
        text="\n".join(part.text for part in texts),
        is_error=read_boolean(fields.get("is_error")),
        name=name,
        media=tuple(media),
        extra_json=packed(left),
    )
    return [found, *(part for part in parts if not isinstance(part, TextPart | MediaPart))]
