"""
From the spools into the raw tables, a short transaction at a time.

The read position of a writer is committed with the rows, so each record counts exactly once,
whenever this process ends. What is in memory only repeats the tables: after any failure it is
thrown away and built again.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile

from sqlite_utils import Database

from addons.ingest.tail import Tail, begun_late, span_bytes
from storage import bodies, database, raw, removal, spool
from storage.datadir import DataDir
from storage.spool import Damage, Position, SpoolReader, SpoolRecord
from storage.upkeep import Upkeep

_PAUSE_S = 0.05  # to the next look when nothing was there
_WORK_S = 0.02  # aim for a step without its commit, so that hardly one takes twice as long
_LITTLE_S = 0.004  # of a step: what took less keeps no other log waiting
_LEAST_BYTES = 64 << 10  # of a step
_MOST_BYTES = 4 << 20
_MOST_RECORDS = 2000
_SWEPT_EACH_S = 0.2  # deletion goes on beside the busiest log

_log = logging.getLogger("wirescribe")

Listener = Callable[[str, Sequence[SpoolRecord]], None]


class Ingest:
    """
    The background work of `Store.open`: `step` does a little and says when to come again.

    `listener` is told the writer and the records of each step once they are committed; it may not
    raise. A step ends early if the writer `is_awaited`.
    """

    def __init__(
        self,
        datadir: DataDir,
        listener: Listener | None = None,
        is_awaited: Callable[[], bool] = lambda: False,
    ) -> None:
        self._listener = listener
        self._is_awaited = is_awaited
        self._root = datadir.spool
        self._upkeep = Upkeep()
        self._tails: dict[str, Tail] = {}
        self._last = ""  # the writer that was served last
        self._limit_bytes = 1 << 20
        self._left: list[str] | None = None  # writers without a folder; None: not looked yet
        self._swept_s = time.monotonic()

    def step(self, db: Database) -> float:
        """
        Ingest a piece of one writer's log, or tidy up; returns the seconds until the next look.

        Raises sqlite3.Error, OSError or StoreError if database or spool fail; then nothing has
        changed, and the call may be repeated.
        """
        try:
            return self._step(db)
        except BaseException:
            self._tails.clear()  # memory may be ahead of the tables
            raise

    def catch_up(self, db: Database) -> bool:
        """
        While a log is far behind, ingest what came in the others; False: nothing, or none is.

        Each of them is read to its end, as `step` would between pieces of the backlog. Raises as
        `step` does.
        """
        if not any(tail.is_behind for tail in self._tails.values()):
            return False
        try:
            return self._catch_up(db)
        except BaseException:
            self._tails.clear()
            raise

    def _catch_up(self, db: Database) -> bool:
        started_s, has_read = time.monotonic(), False
        for tail in self._in_turn(db):
            if tail.is_behind:
                continue
            begun_s, before = time.monotonic(), tail.reader.position
            found = tail.reader.read(self._limit_bytes, _MOST_RECORDS)
            if not found:
                tail.reader.position = before  # `step` goes on from there
                continue
            has_read = True
            self._ingest(db, tail, found, begun_s)
            if time.monotonic() - started_s > _WORK_S or self._is_awaited():
                break
        return has_read

    def _step(self, db: Database) -> float:
        if time.monotonic() - self._swept_s > _SWEPT_EACH_S and self._sweep(db):
            return 0.0
        worked_s = 0.0
        for tail in self._in_turn(db):
            self._last = tail.writer  # first: a log that fails does not keep the others waiting
            started_s, before = time.monotonic(), tail.reader.position
            found = tail.reader.read(self._limit_bytes, _MOST_RECORDS)
            if found:
                worked_s += self._ingest(db, tail, found, started_s)
                if worked_s > _LITTLE_S or self._is_awaited():
                    return 0.0
                continue  # an agent at work is not to wait for each piece of a backlog beside it
            tail.is_behind = False
            if tail.reader.position != before:
                _commit_position(db, tail)
            if tail.reader.finished() and self._finish(db, tail):
                return 0.0
        if worked_s or self._close_left(db):
            return 0.0
        is_busy = self._sweep(db) or self._upkeep.step(db, is_awaited=self._is_awaited)
        return 0.0 if is_busy else _PAUSE_S

    def _sweep(self, db: Database) -> bool:
        more = removal.sweep(db, is_awaited=self._is_awaited)
        self._swept_s = time.monotonic()
        return more

    def _in_turn(self, db: Database) -> Iterator[Tail]:
        """All writers, beginning behind the one that was served last."""
        names = [folder.name for folder in spool.writers(self._root)]
        for name in self._tails.keys() - names:
            del self._tails[name]
        for name in sorted(names, key=lambda name: (name <= self._last, name)):
            tail = self._tails.get(name)
            if tail is None:
                reader = SpoolReader(self._root / name, raw.position(db, name))
                tail = self._tails[name] = Tail(name, reader)
            yield tail

    # --- records ---------------------------------------------------------------------------------

    def _ingest(
        self, db: Database, tail: Tail, found: list[SpoolRecord | Damage], started_s: float
    ) -> float:
        """How long it took, without the commit; endless if some is left to take at once."""
        until_s = started_s + 1.5 * _WORK_S
        is_all = span_bytes(found) < self._limit_bytes and len(found) < _MOST_RECORDS
        rest = None if is_all else begun_late(found)
        try:
            with database.write(db, is_durable=False), bodies.gathering(db):
                left = tail.take(
                    db, found, lambda: time.monotonic() > until_s or self._is_awaited(), rest
                )
                if left is not None:
                    tail.reader.position = Position(left.segment, left.offset)
                raw.set_position(db, tail.writer, tail.reader.position)
                worked_s = time.monotonic() - started_s
        except Exception as error:  # whatever a record may do to us, it must not stop the log
            if database.is_fault(error):
                raise
            self._tails.clear()
            if len(found) == 1:
                self._quarantine(db, tail, found[0], error)
            self._limit_bytes = 1  # the records come one by one until it is found
            return math.inf
        # First, for they are in the tables now, whether the log can be let go or not.
        if self._listener is not None:
            taken = takewhile(lambda one: one is not left, found)
            self._listener(tail.writer, [one for one in taken if isinstance(one, SpoolRecord)])
        if tail.reader.position.segment != tail.acknowledged:
            _commit_position(db, tail)
        tail.is_behind = not is_all or worked_s > _WORK_S
        if left is None and not tail.is_behind:
            return worked_s
        # One that was cut short for a call says nothing of what the machine can.
        if left is rest or worked_s > _WORK_S:
            self._pace(worked_s)
        return math.inf

    def _quarantine(
        self, db: Database, failed: Tail, found: SpoolRecord | Damage, error: Exception
    ) -> None:
        if isinstance(found, Damage):
            raise error
        _log.error("a record of spool %s goes into the quarantine", failed.writer, exc_info=error)
        tail = Tail(failed.writer, failed.reader)
        with database.write(db):
            tail.refuse(db, found, f"{type(error).__name__}: {error}")
            raw.set_position(db, tail.writer, tail.reader.position)

    def _pace(self, worked_s: float) -> None:
        """Take more or less at once, as the machine can."""
        change = min(max(_WORK_S / max(worked_s, 1e-6), 0.5), 2.0)
        fitting = int(self._limit_bytes * change) + 1
        least = min(self._limit_bytes * 2, _LEAST_BYTES)
        self._limit_bytes = min(max(fitting, least), _MOST_BYTES)

    # --- the end of a writer ---------------------------------------------------------------------

    def _finish(self, db: Database, tail: Tail) -> bool:
        """A dead writer's log was read: close what it left open, remove it. False: not yet."""
        if tail.close_open(db):
            return True
        _commit_position(db, tail)
        if not tail.reader.remove():
            return False
        with database.write(db):
            raw.forget_writer(db, tail.writer)
        self._tails.pop(tail.writer, None)
        return True

    def _close_left(self, db: Database) -> bool:
        """Once: the same for writers whose folder is not there any more."""
        if self._left is None:
            present = {folder.name for folder in spool.writers(self._root)}
            self._left = sorted(raw.writers(db) - present)
        if not self._left:
            return False
        tail = Tail(self._left[-1], SpoolReader(self._root / self._left[-1]))
        if not tail.close_open(db):
            with database.write(db):
                raw.forget_writer(db, tail.writer)
            self._left.pop()
        return True


def _commit_position(db: Database, tail: Tail) -> None:
    """Make all of the log that was read durable, and let it go."""
    with database.write(db):
        raw.set_position(db, tail.writer, tail.reader.position)
    tail.reader.acknowledge(tail.reader.position)
    tail.acknowledged = tail.reader.position.segment
