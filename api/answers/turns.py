"""Turns as the API shows them: what was asked under which contract, how it went, what it cost."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from api.answers.figures import Ms, cost, json_of, ms
from storage.decoded import RequestClass
from storage.projection.rows import RateLimit
from storage.timeline import tokens_per_s
from storage.turns import Turn

Offset = Annotated[int | None, Meta(description="Microseconds from the entry's start")]


class FailureBody(msgspec.Struct, frozen=True, kw_only=True):
    """An error that the provider answered with."""

    type: str | None
    message: str | None


class UsageBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """
    Token counts as the provider reports them, brought to one meaning; null: it does not.

    `inputTokens` is all that went in, cached parts included.
    """

    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    cache_write_5m_tokens: int | None = msgspec.field(name="cacheWrite5mTokens")
    cache_write_1h_tokens: int | None = msgspec.field(name="cacheWrite1hTokens")
    reasoning_tokens: int | None
    counted_tokens: Annotated[int | None, Meta(description="Answer of a call that only counts")]
    cost_usd: Annotated[float | None, Meta(description="Null: unknown price or usage")]
    price_source: str | None


class ClockBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The turn's own moments, monotonic; null for what did not happen or is not known."""

    asked_us: Offset
    first_byte_us: Offset
    first_content_us: Offset
    last_content_us: Offset
    ended_us: Offset
    longest_silence_us: Annotated[int | None, Meta(description="Between two arrivals")]
    silence_from_us: Offset
    silence_side: Annotated[str | None, Meta(description="Who kept silent: provider or client")]
    tokens_per_second: float | None


class TurnBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One model call."""

    id: str
    entry_id: str
    number: Annotated[int, Meta(description="In its entry, from 0")]
    session_id: str
    conversation_id: str
    wire: Annotated[str, Meta(description="The wire format that was spoken")]
    agent: str
    agent_version: str | None
    request_class: Annotated[RequestClass, Meta(description="What the call is for")]
    operation: str
    host: str
    model: Annotated[str | None, Meta(description="That was asked for")]
    model_served: str | None
    status: int | None
    is_complete: Annotated[bool, Meta(description="False: the answer was cut off")]
    stop_reason: str | None
    failure: FailureBody | None
    prompt: Annotated[str | None, Meta(description="The user's words, where it brought new ones")]
    started_at: Ms
    ended_at: Ms | None
    duration_ms: int | None
    sent_messages: int
    attempt: Annotated[int | None, Meta(description="As the client counts its tries, from 0")]
    usage: UsageBody
    clock: ClockBody


class RateLimitBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One limit as the answer's head states it; null: not stated."""

    name: str
    limit: float | None
    remaining: float | None
    used_ratio: Annotated[float | None, Meta(description="0 to 1")]
    resets_at: Ms | None
    resets_in_ms: int | None
    status: str | None


class NoteBody(msgspec.Struct, frozen=True, kw_only=True):
    """What could not be read, or what a user should know."""

    kind: str
    detail: str | None
    count: int


class ContractBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was asked besides messages. Equal digests: equal bytes."""

    model: str | None
    effort: str | None
    max_tokens: int | None
    temperature: float | None
    is_stream: bool | None
    betas: list[str]
    mode: str | None
    service_tier: str | None
    tool_count: int
    tools_bytes: int
    tools_digest: str | None
    system_bytes: int
    system_digest: str | None
    digest: str | None


def body_of(turn: Turn) -> TurnBody:
    ended_ns = turn.ended_ns
    return TurnBody(
        id=turn.id,
        entry_id=turn.entry_id,
        number=turn.number,
        session_id=turn.session_id,
        conversation_id=turn.conversation_id,
        wire=turn.wire,
        agent=turn.agent,
        agent_version=turn.agent_version,
        request_class=turn.request_class,
        operation=turn.operation,
        host=turn.host,
        model=turn.model_asked,
        model_served=turn.model_served,
        status=turn.status,
        is_complete=turn.is_complete,
        stop_reason=turn.stop_reason,
        failure=(
            FailureBody(type=turn.failure_type, message=turn.failure_text) if turn.failed else None
        ),
        prompt=turn.prompt,
        started_at=turn.started_ns // 1_000_000,
        ended_at=ms(ended_ns),
        duration_ms=None if ended_ns is None else max(ended_ns - turn.started_ns, 0) // 1_000_000,
        sent_messages=turn.sent_messages,
        attempt=turn.attempt,
        usage=_usage(turn),
        clock=_clock(turn),
    )


def contract_of(turn: Turn) -> ContractBody:
    detail = turn.detail
    return ContractBody(
        model=turn.model_asked,
        effort=detail.effort,
        max_tokens=detail.max_tokens,
        temperature=detail.temperature,
        is_stream=detail.is_stream,
        betas=list(detail.betas),
        mode=detail.mode,
        service_tier=detail.service_tier,
        tool_count=detail.tool_count,
        tools_bytes=detail.tools_bytes,
        tools_digest=_hex(detail.tools_digest),
        system_bytes=detail.system_bytes,
        system_digest=_hex(detail.system_digest),
        digest=_hex(detail.contract_digest),
    )


def notes_of(turn: Turn) -> list[NoteBody]:
    return [
        NoteBody(kind=note.kind, detail=note.detail, count=note.count) for note in turn.detail.notes
    ]


def limits_of(turn: Turn) -> list[RateLimitBody]:
    return list(map(_limit, turn.detail.rate_limits))


def raw_usage(turn: Turn) -> Any:
    """The provider's own object."""
    return json_of(turn.detail.usage_json)


def _limit(limit: RateLimit) -> RateLimitBody:
    return RateLimitBody(
        name=limit.name,
        limit=limit.limit,
        remaining=limit.remaining,
        used_ratio=limit.used_ratio,
        resets_at=limit.resets_at_ms,
        resets_in_ms=limit.resets_in_ms,
        status=limit.status,
    )


def _usage(turn: Turn) -> UsageBody:
    return UsageBody(
        input_tokens=turn.input_tokens,
        output_tokens=turn.output_tokens,
        cache_read_tokens=turn.cache_read_tokens,
        cache_write_tokens=turn.cache_write_tokens,
        cache_write_5m_tokens=turn.cache_write_5m_tokens,
        cache_write_1h_tokens=turn.cache_write_1h_tokens,
        reasoning_tokens=turn.reasoning_tokens,
        counted_tokens=turn.counted_tokens,
        cost_usd=cost(turn.cost_usd),
        price_source=turn.price_source,
    )


def _clock(turn: Turn) -> ClockBody:
    return ClockBody(
        asked_us=_us(turn.asked_offset_ns),
        first_byte_us=_us(turn.first_byte_offset_ns),
        first_content_us=_us(turn.first_content_offset_ns),
        last_content_us=_us(turn.last_content_offset_ns),
        ended_us=_us(turn.ended_offset_ns),
        longest_silence_us=_us(turn.longest_silence_ns),
        silence_from_us=_us(turn.detail.silence_from_ns),
        silence_side=turn.detail.silence_side,
        tokens_per_second=tokens_per_s(turn),
    )


def _us(offset_ns: int | None) -> int | None:
    return None if offset_ns is None else offset_ns // 1000


def _hex(digest: bytes | None) -> str | None:
    return None if digest is None else digest.hex()
