"""What the projected tables hold besides plain columns, and how it is packed."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from storage import quotes
from storage.decoded import (
    CompactionPart,
    MediaPart,
    Note,
    OtherPart,
    Part,
    RefusalPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)
from storage.projection import known
from storage.quotes import Said, Source, squeeze, unsqueeze
from storage.records import Record, Side
from storage.squeezing import Squeezer

__all__ = ["squeeze", "unsqueeze"]  # read from here, as one module

_PREVIEW = 200  # signs
_MIN_QUOTING_BYTES = 128  # shorter content does not get shorter by a quote
_MOST_SPOKEN = 256 << 10  # signs: of longer arguments a model could make a million values
_MIN_SAID = 32  # signs of a text that is looked for


class RateLimit(Record, frozen=True, kw_only=True):
    """One limit of a provider as a response head states it; None: not stated."""

    name: str  # "requests", "input-tokens", "unified-5h"
    limit: float | None = None
    remaining: float | None = None
    used_ratio: float | None = None  # 0 to 1: what Anthropic's unified limits state
    resets_at_ms: int | None = None  # Unix time
    resets_in_ms: int | None = None  # OpenAI states a duration
    status: str | None = None  # "allowed", "allowed_warning", "rejected"


class TurnDetail(Record, frozen=True, kw_only=True):
    """What a page about one turn shows and no query looks for."""

    agent: str = ""  # "claude-code"
    wire: str = ""  # decoder: "anthropic.messages"
    agent_version: str | None = None
    operation: str = "generate"  # or count, compact
    host: str = ""
    model_asked: str | None = None
    model_served: str | None = None
    stop_reason: str | None = None
    prompt_id: str | None = None  # the agent's id of one user turn
    price_source: str | None = None  # "genai-prices 0.2.3", "provider"; None: no cost
    max_tokens: int | None = None
    effort: str | None = None
    temperature: float | None = None
    is_stream: bool | None = None
    betas: tuple[str, ...] = ()
    tool_count: int = 0
    tools_bytes: int = 0
    tools_digest: bytes | None = None  # equal tools, equal digest
    system_bytes: int = 0
    system_digest: bytes | None = None
    cwd: str | None = None
    git_branch: str | None = None
    mode: str | None = None
    slash_command: str | None = None
    compaction: str | None = None
    is_interrupted: bool = False
    entry_point: str | None = None
    tool_durations: tuple[tuple[str, int], ...] = ()  # milliseconds, as the agent states them
    inferred: tuple[str, ...] = ()  # names of facts that were concluded
    silence_from_ns: int | None = None  # offset in the entry
    silence_side: str | None = None
    service_tier: str | None = None
    web_search_requests: int | None = None
    web_fetch_requests: int | None = None
    usage_json: bytes | None = None  # the provider's own object
    rate_limits: tuple[RateLimit, ...] = ()
    cache_miss_reason: str | None = None  # the provider's own word
    request_id: str | None = None  # the provider's, of the response head
    notes: tuple[Note, ...] = ()
    contract_digest: bytes | None = None  # of everything that was asked besides messages


_PARTS = msgspec.msgpack.Decoder(tuple[Part, ...])
_DETAIL = msgspec.msgpack.Decoder(TurnDetail)
_DETAILS = Squeezer(known.DETAILS)
_ENCODER = msgspec.msgpack.Encoder()
_ARGUMENTS = msgspec.json.Decoder(float_hook=str)  # 12.50 stays what it is
_NAMED = {None: "null", True: "true", False: "false"}


def pack(parts: tuple[Part, ...], source: Source | None = None, side: Side = "request") -> bytes:
    """The parts of a message as the table keeps them; they quote a side of the source."""
    data = _ENCODER.encode(parts)
    quoted = None
    if source is not None and len(data) >= _MIN_QUOTING_BYTES:
        quoted = source.quote(data, list(_said(parts)), side)
    if quoted is not None and len(quoted) <= len(data) // 4:
        return quoted
    plain = squeeze(data)
    # Of an answer in pieces little is found; the request that sends it again has all of it.
    most = len(plain) if side == "request" else len(plain) // 2
    return quoted if quoted is not None and len(quoted) < most else plain


def unpack(content: bytes, opener: quotes.Opener) -> tuple[Part, ...]:
    """Raises StoreError if what it quotes is damaged, packs.Missing if that is gone."""
    return _PARTS.decode(opener.open(content))


def _said(parts: Iterable[Part]) -> Iterator[Said]:
    """The texts that may stand in a body."""
    for part in parts:
        match part:
            case ToolCallPart():
                yield from _long(part.arguments, is_json=True)
            case TextPart() | ThinkingPart() | RefusalPart() | CompactionPart() | ToolResultPart():
                yield from _long(part.text)
            case OtherPart():
                yield from _long(part.json, is_json=True)
            case _:
                pass
        extra = None if isinstance(part, RefusalPart | OtherPart) else part.extra_json
        # Without its braces: the fields stand among others.
        yield from _long(extra[1:-1] if extra else "", is_json=True)


def _long(text: str | bytes, *, is_json: bool = False) -> Iterator[Said]:
    if len(text) >= _MIN_SAID:
        text = text if isinstance(text, str) else text.decode(errors="replace")
        yield Said(text, is_json)


def pack_detail(detail: TurnDetail) -> bytes:
    return _DETAILS.squeeze(_ENCODER.encode(detail))


def unpack_detail(content: bytes) -> TurnDetail:
    return _DETAIL.decode(_DETAILS.unsqueeze(content))


def words(parts: Iterable[Part]) -> str:
    """All words of a message: what the search index finds it by."""
    return _joined(parts, _spoken)


def text(parts: Iterable[Part]) -> str:
    """All that a message says, as it came."""
    return _joined(parts, str)


def _joined(parts: Iterable[Part], of_arguments: Callable[[str], str]) -> str:
    found: list[str] = []
    for part in parts:
        match part:
            case TextPart() | ThinkingPart() | RefusalPart() | CompactionPart() | ToolResultPart():
                found.append(part.text)
            case ToolCallPart():
                found += (part.name, of_arguments(part.arguments))
            case MediaPart():
                found.append(part.name or "")
            case _:
                pass
    return "\n".join(filter(None, found))


def _spoken(arguments: str) -> str:
    """The names and values in JSON: in its text, the word behind a line's end is `nword`."""
    if len(arguments) > _MOST_SPOKEN:
        return arguments
    try:
        left = [_ARGUMENTS.decode(arguments)]
    except (msgspec.MsgspecError, RecursionError):
        return arguments  # free text, or cut off
    found: list[str] = []
    while left:
        match left.pop():
            case dict() as fields:
                for name, value in reversed(fields.items()):
                    left += (value, name)
            case list() as values:
                left += reversed(values)
            case bool() | None as value:
                found.append(_NAMED[value])
            case value:
                found.append(str(value))
    return "\n".join(found)


def preview(parts: Iterable[Part], prompt: str | None = None) -> str:
    """The beginning of what a message says, or of the prompt in it, in one line."""
    said = prompt if prompt is not None else text(parts)
    return " ".join(said[: _PREVIEW * 4].split())[:_PREVIEW]
