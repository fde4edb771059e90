"""
From raw entries to the projected tables, a short transaction at a time.

Entries that ended wait in a queue that is committed with their rows, so each is projected exactly
once, whenever this process ends. A decoder that fails on an entry leaves the raw entry, a note and
the rest of the queue untouched.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator

import msgspec
from sqlite_utils import Database

from addons import wire
from addons.project import keys, reading, rebuild, sessions
from addons.project.placing import Placer
from addons.project.reading import Decoded
from addons.project.resting import Work
from addons.wire import driving
from storage import database, raw, traffic
from storage import sessions as stored
from storage.errors import Busy, NotFound, StoreError
from storage.projection import forgetting, keeping, unfinished
from storage.projection.shapes import NoteRow
from storage.projection.unfinished import Unfinished
from storage.projection.writing import Tables
from storage.records import Entry

_ENTRIES_AT_ONCE = 16  # of the queue
_WORK_S = 0.015  # of a step without its commit
_MOST_HANDED = 100  # turns of open entries that wait

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
        self._has_failed = False
        # By the prefix of their set:
        self._resting: dict[str, Work] = {}
        self._handed: dict[str, deque[Decoded]] = {}

    def step(self, db: Database) -> bool:
        """Project some entries into one set, in turn; True while there is more to do at once."""
        sets = keeping.sets(db)
        self._forget_but({tables.prefix for tables in sets})
        # In turn: the one that was served last comes behind the other.
        for tables in sorted(sets, key=lambda tables: tables.prefix == self._last):
            if self.advance(db, tables):
                self._last = tables.prefix
                return True
        return rebuild.finish(db)

    def hand(self, db: Database, decoded: Decoded) -> None:
        """
        Have a turn of an entry that is still open put down, now or by one of the next steps.

        It may be left out: when the entry ended, all its turns are put down that are not there.
        """
        for tables in keeping.sets(db):
            handed = self._handed.setdefault(tables.prefix, deque())
            if len(handed) < _MOST_HANDED:
                handed.append(decoded)
            if tables.prefix not in self._resting and not forgetting.has_stale(tables):
                self._go_on(db, tables)

    def advance(self, db: Database, tables: Tables) -> bool:
        """
        Take a few entries from the queue of one set; True while there is more to do at once.

        While conversations wait to be removed nothing is put into the set: it would go with them,
        or stand behind messages that go.
        """
        if forgetting.has_stale(tables):
            self._give_up(tables.prefix)
            return False
        if self._go_on(db, tables):
            return True
        waiting = tables.waiting(_ENTRIES_AT_ONCE)
        if waiting and self._is_ready():
            self._take_all(db, tables, waiting)
        return bool(waiting)

    # --- what is begun, and what is handed over --------------------------------------------------

    def _go_on(self, db: Database, tables: Tables) -> bool:
        """A slice of what rests, or of what was handed over; False: there is neither."""
        work = self._resting.pop(tables.prefix, None)
        if work is None:
            conversation_id = unfinished.left(tables)
            if conversation_id is not None:  # by a process that ended, or that failed at it
                with database.write(db):
                    forgetting.make_stale(tables, conversation_id)
                return True
            handed = self._handed.get(tables.prefix)
            if not handed:
                return False
            decoded = handed.popleft()
            steps = self._place_handed(db, tables, decoded)
            work = Work(decoded.entry.id, steps, decoded)
        try:
            with database.write(db, is_durable=False):
                if work.has_rested and not work.may_go_on(tables):
                    self._again(tables.prefix, work)
                else:
                    self._run(tables, work, time.monotonic() + _WORK_S)
        except Exception as error:  # noqa: BLE001 - one entry must not stop the others
            self._resting.pop(tables.prefix, None)
            if work.handed is None:
                self._failed(db, tables, work.entry_id, error)
            elif not self._has_failed:
                _log.error("a turn waits until its socket closes", exc_info=error)
                self._has_failed = True
        return True

    def _run(self, tables: Tables, work: Work, end_s: float) -> bool:
        """False: it rests."""
        if work.run(tables, lambda: time.monotonic() > end_s or self._is_awaited()):
            return True
        self._resting[tables.prefix] = work
        return False

    def _place_handed(self, db: Database, tables: Tables, decoded: Decoded) -> Iterator[Unfinished]:
        """A turn that was handed over, if its entry is still there."""
        standing = raw.standing(db, decoded.entry.id)
        if standing is not None:
            entry = msgspec.structs.replace(decoded.entry, session_id=standing.session_id)
            yield from self._place(db, tables, [msgspec.structs.replace(decoded, entry=entry)])

    def _give_up(self, prefix: str) -> None:
        """Something goes that the work at rest may have seen: it goes too, and begins again."""
        work = self._resting.pop(prefix, None)
        if work is not None:
            self._again(prefix, work)

    def _again(self, prefix: str, work: Work) -> None:
        """What is not in the queue, for who handed it over has it no more."""
        if work.handed is not None:
            self._handed[prefix].appendleft(work.handed)

    def _begun(self) -> set[str]:
        """Open entries of which turns were handed over and are not put down yet."""
        waiting = [decoded for handed in self._handed.values() for decoded in handed]
        resting = [work.handed for work in self._resting.values() if work.handed is not None]
        return {decoded.entry.id for decoded in (*waiting, *resting)}

    def _forget_but(self, prefixes: set[str]) -> None:
        """Sets go when a rebuild ends."""
        for prefix in (self._resting.keys() | self._handed.keys()) - prefixes:
            self._resting.pop(prefix, None)
            self._handed.pop(prefix, None)

    # --- turns -----------------------------------------------------------------------------------

    def _place(self, db: Database, tables: Tables, found: list[Decoded]) -> Iterator[Unfinished]:
        """Put the turns of an entry down; in the caller's transaction, or several of them."""
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
            turn_id = yield from self._placer.place(tables, decoded, session)
            if turn_id is not None:
                self.on_placed(turn_id)

    def _take_all(self, db: Database, tables: Tables, entry_ids: list[str]) -> None:
        """
        Read entries and put their turns down, as many as there is time for, in one transaction.

        If an entry fails, each in one of its own to find which. What is left stays in the queue;
        the last may rest.
        """
        end_s = time.monotonic() + _WORK_S
        tried: list[str] = []
        try:
            with database.write(db, is_durable=False):
                for entry_id in entry_ids:
                    tried.append(entry_id)
                    work = Work(entry_id, self._take(db, tables, entry_id))
                    is_done = self._run(tables, work, end_s)
                    if not is_done or time.monotonic() > end_s or self._is_awaited():
                        break
                    if forgetting.has_stale(tables):
                        break
        except Exception as error:  # noqa: BLE001 - one entry must not stop the others
            self._resting.pop(tables.prefix, None)
            if len(entry_ids) == 1:
                self._failed(db, tables, entry_ids[0], error)
                return
            for entry_id in tried:
                if tables.prefix not in self._resting and not forgetting.has_stale(tables):
                    self._take_all(db, tables, [entry_id])

    def _take(self, db: Database, tables: Tables, entry_id: str) -> Iterator[Unfinished]:
        """An entry of the queue."""
        if keeping.is_mark(entry_id):
            keeping.queue_more(tables, entry_id, self._begun())
            return
        try:
            entry = traffic.get(db.conn, entry_id)
            found = reading.decode(db.conn, entry)
        except Exception as error:  # noqa: BLE001 - one entry must not stop the others
            self._failed(db, tables, entry_id, error)
            return
        tables.forget_notes(keys.turn(entry_id, 0), "projection-failed")
        yield from self._place(db, tables, found)
        if entry.outcome is None and _has_closed(db, entry_id):
            return  # meanwhile: turns of it may not have been read, so it stays in the queue
        tables.done(entry_id)

    def _failed(self, db: Database, tables: Tables, entry_id: str, error: Exception) -> None:
        """
        Be done with an entry that was deleted meanwhile, or that nobody can read.

        Turns of it that were put down while it was open, or before it rested, go as well: one that
        stayed would bring it into the queue again, and a rebuild would not have it.
        """
        if isinstance(error, NotFound):
            with database.write(db):
                tables.done(entry_id)
            return
        is_damaged = isinstance(error, StoreError) and not isinstance(error, Busy)
        if database.is_fault(error) and not is_damaged:
            raise error
        _log.error("entry %s could not be projected", entry_id, exc_info=error)
        with database.write(db):
            forgetting.forget_entry(tables, entry_id)
            self._note(tables, traffic.get(db.conn, entry_id), error)

    def _note(self, tables: Tables, entry: Entry, error: Exception) -> None:
        decoder = wire.decoder_of(driving.head_of(entry))
        note = NoteRow(
            turn_id=keys.turn(entry.id, 0),
            number=0,
            decoder=decoder.name if decoder else "none",
            kind="projection-failed",
            detail=f"{type(error).__name__}: {error}"[:500],
            count=1,
        )
        tables.put_notes([note])
        tables.done(entry.id)


def _has_closed(db: Database, entry_id: str) -> bool:
    standing = raw.standing(db, entry_id)
    return standing is not None and not standing.is_open
