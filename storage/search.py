"""Full-text search in messages."""

import re
import sqlite3

import msgspec

from storage import messages
from storage.messages import Message, Place, Query
from storage.projection import rows as packing

_SNIPPET = 160  # signs
_MAX_WORDS = 20


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """
    A message that holds all the words, and where.

    `marks` are spans of `snippet`, from and before which sign, in which a word stands.
    """

    message: Message
    snippet: str
    marks: list[tuple[int, int]]


class Hits(msgspec.Struct, frozen=True, kw_only=True):
    hits: list[Hit]
    next: Place | None


def find(
    conn: sqlite3.Connection,
    text: str,
    query: Query,
    *,
    after: Place | None = None,
    limit: int = 50,
) -> Hits:
    """
    Messages that hold all words of `text`, newest first. Reads all matches: not for the loop.

    Words in "quotes" stand side by side; a word with `*` behind it is the beginning of one. Nothing
    in it is an error; a text without a letter or digit finds nothing.
    """
    words = _words(text)
    if not words:
        return Hits(hits=[], next=None)
    given = {
        name: value for name, value in msgspec.structs.asdict(query).items() if value is not None
    }
    conditions = [messages.IN_SIGHT, *(messages.CONDITIONS[name] for name in given)]
    if after is not None:
        conditions.append("(m.turn_id, m.position, m.number) < (:turn, :position, :number)")
    turn, position, number = after or ("", 0, 0)
    rows = conn.execute(
        f"""
        select {messages.COLUMNS}
        from search s cross join messages m on m.number = s.rowid
            cross join turns t on t.id = m.turn_id
        where s.search match :words and {" and ".join(conditions)}
        order by m.turn_id desc, m.position desc, m.number desc limit :limit
        """,
        given
        | {
            "words": " ".join(_quoted(word) for word in words),
            "turn": turn,
            "position": position,
            "number": number,
            "limit": limit + 1,
        },
    ).fetchall()
    found = [_hit(messages.of_row(row), words) for row in rows[:limit]]
    return Hits(hits=found, next=messages.place(found[-1].message) if len(rows) > limit else None)


def _words(text: str) -> list[str]:
    """The words and quoted phrases of a search that hold something to look for."""
    found = re.findall(r'"[^"]*"\*?|[^\s"]+', text.replace("\0", " "))
    return [word for word in found if any(sign.isalnum() for sign in word)][:_MAX_WORDS]


def _quoted(word: str) -> str:
    """As FTS5 takes it literally: a phrase in quotes, perhaps with the sign of a prefix."""
    plain = word.rstrip("*").strip('"')
    return f'"{plain}"' + ("*" if word.endswith("*") else "")


def _hit(message: Message, words: list[str]) -> Hit:
    text = " ".join(packing.words(message.parts).split())
    pattern = re.compile("|".join(map(_loose, words)), re.IGNORECASE)
    first = pattern.search(text)
    begin = max(0, (first.start() if first else 0) - _SNIPPET // 3)
    snippet = text[begin : begin + _SNIPPET]
    marks = [found.span() for found in pattern.finditer(snippet)]
    before, behind = "…" if begin else "", "…" if begin + _SNIPPET < len(text) else ""
    moved = [(start + len(before), stop + len(before)) for start, stop in marks]
    return Hit(message=message, snippet=f"{before}{snippet}{behind}", marks=moved)


def _loose(word: str) -> str:
    """What the index takes for equal: whatever stands between the letters and digits."""
    tokens = re.findall(r"\w+", word)
    return r"\W+".join(re.escape(token) for token in tokens) or re.escape(word)
