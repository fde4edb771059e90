"""Token counts by the names of each server, brought to one meaning."""

import msgspec
import pytest

from addons.wire.chat_usage import usage
from storage.decoded import Usage

CASES = {
    "deepseek": (
        {
            "prompt_tokens": 50,
            "completion_tokens": 7,
            "total_tokens": 57,
            "prompt_cache_hit_tokens": 32,
            "prompt_cache_miss_tokens": 18,
        },
        Usage(input_tokens=50, output_tokens=7, cache_read_tokens=32, total_tokens=57),
    ),
    "moonshot": (
        {"prompt_tokens": 50, "completion_tokens": 7, "cached_tokens": 3},
        Usage(input_tokens=50, output_tokens=7, cache_read_tokens=3),
    ),
    "litellm": (
        {
            "prompt_tokens": 50,
            "completion_tokens": 7,
            "cache_creation_input_tokens": 11,
            "cache_read_input_tokens": 5,
        },
        Usage(input_tokens=50, output_tokens=7, cache_read_tokens=5, cache_write_tokens=11),
    ),
    "dashscope": (
        {
            "prompt_tokens": 50,
            "completion_tokens": 7,
            "prompt_tokens_details": {
                "cached_tokens": 0,
                "cache_creation_input_tokens": 9,
                "cache_creation": {"ephemeral_5m_input_tokens": 9},
            },
        },
        Usage(
            input_tokens=50,
            output_tokens=7,
            cache_read_tokens=0,
            cache_write_tokens=9,
            cache_write_5m_tokens=9,
        ),
    ),
    "xai leaves reasoning out": (
        {
            "prompt_tokens": 50,
            "completion_tokens": 7,
            "total_tokens": 157,
            "completion_tokens_details": {"reasoning_tokens": 100},
        },
        Usage(input_tokens=50, output_tokens=107, reasoning_tokens=100, total_tokens=157),
    ),
    "openrouter": (
        {
            "prompt_tokens": 50,
            "completion_tokens": 7,
            "cost": 0.5,
            "server_tool_use": {"web_search_requests": 2},
        },
        Usage(input_tokens=50, output_tokens=7, provider_cost_usd=0.5, web_search_requests=2),
    ),
    "perplexity": (
        {"prompt_tokens": 5, "cost": {"total_cost": 0.25}},
        Usage(input_tokens=5, provider_cost_usd=0.25),
    ),
    "no numbers": (
        {"prompt_tokens": -1, "completion_tokens": "7", "total_tokens": 10**30, "cost": True},
        Usage(),
    ),
}


@pytest.mark.parametrize(("sent", "wanted"), CASES.values(), ids=CASES)
def test_each_server(sent, wanted):
    raw = msgspec.json.encode(sent)
    found = usage(raw, None)

    assert found == msgspec.structs.replace(wanted, raw_json=raw)


@pytest.mark.parametrize("raw", [None, b"", b"null", b"[]", b"{"])
def test_no_object_is_no_usage(raw):
    assert usage(raw, "flex") is None
