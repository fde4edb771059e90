"""A decoded turn as the row of its table."""

import hashlib
from collections.abc import Sequence

import msgspec

from addons import wire
from addons.project import keys, limits, pricing
from addons.project.reading import Decoded
from storage.decoded import Part, TextPart, Tool, TurnTiming, Usage
from storage.projection import rows, tables
from storage.projection.rows import TurnDetail
from storage.projection.shapes import NoteRow, TurnRow

_MAX_PROMPT = 100_000  # signs of a prompt that stand in the turn's row; the message has all
_TEXT_FAILURE = 2_000
_DIGEST_BYTES = 8  # enough to tell the bodies of a session apart


def row_of(
    decoded: Decoded,
    *,
    conversation_id: str,
    asked_leaf: str | None,
    leaf: str | None,
    is_unjoined: bool,
) -> TurnRow:
    """`started_ns` is when the request was whole; the entry's start where that is not known."""
    entry, turn, hints = decoded.entry, decoded.turn, decoded.hints
    asked, answer, timing = turn.asked, turn.answer, turn.timing
    usage = answer.usage or Usage()
    model = answer.model or asked.model
    cost = None
    if answer.usage is not None:
        cost = pricing.price(answer.usage, model, _url(decoded), entry.started_ns)
    failure = answer.failure
    return TurnRow(
        id=keys.turn(entry.id, turn.number),
        session_id=entry.session_id,
        conversation_id=conversation_id,
        version=tables.VERSION,
        request_class=_class(decoded),
        is_complete=turn.is_complete,
        status=entry.status,
        started_ns=entry.started_ns + (timing.asked_ns or 0),
        ended_ns=None if timing.ended_ns is None else entry.started_ns + timing.ended_ns,
        failure_type=failure.type or "unknown" if failure else None,
        failure_text=(failure.message or "")[:_TEXT_FAILURE] if failure else None,
        answer_id=answer.id if wire.by_name(turn.wire).names_answers else None,
        previous_id=asked.previous_id,
        is_unjoined=is_unjoined,
        prompt=hints.prompt[:_MAX_PROMPT] if hints.prompt is not None else None,
        asked_leaf=asked_leaf,
        leaf=leaf,
        sent_messages=len(asked.messages),
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_5m_tokens=usage.cache_write_5m_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        counted_tokens=answer.counted_tokens,
        cost_usd=cost.usd if cost else None,
        asked_offset_ns=timing.asked_ns,
        first_byte_offset_ns=timing.first_byte_ns,
        first_content_offset_ns=timing.first_content_ns,
        last_content_offset_ns=timing.last_content_ns,
        ended_offset_ns=timing.ended_ns,
        longest_silence_ns=timing.longest_silence_ns,
        request_digest=_request_digest(decoded),
        attempt=hints.attempt,
        detail=rows.pack_detail(_detail(decoded, usage, timing, cost)),
    )


def notes_of(decoded: Decoded, turn_id: str) -> list[NoteRow]:
    return [
        NoteRow(
            turn_id=turn_id,
            number=number,
            decoder="agents" if note.kind.startswith("agent-") else decoded.turn.wire,
            kind=note.kind,
            detail=note.detail,
            count=note.count,
        )
        for number, note in enumerate(decoded.turn.notes)
    ]


def is_failed(decoded: Decoded) -> bool:
    """Whether the provider refused or the answer was cut off."""
    return decoded.turn.answer.failure is not None or not decoded.turn.is_complete


def is_unmetered(decoded: Decoded) -> bool:
    """Whether an answer came that should tell its tokens and does not."""
    turn = decoded.turn
    is_generated = turn.asked.generates and turn.asked.operation == "generate"
    usage = turn.answer.usage
    is_told = usage is not None and usage.input_tokens is not None
    return is_generated and bool(turn.answer.messages) and not is_told


def _class(decoded: Decoded) -> str:
    """Where the agent does not tell, the endpoint does."""
    asked, told = decoded.turn.asked, decoded.hints.request_class
    if told == "main" and asked.operation == "count":
        return "count"
    if told == "main" and asked.operation == "compact":
        return "compaction"
    return told


def _url(decoded: Decoded) -> str:
    entry = decoded.entry
    return f"{entry.scheme or 'https'}://{entry.host}{decoded.head.path}"


def _request_digest(decoded: Decoded) -> bytes | None:
    """Equal bodies are attempts of one request. A socket's messages have none of their own."""
    body = decoded.entry.request_body
    return body.digest[:_DIGEST_BYTES] if body and decoded.entry.kind == "http" else None


def _detail(
    decoded: Decoded, usage: Usage, timing: TurnTiming, cost: pricing.Price | None
) -> TurnDetail:
    hints, asked, answer = decoded.hints, decoded.turn.asked, decoded.turn.answer
    headers = decoded.answer.headers if decoded.answer else ()
    return TurnDetail(
        agent=decoded.agent.name,
        wire=decoded.turn.wire,
        agent_version=hints.agent_version,
        operation=asked.operation,
        host=decoded.entry.host,
        model_asked=asked.model,
        model_served=answer.model,
        stop_reason=answer.stop_reason,
        prompt_id=hints.prompt_id,
        price_source=cost.source if cost else None,
        max_tokens=asked.max_tokens,
        effort=hints.effort or asked.effort,
        temperature=asked.temperature,
        is_stream=asked.is_stream,
        betas=_betas(decoded),
        tool_count=len(asked.tools),
        tools_bytes=sum(tool.size_bytes for tool in asked.tools),
        tools_digest=_tools_digest(asked.tools),
        system_bytes=sum(len(part.text.encode(errors="replace")) for part in _texts(asked.system)),
        system_digest=_digest(asked.system),
        cwd=hints.cwd,
        git_branch=hints.git_branch,
        mode=hints.mode,
        slash_command=hints.slash_command,
        compaction=hints.compaction,
        is_interrupted=hints.is_interrupted,
        entry_point=hints.entry_point,
        tool_durations=hints.tool_durations,
        inferred=hints.inferred,
        silence_from_ns=timing.silence_from_ns,
        silence_side=timing.silence_side,
        service_tier=usage.service_tier,
        web_search_requests=usage.web_search_requests,
        web_fetch_requests=usage.web_fetch_requests,
        usage_json=usage.raw_json,
        rate_limits=limits.read(headers),
        cache_miss_reason=_miss_reason(answer.fields_json),
        request_id=_request_id(decoded),
        notes=decoded.turn.notes,
        contract_digest=_contract(decoded),
    )


def _betas(decoded: Decoded) -> tuple[str, ...]:
    value = decoded.head.header("anthropic-beta") or decoded.head.header("openai-beta") or ""
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _texts(parts: tuple[Part, ...]) -> list[TextPart]:
    return [part for part in parts if isinstance(part, TextPart)]


def _tools_digest(tools: tuple[Tool, ...]) -> bytes | None:
    return _hash(
        [(tool.namespace, tool.name, tool.description, tool.schema_json) for tool in tools]
    )


def _digest(parts: tuple[Part, ...]) -> bytes | None:
    """Of the system prompt without what changes with each call (Claude Code's billing block)."""
    texts = [part.text for part in _texts(parts)]
    return _hash([text for text in texts if not text.startswith("x-anthropic-billing-header")])


def _contract(decoded: Decoded) -> bytes | None:
    """Of all that was asked besides messages, so that a silent change shows."""
    asked = decoded.turn.asked
    return _hash(
        [
            asked.model, asked.max_tokens, asked.effort, asked.temperature, _betas(decoded),
            _digest(asked.system), _tools_digest(asked.tools),
        ]
    )  # fmt: skip


def _hash(value: Sequence[object]) -> bytes | None:
    if not value:
        return None
    return hashlib.blake2b(msgspec.msgpack.encode(value), digest_size=16).digest()


def _request_id(decoded: Decoded) -> str | None:
    for name in ("request-id", "x-request-id", "x-goog-request-id"):
        value = decoded.answer.header(name) if decoded.answer else None
        if value:
            return value
    return None


class _Diagnostics(msgspec.Struct):
    """Anthropic's beta cache-diagnosis, platform.claude.com "Cache diagnostics" (2026-11)."""

    cache_miss_reason: str | None = None


class _AnswerFields(msgspec.Struct):
    diagnostics: _Diagnostics | None = None
    cache_miss_reason: str | None = None


def _miss_reason(fields_json: bytes | None) -> str | None:
    if fields_json is None:
        return None
    try:
        fields = msgspec.json.decode(fields_json, type=_AnswerFields)
    except (msgspec.DecodeError, UnicodeError):
        return None
    told = fields.diagnostics.cache_miss_reason if fields.diagnostics else None
    return told or fields.cache_miss_reason
