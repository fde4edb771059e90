"""Of what messages are made, as the API shows it."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from api.answers.figures import json_of
from storage.decoded import (
    CompactionPart,
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

Extra = Annotated[Any, Meta(description="Fields that are not known, as they came")]


class _Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", tag=""):
    """`type` tells parts apart."""


class TextBody(_Body, frozen=True, kw_only=True, rename="camel", tag="text"):
    text: str
    citations: Any = None
    extra: Extra = None


class ThinkingBody(_Body, frozen=True, kw_only=True, rename="camel", tag="thinking"):
    """`text` is empty where only an opaque form crossed."""

    text: str
    is_redacted: bool
    extra: Extra = None


class ToolCallPartBody(_Body, frozen=True, kw_only=True, rename="camel", tag="tool-call"):
    call_id: str | None
    name: str
    namespace: str | None
    arguments: Annotated[Any, Meta(description="As JSON where it is JSON, else the text")]
    is_custom: bool
    on_server: Annotated[bool, Meta(description="The provider runs it itself")]
    extra: Extra = None


class MediaBody(_Body, frozen=True, kw_only=True, rename="camel", tag="media"):
    """An image, a document or a sound; its bytes stay in the entry's body."""

    media: Media
    media_type: str | None
    size: int | None
    digest: str | None
    url: str | None
    name: str | None
    extra: Extra = None


class ToolResultBody(_Body, frozen=True, kw_only=True, rename="camel", tag="tool-result"):
    call_id: str | None
    name: str | None
    text: str
    is_error: Annotated[bool | None, Meta(description="Null: the wire does not say")]
    media: list[MediaBody]
    on_server: bool
    extra: Extra = None


class CompactionBody(_Body, frozen=True, kw_only=True, rename="camel", tag="compaction"):
    """History was replaced by a summary; `text` is empty where it is opaque."""

    text: str
    extra: Extra = None


class RefusalBody(_Body, frozen=True, kw_only=True, rename="camel", tag="refusal"):
    text: str


class OtherBody(_Body, frozen=True, kw_only=True, rename="camel", tag="other"):
    """A block that is not known."""

    name: str
    json: Any


type PartBody = (
    TextBody
    | ThinkingBody
    | ToolCallPartBody
    | ToolResultBody
    | MediaBody
    | CompactionBody
    | RefusalBody
    | OtherBody
)


def body_of(part: Part) -> PartBody:
    match part:
        case TextPart():
            return TextBody(
                text=part.text,
                citations=json_of(part.citations_json),
                extra=json_of(part.extra_json),
            )
        case ThinkingPart():
            return ThinkingBody(
                text=part.text, is_redacted=part.is_redacted, extra=json_of(part.extra_json)
            )
        case ToolCallPart():
            return ToolCallPartBody(
                call_id=part.call_id,
                name=part.name,
                namespace=part.namespace,
                arguments=part.arguments if part.is_custom else json_of(part.arguments.encode()),
                is_custom=part.is_custom,
                on_server=part.on_server,
                extra=json_of(part.extra_json),
            )
        case ToolResultPart():
            return ToolResultBody(
                call_id=part.call_id,
                name=part.name,
                text=part.text,
                is_error=part.is_error,
                media=[_media(one) for one in part.media],
                on_server=part.on_server,
                extra=json_of(part.extra_json),
            )
        case MediaPart():
            return _media(part)
        case CompactionPart():
            return CompactionBody(text=part.text, extra=json_of(part.extra_json))
        case RefusalPart():
            return RefusalBody(text=part.text)
        case OtherPart():
            return OtherBody(name=part.type, json=json_of(part.json))


def _media(part: MediaPart) -> MediaBody:
    return MediaBody(
        media=part.media,
        media_type=part.media_type,
        size=part.size_bytes,
        digest=None if part.digest is None else f"sha256:{part.digest.hex()}",
        url=part.url,
        name=part.name,
        extra=json_of(part.extra_json),
    )
