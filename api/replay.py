"""A turn read again from the bytes of its entry: what crossed, not what was kept of it."""

import sqlite3
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from addons.wire import decoder_of, driving
from api.answers import parts
from api.answers.figures import json_of
from api.answers.parts import PartBody
from storage import decoded, replay, traffic
from storage.decoded import Message, Role, Tool, TurnEnded
from storage.errors import NotFound
from storage.records import Entry


class SentMessage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message in the wire format's own unit."""

    id: str | None
    role: Role
    name: str | None
    parts: list[PartBody]
    labels: Annotated[Any, Meta(description="What the sender says of it beside the content")]
    extra: Annotated[Any, Meta(description="Fields that are not known, as they came")]


class ToolBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A tool that the request offers."""

    name: str
    namespace: str | None
    type: Annotated[str | None, Meta(description="The wire's own word")]
    description: str | None
    schema: Any
    size: Annotated[int, Meta(description="Bytes of its JSON in the request")]


class Content(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was sent and answered, whole."""

    system: list[PartBody]
    tools: list[ToolBody]
    messages: Annotated[list[SentMessage], Meta(description="That this very request carries")]
    answer: list[SentMessage]
    fields: Annotated[Any, Meta(description="All other top-level fields of the request")]
    answer_fields: Any
    previous_id: Annotated[str | None, Meta(description="The answer that the request goes on from")]


def turns(conn: sqlite3.Connection, entry: Entry) -> Iterator[decoded.Turn]:
    """All turns of an entry, as they end; none where no wire format knows it."""
    entry = replay.readable(entry)
    head = driving.head_of(entry)
    decoder = decoder_of(head)
    if decoder is None:
        return
    passed = replay.passed(conn, entry)
    answer, ended_ns = driving.answer_of(entry), entry.timing.closed_ns
    for change in driving.drive(decoder.open(head), answer, passed, ended_ns):
        if isinstance(change, TurnEnded):
            yield change.turn


def content(conn: sqlite3.Connection, entry_id: str, number: int) -> Content | None:
    """What a turn sent and got; None: its entry is gone or no longer understood. Slow."""
    try:
        entry = traffic.get(conn, entry_id)
        found = next((turn for turn in turns(conn, entry) if turn.number == number), None)
    except NotFound:
        return None
    return _body(found) if found else None


def _body(turn: decoded.Turn) -> Content:
    asked, answer = turn.asked, turn.answer
    return Content(
        system=[parts.body_of(part) for part in asked.system],
        tools=list(map(_tool, asked.tools)),
        messages=list(map(_message, asked.messages)),
        answer=list(map(_message, answer.messages)),
        fields=json_of(asked.fields_json),
        answer_fields=json_of(answer.fields_json),
        previous_id=asked.previous_id,
    )


def _message(message: Message) -> SentMessage:
    return SentMessage(
        id=message.id,
        role=message.role,
        name=message.name,
        parts=[parts.body_of(part) for part in message.parts],
        labels=json_of(message.labels_json),
        extra=json_of(message.extra_json),
    )


def _tool(tool: Tool) -> ToolBody:
    return ToolBody(
        name=tool.name,
        namespace=tool.namespace,
        type=tool.type,
        description=tool.description,
        schema=json_of(tool.schema_json),
        size=tool.size_bytes,
    )
