"""Anthropic Messages: images and documents, by where their data is."""

import hashlib
from typing import Literal

import msgspec

from addons.wire.fields import Object, Raw, read_object, read_text
from addons.wire.running import Notes
from storage.decoded import MediaPart

_KNOWN = {
    "image": frozenset({"cache_control", "transformations"}),
    "document": frozenset({"cache_control", "citations", "context"}),
}
_TYPED = frozenset({"type", "source", "title"})
# Of a source: what the part says, or what stays in the raw body alone for its size.
_SOURCE_TYPED = {
    "base64": frozenset({"type", "media_type", "data"}),
    "url": frozenset({"type", "url"}),
    "text": frozenset({"media_type"}),
    "content": frozenset[str](),
    "file": frozenset[str](),
}


def media_part(type_: str, fields: Object, notes: Notes) -> MediaPart | None:
    """An `image` or `document` block; None if it has no source that can be read."""
    source = read_object(fields.get("source"))
    if source is None:
        return None
    kind = read_text(source.get("type")) or ""
    if kind not in _SOURCE_TYPED:
        notes.add("unknown-block", f"{type_}.source.{kind}")
    media: Literal["image", "document"] = "image" if type_ == "image" else "document"
    data = read_text(source.get("data"))
    url = read_text(source.get("url"))
    return MediaPart(
        media=media,
        media_type=read_text(source.get("media_type")),
        size_bytes=_size_bytes(kind, data),
        digest=_digest(url if kind == "url" else data),
        url=url,
        name=read_text(fields.get("title")),
        extra_json=_extra(type_, fields, source, kind, notes),
    )


def _size_bytes(kind: str, data: str | None) -> int | None:
    if data is None:
        return None
    if kind != "base64":
        return len(data.encode(errors="replace"))
    signs = len(data) - sum(map(data.count, "=\r\n \t"))
    return signs * 3 // 4


def _digest(text: str | None) -> bytes | None:
    return None if text is None else hashlib.sha256(text.encode(errors="replace")).digest()


def _extra(type_: str, fields: Object, source: Object, kind: str, notes: Notes) -> bytes | None:
    left = {name: value for name, value in fields.items() if name not in _TYPED}
    for name in left:
        if name not in _KNOWN[type_]:
            notes.add("unknown-field", f"{type_}.{name}")
    typed = _SOURCE_TYPED.get(kind, frozenset())
    of_source = {name: value for name, value in source.items() if name not in typed}
    if of_source.keys() - {"type"}:
        left["source"] = Raw(msgspec.json.encode(of_source))
    return msgspec.json.encode(left) if left else None
