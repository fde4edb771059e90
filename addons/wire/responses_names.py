"""
Responses: the names that are known. What has another name is kept all the same, and noted.

Source: the types of the `openai` package 3.54, and what Codex and Copilot CLI were seen to send;
read 2026-11.
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# --- requests ------------------------------------------------------------------------------------

# Of `POST /responses` and of the socket's `response.create`.
REQUEST_FIELDS = _names("""
    access_programs background background_options client_metadata context_management conversation
    generate image include input instructions max_output_tokens max_tool_calls metadata model
    moderation parallel_tool_calls previous_response_id prompt prompt_cache_key
    prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier store
    stream stream_id stream_options temperature text tool_choice tools top_logprobs top_p
    truncation type user
""")

# --- items ---------------------------------------------------------------------------------------

# Items and parts that are kept whole because no part stands for them.
WHOLE_ITEMS = _names("""
    additional_tools compaction_trigger configuration_update encrypted_content item_reference
    mcp_approval_request mcp_approval_response mcp_list_tools
""")

# Fields of items and parts that no part holds.
ITEM_FIELDS = _names("""
    acknowledged_safety_checks action allowed_callers approval_request_id async author background
    caller container_id created_by detail encrypted_content end_turn environment error execution
    file_id fingerprint logprobs max_output_length namespace output_format outputs
    pending_safety_checks phase prompt_cache_breakpoint quality recipient results server_label size
    status svg_usage type
""")

# --- answers -------------------------------------------------------------------------------------

# Something of the answer comes, and the item's end says it all.
PROGRESS = frozenset(
    f"response.{name}"
    for name in _names("""
        audio.delta audio.done audio.transcript.delta audio.transcript.done
        code_interpreter_call.completed code_interpreter_call.in_progress
        code_interpreter_call.interpreting compaction.compacting file_search_call.completed
        file_search_call.in_progress file_search_call.searching image_generation_call.completed
        image_generation_call.generating image_generation_call.in_progress
        image_generation_call.partial_image mcp_call.completed mcp_call.failed mcp_call.in_progress
        mcp_list_tools.completed mcp_list_tools.failed mcp_list_tools.in_progress
        shell_call_command.added shell_call_output_content.delta shell_call_output_content.done
        web_search_call.completed web_search_call.in_progress web_search_call.searching
    """)
)

IDLE = _names("keepalive ping response.keepalive")

# Beside the answer; kept in its fields.
KEPT = _names("""
    codex.rate_limits codex.response.metadata response.metadata response.steer.accepted
    response.steer.failed response.steer.pending
""")

EVENT_FIELDS = _names("""
    annotation annotation_index arguments background code command command_index content_index delta
    error headers input item item_id logprobs message obfuscation output output_format output_index
    param part partial_image_b64 partial_image_index quality refusal response response_id
    sequence_number size status status_code stream_id summary_index text type
""")

# What the answer says itself, and the request that most servers repeat in each response.
SAID_ELSEWHERE = _names("id input instructions model object output text tools usage")

RESPONSE_FIELDS = SAID_ELSEWHERE | _names("""
    access_programs background billing completed_at content_filters conversation created_at end_turn
    error frequency_penalty image incomplete_details input_transformations max_output_tokens
    max_tool_calls metadata moderation parallel_tool_calls presence_penalty previous_response_id
    prompt prompt_cache_diagnostics prompt_cache_key prompt_cache_options prompt_cache_retention
    reasoning safety_identifier service_tier status store temperature tool_choice tool_usage
    top_logprobs top_p truncation user
""")
