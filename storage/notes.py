"""Notes: what decoders could not read, counted."""

import sqlite3

import msgspec


class NoteCount(msgspec.Struct, frozen=True, kw_only=True):
    """How often a decoder noted a kind, in how many turns. `example` is one of its details."""

    decoder: str
    kind: str
    count: int
    turns: int
    example: str | None


def counted(conn: sqlite3.Connection) -> list[NoteCount]:
    """By decoder and kind, the most frequent first. Walks all notes: not for the loop."""
    rows = conn.execute(
        """
        select decoder, kind, sum(count), count(distinct turn_id), max(detail) from notes
        group by decoder, kind order by sum(count) desc, decoder, kind
        """
    )
    return [
        NoteCount(decoder=decoder, kind=kind, count=count, turns=turns, example=example)
        for decoder, kind, count, turns, example in rows.fetchall()
    ]
