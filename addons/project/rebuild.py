"""
Making the projected tables anew, beside live ingest.

A second set is filled by the same steps, from a queue of its own that new entries join too. When it
has caught up, the two are compared and swapped in one transaction; a set that holds less than the
one before is refused unless the user insists, for then a decoder has most likely become worse.
"""

from sqlite_utils import Database

from storage import database
from storage.projection import forgetting, keeping
from storage.projection.keeping import LIVE, NEXT, Size


def start(db: Database, *, is_forced: bool = False) -> None:
    """Begin afresh, also when a rebuild is under way. In the caller's transaction."""
    keeping.begin(db, is_forced=is_forced)


def finish(db: Database) -> bool:
    """Swap or refuse a set that has caught up; the sweep removes what is of no use any more."""
    state = keeping.state(db.conn)
    if state is None or not state.is_building:
        return False
    if any(forgetting.has_stale(tables) or tables.waiting(1) for tables in keeping.sets(db)):
        return False  # what is stale is removed by the sweep
    before, after = keeping.size(db.conn, LIVE), keeping.size(db.conn, NEXT)
    worse = _worse(before, after)
    with database.write(db):
        if worse and not state.is_forced:
            keeping.abandon(db, f"refused: {worse}")
        else:
            keeping.swap(db, f"done: {after.turns} turns, {after.messages} messages")
    return True


def _worse(before: Size, after: Size) -> str | None:
    """What the new set has less of, or more notes; None: nothing."""
    less = [
        f"{getattr(after, name)} {name.replace('_', ' ')} instead of {getattr(before, name)}"
        for name in ("turns", "conversations", "messages", "tool_calls")
        if getattr(after, name) < getattr(before, name)
    ]
    if after.notes > before.notes:
        less.append(f"{after.notes} notes instead of {before.notes}")
    return ", ".join(less) or None
