"""The search index of one set of projected tables: words by the number of their message."""

import re
import sqlite3

# Han and kana, which have no spaces between words: FTS5's tokenizer takes a sentence for one word.
_SIGN = re.compile(
    "([\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U0001aff0-\U0001b16f\U00020000-\U000323af])"
)


def spaced(text: str) -> str:
    """As the index takes it: each sign of such a script is a word, and so a word is a phrase."""
    return text if text.isascii() else _SIGN.sub(r" \1 ", text)


class SearchIndex:
    def __init__(self, conn: sqlite3.Connection, prefix: str) -> None:
        self._conn = conn
        self._name = f"{prefix}search"

    def add(self, number: int, text: str) -> None:
        if text:
            self._conn.execute(
                f"insert into {self._name} (rowid, text) values (?, ?)", [number, spaced(text)]
            )

    def remove(self, number: int, text: str | None) -> None:
        """The index forgets words only if it is told them; unknown ones go with all of it."""
        if text is None:
            self._conn.execute("update projection set is_unmerged = 2")
        elif text:
            self._conn.execute(
                f"insert into {self._name} ({self._name}, rowid, text) values ('delete', ?, ?)",
                [number, spaced(text)],
            )

    def merge(self) -> bool:
        """
        A slice of rewriting it without what was deleted; True while there is more.

        FTS5 keeps deleted words in its segments until they are merged (sqlite.org/fts5.html,
        section 6.9, the 'merge' command: a negative value starts from all segments).
        """
        if self._merge(-64):
            return True
        self._conn.execute("update projection set is_unmerged = 0 where is_unmerged = 1")
        return False

    def join(self) -> bool:
        """
        A slice of joining its small segments; True while there is more.

        Segments of one level become one of the next, so what is large is seldom written again.
        """
        return self._merge(64)

    def mark_unmerged(self) -> None:
        """Words were deleted that it still holds."""
        self._conn.execute("update projection set is_unmerged = max(is_unmerged, 1)")

    def is_unmerged(self) -> bool:
        (found,) = self._conn.execute("select is_unmerged from projection").fetchone()
        return bool(found == 1)

    def _merge(self, rank: int) -> bool:
        before = self._conn.total_changes
        self._conn.execute(
            f"insert into {self._name} ({self._name}, rank) values ('merge', ?)", [rank]
        )
        return self._conn.total_changes - before >= 2
