"""
Anthropic Messages: token counts.

The counts of `message_delta` are cumulative: they replace those of `message_start`, they are not
added to them. A field that comes as null or not at all says nothing and leaves what stood before.
Source: `Usage`, `MessageDeltaUsage` and `accumulate_event` of the official SDK 2.12, read 2026-11.
"""

import msgspec

from addons.wire.fields import Object, Raw, kind_of, read_integer, read_object, read_text
from addons.wire.running import Notes
from storage.decoded import Usage

_KNOWN = frozenset(
    {
        "cache_creation",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "fallback_credit",
        "inference_geo",
        "input_tokens",
        "iterations",
        "output_tokens",
        "output_tokens_details",
        "server_tool_use",
        "service_tier",
        "speed",
    }
)
_MAX_COUNT = 1 << 60  # a sum of three fits into 64 bits


class Counts:
    """The usage object of one answer, each field as it came last."""

    def __init__(self) -> None:
        self._fields: Object = {}

    def update(self, value: Raw | None, notes: Notes) -> None:
        fields = read_object(value)
        if fields is None:
            if kind_of(value) not in ("null", "nothing"):
                notes.add("malformed-usage", kind_of(value))
            return
        for name, field in fields.items():
            if name not in _KNOWN:
                notes.add("unknown-field", f"usage.{name}")
            if name not in self._fields or kind_of(field) != "null":
                self._fields[name] = field

    def usage(self) -> Usage | None:
        """None if the answer said none."""
        fields = self._fields
        if not fields:
            return None
        lifetimes = read_object(fields.get("cache_creation")) or {}
        short = _count(lifetimes.get("ephemeral_5m_input_tokens"))
        long = _count(lifetimes.get("ephemeral_1h_input_tokens"))
        fresh = _count(fields.get("input_tokens"))
        read = _count(fields.get("cache_read_input_tokens"))
        written = _count(fields.get("cache_creation_input_tokens"))
        if written is None:
            written = _sum(short, long)
        server_tools = read_object(fields.get("server_tool_use")) or {}
        details = read_object(fields.get("output_tokens_details")) or {}
        return Usage(
            input_tokens=None if fresh is None else _sum(fresh, read, written),
            output_tokens=_count(fields.get("output_tokens")),
            cache_read_tokens=read,
            cache_write_tokens=written,
            cache_write_5m_tokens=short,
            cache_write_1h_tokens=long,
            reasoning_tokens=_count(details.get("thinking_tokens")),
            web_search_requests=_count(server_tools.get("web_search_requests")),
            web_fetch_requests=_count(server_tools.get("web_fetch_requests")),
            service_tier=read_text(fields.get("service_tier")),
            raw_json=msgspec.json.encode(fields),
        )


def _count(value: Raw | None) -> int | None:
    """A count; None for what can be none."""
    number = read_integer(value)
    return number if number is not None and 0 <= number <= _MAX_COUNT else None


def _sum(*counts: int | None) -> int | None:
    """The sum of those that are known; None if none is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
