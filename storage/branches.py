"""Branches: the ways through a conversation whose history was changed."""

import sqlite3

import msgspec


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """
    One way through a conversation, from its first message to a leaf.

    `forks_at` is the last message that it has in common with an older branch; None: none.
    """

    leaf: str
    messages: int
    turn_id: str  # that brought the leaf
    forks_at: str | None
    is_current: bool  # the newest main turn stands on it


def of_conversation(conn: sqlite3.Connection, conversation_id: str) -> list[Branch]:
    """
    The branches of the main track, in the order in which their leaves came.

    More than one means that the history was changed: a compaction, a fork, an edited prompt. A
    partial answer that nothing followed is a branch only where it is the newest.
    """
    rows = conn.execute(
        """
        select m.id, m.parent_id, t.id, m.is_partial
        from messages m cross join turns t on t.number = m.turn
        where m.conversation_id = ? and m.track = 'main' and m.hangs = 0
        order by t.id, m.position, m.number
        """,
        [conversation_id],
    ).fetchall()
    parents = {message_id: parent_id for message_id, parent_id, _, _ in rows}
    with_children = set(parents.values())
    newest = _newest_leaf(conn, conversation_id)
    seen: set[str] = set()
    found = []
    for message_id, _, turn_id, is_partial in rows:
        if message_id in with_children or (is_partial and message_id != newest):
            continue
        way = _way(parents, message_id)
        forks_at = next((one for one in way if one in seen), None)
        seen.update(way)
        found.append((message_id, turn_id, len(way), forks_at, newest in way))
    has_current = any(is_current for *_, is_current in found)
    return [
        Branch(
            leaf=leaf,
            messages=length,
            turn_id=turn_id,
            forks_at=forks_at,
            is_current=is_current or (not has_current and place == len(found)),
        )
        for place, (leaf, turn_id, length, forks_at, is_current) in enumerate(found, 1)
    ]


def on_branch(conn: sqlite3.Connection, leaf: str) -> set[str]:
    """Ids of a message and all before it in its history."""
    rows = conn.execute(
        """
        with recursive way (id, parent_id) as (
            select m.id, m.parent_id from messages m where m.id = :leaf
            union
            select m.id, m.parent_id from messages m join way w on m.id = w.parent_id
        )
        select id from way
        """,
        {"leaf": leaf},
    )
    return {message_id for (message_id,) in rows.fetchall()}


def current(conn: sqlite3.Connection, conversation_id: str) -> set[str]:
    """Ids of the messages that the newest main turn stands on; empty: unknown."""
    leaf = _newest_leaf(conn, conversation_id)
    return on_branch(conn, leaf) if leaf else set()


def _newest_leaf(conn: sqlite3.Connection, conversation_id: str) -> str | None:
    row = conn.execute(
        """
        select t.leaf from turns t
        where t.conversation_id = ? and t.request_class in ('main', 'subagent')
            and t.leaf is not null
        order by t.id desc limit 1
        """,
        [conversation_id],
    ).fetchone()
    return row[0] if row else None


def _way(parents: dict[str, str | None], leaf: str) -> list[str]:
    """From the leaf to the first; a parent that is not there ends it."""
    way: list[str] = []
    at: str | None = leaf
    seen = set()
    while at is not None and at in parents and at not in seen:
        way.append(at)
        seen.add(at)
        at = parents[at]
    return way
