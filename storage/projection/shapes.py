"""The rows of the projected tables as the projection makes them: a field for each column."""

import msgspec


class Row(msgspec.Struct, kw_only=True):
    """Meanings and units stand at the columns, in storage.projection.tables."""


class TurnRow(Row, kw_only=True):
    """Without `number`, which the table gives."""

    id: str
    session_id: str
    conversation_id: str
    version: int
    request_class: str
    is_complete: bool
    status: int | None
    started_ns: int
    ended_ns: int | None
    failure_type: str | None
    failure_text: str | None
    answer_id: str | None
    previous_id: str | None
    is_unjoined: bool
    prompt: str | None
    asked_leaf: str | None
    leaf: str | None
    sent_messages: int
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    cache_write_5m_tokens: int | None
    cache_write_1h_tokens: int | None
    reasoning_tokens: int | None
    counted_tokens: int | None
    cost_usd: float | None
    asked_offset_ns: int | None
    first_byte_offset_ns: int | None
    first_content_offset_ns: int | None
    last_content_offset_ns: int | None
    ended_offset_ns: int | None
    longest_silence_ns: int | None
    request_digest: bytes | None
    attempt: int | None
    detail: bytes


class ConversationRow(Row, kw_only=True):
    id: str
    key: str
    agent: str
    is_inferred: bool
    parent_id: str | None
    parent_call: str | None
    is_subagent: bool
    session_id: str
    first_turn: str
    last_turn: str
    started_ns: int
    ended_ns: int
    summary: str | None
    cwd: str | None
    git_branch: str | None
    git_repository: str | None
    agent_version: str | None
    model: str | None
    mode: str | None
    subagent_type: str | None
    subagent_name: str | None
    parent_key: str | None
    spawn_call_id: str | None
    spawn_digest: bytes | None
    marks: bytes
    turn_count: int
    thread_turns: int
    prompt_count: int
    message_count: int
    tool_call_count: int
    error_count: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_usd: float
    unmetered_turns: int
    unpriced_turns: int


class MessageRow(Row, kw_only=True):
    """Without `number`, which the table gives."""

    id: str
    conversation_id: str
    parent_id: str | None
    depth: int
    track: str
    role: str
    kind: str
    hangs: bool
    is_partial: bool
    is_answer: bool
    turn: int
    position: int
    at_ns: int
    preview: str | None
    injected: bytes
    content: bytes


class ToolCallRow(Row, kw_only=True):
    id: str
    conversation_id: str
    call_id: str | None
    name: str
    namespace: str | None
    kind: str
    is_custom: bool = False
    mcp_server: str | None = None
    mcp_tool: str | None = None
    skill: str | None = None
    turn_id: str | None = None
    message_id: str | None = None
    part: int | None = None
    made: bool = False
    called_ns: int | None = None
    result_turn: str | None = None
    result_message: str | None = None
    result_part: int | None = None
    result_ns: int | None = None
    is_error: bool | None = None
    is_error_inferred: bool = False
    exit_code: int | None = None
    is_pending: bool = False
    stated_ms: int | None = None
    child: str | None = None
    spawn_digest: bytes | None = None
    spawn_name: str | None = None
    subagent_type: str | None = None
    description: str | None = None
    command: str | None = None
    arguments: bytes | None = None
    result: bytes | None = None


class TouchRow(Row, kw_only=True):
    tool_call_id: str
    number: int
    conversation_id: str
    path: str
    access: str


class TaskRow(Row, kw_only=True):
    conversation_id: str
    key: str
    place: int
    subject: str
    description: str | None
    status: str
    active_form: str | None
    owner: str | None
    blocked_by: bytes
    blocks: bytes
    metadata_json: bytes | None
    created_turn: str
    updated_turn: str


class NoteRow(Row, kw_only=True):
    turn_id: str
    number: int
    decoder: str
    kind: str
    detail: str | None
    count: int


class ShareRow(Row, kw_only=True):
    """What one turn adds to its conversation's share of its session."""

    session_id: str
    conversation_id: str
    turn_count: int = 0
    prompt_count: int = 0  # the table counts them: a repeated attempt is no second prompt
    message_count: int = 0
    tool_call_count: int = 0
    error_count: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float = 0.0
    unmetered_turns: int = 0
    unpriced_turns: int = 0


class Sums(Row, kw_only=True):
    """What one turn adds to a quarter of an hour."""

    turns: int
    tool_calls: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: float
    unmetered: int
    unpriced: int
