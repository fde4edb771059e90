"""
Writes one set of projected tables. All runs in the writer thread, inside its transaction.

Nothing here knows what a row means: addons.project merges rows and puts them down.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlite_utils import Database

from storage.contents import Contents
from storage.decoded import Part, ToolCallPart, ToolResultPart
from storage.errors import StoreError
from storage.projection import rows
from storage.projection.indexing import SearchIndex
from storage.projection.shapes import (
    ConversationRow,
    MessageRow,
    NoteRow,
    Row,
    ShareRow,
    Sums,
    TaskRow,
    ToolCallRow,
    TouchRow,
    TurnRow,
)
from storage.quotes import Opener, Source, is_quoted
from storage.records import Record

_AT_ONCE = 400  # ids in one question

_KEYS: dict[type[Row], str] = {
    ConversationRow: "id",
    ToolCallRow: "id",
    TouchRow: "conversation_id, tool_call_id, number",
    TaskRow: "conversation_id, key",
    NoteRow: "turn_id, number",
}


class Known(Record, frozen=True, kw_only=True):
    """
    What a message's row says of where it was seen first.

    `turn_id` is empty, and so before all others, if that turn is gone: the message will follow.
    """

    turn_id: str
    position: int
    depth: int
    is_answer: bool
    is_quoted: bool


class Tables:
    """The set with this prefix; `building` others do not see what it holds before a swap."""

    def __init__(self, db: Database, prefix: str = "") -> None:
        self.db = db
        self.prefix = prefix
        self._conn = db.conn
        self.index = SearchIndex(db.conn, prefix)
        self._opener = Opener(db.conn)

    # --- turns -----------------------------------------------------------------------------------

    def has_turn(self, turn_id: str) -> bool:
        sql = f"select 1 from {self.prefix}turns where id = ?"
        return self._conn.execute(sql, [turn_id]).fetchone() is not None

    def next_turn(self) -> int:
        """The number of a new turn, which messages may name before it is put down."""
        name = self.prefix + "turns"
        sql = "update sqlite_sequence set seq = seq + 1 where name = ? returning seq"
        row = self._conn.execute(sql, [name]).fetchone()
        if row is None:  # the first of its table
            row = self._conn.execute(
                "insert into sqlite_sequence (name, seq) values (?, 1) returning seq", [name]
            ).fetchone()
        return int(row[0])

    def put_turn(self, number: int, row: TurnRow, notes: Iterable[NoteRow]) -> None:
        columns = ", ".join(("number", *TurnRow.__struct_fields__))
        places = ", ".join("?" * (len(TurnRow.__struct_fields__) + 1))
        self._conn.execute(
            f"insert into {self.prefix}turns ({columns}) values ({places})",
            (number, *_values(row)),
        )
        self._put("notes", notes)

    def put_notes(self, notes: Iterable[NoteRow]) -> None:
        self._put("notes", notes)

    def forget_notes(self, turn_id: str, kind: str) -> None:
        sql = f"delete from {self.prefix}notes where turn_id = ? and kind = ?"
        self._conn.execute(sql, [turn_id, kind])

    def answer(self, answer_id: str, before: str) -> tuple[str, str | None] | None:
        """Conversation and last message of the first turn that gave this answer before a turn."""
        row: tuple[str, str | None] | None = self._conn.execute(
            f"""
            select conversation_id, leaf from {self.prefix}turns
            where answer_id = ? and id < ? order by id limit 1
            """,
            [answer_id, before],
        ).fetchone()
        return row

    def going_on(self, answer_id: str, after: str = "") -> list[str]:
        """Conversations of the turns behind `after` that go on from this answer."""
        sql = f"""
            select distinct conversation_id from {self.prefix}turns where previous_id = ? and id > ?
        """
        found = self._conn.execute(sql, [answer_id, after]).fetchall()
        return [conversation for (conversation,) in found]

    # --- conversations ---------------------------------------------------------------------------

    def conversation(self, conversation_id: str) -> ConversationRow | None:
        found = self._rows(ConversationRow, "conversations", "id = ?", [conversation_id])
        return found[0] if found else None

    def put_conversation(self, row: ConversationRow) -> None:
        self._put("conversations", [row])

    def children(
        self, *, parent_id: str | None = None, spawn_digest: bytes | None = None
    ) -> list[ConversationRow]:
        """Subagents' conversations of a parent, or of a task's text, oldest first."""
        column, value = (
            ("parent_id", parent_id) if parent_id is not None else ("spawn_digest", spawn_digest)
        )
        where = f"is_subagent = 1 and {column} = ? order by first_turn, id"
        return self._rows(ConversationRow, "conversations", where, [value])

    # --- messages --------------------------------------------------------------------------------

    def known(self, ids: Sequence[str]) -> dict[str, Known]:
        """Those of these messages that have a row."""
        found: dict[str, Known] = {}
        for at in range(0, len(ids), _AT_ONCE):
            some = ids[at : at + _AT_ONCE]
            sql = f"""
                select m.id, coalesce(t.id, ''), m.position, m.depth, m.is_answer,
                    substr(m.content, 1, 1)
                from {self.prefix}messages m left join {self.prefix}turns t on t.number = m.turn
                where m.id in ({", ".join("?" * len(some))})
            """
            for message_id, turn_id, position, depth, is_answer, form in self._conn.execute(
                sql, some
            ):
                found[message_id] = Known(
                    turn_id=turn_id,
                    position=position,
                    depth=depth,
                    is_answer=bool(is_answer),
                    is_quoted=is_quoted(form),
                )
        return found

    def add_message(self, row: MessageRow, parts: tuple[Part, ...]) -> None:
        """`parts` are those of its content."""
        cursor = self._conn.execute(_insert(MessageRow, self.prefix + "messages"), _values(row))
        self.index.add(cursor.lastrowid or 0, rows.words(parts))

    def parts(self, message_id: str) -> tuple[Part, ...] | None:
        """Those of a message; None: they cannot be read any more."""
        (content,) = self._conn.execute(
            f"select content from {self.prefix}messages where id = ?", [message_id]
        ).fetchone()
        return self._parts(content)

    def move_message(self, row: MessageRow, words: tuple[str | None, str] | None) -> None:
        """
        An earlier turn holds this message: its words count from now on.

        `words` are those of before, None if they cannot be read, and those of now; None: the same.
        """
        self._conn.execute(_update(MessageRow, self.prefix + "messages"), (*_values(row), row.id))
        if words is not None:
            (number,) = self._conn.execute(
                f"select number from {self.prefix}messages where id = ?", [row.id]
            ).fetchone()
            self.index.remove(number, words[0])
            self.index.add(number, words[1])

    def quote_message(self, message_id: str, source: Source) -> None:
        """Have what an answer brought quote the request that sends it again."""
        columns = ", ".join(("number", *MessageRow.__struct_fields__))
        *row, content = self._conn.execute(
            f"select {columns} from {self.prefix}messages where id = ?", [message_id]
        ).fetchone()
        parts = self._parts(content)
        quoted = rows.pack(parts, source) if parts is not None else content
        if len(quoted) >= len(content):
            return
        # SQLite joins half-empty pages when a row goes, not when one becomes short.
        self._conn.execute(f"delete from {self.prefix}messages where id = ?", [message_id])
        self._conn.execute(
            f"""
            insert into {self.prefix}messages ({columns})
            values ({", ".join("?" * (len(row) + 1))})
            """,
            [*row, quoted],
        )

    def words(self, content: bytes) -> str | None:
        """Those that the search index has of a message; None: they cannot be read."""
        parts = self._parts(content)
        return None if parts is None else rows.words(parts)

    def _parts(self, content: bytes) -> tuple[Part, ...] | None:
        """None: what it quotes cannot be read."""
        try:
            return rows.unpack(content, self._opener)
        except StoreError:
            return None

    # --- tool calls, tasks, counters -------------------------------------------------------------

    def tool_calls(self, ids: Sequence[str]) -> dict[str, ToolCallRow]:
        found: dict[str, ToolCallRow] = {}
        for at in range(0, len(ids), _AT_ONCE):
            some = ids[at : at + _AT_ONCE]
            where = f"id in ({', '.join('?' * len(some))})"
            for row in self._rows(ToolCallRow, "tool_calls", where, some):
                found[row.id] = row
        return found

    def tool_calls_of(self, conversation_id: str, kinds: Sequence[str]) -> list[ToolCallRow]:
        """In the order in which they were made."""
        where = f"""
            conversation_id = ? and kind in ({", ".join("?" * len(kinds))})
            order by turn_id, part, id
        """
        return self._rows(ToolCallRow, "tool_calls", where, [conversation_id, *kinds])

    def sides(self, row: ToolCallRow) -> tuple[ToolCallPart | None, ToolResultPart | None]:
        """A call and its result as they stand in their messages."""
        contents = Contents(self._conn, self.prefix)
        call = contents.part(row.message_id, row.part)
        result = contents.part(row.result_message, row.result_part)
        return (
            call if isinstance(call, ToolCallPart) else None,
            result if isinstance(result, ToolResultPart) else None,
        )

    def spawns(self, spawn_digest: bytes) -> list[ToolCallRow]:
        """Calls that started a subagent with this task, oldest first."""
        where = "spawn_digest = ? order by turn_id, part, id"
        return self._rows(ToolCallRow, "tool_calls", where, [spawn_digest])

    def put_tool_calls(self, found: Iterable[ToolCallRow]) -> None:
        self._put("tool_calls", found)

    def put_touches(self, found: Iterable[TouchRow]) -> None:
        self._put("touches", found)

    def put_tasks(self, conversation_id: str, found: Iterable[TaskRow]) -> None:
        """The whole list of a conversation."""
        sql = f"delete from {self.prefix}tasks where conversation_id = ?"
        self._conn.execute(sql, [conversation_id])
        self._put("tasks", found)

    def add_share(self, row: ShareRow) -> None:
        """Add to a conversation's share of a session, and count the prompts in it."""
        adding = _adding(ShareRow.__struct_fields__[2:])
        statement = _insert(ShareRow, self.prefix + "shares")
        self._conn.execute(
            f"{statement} on conflict (session_id, conversation_id) do update set {adding}",
            _values(row),
        )
        self._conn.execute(
            f"""
            update {self.prefix}shares set prompt_count = (
                select count(distinct coalesce(asked_leaf, id)) from {self.prefix}turns t
                where t.conversation_id = shares.conversation_id
                    and t.session_id = shares.session_id and t.prompt is not null
            ) where session_id = ? and conversation_id = ?
            """.replace("shares.", f"{self.prefix}shares."),
            [row.session_id, row.conversation_id],
        )

    def prompts(self, conversation_id: str) -> int:
        """How often the user spoke; attempts of one request are one."""
        (count,) = self._conn.execute(
            f"""
            select count(distinct coalesce(asked_leaf, id)) from {self.prefix}turns
            where conversation_id = ? and prompt is not null
            """,
            [conversation_id],
        ).fetchone()
        return int(count)

    def session_of(self, turn_id: str) -> str | None:
        sql = f"select session_id from {self.prefix}turns where id = ?"
        row = self._conn.execute(sql, [turn_id]).fetchone()
        return row[0] if row else None

    def count(self, quarter: int, conversation_id: str, model: str, sums: Sums) -> None:
        """Add to the counters of a quarter of an hour."""
        names = Sums.__struct_fields__
        adding = _adding(names)
        self._conn.execute(
            f"""
            insert into {self.prefix}quarters (quarter, conversation_id, model, {", ".join(names)})
            values (?, ?, ?, {", ".join("?" * len(names))})
            on conflict (quarter, conversation_id, model) do update set {adding}
            """,
            [quarter, conversation_id, model, *_values(sums)],
        )

    # --- the queue -------------------------------------------------------------------------------

    def waiting(self, limit: int) -> list[str]:
        """Entries that this set does not hold yet, oldest first."""
        sql = f"select entry_id from {self.prefix}unprojected order by entry_id limit ?"
        return [entry_id for (entry_id,) in self.db.execute(sql, [limit]).fetchall()]

    def done(self, entry_id: str) -> None:
        self.db.execute(f"delete from {self.prefix}unprojected where entry_id = ?", [entry_id])

    def enqueue(self, entry_id: str) -> None:
        self.db.execute(
            f"insert into {self.prefix}unprojected (entry_id) values (?) on conflict do nothing",
            [entry_id],
        )

    # --- rows ------------------------------------------------------------------------------------

    def _put(self, name: str, found: Iterable[Row]) -> None:
        for row in found:
            self._conn.execute(_replace(type(row), self.prefix + name), _values(row))

    def _rows[R: Row](
        self, shape: type[R], name: str, where: str, values: Sequence[Any]
    ) -> list[R]:
        columns = shape.__struct_fields__
        sql = f"select {', '.join(columns)} from {self.prefix}{name} where {where}"
        found = self._conn.execute(sql, values).fetchall()
        return [
            msgspec.convert(dict(zip(columns, row, strict=True)), shape, strict=False)
            for row in found
        ]


def _adding(names: Sequence[str]) -> str:
    """Rounded, so that the order of adding does not show in the last digits."""
    return ", ".join(
        f"{name} = round({name} + excluded.{name}, 9)"
        if name == "cost_usd"
        else f"{name} = {name} + excluded.{name}"
        for name in names
    )


def _values(row: Row) -> tuple[Any, ...]:
    return msgspec.structs.astuple(row)


@functools.cache
def _insert(shape: type[Row], name: str) -> str:
    columns = shape.__struct_fields__
    return f"insert into {name} ({', '.join(columns)}) values ({', '.join('?' * len(columns))})"


@functools.cache
def _replace(shape: type[Row], name: str) -> str:
    # Not `insert or replace`: a row that goes and comes again leaves a hole in its page.
    changes = ", ".join(f"{column} = excluded.{column}" for column in shape.__struct_fields__)
    return f"{_insert(shape, name)} on conflict ({_KEYS[shape]}) do update set {changes}"


@functools.cache
def _update(shape: type[Row], name: str) -> str:
    columns = shape.__struct_fields__
    changes = ", ".join(f"{column} = ?" for column in columns)
    return f"update {name} set {changes} where id = ?"
