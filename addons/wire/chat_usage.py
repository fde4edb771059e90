"""
Token counts of chat answers, whichever server reports them.

`prompt_tokens` includes what came from the cache, `completion_tokens` the reasoning (openai-python
`types/completion_usage.py`, 3.54). DeepSeek names the cached part `prompt_cache_hit_tokens`,
Moonshot `cached_tokens`, LiteLLM and DashScope use Anthropic's names beside. OpenRouter adds
`cost`, in US dollars ("Usage Accounting", read 2026-11).
"""

from addons.wire.fields import Json, Object, read_integer, read_number, read_object, read_text
from storage.decoded import Usage

_MAX = 2**63 - 1


def read_count(value: Json) -> int | None:
    """A number of tokens; what cannot be one is None."""
    count = read_integer(value)
    return count if count is not None and 0 <= count <= _MAX else None


def usage(raw: bytes | None, tier: str | None) -> Usage | None:
    """From the provider's object as it came last."""
    fields = read_object(raw)
    if fields is None:
        return None
    prompt = read_object(fields.get("prompt_tokens_details")) or {}
    completion = read_object(fields.get("completion_tokens_details")) or {}
    lifetimes = read_object(prompt.get("cache_creation")) or {}
    tools = read_object(fields.get("server_tool_use")) or {}
    reasoning = _first((completion, "reasoning_tokens"), (fields, "reasoning_tokens"))
    return Usage(
        input_tokens=read_count(fields.get("prompt_tokens")),
        output_tokens=_output(fields, reasoning),
        cache_read_tokens=_first(
            (prompt, "cached_tokens"),
            (fields, "prompt_cache_hit_tokens"),
            (fields, "cached_tokens"),
            (fields, "cache_read_input_tokens"),
        ),
        cache_write_tokens=_first(
            (prompt, "cache_write_tokens"),
            (prompt, "cache_creation_tokens"),
            (prompt, "cache_creation_input_tokens"),
            (fields, "cache_creation_input_tokens"),
        ),
        cache_write_5m_tokens=read_count(lifetimes.get("ephemeral_5m_input_tokens")),
        cache_write_1h_tokens=read_count(lifetimes.get("ephemeral_1h_input_tokens")),
        reasoning_tokens=reasoning,
        total_tokens=read_count(fields.get("total_tokens")),
        web_search_requests=read_count(tools.get("web_search_requests")),
        web_fetch_requests=read_count(tools.get("web_fetch_requests")),
        service_tier=tier or read_text(fields.get("service_tier")),
        provider_cost_usd=_cost_usd(fields),
        raw_json=raw,
    )


def _first(*places: tuple[Object, str]) -> int | None:
    for fields, name in places:
        count = read_count(fields.get(name)) if name in fields else None
        if count is not None:
            return count
    return None


def _output(fields: Object, reasoning: int | None) -> int | None:
    """xAI leaves reasoning out of `completion_tokens`, and only its total tells."""
    counts = [
        read_count(fields.get(f"{name}_tokens")) for name in ("prompt", "completion", "total")
    ]
    prompt, completion, total = counts
    if reasoning and prompt is not None and completion is not None:
        return completion + reasoning if prompt + completion + reasoning == total else completion
    return completion


def _cost_usd(fields: Object) -> float | None:
    """OpenRouter has a number, Perplexity an object with the sum in it."""
    cost = fields.get("cost")
    parted = read_object(cost)
    return read_number(cost if parted is None else parted.get("total_cost"))
