"""
Which session an entry goes to, of those that the proxy gave none or one that is unknown here.

Rule 3 of the architecture: automatic sessions. Until conversations are told apart there is one
per local day, for all traffic.
"""

from datetime import UTC, datetime

import msgspec
from sqlite_utils import Database

from storage import raw, sessions
from storage.records import EntryOpened


class Places:
    """Sessions as they are in one transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._deleted: dict[str, bool] = {}
        self._exists: dict[str, bool] = {}
        self._days: dict[str, str | None] = {}  # by key, as `_automatic`

    def is_deleted(self, session: str) -> bool:
        if session not in self._deleted:
            self._deleted[session] = raw.is_tombstoned(self._db, session)
        return self._deleted[session]

    def place(self, opened: EntryOpened) -> tuple[EntryOpened, str | None]:
        """The entry, marked where needed, and its session; None: it is not to be recorded."""
        if opened.session is None:
            return opened, self._automatic(opened.started_ns)
        if self.is_deleted(opened.session):
            return opened, None
        if self._is_there(opened.session):
            return opened, opened.session
        # Not deleted here: the database was made anew since the proxy learned of it.
        marked = msgspec.structs.replace(opened, marks=(*opened.marks, "unknown_session"))
        return marked, self._automatic(opened.started_ns)

    def _is_there(self, session: str) -> bool:
        if session not in self._exists:
            self._exists[session] = raw.session_exists(self._db, session)
        return self._exists[session]

    def _automatic(self, started_ns: int) -> str | None:
        """That of the entry's day; None if the user turned its recording off."""
        moment = datetime.fromtimestamp(started_ns // 1_000_000_000, tz=UTC).astimezone()
        key = f"other:{moment:%Y-%m-%d}"
        if key not in self._days:
            session = sessions.by_key(self._db.conn, key) or sessions.create(
                self._db,
                name=f"Other traffic, {moment.day} {moment:%b %Y}",
                origin="automatic",
                is_recording=True,
                key=key,
                now_ms=started_ns // 1_000_000,
            )
            self._days[key] = session.id if session.is_recording else None
        return self._days[key]
