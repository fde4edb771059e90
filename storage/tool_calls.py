"""Tool calls, each with its result, and how long it took."""

import sqlite3
from typing import Any, Literal

import msgspec

from storage import messages
from storage.contents import Contents
from storage.decoded import Part, ToolCallPart, ToolKind, ToolResultPart
from storage.errors import NotFound
from storage.projection import rows as packing
from storage.records import Record

DurationSource = Literal["stated", "measured"]
type Place = tuple[str, int, int, str]  # turn id ("": none), moment, part, id


class ToolCall(Record, frozen=True, kw_only=True):
    """
    One tool use. What is None of the call: only the result was seen; of the result: none came.

    `duration_ms` is the agent's own word where it says one ("stated"), else from the call to the
    sending of its result ("measured"): then waiting for a permission is in it.
    """

    id: str
    conversation_id: str
    session_id: str | None
    call_id: str | None  # the provider's
    name: str
    namespace: str | None
    kind: ToolKind
    mcp_server: str | None
    mcp_tool: str | None
    skill: str | None
    turn_id: str | None
    message_id: str | None
    part: int | None
    is_history: bool  # no answer brought it: it was only seen in a history that was sent
    called_ns: int | None  # Unix time at which the call was whole
    result_turn: str | None
    result_message: str | None
    result_ns: int | None  # Unix time at which the result was sent
    is_error: bool | None  # None: no result, or nobody can tell
    is_error_inferred: bool
    exit_code: int | None
    is_pending: bool  # the result only says that it was started
    duration_ms: int | None
    duration_source: DurationSource | None
    child: str | None  # conversation that it started
    description: str | None
    command: str | None
    arguments: str  # "": not seen, or damaged
    result: str | None  # None: none came, or it is damaged


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which tool calls; what is None does not matter. `subagents`: those that start one.

    `has_error` false takes those whose result says that it is none.
    """

    session_id: str | None = None
    conversation_id: str | None = None
    name: str | None = None
    kind: ToolKind | None = None
    mcp_server: str | None = None
    has_error: bool | None = None
    subagents: bool | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    tool_calls: list[ToolCall]
    next: Place | None


# Where a call itself was never seen, its result stands for it.
_SELECT = """
    select c.id, c.conversation_id, t.session_id, c.call_id, c.name, c.namespace, c.kind,
        c.mcp_server, c.mcp_tool, c.skill, c.turn_id, c.message_id, c.part, c.called_ns,
        c.result_turn, c.result_message, c.result_ns, c.is_error, c.is_error_inferred, c.exit_code,
        c.is_pending, c.stated_ms, c.child, c.description, c.command, c.arguments, c.result,
        (select k.id from conversations k
            where k.parent_id = c.conversation_id and k.parent_call = c.id
            order by k.first_turn limit 1),
        c.made, c.result_part
"""
_IN_SIGHT = "t.session_id not in (select session_id from tombstones where swept = 0)"
_CONDITIONS = {
    "session_id": "t.session_id = :session_id",
    "conversation_id": "c.conversation_id = :conversation_id",
    "name": "c.name = :name",
    "kind": "c.kind = :kind",
    "mcp_server": "c.mcp_server = :mcp_server",
    "has_error": "c.is_error = :has_error",
    "subagents": """
        :subagents = (c.spawn_digest is not null or c.child is not null or exists
            (select 1 from conversations k
                where k.parent_id = c.conversation_id and k.parent_call = c.id))
    """,
}
_ORDER = "coalesce(c.called_ns, 0), coalesce(c.part, 0), c.id"
# Tool calls have an index in this order within a conversation and of a name, turns within a session
# and of all. A call is of its turn's conversation. The plus: else SQLite takes a range of turns
# that is asked for as one of tool calls, for each turn.
_BY_TURN = """
    turns t cross join tool_calls c on c.conversation_id = t.conversation_id and c.turn_id = +t.id
"""
_BY_CALL = "tool_calls c cross join turns t on t.id = c.turn_id"


def page(
    conn: sqlite3.Connection,
    query: Query,
    *,
    after: Place | None = None,
    limit: int = 100,
    order: Literal["oldest", "newest"] = "newest",
) -> Page:
    """
    Tool calls behind the place `after`; `limit` is at least 1.

    Those of which only the result was seen come last in both orders.
    """
    given = {
        name: value for name, value in msgspec.structs.asdict(query).items() if value is not None
    }
    conditions = [_IN_SIGHT, *(_CONDITIONS[name] for name in given)]
    rows: list[tuple[Any, ...]] = []
    if after is None or after[0]:
        rows = _called(conn, given, conditions, after, limit + 1, order)
    if len(rows) <= limit:
        behind = after[3] if after and not after[0] else ""
        rows += _uncalled(conn, given, conditions, behind, limit + 1 - len(rows))
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(
        tool_calls=_of_rows(conn, rows[:limit]),
        next=(last[10] or "", last[13] or 0, last[12] or 0, last[0]) if last else None,
    )


def place(call: ToolCall) -> Place:
    return (call.turn_id or "", call.called_ns or 0, call.part or 0, call.id)


def _called(
    conn: sqlite3.Connection,
    given: dict[str, Any],
    conditions: list[str],
    after: Place | None,
    limit: int,
    order: str,
) -> list[tuple[Any, ...]]:
    by_turn = "conversation_id" not in given and ("session_id" in given or "name" not in given)
    turn = "t.id" if by_turn else "c.turn_id"
    sign, way = (">", "asc") if order == "oldest" else ("<", "desc")
    conditions = [f"{turn} is not null", *conditions]
    if after is not None:
        given = given | dict(zip(("turn", "called", "part", "id"), after, strict=True))
        conditions.append(f"{turn} {sign}= :turn")
        conditions.append(f"({turn}, {_ORDER}) {sign} (:turn, :called, :part, :id)")
    return conn.execute(
        f"""
        {_SELECT} from {_BY_TURN if by_turn else _BY_CALL}
        where {" and ".join(conditions)}
        order by {turn} {way}, coalesce(c.called_ns, 0) {way}, coalesce(c.part, 0) {way}, c.id {way}
        limit :limit
        """,
        given | {"limit": limit},
    ).fetchall()


def _uncalled(
    conn: sqlite3.Connection,
    given: dict[str, Any],
    conditions: list[str],
    after: str,
    limit: int,
) -> list[tuple[Any, ...]]:
    return conn.execute(
        f"""
        {_SELECT} from tool_calls c cross join turns t on t.id = c.result_turn
        where c.turn_id is null and c.id > :after and {" and ".join(conditions)}
        order by c.id limit :limit
        """,
        given | {"after": after, "limit": limit},
    ).fetchall()


def of_turn(conn: sqlite3.Connection, turn_id: str) -> list[ToolCall]:
    """Those that this turn's answer asked for, in their order."""
    rows = conn.execute(
        f"""
        {_SELECT} from {_BY_TURN}
        where t.id = ? and {_IN_SIGHT} order by {_ORDER}
        """,
        [turn_id],
    )
    return _of_rows(conn, rows.fetchall())


def answered_by(conn: sqlite3.Connection, turn_id: str) -> list[ToolCall]:
    """Those whose results this turn was the first to send."""
    rows = conn.execute(
        f"""
        {_SELECT} from {messages.BY_TURN} cross join tool_calls c on c.result_message = m.id
        where t.id = :turn and c.result_turn = :turn and {_IN_SIGHT} order by {_ORDER}
        """,
        {"turn": turn_id},
    )
    return _of_rows(conn, rows.fetchall())


def get(conn: sqlite3.Connection, tool_call_id: str) -> ToolCall:
    """Raises NotFound."""
    row = conn.execute(
        f"""
        {_SELECT} from tool_calls c join turns t on t.id = coalesce(c.turn_id, c.result_turn)
        where c.id = ? and {_IN_SIGHT}
        """,
        [tool_call_id],
    ).fetchone()
    found = _of_rows(conn, [row] if row else [])
    if not found:
        raise NotFound("Tool call not found")
    return found[0]


def _of_rows(conn: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> list[ToolCall]:
    """In their order; without those whose messages were deleted since they were read."""
    contents = Contents(conn)
    in_messages = {(row[10], row[11]) for row in rows if row[25] is None and row[11]}
    in_messages |= {(row[14], row[15]) for row in rows if row[26] is None and row[15]}
    contents.fetch(
        {turn_id for turn_id, _ in in_messages}, {message_id for _, message_id in in_messages}
    )
    found = []
    for row in rows:
        call = _side(row[25], row[11], row[12], contents)
        result = _side(row[26], row[15], row[29], contents)
        if call is not None and result is not None:
            found.append(_of_row(row, call, result))
    return found


def _side(
    kept: bytes | None, message_id: str | None, part: int | None, contents: Contents
) -> str | Part | None:
    """What is kept of a side beside its message, or "" of none; its part; None: it is gone."""
    if kept is not None:
        return packing.unsqueeze(kept).decode(errors="replace")
    return "" if message_id is None else contents.part(message_id, part)


def _of_row(row: tuple[Any, ...], call: str | Part, result: str | Part) -> ToolCall:
    if isinstance(call, ToolCallPart):
        call = call.arguments
    if isinstance(result, ToolResultPart):
        result = result.text
    has_result = row[26] is not None or row[15] is not None
    called_ns, result_ns, stated_ms, is_pending = row[13], row[16], row[21], bool(row[20])
    duration_ms: int | None = stated_ms
    source: DurationSource | None = None if stated_ms is None else "stated"
    if stated_ms is None and called_ns is not None and result_ns is not None and not is_pending:
        duration_ms, source = max(result_ns - called_ns, 0) // 1_000_000, "measured"
    return ToolCall(
        id=row[0],
        conversation_id=row[1],
        session_id=row[2],
        call_id=row[3],
        name=row[4],
        namespace=row[5],
        kind=row[6],
        mcp_server=row[7],
        mcp_tool=row[8],
        skill=row[9],
        turn_id=row[10],
        message_id=row[11],
        part=row[12],
        is_history=not row[28],
        called_ns=called_ns,
        result_turn=row[14],
        result_message=row[15],
        result_ns=result_ns,
        is_error=None if row[17] is None else bool(row[17]),
        is_error_inferred=bool(row[18]),
        exit_code=row[19],
        is_pending=is_pending,
        duration_ms=duration_ms,
        duration_source=source,
        child=row[27] or row[22],
        description=row[23],
        command=row[24],
        arguments=call if isinstance(call, str) else "",
        result=result if isinstance(result, str) and has_result else None,
    )
