"""
What the small values of projected tables are likely to hold: see storage.squeezing.

A change of it is a change of storage.projection.tables.VERSION.
"""

# Field names as msgpack has them, a byte of their length before each; then values they often have.
_RATE_LIMIT = (
    "name", "input-tokens", "limit", "remaining", "resets_at_ms", "output-tokens", "requests",
    "tokens", "resets_in_ms", "unified", "unified-7d", "unified-5h", "used_ratio", "status",
    "allowed",
)  # fmt: skip
_RARE = (
    "temperature", "git_branch", "main", "mode", "slash_command", "compaction", "is_interrupted",
    "web_search_requests", "web_fetch_requests", "cache_miss_reason", "notes", "kind",
    "unknown-field", "unknown-event", "truncated-stream", "malformed-event", "detail",
    "content_block_delta", "count", "price_source", "provider", "operation", "compact",
    "generativelanguage.googleapis.com", "api.githubcopilot.com", "chatgpt.com",
    "gemini-3.1-pro-preview", "STOP", "gpt-6.1-sol", "completed", "api.openai.com", "effort",
    "medium", "high", "low",
)  # fmt: skip
_OFTEN = (
    "agent_version", "2.1.330", "2.0.50", "0.169.0", "host", "api.anthropic.com", "model_asked",
    "claude-haiku-4-5-20251001", "claude-opus-5", "claude-sonnet-4-5-20250929", "model_served",
    "claude-sonnet-4-5", "stop_reason", "end_turn", "stop_reason", "tool_use", "prompt_id",
    "price_source", "genai-prices 0.2.3", "max_tokens", "is_stream", "betas", "tool_count",
    "tools_bytes", "tools_digest", "system_bytes", "system_digest", "cwd", "/home/", "/Users/",
    "entry_point", "cli", "tool_durations", "Bash", "Read", "Edit", "inferred", "request_class",
    "silence_from_ns", "silence_side", "provider", "service_tier", "standard", "usage_json",
)  # fmt: skip
_USAGE = (
    b'{"input_tokens":,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,'
    b'"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},'
    b'"output_tokens":1,"service_tier":"standard","inference_geo":"not_available"}'
    b'{"promptTokenCount":,"candidatesTokenCount":,"totalTokenCount":,"promptTokensDetails":'
    b'[{"modality":"TEXT","tokenCount":}],"thoughtsTokenCount":,"cachedContentTokenCount":}'
    b'{"prompt_tokens":,"completion_tokens":,"total_tokens":,"prompt_tokens_details":'
    b'{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,'
    b'"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}'
    b'{"input_tokens":,"input_tokens_details":{"cached_tokens":0},"output_tokens":,'
    b'"output_tokens_details":{"reasoning_tokens":0},"total_tokens":}'
)
_LAST = ("rate_limits", "request_id", "req_011C", "contract_digest")


def _texts(texts: tuple[str, ...]) -> bytes:
    return b"".join(bytes((0xA0 | min(len(text), 31),)) + text.encode() for text in texts)


DETAILS = _USAGE + _texts(_RATE_LIMIT) + _texts(_RARE) + _texts(_OFTEN) + _texts(_LAST)

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
