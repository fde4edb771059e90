"""Full-text search in messages."""

import contextlib
import re
import sqlite3

import msgspec

from storage import database, messages
from storage.messages import Message, Place, Query
from storage.projection import rows as packing
from storage.projection.indexing import spaced

_SNIPPET = 160  # signs
_BEFORE = _SNIPPET // 3  # signs of it before the first word
_AROUND = 4 * _SNIPPET  # signs of a message that mostly hold it
_MAX_WORDS = 20
_MORE = 5  # times as many matches are looked at next
_MOST = 20_000  # matches at once
_TURNS_A_MATCH = 15  # that are gone through for strays in the time that a match takes
_MOST_TURNS = 20_000  # that are counted
_STRAYS = 500  # messages that were numbered out of their order
_GREATEST = (1 << 63) - 1  # rowid


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
    Messages that hold all words of `text`, newest first. Reads their contents: not for the loop.

    Words in "quotes" stand side by side; a word with `*` behind it is the beginning of one. Nothing
    in it is an error; a text without a letter or digit finds nothing.
    """
    words = _words(text)
    if not words:
        return Hits(hits=[], next=None)
    with database.snapshot(conn):
        places = _Asked(conn, words, query, after).newest(limit + 1)
        found = _messages(conn, places[:limit])
    # In the text as it stands, for no match begins or ends in space.
    pattern = re.compile("|".join(map(_loose, words)), re.IGNORECASE)
    return Hits(
        hits=[_hit(message, pattern) for message in found],
        next=places[limit - 1] if places[limit:] else None,
    )


class _Asked:
    """
    What to find. `newest` does not look at every match of a common word.

    The index gives its matches by number, and numbers mostly grow with time. So the last ones are
    looked at, and then what is newer than those although its number is smaller: agents side by
    side, an import of what was before. Of a rare word that may be more than all its other matches,
    which are looked at instead.
    """

    def __init__(
        self, conn: sqlite3.Connection, words: list[str], query: Query, after: Place | None
    ) -> None:
        given = msgspec.structs.asdict(query)
        names = [name for name, value in given.items() if value is not None]
        conditions = [messages.IN_SIGHT, *(messages.CONDITIONS[name] for name in names)]
        if after is not None:
            conditions.append("(t.id, m.position, m.number) < (:turn, :position, :number)")
        turn, position, number = after or ("", 0, 0)
        self._newest = turn or "~"  # turn
        self._conn = conn
        self._where = " and ".join(conditions)
        self._values = {name: given[name] for name in names} | {
            "words": " ".join(_quoted(word) for word in words),
            "turn": turn,
            "position": position,
            "number": number,
        }
        self._low, self._high = _span(conn, query)

    def newest(self, count: int) -> list[Place]:
        """The places of so many, newest first."""
        found: list[Place] = []
        size = 2 * count
        with contextlib.closing(self._matches()) as matches:
            while True:
                numbers = _taken(matches, size)
                found = sorted(found + self._places(numbers), reverse=True)[:count]
                if len(numbers) < size:
                    return found
                if len(found) == count:
                    few = self._turns_since(found[-1]) // _TURNS_A_MATCH
                    others = _taken(matches, few)
                    if len(others) < few:
                        return sorted(found + self._places(others), reverse=True)[:count]
                    strays = self._strays(found[-1], numbers[-1])
                    if len(strays) < _STRAYS:
                        others = self._matches_among(strays)
                        return sorted(found + self._places(others), reverse=True)[:count]
                    found = sorted(found + self._places(others), reverse=True)[:count]
                size = min(size * _MORE, _MOST)

    def _matches(self) -> sqlite3.Cursor:
        """Their numbers, greatest first, found as they are fetched: a common word has no end."""
        return self._conn.execute(
            """
            select rowid from search where search match :words and rowid between :low and :high
            order by rowid desc
            """,
            {"words": self._values["words"], "low": self._low, "high": self._high},
        )

    def _turns_since(self, place: Place) -> int:
        """How many turns are as new as this place, counted up to a bound."""
        row = self._conn.execute(
            """
            select count(*) from
                (select 1 from turns where id between :least and :most limit :count)
            """,
            {"least": place[0], "most": self._newest, "count": _MOST_TURNS},
        ).fetchone()
        return int(row[0])

    def _places(self, numbers: list[int]) -> list[Place]:
        """Of those of these messages that are asked for."""
        rows: list[Place] = self._conn.execute(
            f"""
            select t.id, m.position, m.number
            from json_each(:numbers) n cross join messages m on m.number = n.value
                cross join turns t on t.number = m.turn
            where {self._where}
            """,
            self._values | {"numbers": msgspec.json.encode(numbers).decode()},
        ).fetchall()
        return rows

    def _strays(self, place: Place, number: int) -> list[int]:
        """Messages behind neither the place nor the number, some of them at most."""
        # By conversations, whose messages an index has in one piece. In one that is all newer than
        # the place there mostly is no lower number; one that began before may be a long one.
        rows = self._conn.execute(
            """
            select m.number
            from conversations k cross join messages m on m.conversation_id = k.id
                cross join turns t on t.number = m.turn
            where k.last_turn >= :least and k.first_turn between :least and :most
                and m.number < :number and t.id <= :most
            union all
            select m.number
            from conversations k cross join turns t on t.conversation_id = k.id
                cross join messages m on m.conversation_id = k.id and m.turn = t.number
            where k.last_turn >= :least and k.first_turn < :least
                and t.id between :least and :most and m.number < :number
            limit :count
            """,
            {"least": place[0], "most": self._newest, "number": number, "count": _STRAYS},
        )
        return [number for (number,) in rows.fetchall()]

    def _matches_among(self, numbers: list[int]) -> list[int]:
        rows = self._conn.execute(
            """
            select rowid from search
            where search match :words and rowid in (select value from json_each(:numbers))
            """,
            {
                "words": self._values["words"],
                "numbers": msgspec.json.encode(numbers).decode(),
            },
        )
        return [number for (number,) in rows.fetchall()]


def _taken(matches: sqlite3.Cursor, count: int) -> list[int]:
    # fetchmany(0) fetches all.
    return [number for (number,) in matches.fetchmany(count)] if count else []


def _span(conn: sqlite3.Connection, query: Query) -> tuple[int, int]:
    """The least and the greatest number that a message asked for can have."""
    if query.conversation_id is not None:
        row = conn.execute(
            "select min(number), max(number) from messages where conversation_id = ?",
            [query.conversation_id],
        ).fetchone()
    elif query.session_id is not None:
        row = conn.execute(
            f"""
            select min(m.number), max(m.number) from {messages.BY_TURN} where t.session_id = ?
            """,
            [query.session_id],
        ).fetchone()
    else:
        return 0, _GREATEST
    return (row[0], row[1]) if row[0] is not None else (1, 0)


def _messages(conn: sqlite3.Connection, places: list[Place]) -> list[Message]:
    """In the order of the places."""
    rows = conn.execute(
        f"""
        select {messages.COLUMNS}
        from json_each(:numbers) n cross join messages m on m.number = n.value
            cross join turns t on t.number = m.turn
        """,
        {"numbers": msgspec.json.encode([place[2] for place in places]).decode()},
    ).fetchall()
    return sorted(messages.of_rows(conn, rows), key=messages.place, reverse=True)


def _words(text: str) -> list[str]:
    """The words and quoted phrases of a search that hold something to look for."""
    found = re.findall(r'"[^"]*"\*?|[^\s"]+', text.replace("\0", " "))
    return [word for word in found if any(sign.isalnum() for sign in word)][:_MAX_WORDS]


def _quoted(word: str) -> str:
    """As FTS5 takes it literally: a phrase in quotes, perhaps with the sign of a prefix."""
    plain = spaced(word.rstrip("*").strip('"'))
    return f'"{plain}"' + ("*" if word.endswith("*") else "")


def _hit(message: Message, pattern: re.Pattern[str]) -> Hit:
    text = packing.words(message.parts)
    first = pattern.search(text)
    before, behind = _in_line(text, first.start() if first else 0)
    line = before + behind
    begin = max(0, len(before) - _BEFORE)
    snippet = line[begin : begin + _SNIPPET]
    marks = [found.span() for found in pattern.finditer(snippet)]
    before, behind = "…" if begin else "", "…" if begin + _SNIPPET < len(line) else ""
    moved = [(start + len(before), stop + len(before)) for start, stop in marks]
    return Hit(message=message, snippet=f"{before}{snippet}{behind}", marks=moved)


def _in_line(text: str, at: int) -> tuple[str, str]:
    """What stands before `at` and from there on, in one line: more than a snippet."""
    before = " ".join(text[max(at - _AROUND, 0) : at].split())
    if at > _AROUND and len(before) <= _BEFORE:
        before = " ".join(text[:at].split())
    if before and text[at - 1].isspace():
        before += " "
    behind = " ".join(text[at : at + _AROUND].split())
    if at + _AROUND < len(text) and len(behind) <= _SNIPPET:
        behind = " ".join(text[at:].split())
    return before, behind


def _loose(word: str) -> str:
    """What the index takes for equal: whatever stands between the letters and digits."""
    tokens = re.findall(r"[^\W_]+", word)
    return r"[\W_]+".join(map(_spelled, tokens)) or re.escape(word)


def _spelled(token: str) -> str:
    return r"[\W_]*".join(map(re.escape, spaced(token).split()))
