"""Sums over turns: of a conversation, a session, a project."""

from collections.abc import Sequence
from typing import Any

from storage.records import Record

# The columns of `conversations` that `of_row` takes, as one row has them and summed up.
COLUMNS = """
    c.turn_count, c.prompt_count, c.message_count, c.tool_call_count, c.error_count,
    c.input_tokens, c.output_tokens, c.cache_read_tokens, c.cache_write_tokens,
    c.reasoning_tokens, c.cost_usd, c.unmetered_turns, c.unpriced_turns
"""
SUMS = """
    sum(c.turn_count), sum(c.prompt_count), sum(c.message_count), sum(c.tool_call_count),
    sum(c.error_count), sum(c.input_tokens), sum(c.output_tokens), sum(c.cache_read_tokens),
    sum(c.cache_write_tokens), sum(c.reasoning_tokens), sum(c.cost_usd), sum(c.unmetered_turns),
    sum(c.unpriced_turns)
"""
WIDTH = 13


class Figures(Record, frozen=True, kw_only=True):
    """
    Counts, and sums of what is known. A sum of which no part is known is None.

    `unmetered_turns` should have token counts and have none, `unpriced_turns` have them and no
    price: where they are not 0, tokens and cost are what is known of more. Of calls that all
    failed nobody said what they took.
    """

    turns: int = 0
    prompts: int = 0
    messages: int = 0
    tool_calls: int = 0
    errors: int = 0  # turns that failed or were cut off
    input_tokens: int | None = 0  # all that went in, cached parts included
    output_tokens: int | None = 0
    cache_read_tokens: int | None = 0
    cache_write_tokens: int | None = 0
    reasoning_tokens: int | None = 0
    cost_usd: float | None = 0.0
    unmetered_turns: int = 0
    unpriced_turns: int = 0


def of_row(row: Sequence[Any]) -> Figures:
    """Of the 13 values that `COLUMNS` or `SUMS` name."""
    turns, prompts, messages, tool_calls, errors, *tokens, cost_usd, unmetered, unpriced = row
    is_metered = any(tokens) or not (unmetered or 0 < turns <= errors)
    is_priced = bool(cost_usd) or (is_metered and not (unpriced or unmetered))
    if not is_metered:
        tokens = [None] * 5
    return Figures(
        turns=turns,
        prompts=prompts,
        messages=messages,
        tool_calls=tool_calls,
        errors=errors,
        input_tokens=tokens[0],
        output_tokens=tokens[1],
        cache_read_tokens=tokens[2],
        cache_write_tokens=tokens[3],
        reasoning_tokens=tokens[4],
        cost_usd=float(cost_usd) if is_priced else None,
        unmetered_turns=unmetered,
        unpriced_turns=unpriced,
    )
