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
_SLICE = 100  # rows that are removed at a time
_INDEXED_SLICE = 20  # messages, of which the words are taken out of the search index


class Known(Record, frozen=True, kw_only=True):
    """What a message's row says of where it was seen first."""

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
        self._opener = Opener(db.conn)

    # --- turns -----------------------------------------------------------------------------------

    def has_turn(self, turn_id: str) -> bool:
        sql = f"select 1 from {self.prefix}turns where id = ?"
        return self._conn.execute(sql, [turn_id]).fetchone() is not None

    def put_turn(self, row: TurnRow, notes: Iterable[NoteRow]) -> None:
        self._put("turns", [row])
        self._put("notes", notes)

    def put_notes(self, notes: Iterable[NoteRow]) -> None:
        self._put("notes", notes)

    def forget_notes(self, turn_id: str, kind: str) -> None:
        sql = f"delete from {self.prefix}notes where turn_id = ? and kind = ?"
        self._conn.execute(sql, [turn_id, kind])

    def answer(self, wire: str, answer_id: str, before: str) -> tuple[str, str | None] | None:
        """Conversation and last message of the first turn that gave this answer before a turn."""
        row: tuple[str, str | None] | None = self._conn.execute(
            f"""
            select conversation_id, leaf from {self.prefix}turns
            where answer_id = ? and wire = ? and id < ? order by id limit 1
            """,
            [answer_id, wire, before],
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
        self, *, session_id: str | None = None, parent_id: str | None = None,
        spawn_digest: bytes | None = None,
    ) -> list[ConversationRow]:  # fmt: skip
        """Subagents' conversations of a session or a parent, oldest first."""
        where, values = ["is_subagent = 1"], []
        for column, value in (
            ("session_id", session_id), ("parent_id", parent_id), ("spawn_digest", spawn_digest)
        ):  # fmt: skip
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        return self._rows(
            ConversationRow,
            "conversations",
            f"{' and '.join(where)} order by first_turn, id",
            values,
        )

    # --- messages --------------------------------------------------------------------------------

    def known(self, ids: Sequence[str]) -> dict[str, Known]:
        """Those of these messages that have a row."""
        found: dict[str, Known] = {}
        for at in range(0, len(ids), _AT_ONCE):
            some = ids[at : at + _AT_ONCE]
            sql = f"""
                select id, turn_id, position, depth, is_answer, substr(content, 1, 1)
                from {self.prefix}messages where id in ({", ".join("?" * len(some))})
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
        self._index(cursor.lastrowid or 0, rows.words(parts))

    def move_message(self, row: MessageRow, parts: tuple[Part, ...]) -> tuple[Part, ...] | None:
        """
        An earlier turn holds this message: its words count from now on.

        What stood there; None: it cannot be read any more.
        """
        number, content = self._conn.execute(
            f"select number, content from {self.prefix}messages where id = ?", [row.id]
        ).fetchone()
        self._conn.execute(_update(MessageRow, self.prefix + "messages"), (*_values(row), row.id))
        before = self._parts(content)
        text = rows.words(parts)
        if before is None or rows.words(before) != text:
            self._unindex(number, before)
            self._index(number, text)
        return before

    def quote_message(self, message_id: str, source: Source) -> None:
        """Have what an answer brought quote the request that sends it again."""
        number, content = self._conn.execute(
            f"select number, content from {self.prefix}messages where id = ?", [message_id]
        ).fetchone()
        parts = self._parts(content)
        quoted = rows.pack(parts, source) if parts is not None else content
        if len(quoted) < len(content):
            self._conn.execute(
                f"update {self.prefix}messages set content = ? where number = ?", [quoted, number]
            )

    def _index(self, number: int, text: str) -> None:
        if text:
            self._conn.execute(
                f"insert into {self.prefix}search (rowid, text) values (?, ?)", [number, text]
            )

    def _parts(self, content: bytes) -> tuple[Part, ...] | None:
        """None: what it quotes cannot be read."""
        try:
            return rows.unpack(content, self._opener)
        except StoreError:
            return None

    def _unindex(self, number: int, parts: tuple[Part, ...] | None) -> None:
        """The index forgets words only if it is told them; unknown ones go with all of it."""
        if parts is None:
            self._conn.execute("update projection set is_unmerged = 2")
        elif text := rows.words(parts):
            name = f"{self.prefix}search"
            self._conn.execute(
                f"insert into {name} ({name}, rowid, text) values ('delete', ?, ?)", [number, text]
            )

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
        """Add to the counters of a quarter of an hour, and to those of its day."""
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
        if sums.turns:
            self._conn.execute(
                f"""
                insert into {self.prefix}days (day, conversation_id, turns) values (?, ?, ?)
                on conflict (day, conversation_id) do update set turns = turns + excluded.turns
                """,
                [quarter // 96, conversation_id, sums.turns],
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

    # --- removal ---------------------------------------------------------------------------------

    def forget_entry(self, entry_id: str) -> None:
        """Take an entry's turns away; what hangs on their conversations is removed with `stale`."""
        self.done(entry_id)
        # An entry that could not be read has a note and no turn.
        self.db.execute(
            f"delete from {self.prefix}notes where turn_id > ? and turn_id < ?",
            [f"{entry_id}.", f"{entry_id}/"],
        )
        found = self.db.execute(
            f"""
            select id, conversation_id, answer_id from {self.prefix}turns where id > ? and id < ?
            """,
            [f"{entry_id}.", f"{entry_id}/"],
        ).fetchall()
        for turn_id, conversation_id, answer_id in found:
            self.make_stale(conversation_id)
            for other in self.going_on(answer_id) if answer_id is not None else ():
                self.make_stale(other)
            self.db.execute(f"delete from {self.prefix}turns where id = ?", [turn_id])

    def make_stale(self, conversation_id: str) -> None:
        """
        Have a conversation removed, and made again from the entries that still hold turns.

        So are those that go on from its answers, its subagents, and those that the same task was
        given to: where their messages stand, and which call started them, depends on it.
        """
        left = [conversation_id]
        while left:
            one = left.pop()
            cursor = self.db.execute(
                f"insert into {self.prefix}stale (conversation_id) values (?) "
                "on conflict do nothing",
                [one],
            )
            left += self._behind(one) if cursor.rowcount else ()

    def _behind(self, conversation_id: str) -> list[str]:
        """Other conversations of which rows depend on this one's."""
        conversations, turns = f"{self.prefix}conversations", f"{self.prefix}turns"
        found = self.db.execute(
            f"""
            select t.conversation_id from {turns} a join {turns} t on t.previous_id = a.answer_id
            where a.conversation_id = :id and t.conversation_id <> :id
            union
            select id from {conversations} where parent_id = :id and id <> :id
            union
            select c.id from {conversations} c join {conversations} this
            on c.spawn_digest = this.spawn_digest and c.session_id = this.session_id
            where this.id = :id and c.id <> :id and c.is_subagent = 1
            """,
            {"id": conversation_id},
        ).fetchall()
        return [other for (other,) in found]

    def stale(self) -> list[str]:
        sql = f"select conversation_id from {self.prefix}stale"
        return [conversation_id for (conversation_id,) in self.db.execute(sql).fetchall()]

    def has_stale(self) -> bool:
        return self.db.execute(f"select 1 from {self.prefix}stale limit 1").fetchone() is not None

    def remove_slice(self, conversation_id: str) -> bool:
        """Remove some rows of a stale conversation; False when it is gone and its turns queued."""
        found = self.db.execute(
            f"""
            select number, content from {self.prefix}messages
            where conversation_id = ? limit {_INDEXED_SLICE}
            """,
            [conversation_id],
        ).fetchall()
        if found:
            for number, content in found:
                self._unindex(number, self._parts(content))
                self.db.execute(f"delete from {self.prefix}messages where number = ?", [number])
            return True
        if self._remove_some(conversation_id):
            return True
        # By its turns those are found that joined since it is stale.
        for other in self._behind(conversation_id):
            self.make_stale(other)
        if self._requeue(conversation_id):
            return True
        for name in ("tasks", "shares", "quarters", "days"):
            self.db.execute(
                f"delete from {self.prefix}{name} where conversation_id = ?", [conversation_id]
            )
        self.db.execute(f"delete from {self.prefix}conversations where id = ?", [conversation_id])
        self.db.execute(
            f"delete from {self.prefix}stale where conversation_id = ?", [conversation_id]
        )
        return False

    def _remove_some(self, conversation_id: str) -> bool:
        """Of the rows of which a conversation may have thousands; False: there are none left."""
        for name, key in (("touches", "tool_call_id, number"), ("tool_calls", "id")):
            removed = self.db.execute(
                f"""
                delete from {self.prefix}{name} where conversation_id = :id and ({key}) in (
                    select {key} from {self.prefix}{name} where conversation_id = :id
                    limit {_SLICE})
                """,
                {"id": conversation_id},
            ).rowcount
            if removed:
                return True
        return False

    def _requeue(self, conversation_id: str) -> bool:
        """Some of its turns are made again; False: there are none left."""
        found = self.db.execute(
            f"select id from {self.prefix}turns where conversation_id = ? limit {_SLICE}",
            [conversation_id],
        ).fetchall()
        for (turn_id,) in found:
            self.db.execute(f"delete from {self.prefix}notes where turn_id = ?", [turn_id])
            self.db.execute(f"delete from {self.prefix}turns where id = ?", [turn_id])
            self.enqueue(turn_id.partition(".")[0])
        return bool(found)

    def merge_index(self) -> bool:
        """
        A slice of rewriting the search index without what was deleted; True while there is more.

        FTS5 keeps deleted words in its segments until they are merged (sqlite.org/fts5.html,
        section 6.9, the 'merge' command: a negative value starts from all segments).
        """
        name = f"{self.prefix}search"
        before = self._conn.total_changes
        self._conn.execute(f"insert into {name} ({name}, rank) values ('merge', -64)")
        if self._conn.total_changes - before >= 2:
            return True
        self._conn.execute("update projection set is_unmerged = 0 where is_unmerged = 1")
        return False

    def join_index(self) -> bool:
        """
        A slice of joining the small segments of the search index; True while there is more.

        Segments of one level become one of the next, so what is large is seldom written again.
        """
        name = f"{self.prefix}search"
        before = self._conn.total_changes
        self._conn.execute(f"insert into {name} ({name}, rank) values ('merge', 64)")
        return self._conn.total_changes - before >= 2

    def mark_unmerged(self) -> None:
        """Words were deleted that the search index still holds."""
        self._conn.execute("update projection set is_unmerged = max(is_unmerged, 1)")

    def is_unmerged(self) -> bool:
        (found,) = self._conn.execute("select is_unmerged from projection").fetchone()
        return bool(found == 1)

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
    return tuple(getattr(row, name) for name in row.__struct_fields__)


@functools.cache
def _insert(shape: type[Row], name: str) -> str:
    columns = shape.__struct_fields__
    return f"insert into {name} ({', '.join(columns)}) values ({', '.join('?' * len(columns))})"


@functools.cache
def _replace(shape: type[Row], name: str) -> str:
    return _insert(shape, name).replace("insert into", "insert or replace into", 1)


@functools.cache
def _update(shape: type[Row], name: str) -> str:
    columns = shape.__struct_fields__
    changes = ", ".join(f"{column} = ?" for column in columns)
    return f"update {name} set {changes} where id = ?"
