"""
Rate limits as response heads state them.

Anthropic: `anthropic-ratelimit-<name>-limit|remaining|reset` (classic; reset in RFC 3339) and
`anthropic-ratelimit-unified-<window>-utilization|status|reset` (subscriptions; reset in Unix
seconds), docs.claude.com "Rate limits". OpenAI: `x-ratelimit-limit|remaining|reset-<name>`, reset
as a duration ("6m0s"), platform.openai.com "Rate limits in headers". Both read 2026-11.
"""

import re
from datetime import datetime
from typing import Any

from addons.wire.contract import Headers
from storage.projection.rows import RateLimit

_CLASSIC = re.compile(r"anthropic-ratelimit-(.+)-(limit|remaining|reset)")
_UNIFIED = re.compile(r"anthropic-ratelimit-(unified(?:-.+)?)-(utilization|status|reset)")
_OPENAI = re.compile(r"x-ratelimit-(limit|remaining|reset)-(.+)")
_DURATION = re.compile(r"([\d.]+)(ms|s|m|h|d)")
_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def read(headers: Headers) -> tuple[RateLimit, ...]:
    """The limits by name, in alphabetical order; what cannot be read is left out."""
    found: dict[str, dict[str, Any]] = {}
    for key, raw in headers:
        name, value = key.decode("latin-1").lower(), raw.decode("latin-1").strip()
        if match := _UNIFIED.fullmatch(name):
            _note(found, match[1], _unified(match[2], value))
        elif match := _CLASSIC.fullmatch(name):
            _note(found, match[1], _classic(match[2], value))
        elif match := _OPENAI.fullmatch(name):
            _note(found, match[2], _openai(match[1], value))
    return tuple(RateLimit(name=name, **found[name]) for name in sorted(found))


def _note(found: dict[str, dict[str, Any]], name: str, fact: tuple[str, Any]) -> None:
    field, value = fact
    if value is not None:
        found.setdefault(name, {})[field] = value


def _unified(what: str, value: str) -> tuple[str, Any]:
    if what == "utilization":
        return "used_ratio", _number(value)
    if what == "status":
        return "status", value
    return "resets_at_ms", _moment(value)


def _classic(what: str, value: str) -> tuple[str, Any]:
    if what == "reset":
        return "resets_at_ms", _moment(value)
    return what, _number(value)


def _openai(what: str, value: str) -> tuple[str, Any]:
    if what != "reset":
        return what, _number(value)
    pieces = _DURATION.findall(value)
    if not pieces:
        return "resets_in_ms", None
    return "resets_in_ms", int(sum(float(count) * _MS[unit] for count, unit in pieces))


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _moment(value: str) -> int | None:
    """Unix milliseconds of Unix seconds or of an RFC 3339 time."""
    seconds = _number(value)
    if seconds is not None:
        return int(seconds * 1000) if abs(seconds) < 1e12 else None
    try:
        return int(datetime.fromisoformat(value).timestamp() * 1000)
    except ValueError:
        return None
