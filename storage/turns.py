"""Turns: model calls, decoded. What crossed for one is read again from its entry."""

import sqlite3
from typing import Any

from storage.decoded import RequestClass
from storage.errors import Conflict, NotFound
from storage.projection import rows as packing
from storage.projection.rows import TurnDetail
from storage.records import Record

_MIN_PREFIX = 4
_MAX_CANDIDATES = 5


class Turn(Record, frozen=True, kw_only=True):
    """One model call as the tables hold it. Offsets are monotonic, from its entry's start."""

    id: str  # <entry id>.<number, five digits>
    entry_id: str
    number: int  # in its entry
    session_id: str
    conversation_id: str
    wire: str
    agent: str
    agent_version: str | None
    request_class: RequestClass
    operation: str
    host: str
    is_complete: bool
    status: int | None
    started_ns: int  # Unix time: the request was whole
    ended_ns: int | None  # Unix time
    model_asked: str | None
    model_served: str | None
    stop_reason: str | None
    failure_type: str | None
    failure_text: str | None
    answer_id: str | None  # by the provider, of one that a later request may name
    previous_id: str | None
    is_unjoined: bool  # the answer that it goes on from is not known (yet)
    prompt: str | None
    prompt_id: str | None
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
    price_source: str | None
    asked_offset_ns: int | None
    first_byte_offset_ns: int | None
    first_content_offset_ns: int | None
    last_content_offset_ns: int | None
    ended_offset_ns: int | None
    longest_silence_ns: int | None
    request_digest: bytes | None
    attempt: int | None
    detail: TurnDetail

    @property
    def failed(self) -> bool:
        return self.failure_type is not None or self.failure_text is not None


_OF_ID = ("entry_id", "number")
_OF_DETAIL = (
    "wire", "agent", "agent_version", "operation", "host", "model_asked", "model_served",
    "stop_reason", "prompt_id", "price_source",
)  # fmt: skip
_COLUMNS = tuple(
    name for name in Turn.__struct_fields__ if name not in _OF_ID and name not in _OF_DETAIL
)
_SELECT = f"""
    select {", ".join(f"t.{name}" for name in _COLUMNS)} from turns t
"""
_IN_SIGHT = "t.session_id not in (select session_id from tombstones where swept = 0)"


def of_conversation(
    conn: sqlite3.Connection, conversation_id: str, *, after: str = "", limit: int = 1000
) -> list[Turn]:
    """Its turns behind the one named `after`, oldest first."""
    rows = conn.execute(
        f"""
        {_SELECT} where t.conversation_id = :id and t.id > :after and {_IN_SIGHT}
        order by t.id limit :limit
        """,
        {"id": conversation_id, "after": after, "limit": limit},
    )
    return [_of_row(row) for row in rows.fetchall()]


def of_session(
    conn: sqlite3.Connection, session_id: str, *, after: str = "", limit: int = 1000
) -> list[Turn]:
    """Its turns behind the one named `after`, oldest first."""
    rows = conn.execute(
        f"""
        {_SELECT} where t.session_id = :id and t.id > :after and {_IN_SIGHT}
        order by t.id limit :limit
        """,
        {"id": session_id, "after": after, "limit": limit},
    )
    return [_of_row(row) for row in rows.fetchall()]


def of_entry(conn: sqlite3.Connection, entry_id: str, *, limit: int = 1000) -> list[Turn]:
    """Its turns in their order; an HTTP entry has one at most."""
    rows = conn.execute(
        f"{_SELECT} where t.id > ? and t.id < ? and {_IN_SIGHT} order by t.id limit ?",
        [f"{entry_id}.", f"{entry_id}/", limit],
    )
    return [_of_row(row) for row in rows.fetchall()]


def get(conn: sqlite3.Connection, turn_id: str) -> Turn:
    """Raises NotFound."""
    row = conn.execute(f"{_SELECT} where t.id = ? and {_IN_SIGHT}", [turn_id]).fetchone()
    if row is None:
        raise NotFound("Turn not found")
    return _of_row(row)


def find(conn: sqlite3.Connection, prefix: str) -> Turn:
    """
    The turn of an id or of a prefix of at least 4 characters.

    Raises NotFound; Conflict if several match.
    """
    prefix = prefix.strip().lower()
    if len(prefix) < _MIN_PREFIX:
        raise NotFound("Turn not found")
    rows = conn.execute(
        f"""
        select t.id from turns t where t.id >= :from and t.id < :from || '~' and {_IN_SIGHT}
        order by t.id limit :limit
        """,
        {"from": prefix, "limit": _MAX_CANDIDATES + 1},
    ).fetchall()
    found = [turn_id for (turn_id,) in rows]
    if len(found) > 1 and prefix not in found:
        named = ", ".join(found[:_MAX_CANDIDATES])
        raise Conflict(f"{prefix!r} may be {named}{' ...' if found[_MAX_CANDIDATES:] else ''}")
    return get(conn, found[0] if len(found) == 1 else prefix)


def by_time(
    conn: sqlite3.Connection, *, session_id: str | None = None, root: str | None = None
) -> list[str]:
    """
    Ids of turns in the order in which they began: of a session, or of a conversation's tree.

    Turn ids alone will not do: those of a long socket all begin with its opening.
    """
    if session_id is not None:
        rows = conn.execute(
            f"""
            select t.id from turns t where t.session_id = ? and {_IN_SIGHT}
            order by t.started_ns, t.id
            """,
            [session_id],
        )
    else:
        rows = conn.execute(
            f"""
            with recursive below (id) as (
                select :root
                union
                select k.id from conversations k join below b on k.parent_id = b.id
            )
            select t.id from below b join turns t on t.conversation_id = b.id where {_IN_SIGHT}
            order by t.started_ns, t.id
            """,
            {"root": root},
        )
    return [turn_id for (turn_id,) in rows.fetchall()]


def _of_row(row: tuple[Any, ...]) -> Turn:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["is_complete"] = bool(values["is_complete"])
    values["is_unjoined"] = bool(values["is_unjoined"])
    values["detail"] = detail = packing.unpack_detail(values["detail"])
    values["entry_id"], _, number = values["id"].partition(".")
    values["number"] = int(number)
    values |= {name: getattr(detail, name) for name in _OF_DETAIL}
    return Turn(**values)
