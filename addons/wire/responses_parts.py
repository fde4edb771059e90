"""Responses: the parts of a message's content and of what a tool gave back."""

import hashlib
from collections.abc import Callable, Collection, Iterable

import msgspec

from addons.wire.fields import Object, Raw, kind_of, read_array, read_object, read_text
from storage.decoded import (
    Media,
    MediaPart,
    OtherPart,
    Part,
    RefusalPart,
    TextPart,
    ThinkingPart,
)

_NOTHING = (b"null", b"[]", b'""')


def kept(fields: Object, used: Collection[str]) -> bytes | None:
    """The fields that say something and are not in `used`, as an object; None: there are none."""
    left = {
        name: value
        for name, value in fields.items()
        if name not in used and bytes(value) not in _NOTHING
    }
    return msgspec.json.encode(left) if left else None


def json_text(raw: Raw | None) -> str:
    """A value as the text of its JSON; "" if there is none, or null."""
    if raw is None or bytes(raw) == b"null":
        return ""
    return bytes(raw).decode(errors="replace")


def read_part(raw: Raw) -> Part:
    """One part of a content; one that is not known or not readable is kept whole."""
    fields = read_object(raw)
    if fields is None:
        return OtherPart(type=kind_of(raw), json=bytes(raw))
    kind = read_text(fields.get("type")) or "object"
    reader = PART_READERS.get(kind)
    part = reader(fields) if reader else None
    return part or OtherPart(type=kind, json=bytes(raw))


def as_thinking(part: Part) -> Part:
    """A part of a reasoning item: some servers call its texts `text` there too."""
    if isinstance(part, TextPart):
        return ThinkingPart(text=part.text, extra_json=part.extra_json)
    return part


def read_content(raw: Raw | None) -> tuple[Part, ...]:
    """A message's content: a text, or a list of parts."""
    if raw is None:
        return ()
    kind = kind_of(raw)
    if kind == "string":
        return (TextPart(text=read_text(raw) or ""),)
    if kind == "null":
        return ()
    parts = read_array(raw)
    if parts is None:
        return (OtherPart(type=kind, json=bytes(raw)),)
    return tuple(read_part(part) for part in parts)


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool gave back, taken apart as `ToolResultPart` wants it."""

    text: str
    media: tuple[MediaPart, ...] = ()
    extra_json: bytes | None = None


def read_output(raw: Raw | None) -> Output:
    """The `output` of a tool's result: a text, or a list of parts; all else as its JSON's text."""
    if raw is None:
        return Output(text="")
    text = read_text(raw)
    if text is not None:
        return Output(text=text)
    raws = read_array(raw)
    if raws is None:
        return Output(text=json_text(raw))
    parts = [read_part(part) for part in raws]
    left = [part.json for part in parts if isinstance(part, OtherPart)]
    return Output(
        text=joined(parts),
        media=tuple(part for part in parts if isinstance(part, MediaPart)),
        extra_json=msgspec.json.encode({"parts": [Raw(json) for json in left]}) if left else None,
    )


def joined(parts: Iterable[Part]) -> str:
    """Their texts, by newlines."""
    return "\n".join(part.text for part in parts if isinstance(part, TextPart | RefusalPart))


def media(kind: Media, source: str | None, fields: Object, used: Collection[str]) -> MediaPart:
    """A medium from its URL, a `data:` URL or base64 text; without any of them by its file's id."""
    extra = kept(fields, used)
    name = read_text(fields.get("filename"))
    if source is None:
        return MediaPart(media=kind, name=name, extra_json=extra)
    head, _, data = source.partition(",")
    if not source.startswith("data:"):
        if source.startswith(("http:", "https:", "file:")):
            return MediaPart(
                media=kind, url=source, digest=_digest(source), name=name, extra_json=extra
            )
        head, data = "", source
    return MediaPart(
        media=kind,
        media_type=head[5:].partition(";")[0] or None,
        size_bytes=len(data.rstrip("=")) * 3 // 4,
        digest=_digest(data),
        name=name,
        extra_json=extra,
    )


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _text(fields: Object) -> Part | None:
    text = read_text(fields.get("text"))
    if text is None:
        return None
    citations = fields.get("annotations")
    is_cited = citations is not None and bytes(citations) not in _NOTHING
    return TextPart(
        text=text,
        citations_json=bytes(citations) if is_cited and citations is not None else None,
        extra_json=kept(fields, ("type", "text", "annotations")),
    )


def _thinking(fields: Object) -> Part | None:
    text = read_text(fields.get("text"))
    if text is None:
        return None
    # A summary is the usual form; that a text is the reasoning itself is worth keeping.
    used = ("type", "text") if read_text(fields.get("type")) == "summary_text" else ("text",)
    return ThinkingPart(text=text, extra_json=kept(fields, used))


def _refusal(fields: Object) -> Part | None:
    text = read_text(fields.get("refusal"))
    return None if text is None else RefusalPart(text=text)


def _image(fields: Object) -> Part | None:
    source = fields.get("image_url")
    if source is not None and kind_of(source) == "object":  # as in Chat Completions
        source = (read_object(source) or {}).get("url")
    return media("image", read_text(source), fields, ("type", "image_url", "filename"))


def _file(fields: Object) -> Part | None:
    source = read_text(fields.get("file_data")) or read_text(fields.get("file_url"))
    used = ("type", "file_data", "file_url", "filename")
    return media("document", source, fields, used)


def _audio(fields: Object) -> Part | None:
    audio = read_object(fields.get("input_audio")) or {}
    part = media("audio", read_text(audio.get("data")), fields, ("type", "input_audio"))
    form = read_text(audio.get("format"))
    return msgspec.structs.replace(part, media_type=f"audio/{form}") if form else part


PART_READERS: dict[str, Callable[[Object], Part | None]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "summary_text": _thinking,
    "reasoning_text": _thinking,
    "refusal": _refusal,
    "input_image": _image,
    "computer_screenshot": _image,
    "input_file": _file,
    "input_audio": _audio,
}
