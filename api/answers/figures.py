"""Counts and sums, as several answers have them among their keys."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from storage.figures import Figures

Ms = Annotated[int, Meta(description="Unix milliseconds")]
KnownTokens = Annotated[
    int | None, Meta(description="What is known of them: see unmeteredTurns; null: nothing is")
]
KnownCost = Annotated[
    float | None, Meta(description="What is known of it: see unpricedTurns; null: nothing is")
]


def fields(figures: Figures) -> dict[str, Any]:
    """The fields of an answer that shows figures."""
    return {
        "turn_count": figures.turns,
        "prompt_count": figures.prompts,
        "message_count": figures.messages,
        "tool_call_count": figures.tool_calls,
        "error_count": figures.errors,
        "input_tokens": figures.input_tokens,
        "output_tokens": figures.output_tokens,
        "cache_read_tokens": figures.cache_read_tokens,
        "cache_write_tokens": figures.cache_write_tokens,
        "reasoning_tokens": figures.reasoning_tokens,
        "cost_usd": cost(figures.cost_usd),
        "unmetered_turns": figures.unmetered_turns,
        "unpriced_turns": figures.unpriced_turns,
    }


def cost(cost_usd: float | None) -> float | None:
    """Without what adding up leaves behind the tenth digit."""
    return None if cost_usd is None else round(cost_usd, 10)


def ms(moment_ns: int | None) -> int | None:
    return None if moment_ns is None else moment_ns // 1_000_000


def json_of(raw: bytes | None) -> Any:
    """JSON that was kept as it came; text where it is none."""
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return raw.decode(errors="replace")
