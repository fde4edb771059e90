"""
The turn that is being put down, where that takes more than one transaction.

Between them its new messages and tool calls are there and it is not, so readers do not see them.
Its conversation is marked meanwhile: whoever finds the mark and cannot go on, for the process ended
or something that the turn hangs on went, has the conversation removed and made again.
"""

from storage.projection.writing import Tables
from storage.records import Record


class Unfinished(Record, frozen=True, kw_only=True):
    turn_id: str
    conversation_id: str


def leave(tables: Tables, one: Unfinished) -> None:
    """Mark it at the end of a transaction. There is one in a set at a time."""
    tables.db.execute(
        f"""
        insert into {tables.prefix}stale (conversation_id, unfinished) values (?, ?)
        on conflict do nothing
        """,
        [one.conversation_id, one.turn_id],
    )


def take_up(tables: Tables, one: Unfinished) -> bool:
    """Take the mark away at the begin of the next one; False: it is not to go on."""
    sql = f"delete from {tables.prefix}stale where conversation_id = ? and unfinished = ?"
    return bool(tables.db.execute(sql, [one.conversation_id, one.turn_id]).rowcount)


def left(tables: Tables) -> str | None:
    """The conversation that is marked."""
    sql = f"select conversation_id from {tables.prefix}stale where unfinished is not null limit 1"
    row = tables.db.execute(sql).fetchone()
    return row[0] if row else None
