"""Which capture sessions there are, and what became of them since the last look."""

from collections.abc import Iterator

from sqlite_utils import Database

from addons.live.shapes import SessionCreated, SessionDeleted, SessionUpdated
from storage import sessions
from storage.feed import Feed

type Change = SessionCreated | SessionUpdated | SessionDeleted
type _Face = tuple[str, bool, bool]  # name, active, recording


class Sessions:
    """Looks only when somebody changed sessions, or one shows that was not known."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._known: dict[str, _Face] | None = None  # None: not looked yet

    def seen(self, session_id: str) -> None:
        """Traffic went to this one: if it is new, ingest made it."""
        if self._known is not None and session_id not in self._known:
            self._feed.sessions_changed.set()

    def look(self, db: Database) -> tuple[list[Change], list[str]]:
        """What changed, and the ids of those that were deleted."""
        if self._known is not None and not self._feed.sessions_changed.is_set():
            return [], []
        self._feed.sessions_changed.clear()
        now = {
            one.id: (one.name, one.is_active, one.is_recording)
            for one in sessions.list_all(db.conn)
        }
        before, self._known = self._known, now
        if before is None:
            return [], []
        gone = [session_id for session_id in before if session_id not in now]
        return list(_changes(before, now, gone)), gone


def _changes(before: dict[str, _Face], now: dict[str, _Face], gone: list[str]) -> Iterator[Change]:
    for session_id in gone:
        yield SessionDeleted(session_id=session_id)
    for session_id, face in now.items():
        if before.get(session_id) == face:
            continue
        name, is_active, is_recording = face
        made = SessionUpdated if session_id in before else SessionCreated
        yield made(session_id=session_id, name=name, is_active=is_active, is_recording=is_recording)
