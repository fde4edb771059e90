"""
What messages hold, for readers: resolved for those that are shown, whatever happens meanwhile.

A message goes before what it quotes does. So if that cannot be found any more, the message is gone
too, or says the same in other bytes; else it is damaged, and that is what is shown in its place.
"""

import sqlite3
from collections.abc import Set

import msgspec

from storage.decoded import OtherPart, Part
from storage.errors import StoreError
from storage.projection import rows
from storage.quotes import Opener

DAMAGED = "damaged"  # type of the part that stands for what cannot be read


class Contents:
    """Of the messages of one set of tables; for one page, which reads nothing twice."""

    def __init__(self, conn: sqlite3.Connection, prefix: str = "") -> None:
        self._conn = conn
        self._prefix = prefix
        self._opener = Opener(conn)
        self._known: dict[str, tuple[Part, ...] | None] = {}
        self._fetched: dict[str, bytes] = {}

    def fetch(self, turn_ids: Set[str], message_ids: Set[str]) -> None:
        """
        Read what the rows of these messages hold, all at once; `part` needs no statement then.

        Nearly all are found if `turn_ids` are the turns that brought them.
        """
        # By turns, for what a page shows lies together there, while ids are hashes. The plus: else
        # it goes by ids all the same.
        self._fetched |= self._conn.execute(
            f"""
            select m.id, m.content
            from {self._prefix}turns t cross join {self._prefix}messages m
                on m.conversation_id = t.conversation_id and m.turn = t.number
            where t.id in (select value from json_each(:turns))
                and +m.id in (select value from json_each(:messages))
            """,
            {"turns": _json(turn_ids), "messages": _json(message_ids)},
        )
        if rest := message_ids - self._fetched.keys():
            self._fetched |= self._conn.execute(
                f"""
                select id, content from {self._prefix}messages
                where id in (select value from json_each(?))
                """,
                [_json(rest)],
            )

    def parts(self, message_id: str, content: bytes) -> tuple[Part, ...] | None:
        """The parts of a message by what its row held; None: it was deleted meanwhile."""
        while True:
            try:
                return rows.unpack(content, self._opener)
            except StoreError as error:
                now = self._content(message_id)
                if now is None:
                    return None
                if now == content:
                    return (OtherPart(type=DAMAGED, json=msgspec.json.encode(str(error))),)
                content = now

    def part(self, message_id: str | None, place: int | None) -> Part | None:
        """
        A part of a message; None: the message was deleted meanwhile, or there is none.

        Of a damaged message every part is one that says so.
        """
        if message_id is None:
            return None
        if message_id not in self._known:
            content = self._fetched.pop(message_id, None) or self._content(message_id)
            found = None if content is None else self.parts(message_id, content)
            self._known[message_id] = found
        parts = self._known[message_id]
        if parts is None:
            return None
        if place is None or place >= len(parts):
            return parts[0] if parts else OtherPart(type=DAMAGED, json=b"null")
        return parts[place]

    def _content(self, message_id: str) -> bytes | None:
        row = self._conn.execute(
            f"select content from {self._prefix}messages where id = ?", [message_id]
        ).fetchone()
        return row[0] if row else None


def _json(values: Set[str]) -> str:
    return msgspec.json.encode(list(values)).decode()
