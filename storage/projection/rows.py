"""What the projected tables hold besides plain columns, and how it is packed."""

from collections.abc import Iterable

import msgspec
import zstandard

from storage.decoded import (
    CompactionPart,
    MediaPart,
    Note,
    Part,
    RefusalPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)
from storage.projection import known
from storage.records import Record
from storage.squeezing import Squeezer

_LEVEL = 6
_MIN_SQUEEZED = 128  # shorter texts do not get shorter


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


def pack(parts: tuple[Part, ...]) -> bytes:
    """The parts of a message as the table keeps them."""
    return squeeze(_ENCODER.encode(parts))


def unpack(content: bytes) -> tuple[Part, ...]:
    return _PARTS.decode(unsqueeze(content))


def pack_detail(detail: TurnDetail) -> bytes:
    return _DETAILS.squeeze(_ENCODER.encode(detail))


def unpack_detail(content: bytes) -> TurnDetail:
    return _DETAIL.decode(_DETAILS.unsqueeze(content))


def words(parts: Iterable[Part]) -> str:
    """All words of a message: what the search index finds it by."""
    found: list[str] = []
    for part in parts:
        match part:
            case TextPart() | ThinkingPart() | RefusalPart() | CompactionPart() | ToolResultPart():
                found.append(part.text)
            case ToolCallPart():
                found += (part.name, part.arguments)
            case MediaPart():
                found.append(part.name or "")
            case _:
                pass
    return "\n".join(filter(None, found))


def squeeze(data: bytes) -> bytes:
    """A byte that tells the form, and the data, as a zstd frame where that is shorter."""
    if len(data) >= _MIN_SQUEEZED:
        frame = zstandard.ZstdCompressor(level=_LEVEL).compress(data)
        if len(frame) < len(data):
            return b"\x01" + frame
    return b"\x00" + data


def unsqueeze(content: bytes) -> bytes:
    if content[:1] == b"\x01":
        return zstandard.ZstdDecompressor().decompress(content[1:])
    return content[1:]
