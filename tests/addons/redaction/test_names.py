import pytest

from addons.redaction import names
from tests.addons.redaction.canary import PASSING_QUERIES, QUERIES, WHOLE_HEADERS, words

HARMLESS = words(
    """
    max_tokens input_tokens output_tokens cache_read_input_tokens token_count stop_token
    tokenizer usage max_token next_page_token continuation_token token_type token_limit
    pageToken maxTokens eos_token alt beta model stream idempotency_key keyword monkey
    statement codes sessions secretary x_token_count token_usage
    """
)
HARMLESS_HEADERS = words(
    """
    anthropic-ratelimit-tokens-remaining anthropic-ratelimit-input-tokens-limit x-request-id
    x-ratelimit-remaining-tokens openai-organization openai-project chatgpt-account-id
    user-agent x-stainless-retry-count x-organization-uuid anthropic-organization-id
    idempotency-key x-claude-code-session-id session-id session_id thread-id
    sec-websocket-key traceparent content-length x-token-count access-control-allow-headers
    www-authenticate x-tokenizer x-max-tokens
    """
)


@pytest.mark.parametrize("name", WHOLE_HEADERS)
def test_credential_headers_are_known_by_name(name):
    assert names.is_secret_header(name.encode())


@pytest.mark.parametrize("name", HARMLESS_HEADERS)
def test_headers_that_only_sound_like_credentials_are_not(name):
    assert not names.is_secret_header(name.encode())


@pytest.mark.parametrize("name", QUERIES + PASSING_QUERIES)
def test_credential_parameters_are_known_by_name(name):
    assert names.is_secret_query(names.plain_name(name.replace("%5F", "_")))


@pytest.mark.parametrize("name", HARMLESS)
def test_counters_limits_and_cursors_are_no_credentials(name):
    assert not names.is_secret_query(names.plain_name(name))


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("accessToken", "access_token"),
        ("Access-Token", "access_token"),
        ("auth.token", "auth_token"),
        ("SAMLRequest", "samlrequest"),
        ("OPENAI_API_KEY", "openai_api_key"),
    ],
)
def test_one_name_in_all_spellings(written, plain):
    assert names.plain_name(written) == plain
