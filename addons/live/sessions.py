"""What became of capture sessions since the last look."""

from collections.abc import Iterator

from sqlite_utils import Database

from addons.live.shapes import SessionCreated, SessionDeleted, SessionUpdated
from storage import drops, sessions
from storage.drops import Reason
from storage.errors import NotFound

type Change = SessionCreated | SessionUpdated | SessionDeleted
type _Face = tuple[str, bool, bool, bool]  # name, active, recording, pinned


class Sessions:
    """Reads only those that somebody changed."""

    def __init__(self) -> None:
        self._known: dict[str, _Face] | None = None  # None: not looked yet
        self._changed: set[str] = set()

    def look(self, db: Database) -> tuple[list[Change], list[str]]:
        """What changed, and the ids of those that were deleted."""
        if self._known is None:
            self._changed = sessions.watch(db, "live")
            self._known = {
                one.id: (one.name, one.is_active, one.is_recording, one.is_pinned)
                for one in sessions.list_all(db.conn)
            }
            return [], []
        changed = sorted(self._changed)
        now = {session_id: _face(db, session_id) for session_id in changed}
        self._changed.difference_update(changed)
        gone = [one for one, face in now.items() if face is None and one in self._known]
        reasons = {one.session_id: one.reason for one in drops.among(db.conn, gone).values()}
        return list(self._changes(self._known, now, reasons)), gone

    def _changes(
        self,
        known: dict[str, _Face],
        now: dict[str, _Face | None],
        reasons: dict[str, Reason],
    ) -> Iterator[Change]:
        for session_id, face in now.items():
            before = known.get(session_id)
            if face is None:
                if known.pop(session_id, None) is not None:
                    yield SessionDeleted(session_id=session_id, reason=reasons.get(session_id))
            elif face != before:
                known[session_id] = face
                name, is_active, is_recording, is_pinned = face
                made = SessionCreated if before is None else SessionUpdated
                yield made(
                    session_id=session_id,
                    name=name,
                    is_active=is_active,
                    is_recording=is_recording,
                    pinned=is_pinned,
                )


def _face(db: Database, session_id: str) -> _Face | None:
    try:
        found = sessions.get(db.conn, session_id)
    except NotFound:
        return None
    return found.name, found.is_active, found.is_recording, found.is_pinned
