"""
Headers and timing as the columns of an entry keep them.

Headers are msgpack, squeezed against what heads often hold; a timing is a msgpack array of its
fields. Rows of earlier versions have headers as msgpack alone and timings as maps: the first byte
tells.
"""

import msgspec

from storage.records import Headers, Timing
from storage.squeezing import Squeezer

_HEADERS = msgspec.msgpack.Decoder(Headers)
_TIMING_MAP = msgspec.msgpack.Decoder(Timing)

# Never another order, nor another field among them: arrays of another length are another form.
_TIMES = (
    "connect_started_ns", "connected_ns", "tls_done_ns", "reused", "request_done_ns",
    "response_head_ns", "first_byte_ns", "last_byte_ns", "closed_ns",
)  # fmt: skip
_Time = int | None
_TIMING = msgspec.msgpack.Decoder(
    tuple[_Time, _Time, _Time, bool, _Time, _Time, _Time, _Time, _Time]
)
_TIMING_ARRAY = bytes([0x90 | len(_TIMES)])

# Names and values as agents and providers sent them in 2026, the commonest last. Never to be
# changed, not a sign of it: what is stored is read against it. Another one gets a form byte.
_KNOWN = (
    ("x-codex-primary-used-percent", "12.5"),
    ("x-codex-primary-window-minutes", "300"),
    ("x-codex-primary-reset-after-seconds", "17940"),
    ("x-codex-secondary-used-percent", "3.1"),
    ("x-codex-secondary-window-minutes", "10080"),
    ("x-codex-secondary-reset-after-seconds", "604740"),
    ("x-codex-plan-type", "pro"),
    ("x-codex-turn-state", ""),
    ("x-codex-installation-id", ""),
    ("x-codex-window-id", ":0"),
    (
        "x-codex-turn-metadata",
        '{"installation_id":"","session_id":"","thread_id":"","agent_name":"/root","turn_id":"",'
        '"window_id":":0","window_number":0,"context_window_id":"","request_kind":"turn",'
        '"history_initialization":"new","root_turn_id":"","thread_source":"user",'
        '"turn_trigger":"exec","sandbox":"none","sandbox_mode":"workspace-write",'
        '"auto_review_enabled":false,"node_repl_auto_review_required":true,'
        '"node_repl_disabled":false,"workspaces":{"/home/":{"associated_remote_urls":{"origin":'
        '"https://github.com/"},"latest_git_commit_hash":"","has_changes":false}},'
        '"turn_started_at_unix_ms":17,"analytics_enabled":true,"model":"gpt-","reasoning_effort":'
        '"medium"}',
    ),
    ("x-codex-beta-features", "remote_compaction_v2"),
    ("x-openai-internal-codex-responses-lite", "true"),
    ("openai-beta", "responses_websockets=2026-02-06"),
    ("OpenAI-Beta", "responses=experimental"),
    ("originator", "codex_exec"),
    ("originator", "codex_cli_rs"),
    ("chatgpt-account-id", ""),
    ("session_id", ""),
    ("conversation_id", ""),
    ("session-id", ""),
    ("thread-id", ""),
    ("version", "0.169.0"),
    ("user-agent", "codex_exec/0.169.0 (Debian 12.0.0; x86_64) xterm-256color"),
    ("user-agent", "codex_cli_rs/0.169.0 (Mac OS 26.0.0; arm64) iTerm.app/3.6.6"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", ""),
    ("Sec-WebSocket-Accept", ""),
    ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ("sec-websocket-accept", ""),
    ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits=15"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("connection", "Upgrade"),
    ("x-github-api-version", "2026-08-01"),
    ("x-github-repository-nwo", "__no_repository__"),
    ("x-github-repository-host", "__no_repository__"),
    ("editor-version", "copilot/1.0.102"),
    ("copilot-integration-id", "copilot-developer-cli"),
    ("copilot-harness-id", "copilot-sdk"),
    ("x-client-machine-id", ""),
    ("x-client-session-id", ""),
    ("x-interaction-type", "conversation-subagent"),
    ("x-interaction-type", "conversation-agent"),
    ("x-interaction-id", ""),
    ("x-agent-task-id", ""),
    ("x-parent-agent-id", ""),
    ("x-initiator", "user"),
    ("x-initiator", "agent"),
    ("openai-intent", "conversation-panel"),
    ("user-agent", "copilot/1.0.102 (linux v24.20.0) term/unknown client/github/cli"),
    ("host", "api.githubcopilot.com"),
    ("User-Agent", "opencode/1.18.33 ai-sdk/provider-utils/4.0.46 runtime/bun/1.3.14"),
    ("x-session-affinity", "ses_"),
    ("x-session-id", "ses_"),
    ("x-parent-session-id", "ses_"),
    ("user-agent", "QwenCode/0.24.4 (linux; x64)"),
    ("User-Agent", "GeminiCLI-tui/0.61.0/gemini-3.1-pro-preview (linux; x64; terminal)"),
    ("x-goog-api-client", "google-genai-sdk/1.30.0 gl-node/v22.23.3"),
    ("x-goog-api-key", "***************************************"),
    ("x-gemini-api-privileged-user-id", ""),
    ("x-gemini-service-tier", "standard"),
    ("host", "generativelanguage.googleapis.com"),
    ("host", "cloudcode-pa.googleapis.com"),
    ("server", "scaffolding on HTTPServer2"),
    ("server-timing", "gfet4t7; dur=1321"),
    ("x-xss-protection", "0"),
    ("x-frame-options", "SAMEORIGIN"),
    ("vary", "Origin"),
    ("vary", "X-Origin"),
    ("vary", "Referer"),
    ("Content-Disposition", "attachment"),
    ("x-ratelimit-limit-requests", "10000"),
    ("x-ratelimit-remaining-requests", "9999"),
    ("x-ratelimit-limit-tokens", "30000000"),
    ("x-ratelimit-remaining-tokens", "29999000"),
    ("x-ratelimit-reset-requests", "6ms"),
    ("x-ratelimit-reset-tokens", "2ms"),
    ("openai-organization", "user-"),
    ("openai-project", "proj_"),
    ("openai-processing-ms", "1234"),
    ("openai-version", "2020-10-01"),
    ("x-request-id", "req_"),
    ("host", "api.openai.com"),
    ("host", "chatgpt.com"),
    ("Host", "api.openai.com"),
    ("set-cookie", "__cf_bm=***; path=/; expires=; domain=.openai.com; HttpOnly; Secure; "
     "SameSite=None"),
    ("set-cookie", "_cfuvid=***; path=/; domain=.api.openai.com; HttpOnly; Secure; SameSite=None"),
    ("Cookie", "********"),
    ("access-control-expose-headers", "X-Request-ID"),
    ("alt-svc", 'h3=":443"; ma=86400'),
    ("retry-after", "1"),
    ("x-should-retry", "true"),
    ("Server", "uvicorn"),
    ("connection", "close"),
    ("content-encoding", "zstd"),
    ("Content-Encoding", "gzip"),
    ("content-encoding", "br"),
    ("transfer-encoding", "chunked"),
    ("Transfer-Encoding", "chunked"),
    ("Content-Type", "application/json; charset=utf-8"),
    ("content-type", "application/json; charset=utf-8"),
    ("content-type", "application/x-ndjson"),
    ("Content-Type", "text/event-stream"),
    ("content-type", "text/event-stream"),
    ("sec-fetch-mode", "cors"),
    ("accept-language", "*"),
    ("x-stainless-helper-method", "stream"),
    ("x-stainless-retry-count", "0"),
    ("x-stainless-lang", "js"),
    ("x-stainless-package-version", "5.11.0"),
    ("x-stainless-os", "MacOS"),
    ("x-stainless-arch", "arm64"),
    ("x-stainless-runtime", "node"),
    ("x-stainless-runtime-version", "v22.23.3"),
    ("x-stainless-timeout", "600"),
    ("accept", "text/event-stream"),
    ("Accept", "*/*"),
    ("accept", "*/*"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-encoding", "br, gzip, deflate"),
    ("authorization", "Bearer ****************************************"),
    ("connection", "keep-alive"),
    ("content-length", "100000"),
    ("x-cc-compaction-request", "manual"),
    ("x-claude-code-compaction", "manual"),
    ("x-claude-code-agent-id", ""),
    ("x-claude-code-agent-type", "general-purpose"),
    ("x-claude-1p-request-class", "blocking-subagent"),
    ("x-claude-code-request-class", "subagent"),
    ("x-claude-code-sandy-plover", '[{"name":"Agent"},{"name":"Bash"}]'),
    ("x-claude-code-prev-tool-durations", "Bash=28;Read=3;Edit=12"),
    ("x-claude-code-prompt-id", ""),
    ("x-claude-code-sandy-plover", "[]"),
    ("x-claude-code-request-class", "main"),
    ("x-claude-1p-request-class", "main"),
    ("x-client-request-id", ""),
    ("X-Claude-Code-Session-Id", ""),
    ("anthropic-ratelimit-requests-limit", "4000"),
    ("anthropic-ratelimit-requests-remaining", "3999"),
    ("anthropic-ratelimit-requests-reset", "2026-11-22T00:00:00Z"),
    ("anthropic-ratelimit-tokens-limit", "2400000"),
    ("anthropic-ratelimit-tokens-remaining", "2399000"),
    ("anthropic-ratelimit-tokens-reset", "2026-11-22T00:00:00Z"),
    ("anthropic-ratelimit-input-tokens-limit", "2000000"),
    ("anthropic-ratelimit-input-tokens-remaining", "1999000"),
    ("anthropic-ratelimit-input-tokens-reset", "2026-11-22T00:00:00Z"),
    ("anthropic-ratelimit-output-tokens-limit", "400000"),
    ("anthropic-ratelimit-output-tokens-remaining", "399000"),
    ("anthropic-ratelimit-output-tokens-reset", "2026-11-22T00:00:00Z"),
    ("anthropic-ratelimit-unified-status", "allowed"),
    ("anthropic-ratelimit-unified-reset", "17953"),
    ("anthropic-ratelimit-unified-5h-status", "allowed"),
    ("anthropic-ratelimit-unified-5h-reset", "17953"),
    ("anthropic-ratelimit-unified-5h-utilization", "0.12"),
    ("anthropic-ratelimit-unified-7d-status", "allowed"),
    ("anthropic-ratelimit-unified-7d-reset", "17957"),
    ("anthropic-ratelimit-unified-7d-utilization", "0.34"),
    ("anthropic-ratelimit-unified-representative-claim", "five_hour"),
    ("anthropic-ratelimit-unified-fallback-percentage", "0.5"),
    ("anthropic-ratelimit-unified-overage-status", "rejected"),
    ("anthropic-ratelimit-unified-overage-disabled-reason", "org_level_disabled"),
    ("anthropic-organization-id", ""),
    ("request-id", "req_011C"),
    ("x-envoy-upstream-service-time", "1234"),
    ("via", "1.1 google"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
    ("x-content-type-options", "nosniff"),
    ("x-robots-tag", "none"),
    ("cf-cache-status", "DYNAMIC"),
    ("CF-RAY", "-FRA"),
    ("cf-ray", "-FRA"),
    ("server", "cloudflare"),
    ("Server", "cloudflare"),
    ("Date", "Sun, 22 Nov 2026 04:05:16 GMT"),
    ("date", "Sun, 22 Nov 2026 09:28:28 GMT"),
    ("Cache-Control", "no-cache"),
    ("cache-control", "no-cache"),
    ("Content-Type", "text/event-stream; charset=utf-8"),
    ("content-type", "text/event-stream; charset=utf-8"),
    ("Accept", "application/json"),
    ("Content-Type", "application/json"),
    ("content-type", "application/json"),
    ("User-Agent", "claude-cli/2.1.330 (external, sdk-cli)"),
    ("User-Agent", "claude-cli/2.1.330 (external, cli)"),
    ("X-Stainless-Arch", "arm64"),
    ("X-Stainless-Arch", "x64"),
    ("X-Stainless-Lang", "js"),
    ("X-Stainless-OS", "MacOS"),
    ("X-Stainless-OS", "Linux"),
    ("X-Stainless-Package-Version", "0.128.0"),
    ("X-Stainless-Retry-Count", "0"),
    ("X-Stainless-Runtime", "node"),
    ("X-Stainless-Runtime-Version", "v26.12.1"),
    ("X-Stainless-Timeout", "600"),
    ("anthropic-beta", "structured-outputs-2025-11-13,fine-grained-tool-streaming-2025-05-14"),
    ("anthropic-beta", "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-20"
     "25-06-27,prompt-caching-scope-2026-01-05,per-turn-control-2026-07-01,mid-conversation-tool-c"
     "hanges-2026-07-01,thinking-token-count-2026-05-13,advanced-tool-use-2025-11-20,mid-conversat"
     "ion-system-clear-at-2026-08-21,effort-2025-11-24,thinking-binding-controls-2026-08-01,cache-"
     "diagnosis-2026-04-07"),
    ("anthropic-dangerous-direct-browser-access", "true"),
    ("anthropic-version", "2023-06-01"),
    ("Authorization", "Bearer **********************************************************"),
    ("x-api-key", "**********************************************************************"),
    ("x-app", "cli"),
    ("Connection", "keep-alive"),
    ("Host", "api.anthropic.com"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Content-Length", "100000"),
)  # fmt: skip
KNOWN = b"".join(msgspec.msgpack.encode((name.encode(), value.encode())) for name, value in _KNOWN)
_SQUEEZER = Squeezer(KNOWN)


def pack(headers: Headers) -> bytes:
    return _SQUEEZER.squeeze(msgspec.msgpack.encode(headers))


def unpack(content: bytes) -> Headers:
    """Raises ValueError if it is damaged."""
    first = content[0] if content else 0
    is_bare = first & 0xF0 == 0x90 or first in (0xDC, 0xDD)
    return _HEADERS.decode(content if is_bare else _SQUEEZER.unsqueeze(content))


def pack_timing(timing: Timing) -> bytes:
    return msgspec.msgpack.encode([getattr(timing, name) for name in _TIMES])


def unpack_timing(content: bytes) -> Timing:
    if content[:1] != _TIMING_ARRAY:
        return _TIMING_MAP.decode(content)
    (
        connect_started_ns, connected_ns, tls_done_ns, reused, request_done_ns,
        response_head_ns, first_byte_ns, last_byte_ns, closed_ns,
    ) = _TIMING.decode(content)  # fmt: skip
    return Timing(
        connect_started_ns=connect_started_ns,
        connected_ns=connected_ns,
        tls_done_ns=tls_done_ns,
        reused=reused,
        request_done_ns=request_done_ns,
        response_head_ns=response_head_ns,
        first_byte_ns=first_byte_ns,
        last_byte_ns=last_byte_ns,
        closed_ns=closed_ns,
    )
