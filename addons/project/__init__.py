"""
From raw entries to the projected tables, a short transaction at a time.

Entries that ended wait in a queue that is committed with their rows, so each is projected exactly
once, whenever this process ends. A decoder that fails on an entry leaves the raw entry, a note and
the rest of the queue untouched.
"""

import logging
import time

from sqlite_utils import Database

from addons import wire
from addons.project import keys, reading, rebuild, sessions
from addons.project.placing import Placed, Placer
from addons.project.reading import Decoded
from addons.wire import driving
from storage import database, traffic
from storage import sessions as stored
from storage.errors import NotFound
from storage.projection import keeping
from storage.projection.shapes import NoteRow
from storage.projection.writing import Tables
from storage.records import Entry

_AT_ONCE = 16
_WORK_S = 0.02

_log = logging.getLogger("wirescribe")


class Projection:
    """The step that follows ingest, in the same thread."""

    def __init__(self) -> None:
        self._placer = Placer()

    def step(self, db: Database) -> bool:
        """Project some entries into each set; True while there is more to do at once."""
        busy = [self.advance(db, tables) for tables in keeping.sets(db)]
        return any(busy) or rebuild.finish(db)

    def advance(self, db: Database, tables: Tables) -> bool:
        """Take a few entries from the queue of one set; True while it is not empty."""
        end_s = time.monotonic() + _WORK_S
        waiting = tables.waiting(_AT_ONCE)
        for entry_id in waiting:
            self._entry(db, tables, entry_id)
            if time.monotonic() > end_s:
                break
        return bool(waiting)

    def place(self, db: Database, tables: Tables, found: list[Decoded]) -> list[Placed]:
        """Put turns down that were decoded elsewhere; in the caller's transaction."""
        placed = []
        for decoded in found:
            session = stored.get(db.conn, decoded.entry.session_id)
            decoded, session = sessions.place(db, self._placer, decoded, session)
            one = self._placer.place(tables, decoded, session)
            if one is not None:
                placed.append(one)
        return placed

    def _entry(self, db: Database, tables: Tables, entry_id: str) -> None:
        try:
            self._project(db, tables, entry_id)
        except NotFound:  # deleted meanwhile, itself or its session
            with database.write(db):
                tables.done(entry_id)
        except Exception as error:
            if database.is_fault(error):
                raise
            _log.error("entry %s could not be projected", entry_id, exc_info=error)
            self._note(db, tables, traffic.get(db.conn, entry_id), error)

    def _project(self, db: Database, tables: Tables, entry_id: str) -> None:
        entry = traffic.get(db.conn, entry_id)
        found = reading.decode(db.conn, entry)  # long, so outside of the transaction
        with database.write(db):
            self.place(db, tables, found)
            tables.done(entry_id)

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
