"""
What the details of turns are likely to hold: see storage.squeezing.

A change of it is a change of storage.projection.tables.VERSION.
"""

import msgspec

# Details as turns of several agents gave them in 2026, fields in their order, without what is
# never the same again. The commonest agent comes last.
_SAMPLES: tuple[dict[str, object], ...] = (
    {
        "operation": "compact", "host": "chatgpt.com", "temperature": 0.7, "git_branch": "main",
        "slash_command": "/compact", "compaction": "manual", "is_interrupted": True,
        "web_search_requests": 1, "web_fetch_requests": 1, "cache_miss_reason": "messages_changed",
        "notes": [
            {"kind": "unknown-field", "detail": "content_block_delta", "count": 2},
            {"kind": "unknown-event"}, {"kind": "truncated-stream"},
            {"kind": "malformed-event", "detail": "content_block_delta", "count": 82},
        ],
        "contract_digest": b"",
    },
    {
        "agent": "gemini-cli", "wire": "google.gemini",
        "agent_version": "0.61.0", "host": "generativelanguage.googleapis.com",
        "model_asked": "gemini-3.1-pro-preview-customtools",
        "model_served": "gemini-3.1-pro-preview", "stop_reason": "STOP",
        "price_source": "genai-prices 0.2.3 google", "effort": "HIGH", "temperature": 1.0,
        "is_stream": True, "tool_count": 16, "tools_bytes": 15191, "cwd": "/home/", "mode": "yolo",
        "entry_point": "tui", "inferred": ["request_class"], "silence_from_ns": 6276131,
        "silence_side": "provider",
        "usage_json": b'{"promptTokenCount":12350,"candidatesTokenCount":42,"totalTokenCount":12399'
        b',"cachedContentTokenCount":6175,"thoughtsTokenCount":7,"promptTokensDetails":[{"modality"'
        b': "TEXT", "tokenCount": 12350}]}',
    },
    {
        "agent": "qwen-code", "wire": "openai.chat",
        "agent_version": "0.24.4", "host": "api.openai.com", "model_asked": "qwen3-coder-plus",
        "model_served": "qwen3-coder-plus", "stop_reason": "stop",
        "max_tokens": 32768, "is_stream": True, "tool_count": 14, "tools_bytes": 38746,
        "entry_point": "non-interactive", "inferred": ["request_class"],
        "usage_json": b'{"prompt_tokens":19003,"completion_tokens":51,"total_tokens":19054,"prompt_'
        b'tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reason'
        b'ing_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens'
        b'":0}}',
        "rate_limits": [
            {"name": "requests", "limit": 10000.0, "remaining": 9999.0, "resets_in_ms": 6},
            {"name": "tokens", "limit": 30000000.0, "remaining": 29999000.0, "resets_in_ms": 2},
        ],
    },
    {
        "agent": "codex", "wire": "openai.responses",
        "agent_version": "0.169.0", "host": "api.openai.com", "model_asked": "gpt-6.1-sol",
        "model_served": "gpt-6.1-sol", "stop_reason": "completed",
        "price_source": "genai-prices 0.2.3 openai", "effort": "medium", "is_stream": True,
        "betas": ["responses_websockets=2026-02-06"], "tool_count": 13, "tools_bytes": 10791,
        "cwd": "/Users/", "entry_point": "codex_exec", "inferred": ["cwd"],
        "silence_from_ns": 127249241, "silence_side": "provider",
        "usage_json": b'{"input_tokens": 7563, "input_tokens_details": {"cached_tokens": 6050}, "ou'
        b'tput_tokens": 244, "output_tokens_details": {"reasoning_tokens": 16}, "total_tokens": 780'
        b'7}',
        "rate_limits": [
            {"name": "primary", "used_ratio": 0.12, "resets_in_ms": 6},
            {"name": "secondary", "used_ratio": 0.34, "resets_in_ms": 6},
        ],
        "request_id": "req_",
    },
    {
        "agent": "copilot-cli", "wire": "anthropic.messages",
        "agent_version": "1.0.102", "host": "api.githubcopilot.com",
        "model_asked": "claude-haiku-4.5", "model_served": "claude-haiku-4.5",
        "stop_reason": "tool_use", "price_source": "genai-prices 0.2.3 github-copilot",
        "max_tokens": 8192, "effort": "1024", "temperature": 1.0, "is_stream": True,
        "betas": ["structured-outputs-2025-11-13", "fine-grained-tool-streaming-2025-05-14"],
        "tool_count": 19, "tools_bytes": 26461, "entry_point": "github/cli",
        "rate_limits": [
            {"name": "input-tokens", "limit": 2000000.0, "remaining": 1999000.0},
            {"name": "output-tokens", "limit": 400000.0, "remaining": 399000.0},
            {"name": "requests", "limit": 4000.0, "remaining": 3999.0},
            {"name": "unified", "resets_at_ms": 1893456000000, "status": "allowed"},
            {"name": "unified-5h", "used_ratio": 0.12, "status": "allowed"},
            {"name": "unified-7d", "used_ratio": 0.34, "resets_at_ms": 1893456000000},
        ],
    },
    {
        "agent": "claude-code", "wire": "anthropic.messages",
        "agent_version": "2.1.330", "host": "api.anthropic.com",
        "model_asked": "claude-haiku-4-5-20251001", "model_served": "claude-haiku-4-5-20251001",
        "stop_reason": "tool_use", "prompt_id": "", "max_tokens": 32000, "effort": "high",
        "tool_count": 24,
    },
    {
        "agent": "claude-code", "wire": "anthropic.messages",
        "agent_version": "2.1.330", "host": "api.anthropic.com",
        "model_asked": "claude-sonnet-4-5", "model_served": "claude-sonnet-4-5-20250929",
        "stop_reason": "tool_use", "max_tokens": 64000, "effort": "low",
    },
    {
        "agent": "claude-code", "wire": "anthropic.messages",
        "agent_version": "2.1.330", "host": "api.anthropic.com", "model_asked": "claude-opus-5-5",
        "model_served": "claude-opus-5-5", "stop_reason": "end_turn", "prompt_id": "",
        "price_source": "genai-prices 0.2.3 anthropic", "max_tokens": 128000, "effort": "medium",
        "is_stream": True,
        "betas": [
            "claude-code-20250219", "interleaved-thinking-2025-05-14",
            "context-management-2025-06-27", "prompt-caching-scope-2026-01-05",
            "per-turn-control-2026-07-01", "mid-conversation-tool-changes-2026-07-01",
            "thinking-token-count-2026-05-13", "advanced-tool-use-2025-11-20",
            "mid-conversation-system-clear-at-2026-08-21", "effort-2025-11-24",
            "thinking-binding-controls-2026-08-01", "cache-diagnosis-2026-04-07",
        ],
        "tool_count": 12, "tools_bytes": 30891, "tools_digest": b"", "system_bytes": 6107,
        "system_digest": b"", "cwd": "/home/", "git_branch": "main", "mode": "bypassPermissions",
        "entry_point": "cli", "tool_durations": [["Bash", 28], ["Read", 3], ["Edit", 12]],
        "inferred": ["mode"], "silence_from_ns": 9296179, "silence_side": "provider",
        "service_tier": "standard",
        "usage_json": b'{"input_tokens":9006,"cache_creation_input_tokens":3000,"cache_read_input_t'
        b'okens":0,"cache_creation":{"ephemeral_5m_input_tokens":3000,"ephemeral_1h_input_tokens":0'
        b'},"output_tokens":81,"service_tier":"standard","inference_geo":"not_available"}',
        "rate_limits": [
            {"name": "input-tokens", "limit": 2000000.0, "remaining": 1999000.0,
             "resets_at_ms": 1893456000000},
            {"name": "output-tokens", "limit": 400000.0, "remaining": 399000.0,
             "resets_at_ms": 1893456000000},
            {"name": "requests", "limit": 4000.0, "remaining": 3999.0,
             "resets_at_ms": 1893456000000},
        ],
        "request_id": "req_011C", "contract_digest": b"",
    },
)  # fmt: skip
DETAILS = b"".join(map(msgspec.msgpack.encode, _SAMPLES))

# Of messages: names of fields and kinds of parts, each with what stands before or behind it.
PARTS = (
    b"\xa4kind\xa5other\xa4type\xa4json\xa4kind\xaacompaction\xa4kind\xa5media\xa5image"
    b"\xaamedia_type\xa9image/png\xaasize_bytes\xa6digest\xc4\x20<system-reminder>\n\n</system-reminder>"
    b"\xa4kind\xa7refusal\xa4text\x93\x84\xa4kind\xa8thinking\xa4text\xa0\xacis_redacted\xc3"
    b'\xaaextra_json\xc5{"type":"reasoning","summary":[],"encrypted_content":"{"signature":"'
    b"\xa4kind\xa9tool-call\xa7call_id\xadcall_\xa4name\xa9namespace\xa9functions\xa9arguments"
    b'\xa9is_custom\xc3\xa9on_server\xc3{"command":"","description":"","file_path":""}'
    b"\x91\x83\xa4kind\xabtool-result\xa7call_id\xbetoolu_01\xa8is_error\xc2\xa4text\xda"
    b'\xaaextra_json\xc4\x28{"cache_control":{"type":"ephemeral"}}\x91\x82\xa4kind\xa4text\xa4text\xd9'
)
