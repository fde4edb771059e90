"""
What the live feed says, as it is sent.

Native events are camelCase like the API, tool hooks snake_case like Claude Code's hooks (document
001). Every object gets a `seq` beside what stands here.
"""

from datetime import UTC, datetime
from typing import Literal

import msgspec

from storage.decoded import (
    CompactionPart,
    MediaPart,
    OtherPart,
    Part,
    RefusalPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)
from storage.drops import Reason

HookName = Literal[
    "SessionStart",
    "SessionEnd",
    "Stop",
    "PreToolUse",
    "PostToolUse",
    "SubagentStart",
    "SubagentStop",
    "Notification",
    "TaskStart",
    "TaskComplete",
    "TaskUpdate",
]


def moment(at_ns: int) -> str:
    """Unix time as ISO 8601 with milliseconds."""
    found = datetime.fromtimestamp(at_ns // 1_000_000_000, tz=UTC)
    return f"{found:%Y-%m-%dT%H:%M:%S}.{at_ns // 1_000_000 % 1000:03d}Z"


class Hook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One event of `/ws`. What is None is not sent, for the wire does not show it.

    `session_id` is the public id of the root conversation; of a notification there is none.
    """

    hook_event_name: HookName
    session_id: str | None = None
    timestamp: str
    capture_session_id: str | None = None
    conversation_id: str | None = None
    turn_id: str | None = None
    agent: str | None = None
    cwd: str | None = None
    permission_mode: str | None = None
    model: str | None = None
    source: Literal["startup", "resume"] | None = None  # of a SessionStart
    reason: str | None = None  # of a SessionEnd
    inferred: bool = False
    tool_name: str | None = None
    tool_use_id: str | None = None
    tool_input: msgspec.Raw | str | None = None  # an object, or the text of a custom tool
    tool_response: str | None = None
    is_error: bool | None = None
    agent_id: str | None = None  # the subagent's conversation
    agent_type: str | None = None
    description: str | None = None
    stop_reason: str | None = None
    title: str | None = None
    message: str | None = None
    task: str | None = None
    task_id: str | None = None
    task_status: str | None = None


class _Native(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", omit_defaults=False
):
    pass


class _OfEntry(_Native, frozen=True, kw_only=True):
    session_id: str
    entry_id: str
    at: int  # Unix milliseconds


class EntryOpened(_OfEntry, frozen=True, kw_only=True, tag="entry.opened"):
    kind: str
    method: str
    host: str
    path: str


class EntryClosed(_OfEntry, frozen=True, kw_only=True, tag="entry.closed"):
    outcome: str
    status: int | None
    request_bytes: int | None
    response_bytes: int | None


class _OfTurn(_OfEntry, frozen=True, kw_only=True):
    conversation_id: str
    root_id: str
    turn_id: str
    agent: str


class TurnBegun(_OfTurn, frozen=True, kw_only=True, tag="turn.begun"):
    request_class: str
    is_subagent: bool
    model: str | None
    prompt: str | None
    message_count: int


class Delta(_OfTurn, frozen=True, kw_only=True, tag="delta"):
    index: int
    kind: str
    text: str


class PartBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    kind: str
    text: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    is_error: bool | None = None
    media_type: str | None = None


class PartDone(_OfTurn, frozen=True, kw_only=True, tag="part.done"):
    index: int
    part: PartBody


class TurnEnded(_OfTurn, frozen=True, kw_only=True, tag="turn.ended"):
    request_class: str
    is_complete: bool
    model: str | None
    stop_reason: str | None
    failure: str | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None


class TurnStored(_OfTurn, frozen=True, kw_only=True, tag="turn.stored"):
    """The tables hold the turn now, perhaps in another session than its events named before."""


class _OfSession(_Native, frozen=True, kw_only=True):
    session_id: str


class SessionCreated(_OfSession, frozen=True, kw_only=True, tag="session.created"):
    name: str
    is_active: bool
    is_recording: bool
    pinned: bool


class SessionUpdated(_OfSession, frozen=True, kw_only=True, tag="session.updated"):
    name: str
    is_active: bool
    is_recording: bool
    pinned: bool


class SessionDeleted(_OfSession, frozen=True, kw_only=True, tag="session.deleted"):
    reason: Reason | None  # the limit by which retention dropped it; None: a user deleted it


class StoreDegraded(_Native, frozen=True, kw_only=True, tag="store.degraded"):
    degraded: str | None


type Native = (
    EntryOpened
    | EntryClosed
    | TurnBegun
    | Delta
    | PartDone
    | TurnEnded
    | TurnStored
    | SessionCreated
    | SessionUpdated
    | SessionDeleted
    | StoreDegraded
)


def part_body(part: Part) -> PartBody:
    match part:
        case ToolCallPart():
            return PartBody(
                kind="tool-call",
                call_id=part.call_id,
                name=part.name,
                namespace=part.namespace,
                arguments=part.arguments,
            )
        case ToolResultPart():
            return PartBody(
                kind="tool-result", call_id=part.call_id, text=part.text, is_error=part.is_error
            )
        case MediaPart():
            return PartBody(kind="media", name=part.name, media_type=part.media_type)
        case OtherPart():
            return PartBody(kind="other", name=part.type)
        case ThinkingPart():
            return PartBody(kind="thinking", text=part.text)
        case CompactionPart():
            return PartBody(kind="compaction", text=part.text)
        case TextPart():
            return PartBody(kind="text", text=part.text)
        case RefusalPart():
            return PartBody(kind="refusal", text=part.text)
