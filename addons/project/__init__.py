"""
From raw entries to the projected tables, a short transaction at a time.

Entries that ended wait in a queue that is committed with their rows, so each is projected exactly
once, whenever this process ends. A decoder that fails on an entry leaves the raw entry, a note and
the rest of the queue untouched.
"""

import logging
import time
from collections.abc import Callable

import msgspec
from sqlite_utils import Database

from addons import wire
from addons.project import keys, reading, rebuild, sessions
from addons.project.placing import Placed, Placer
from addons.project.reading import Decoded
from addons.wire import driving
from storage import database, traffic
from storage import sessions as stored
from storage.errors import Busy, NotFound, StoreError
from storage.projection import forgetting, keeping
from storage.projection.shapes import NoteRow
from storage.projection.writing import Tables
from storage.records import Entry

_AT_ONCE = 16
_WORK_S = 0.015  # of a step without its commit

_log = logging.getLogger("wirescribe")


class Projection:
    """
    The step that follows ingest, in the same thread; it ends early if that `is_awaited`.

    Nothing is put down before `is_ready`.
    """

    def __init__(
        self,
        is_awaited: Callable[[], bool] = lambda: False,
        is_ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self._is_awaited = is_awaited
        self._is_ready = is_ready
        # Told the id of each turn that is put down, also by transactions that fail.
        self.on_placed: Callable[[str], None] = lambda turn_id: None
        self._placer = Placer()
        self._last = ""  # prefix of the set that was served last

    def step(self, db: Database) -> bool:
        """Project some entries into one set, in turn; True while there is more to do at once."""
        for tables in sorted(keeping.sets(db), key=lambda one: one.prefix == self._last):
            if self.advance(db, tables):
                self._last = tables.prefix
                return True
        return rebuild.finish(db)

    def advance(self, db: Database, tables: Tables) -> bool:
        """
        Take a few entries from the queue of one set; True while there is more to do at once.

        While conversations wait to be removed nothing is put into the set: it would go with them,
        or stand behind messages that go.
        """
        if forgetting.has_stale(tables):
            return False
        waiting = tables.waiting(_AT_ONCE)
        if waiting and self._is_ready():
            self._take_all(db, tables, waiting)
        return bool(waiting)

    def place(self, db: Database, tables: Tables, found: list[Decoded]) -> list[Placed]:
        """Put turns down that were decoded elsewhere; in the caller's transaction."""
        placed = []
        moved: dict[str, str] = {}  # the first turn of an entry may take it to another session
        for decoded in found:
            entry = decoded.entry
            home = moved.get(entry.id, entry.session_id)
            if home != entry.session_id:
                entry = msgspec.structs.replace(entry, session_id=home)
                decoded = msgspec.structs.replace(decoded, entry=entry)
            session = stored.get(db.conn, home)
            decoded, session = sessions.place(db, self._placer, decoded, session)
            moved[entry.id] = session.id
            one = self._placer.place(tables, decoded, session)
            if one is not None:
                placed.append(one)
                self.on_placed(one.turn_id)
        return placed

    def _take_all(self, db: Database, tables: Tables, entry_ids: list[str]) -> None:
        """
        Read entries and put their turns down, as many as there is time for, in one transaction.

        If an entry fails, each in one of its own to find which. What is left stays in the queue.
        """
        end_s = time.monotonic() + _WORK_S
        tried = []
        try:
            with database.write(db, is_durable=False):
                for entry_id in entry_ids:
                    tried.append(entry_id)
                    self._take(db, tables, entry_id)
                    if time.monotonic() > end_s or self._is_awaited():
                        break
        except Exception as error:  # noqa: BLE001 - one entry must not stop the others
            if len(entry_ids) == 1:
                self._failed(db, tables, entry_ids[0], error)
                return
            for entry_id in tried:
                self._take_all(db, tables, [entry_id])

    def _take(self, db: Database, tables: Tables, entry_id: str) -> None:
        if keeping.is_mark(entry_id):
            keeping.queue_more(tables, entry_id)
            return
        try:
            found = reading.decode(db.conn, traffic.get(db.conn, entry_id))
        except Exception as error:  # noqa: BLE001 - one entry must not stop the others
            self._failed(db, tables, entry_id, error)
            return
        tables.forget_notes(keys.turn(entry_id, 0), "projection-failed")
        self.place(db, tables, found)
        tables.done(entry_id)

    def _failed(self, db: Database, tables: Tables, entry_id: str, error: Exception) -> None:
        """Be done with an entry that was deleted meanwhile, or that nobody can read."""
        if isinstance(error, NotFound):
            with database.write(db):
                tables.done(entry_id)
            return
        is_damaged = isinstance(error, StoreError) and not isinstance(error, Busy)
        if database.is_fault(error) and not is_damaged:
            raise error
        _log.error("entry %s could not be projected", entry_id, exc_info=error)
        self._note(db, tables, traffic.get(db.conn, entry_id), error)

    def _note(self, db: Database, tables: Tables, entry: Entry, error: Exception) -> None:
        decoder = wire.decoder_of(driving.head_of(entry))
        note = NoteRow(
            turn_id=keys.turn(entry.id, 0),
            number=0,
            decoder=decoder.name if decoder else "none",
            kind="projection-failed",
            detail=f"{type(error).__name__}: {error}"[:500],
            count=1,
        )
        with database.write(db):
            tables.put_notes([note])
            tables.done(entry.id)
