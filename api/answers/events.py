"""Events as the API streams them: NDJSON, or one JSON array."""

import itertools
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from storage.events import Event, EventType

_TOGETHER = 50  # events in one piece of the answer
_ENCODER = msgspec.json.Encoder()


class EventBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """
    One thing that happened, in the vocabulary of document 000.

    `user.confirmation` and `client.log` never show on the wire, so there are none of them.
    """

    type: EventType
    id: Annotated[str, Meta(description="The same whenever it is asked for")]
    timestamp: Annotated[str, Meta(description="ISO 8601, UTC, milliseconds")]
    session_id: str
    conversation_id: str
    turn_id: str
    turn: Annotated[int, Meta(description="Number of the conversation's turn, from 0")]
    parent_id: str | None = None
    message: Annotated[
        str | None, Meta(description="The text of user.message and assistant.message")
    ] = None
    data: dict[str, Any]


def ndjson(events: Iterable[Event]) -> Iterator[bytes]:
    """One event a line; nothing where there is none."""
    for some in itertools.batched(events, _TOGETHER):
        yield b"".join(_ENCODER.encode(body_of(event)) + b"\n" for event in some)


def array(events: Iterable[Event]) -> Iterator[bytes]:
    before = b"["
    for some in itertools.batched(events, _TOGETHER):
        yield before + b",".join(_ENCODER.encode(body_of(event)) for event in some)
        before = b","
    yield b"[]" if before == b"[" else b"]"


def body_of(event: Event) -> EventBody:
    return EventBody(
        type=event.type,
        id=event.id,
        timestamp=iso(event.at_ns),
        session_id=event.session_id,
        conversation_id=event.conversation_id,
        turn_id=event.turn_id,
        turn=event.turn,
        parent_id=event.parent_id,
        message=event.message,
        data=event.data,
    )


def iso(moment_ns: int) -> str:
    """Cut to the millisecond, not rounded: no event comes before it happened by its neighbours."""
    seconds, rest_ns = divmod(moment_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest_ns // 1_000_000:03}Z"
