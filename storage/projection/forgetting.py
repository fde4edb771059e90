"""
Removing what projected tables hold of deleted entries; runs in the writer thread.

A conversation that lost a turn is stale: it is removed a slice at a time, and made again from the
entries that still hold turns of it.
"""

from storage.projection.writing import Tables

_SLICE = 100  # rows that are removed at a time
_INDEXED_SLICE = 20  # messages, of which the words are taken out of the search index


def forget_entry(tables: Tables, entry_id: str) -> None:
    """Take an entry's turns away; what hangs on their conversations is removed with `stale`."""
    tables.done(entry_id)
    # An entry that could not be read has a note and no turn.
    tables.db.execute(
        f"delete from {tables.prefix}notes where turn_id > ? and turn_id < ?",
        [f"{entry_id}.", f"{entry_id}/"],
    )
    found = tables.db.execute(
        f"""
        select id, conversation_id, answer_id from {tables.prefix}turns where id > ? and id < ?
        """,
        [f"{entry_id}.", f"{entry_id}/"],
    ).fetchall()
    unfinished = tables.db.execute(
        f"select conversation_id from {tables.prefix}stale where unfinished > ? and unfinished < ?",
        [f"{entry_id}.", f"{entry_id}/"],
    ).fetchall()
    for (conversation_id,) in unfinished:
        make_stale(tables, conversation_id)
    for turn_id, conversation_id, answer_id in found:
        make_stale(tables, conversation_id)
        for other in tables.going_on(answer_id) if answer_id is not None else ():
            make_stale(tables, other)
        tables.db.execute(f"delete from {tables.prefix}turns where id = ?", [turn_id])


def make_stale(tables: Tables, conversation_id: str) -> None:
    """
    Have a conversation removed, and made again from the entries that still hold turns.

    So are those that go on from its answers, its subagents, and those that the same task was
    given to: where their messages stand, and which call started them, depends on it. A turn that is
    not finished may have seen any of them.
    """
    left = [conversation_id]
    while left:
        one = left.pop()
        cursor = tables.db.execute(
            f"""
            insert into {tables.prefix}stale (conversation_id) values (?)
            on conflict (conversation_id) do update set unfinished = null
            where unfinished is not null
            """,
            [one],
        )
        left += _behind(tables, one) if cursor.rowcount else ()


def _behind(tables: Tables, conversation_id: str) -> list[str]:
    """Other conversations of which rows depend on this one's."""
    conversations, turns = f"{tables.prefix}conversations", f"{tables.prefix}turns"
    found = tables.db.execute(
        f"""
        select t.conversation_id from {turns} a join {turns} t on t.previous_id = a.answer_id
        where a.conversation_id = :id and t.conversation_id <> :id
        union
        select id from {conversations} where parent_id = :id and id <> :id
        union
        select c.id from {conversations} c join {conversations} this
        on c.spawn_digest = this.spawn_digest and c.session_id = this.session_id
        where this.id = :id and c.id <> :id and c.is_subagent = 1
        union
        select conversation_id from {tables.prefix}stale where unfinished is not null
        """,
        {"id": conversation_id},
    ).fetchall()
    return [other for (other,) in found]


def stale(tables: Tables) -> list[str]:
    sql = f"select conversation_id from {tables.prefix}stale where unfinished is null"
    return [conversation_id for (conversation_id,) in tables.db.execute(sql).fetchall()]


def has_stale(tables: Tables) -> bool:
    sql = f"select 1 from {tables.prefix}stale where unfinished is null limit 1"
    return tables.db.execute(sql).fetchone() is not None


def remove_slice(tables: Tables, conversation_id: str) -> bool:
    """Remove some rows of a stale conversation; False when it is gone and its turns queued."""
    found = tables.db.execute(
        f"""
        select number, content from {tables.prefix}messages
        where conversation_id = ? limit {_INDEXED_SLICE}
        """,
        [conversation_id],
    ).fetchall()
    if found:
        for number, content in found:
            tables.index.remove(number, tables.words(content))
            tables.db.execute(f"delete from {tables.prefix}messages where number = ?", [number])
        return True
    if _remove_some(tables, conversation_id):
        return True
    # By its turns those are found that joined since it is stale.
    for other in _behind(tables, conversation_id):
        make_stale(tables, other)
    if _requeue(tables, conversation_id):
        return True
    for name in ("tasks", "shares", "quarters"):
        tables.db.execute(
            f"delete from {tables.prefix}{name} where conversation_id = ?", [conversation_id]
        )
    tables.db.execute(f"delete from {tables.prefix}conversations where id = ?", [conversation_id])
    tables.db.execute(
        f"delete from {tables.prefix}stale where conversation_id = ?", [conversation_id]
    )
    return False


def _remove_some(tables: Tables, conversation_id: str) -> bool:
    """Of the rows of which a conversation may have thousands; False: there are none left."""
    for name, key in (("touches", "tool_call_id, number"), ("tool_calls", "id")):
        removed = tables.db.execute(
            f"""
            delete from {tables.prefix}{name} where conversation_id = :id and ({key}) in (
                select {key} from {tables.prefix}{name} where conversation_id = :id
                limit {_SLICE})
            """,
            {"id": conversation_id},
        ).rowcount
        if removed:
            return True
    return False


def _requeue(tables: Tables, conversation_id: str) -> bool:
    """Some of its turns are made again; False: there are none left."""
    found = tables.db.execute(
        f"select id from {tables.prefix}turns where conversation_id = ? limit {_SLICE}",
        [conversation_id],
    ).fetchall()
    for (turn_id,) in found:
        tables.db.execute(f"delete from {tables.prefix}notes where turn_id = ?", [turn_id])
        tables.db.execute(f"delete from {tables.prefix}turns where id = ?", [turn_id])
        tables.enqueue(turn_id.partition(".")[0])
    return bool(found)
