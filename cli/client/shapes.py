"""What commands get from a client. Entries are the API's own (`api.entries.EntryBody`)."""

from collections.abc import Callable
from typing import Literal

import msgspec

from api.entries import EntryBody
from api.imported import ImportBody
from api.rebuilding import Rebuild
from api.retained import DropBody
from storage.records import EntryKind, Origin, Outcome

__all__ = [
    "Drops",
    "EntryBody",
    "ImportBody",
    "Progress",
    "Rebuild",
    "Session",
    "TrafficFilter",
    "TrafficPage",
]


# The step of an import, how far it is, and how far it goes, in bytes.
Progress = Callable[[str, int, int], None]


class Session(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A capture session, as the API has it. Times are Unix milliseconds."""

    id: str
    name: str
    is_active: bool
    is_recording: bool
    created_at: int
    updated_at: int
    traffic_count: int
    total_bytes: int
    origin: Origin
    is_pinned: bool = msgspec.field(name="pinned", default=False)
    summary: str | None = None  # first real prompt
    project: str | None = None
    agent: str | None = None
    model: str | None = None
    conversation_count: int = 0
    turn_count: int = 0
    error_count: int = 0  # turns that failed or were cut off
    tool_call_count: int = 0
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cost_usd: float | None = 0.0
    unpriced_turns: int = 0


class Drops(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions that retention dropped, newest first; `total` counts all that are known."""

    drops: list[DropBody]
    total: int


class TrafficFilter(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which entries; what is None does not matter. `status` is "200", or "4xx" for a class."""

    session_id: str | None = None
    host: str | None = None
    method: str | None = None
    status: str | None = None
    kind: EntryKind | None = None
    outcome: Outcome | Literal["open"] | None = None
    text: str | None = None


class TrafficPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; `next` is the `after` of the next page, None on the last."""

    entries: list[EntryBody]
    total: int
    next: str | None
