"""
What a turn costs by the providers' list prices (genai-prices, github.com/pydantic/genai-prices).

A subscription is not billed by these: the figure says what the tokens are worth. The library is
imported at the first question: it takes 0.4 s and 31 MB. Who cannot wait for that asks `ready`
before.
"""

import contextlib
import threading
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from storage.decoded import Usage

_ready = threading.Event()
_preparing = threading.Lock()  # held from the first `prepare` on


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """`source` says by whose word: a version of the price data with its provider, or the wire."""

    usd: float
    source: str


def prepare() -> None:
    """Have the prices fetched in a thread of their own, if nobody has yet; returns at once."""
    if _preparing.acquire(blocking=False):
        threading.Thread(target=_prepare, name="prices", daemon=True).start()


def ready(patience_s: float = 0.005) -> bool:
    """Whether `price` answers without a delay now, or within `patience_s`; else it soon will."""
    prepare()
    return _ready.wait(patience_s)


def _prepare() -> None:
    with contextlib.suppress(Exception):  # then `price` raises it
        # The library imports its data with the first question, and that is most of it.
        _calculate(Usage(input_tokens=1, output_tokens=1), "gpt-4o", "https://api.openai.com", 0)
    _ready.set()


def price(usage: Usage, model: str | None, url: str, at_ns: int) -> Price | None:
    """
    The price of one answer; None: the usage is unknown, or nobody knows the model's price.

    `url` is where the call went: one model has several prices. `at_ns` is Unix time, for prices
    change.
    """
    if usage.provider_cost_usd is not None:
        return Price(usd=usage.provider_cost_usd, source="provider")
    if model is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    found = _calculate(usage, model, url, at_ns)
    if found is None:
        return None
    usd, provider, version = found
    return Price(usd=float(usd), source=f"genai-prices {version} {provider}")


def _calculate(usage: Usage, model: str, url: str, at_ns: int) -> tuple[Decimal, str, str] | None:
    import genai_prices

    moment = datetime.fromtimestamp(at_ns // 1_000_000_000, tz=UTC)
    # Where the host's own table lacks the model (a gateway, GitHub), its maker's list price stands.
    for place in (url, None):
        try:
            found = genai_prices.calc_price(
                genai_prices.Usage(**_counted(usage)),
                model,
                provider_api_url=place,
                genai_request_timestamp=moment,
            )
        except (LookupError, ValueError):
            continue
        return found.total_price, found.provider.id, genai_prices.__version__
    return None


def _counted(usage: Usage) -> dict[str, Any]:
    """Those of the counts that have prices of their own; input is all that went in."""
    counted = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
    }
    return {name: count for name, count in counted.items() if count}
