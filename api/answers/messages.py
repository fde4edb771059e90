"""Messages as the API shows them."""

import sqlite3
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from api import cursors
from api.answers import parts
from api.answers.figures import Ms
from api.answers.parts import PartBody
from storage import branches, messages, search
from storage.decoded import Role
from storage.messages import Message, Query

_PAGE_BYTES = 4 << 20  # of words: a page ends earlier where messages are long


class MessageBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One message of a conversation."""

    id: str
    conversation_id: str
    session_id: str
    turn_id: Annotated[str, Meta(description="The first turn that holds it")]
    parent_id: str | None
    depth: int
    track: Annotated[str, Meta(description="main, or what a call beside the conversation is for")]
    role: Role
    kind: Annotated[
        str,
        Meta(
            description="prompt, answer, tool-results, context, notification, summary, command "
            "or instruction"
        ),
    ]
    is_injected: Annotated[
        bool,
        Meta(description="The agent put it in, or it is mere thinking: it hangs on its parent"),
    ]
    is_partial: Annotated[bool, Meta(description="Of an answer that was cut off")]
    is_answer: bool
    is_current: Annotated[
        bool | None,
        Meta(description="On the branch of the newest turn; null where that was not asked for"),
    ]
    timestamp: Ms
    preview: str
    injected_parts: Annotated[
        list[int],
        Meta(description="Which parts the agent put in beside what the user wrote, from 0"),
    ]
    parts: list[PartBody]


class HitBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where the words stand: spans of the snippet, from and before which sign."""

    message_id: str
    snippet: str
    marks: list[tuple[int, int]]


class MessagePage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`next` is the `after` of the next page; `hits` only of a search, in the same order."""

    messages: list[MessageBody]
    next: str | None
    hits: list[HitBody] | None = None


def page(
    conn: sqlite3.Connection,
    query: Query,
    *,
    after: str | None = None,
    limit: int = 100,
    order: Literal["oldest", "newest"] = "newest",
) -> MessagePage:
    """Raises ConfigError for an `after` that is none."""
    place = cursors.decode(after, tuple[str, int, int])
    found = messages.page(conn, query, after=place, limit=limit, order=order)
    shown = _fitting(found.messages)
    behind = found.next
    if len(shown) < len(found.messages):
        behind = messages.place(shown[-1])
    # Nothing is on the newest branch where nobody knows which that is.
    current = (query.conversation_id and branches.current(conn, query.conversation_id)) or None
    return MessagePage(
        messages=[body_of(message, current) for message in shown], next=cursors.encode(behind)
    )


def found(
    conn: sqlite3.Connection,
    text: str,
    query: Query,
    *,
    after: str | None = None,
    limit: int = 100,
) -> MessagePage:
    """The page of a search. Raises ConfigError for an `after` that is none."""
    place = cursors.decode(after, tuple[str, int, int])
    hits = search.find(conn, text, query, after=place, limit=limit)
    shown = _fitting([hit.message for hit in hits.hits])
    behind = hits.next if len(shown) == len(hits.hits) else messages.place(shown[-1])
    return MessagePage(
        messages=[body_of(message) for message in shown],
        next=cursors.encode(behind),
        hits=[
            HitBody(message_id=hit.message.id, snippet=hit.snippet, marks=hit.marks)
            for hit in hits.hits[: len(shown)]
        ],
    )


def body_of(message: Message, current: set[str] | None = None) -> MessageBody:
    """`current` holds the ids of the newest branch; None: nobody asked."""
    anchor = message.parent_id if message.hangs else message.id
    return MessageBody(
        id=message.id,
        conversation_id=message.conversation_id,
        session_id=message.session_id,
        turn_id=message.turn_id,
        parent_id=message.parent_id,
        depth=message.depth,
        track=message.track,
        role=message.role,
        kind=message.kind,
        is_injected=message.hangs,
        is_partial=message.is_partial,
        is_answer=message.is_answer,
        is_current=None if current is None else anchor is None or anchor in current,
        timestamp=message.at_ns // 1_000_000,
        preview=message.preview,
        injected_parts=list(message.injected),
        parts=[parts.body_of(part) for part in message.parts],
    )


def _fitting(found: list[Message]) -> list[Message]:
    """The first of them that make a page of bearable size: one at least."""
    left = _PAGE_BYTES
    for place, message in enumerate(found):
        left -= message.size_bytes
        if place and left < 0:
            return found[:place]
    return found
