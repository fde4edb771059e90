"""Messages: of a conversation, of a session, of everything."""

import sqlite3
from typing import Any, Literal

import msgspec

from storage.contents import Contents
from storage.decoded import (
    Part,
    RefusalPart,
    Role,
    TextPart,
    ThinkingPart,
)
from storage.projection import rows as packing
from storage.records import Record

_INDICES = msgspec.msgpack.Decoder(tuple[int, ...])

type Place = tuple[str, int, int]  # turn id, position in it, number: where a page ended


class Message(Record, frozen=True, kw_only=True):
    """One message, by the smallest turn that holds it."""

    number: int  # local: not the same after a rebuild
    id: str
    conversation_id: str
    parent_id: str | None  # None: the first of its track
    depth: int
    track: str  # "main", or the request class of calls beside it
    role: Role
    kind: str  # prompt, tool-results, answer, context, notification, summary, command ...
    hangs: bool  # injected or mere thinking: shows beside its parent, nothing follows it
    is_partial: bool  # of an answer that was cut off
    is_answer: bool  # its turn's answer brought it, not its request
    turn_id: str
    position: int  # in that turn
    at_ns: int  # Unix time at which it passed
    session_id: str  # of its turn
    preview: str  # the first 200 signs of its text, in one line
    injected: tuple[int, ...]  # parts that the agent put in beside what the user wrote
    parts: tuple[Part, ...]

    @property
    def size_bytes(self) -> int:
        """About what it takes to show it."""
        return len(packing.text(self.parts))


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages; what is None does not matter. `track` None: of all tracks."""

    session_id: str | None = None
    conversation_id: str | None = None
    role: Role | None = None
    kind: str | None = None
    track: str | None = "main"


class Page(msgspec.Struct, frozen=True, kw_only=True):
    messages: list[Message]
    next: Place | None  # the `after` of the next page


COLUMNS = """
    m.number, m.id, m.conversation_id, m.parent_id, m.depth, m.track, m.role, m.kind, m.hangs,
    m.is_partial, m.is_answer, t.id, m.position, m.at_ns, t.session_id, m.preview,
    m.injected, m.content
"""
_TURN, _POSITION = 11, 12
IN_SIGHT = "t.session_id not in (select session_id from tombstones where swept = 0)"
CONDITIONS = {
    "session_id": "t.session_id = :session_id",
    "conversation_id": "t.conversation_id = :conversation_id",
    "role": "m.role = :role",
    "kind": "m.kind = :kind",
    "track": "m.track = :track",
}
# Turns have indexes in this order within a session, within a conversation and of all, so they lead.
# A message is of its turn's conversation.
BY_TURN = """
    turns t cross join messages m on m.conversation_id = t.conversation_id and m.turn = t.number
"""


def page(
    conn: sqlite3.Connection,
    query: Query,
    *,
    after: Place | None = None,
    limit: int = 100,
    order: Literal["oldest", "newest"] = "newest",
) -> Page:
    """Messages behind the place `after`; `limit` is at least 1."""
    given = {
        name: value for name, value in msgspec.structs.asdict(query).items() if value is not None
    }
    sign, way = (">", "asc") if order == "oldest" else ("<", "desc")
    conditions = [IN_SIGHT, *(CONDITIONS[name] for name in given)]
    if after is not None:
        given |= {"turn": after[0], "position": after[1], "number": after[2]}
        conditions.append(f"t.id {sign}= :turn")
        conditions.append(f"(t.id, m.position, m.number) {sign} (:turn, :position, :number)")
    rows = conn.execute(
        f"""
        select {COLUMNS} from {BY_TURN} where {" and ".join(conditions)}
        order by t.id {way}, m.position {way}, m.number {way} limit :limit
        """,
        given | {"limit": limit + 1},
    ).fetchall()
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(
        messages=of_rows(conn, rows[:limit]),
        next=(last[_TURN], last[_POSITION], last[0]) if last else None,
    )


def place(message: Message) -> Place:
    return (message.turn_id, message.position, message.number)


def of_turn(conn: sqlite3.Connection, turn_id: str) -> list[Message]:
    """The messages that this turn was the first to hold."""
    rows = conn.execute(
        f"""
        select {COLUMNS} from {BY_TURN}
        where t.id = ? and {IN_SIGHT} order by m.position, m.number
        """,
        [turn_id],
    )
    return of_rows(conn, rows.fetchall())


def get(conn: sqlite3.Connection, message_id: str) -> Message | None:
    """None: there is no such message (any more)."""
    row = conn.execute(
        f"""
        select {COLUMNS} from messages m join turns t on t.number = m.turn
        where m.id = ? and {IN_SIGHT}
        """,
        [message_id],
    ).fetchone()
    found = of_rows(conn, [row] if row else [])
    return found[0] if found else None


def of_rows(conn: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> list[Message]:
    """In their order; without those that were deleted since they were read."""
    contents = Contents(conn)
    found = (_of_row(row, contents.parts(row[1], row[17])) for row in rows)
    return [message for message in found if message is not None]


def _of_row(row: tuple[Any, ...], parts: tuple[Part, ...] | None) -> Message | None:
    if parts is None:
        return None
    return Message(
        number=row[0],
        id=row[1],
        conversation_id=row[2],
        parent_id=row[3],
        depth=row[4],
        track=row[5],
        role=row[6],
        kind=row[7],
        hangs=bool(row[8]),
        is_partial=bool(row[9]),
        is_answer=bool(row[10]),
        turn_id=row[11],
        position=row[12],
        at_ns=row[13],
        session_id=row[14],
        preview=packing.preview(parts) if row[15] is None else row[15],
        injected=_INDICES.decode(row[16]),
        parts=parts,
    )


def spoken(parts: tuple[Part, ...]) -> str:
    """What was said: texts alone, without thinking, tool calls and their results."""
    return "\n\n".join(
        part.text for part in parts if isinstance(part, TextPart | RefusalPart) and part.text
    )


def thought(parts: tuple[Part, ...]) -> str:
    return "\n\n".join(part.text for part in parts if isinstance(part, ThinkingPart) and part.text)
