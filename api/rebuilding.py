"""How far a rebuild is, as the API and the command line tell it."""

import sqlite3

from storage.projection import keeping
from storage.records import Record


class Rebuild(Record, frozen=True, kw_only=True, rename="camel"):
    """
    `entries` wait in all, `left` of them still; `result` is how the last whole rebuild ended.

    `left` also counts entries that just ended, and those of a session that is made anew.
    """

    is_building: bool
    entries: int
    left: int
    result: str | None


def of_state(conn: sqlite3.Connection) -> Rebuild:
    state = keeping.state(conn) or keeping.State(version=0, generation=0)
    left = keeping.left(conn, keeping.LIVE) + keeping.stale(conn)
    if state.is_building:
        left += keeping.left(conn, keeping.NEXT)
    return Rebuild(
        is_building=state.is_building,
        entries=max(state.entries if state.is_building else 0, left),
        left=left,
        result=state.result,
    )
