"""
From the spools into the raw tables, a short transaction at a time.

The read position of a writer is committed with the rows, so each record counts exactly once,
whenever this process ends. What is in memory only repeats the tables: after any failure it is
thrown away and built again.
"""

import logging
import sqlite3
import time
from collections.abc import Iterator

import msgspec
from sqlite_utils import Database

from addons.folding import Fold, Indigestible
from addons.placing import Places
from storage import database, ids, raw, removal, spool
from storage.datadir import DataDir
from storage.errors import WirescribeError
from storage.records import EntryOpened, Gap
from storage.spool import Damage, Position, SpoolReader, SpoolRecord

_PAUSE_S = 0.05  # to the next look when nothing was there
_WORK_S = 0.03  # aim for a step, without its commit
_LEAST_BYTES = 64 << 10  # of a step
_MOST_BYTES = 4 << 20
_CLOSED_AT_ONCE = 20  # entries of a dead writer
_SWEPT_EACH_S = 0.2  # deletion goes on beside the busiest log

_OPENED = msgspec.msgpack.Decoder(EntryOpened)
_GAP = msgspec.msgpack.Decoder(Gap)

_log = logging.getLogger("wirescribe")


class Ingest:
    """The background work of `Store.open`: `step` does a little and says when to come again."""

    def __init__(self, datadir: DataDir) -> None:
        self._root = datadir.spool
        self._tails: dict[str, _Tail] = {}
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

    def _step(self, db: Database) -> float:
        if time.monotonic() - self._swept_s > _SWEPT_EACH_S and self._sweep(db):
            return 0.0
        for tail in self._in_turn(db):
            self._last = tail.writer  # first: a log that fails does not keep the others waiting
            before = tail.reader.position
            found = tail.reader.read(self._limit_bytes)
            if found:
                self._ingest(db, tail, found)
                return 0.0
            if tail.reader.position != before:
                _commit_position(db, tail)
            if tail.reader.finished() and self._finish(db, tail):
                return 0.0
        if self._close_left(db):
            return 0.0
        return 0.0 if self._sweep(db) else _PAUSE_S

    def _sweep(self, db: Database) -> bool:
        more = removal.sweep(db)
        self._swept_s = time.monotonic()
        return more

    def _in_turn(self, db: Database) -> Iterator["_Tail"]:
        """All writers, beginning behind the one that was served last."""
        names = [folder.name for folder in spool.writers(self._root)]
        for name in set(self._tails).difference(names):
            del self._tails[name]
        for name in sorted(names, key=lambda name: (name <= self._last, name)):
            tail = self._tails.get(name)
            if tail is None:
                reader = SpoolReader(self._root / name, raw.position(db, name))
                tail = self._tails[name] = _Tail(name, reader)
            yield tail

    # --- records ---------------------------------------------------------------------------------

    def _ingest(self, db: Database, tail: "_Tail", found: list[SpoolRecord | Damage]) -> None:
        started = time.monotonic()
        try:
            with database.write(db):
                tail.take(db, found)
                raw.set_position(db, tail.writer, tail.reader.position)
                worked_s = time.monotonic() - started
        except Exception as error:  # whatever a record may do to us, it must not stop the log
            if _is_environment(error):
                raise
            self._tails.clear()
            if len(found) == 1:
                self._quarantine(db, tail, found[0], error)
            self._limit_bytes = 1  # the records come one by one until it is found
            return
        tail.reader.acknowledge(tail.reader.position)
        self._pace(worked_s)

    def _quarantine(
        self, db: Database, failed: "_Tail", found: SpoolRecord | Damage, error: Exception
    ) -> None:
        _log.error("a record of spool %s goes into the quarantine", failed.writer, exc_info=error)
        tail = _Tail(failed.writer, failed.reader)
        with database.write(db):
            tail.refuse(db, found, f"{type(error).__name__}: {error}")
            raw.set_position(db, tail.writer, tail.reader.position)

    def _pace(self, worked_s: float) -> None:
        """Take more or less at once, as the machine can."""
        if worked_s > _WORK_S:
            fitting = int(self._limit_bytes * _WORK_S / worked_s)
            self._limit_bytes = max(fitting, _LEAST_BYTES)
        elif worked_s < _WORK_S / 2:
            self._limit_bytes = min(self._limit_bytes * 2, _MOST_BYTES)

    # --- the end of a writer ---------------------------------------------------------------------

    def _finish(self, db: Database, tail: "_Tail") -> bool:
        """A dead writer's log was read: close what it left open, remove it. False: not yet."""
        if tail.close_open(db):
            return True
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
        tail = _Tail(self._left[-1], SpoolReader(self._root / self._left[-1]))
        if not tail.close_open(db):
            with database.write(db):
                raw.forget_writer(db, tail.writer)
            self._left.pop()
        return True


class _Tail:
    """One writer's log, and the open entries in it."""

    def __init__(self, writer: str, reader: SpoolReader) -> None:
        self.writer = writer
        self.reader = reader
        self._folds: dict[bytes, Fold] = {}

    def take(self, db: Database, found: list[SpoolRecord | Damage]) -> None:
        """Fold records and write their rows, in a transaction of the caller."""
        step = _Step(db, self.writer, self._folds)
        for one in found:
            if isinstance(one, Damage):
                step.damage(one)
            else:
                step.record(one)
        step.write()

    def refuse(self, db: Database, one: SpoolRecord | Damage, reason: str) -> None:
        """Put a record away unread, in a transaction of the caller."""
        step = _Step(db, self.writer, self._folds)
        if isinstance(one, Damage):
            step.damage(one)
        else:
            step.refuse(one, step.known(one.entry), reason)
        step.write()

    def close_open(self, db: Database) -> bool:
        """Close some of the open entries as killed, in a transaction; False: there are none."""
        if not raw.open_entries(db, self.writer, 1):
            return False
        with database.write(db):
            step = _Step(db, self.writer, self._folds)
            step.kill(raw.open_entries(db, self.writer, _CLOSED_AT_ONCE))
            step.write()
        return True


class _Step:
    """The records of one transaction."""

    def __init__(self, db: Database, writer: str, folds: dict[bytes, Fold]) -> None:
        self._db = db
        self._writer = writer
        self._folds = folds
        self._rows = raw.Rows(writer)
        self._places = Places(db)
        self._seen: dict[bytes, Fold | None] = {}  # entries of this step; None: dropped

    def record(self, record: SpoolRecord) -> None:
        if record.entry == spool.NIL:
            self._nobodys(record)
            return
        fold = None
        try:
            if record.kind == "open":
                self._open(record)
                return
            fold = self.known(record.entry)
            if fold is None:
                return
            fold.take(record)
        except (msgspec.DecodeError, UnicodeDecodeError, Indigestible) as error:
            self.refuse(record, fold, str(error))

    def damage(self, damage: Damage) -> None:
        if damage.payload is not None:
            position = Position(damage.segment, damage.offset)
            self._rows.quarantine(damage.payload, damage.reason, position)
            return
        detail = f"segment {damage.segment} from byte {damage.offset}: {damage.reason}"
        self._rows.gap(Gap(reason="spool_damaged", size_bytes=damage.size_bytes, detail=detail))

    def refuse(self, record: SpoolRecord, fold: Fold | None, reason: str) -> None:
        """Into the quarantine."""
        self._rows.quarantine(
            record.payload,
            reason,
            Position(record.segment, record.offset),
            entry_id=None if record.entry == spool.NIL else ids.text(record.entry),
            session_id=fold.progress.session if fold else None,
        )
        if fold:
            fold.refuse(record)

    def kill(self, entry_ids: list[str]) -> None:
        for entry_id in entry_ids:
            fold = self.known(ids.raw(entry_id))
            if fold:
                fold.kill()

    def write(self) -> None:
        """Write all rows; closed and dropped entries leave the memory."""
        for entry, fold in self._seen.items():
            if fold is None or fold.is_closed:
                self._folds.pop(entry, None)
            else:
                self._folds[entry] = fold
            if fold:
                fold.write()
        self._rows.write(self._db)

    def _nobodys(self, record: SpoolRecord) -> None:
        try:
            if record.kind != "gap":
                raise Indigestible(f"a record of kind {record.kind[:40]!r} without an entry")
            self._rows.gap(_GAP.decode(record.content))
        except (msgspec.DecodeError, UnicodeDecodeError, Indigestible) as error:
            self.refuse(record, None, str(error))

    def _open(self, record: SpoolRecord) -> None:
        entry_id = ids.text(record.entry)
        if self._seen.get(record.entry) or raw.standing(self._db, entry_id):
            raise Indigestible("a second open of this entry")
        if raw.is_removed(self._db, entry_id):
            return
        opened = _OPENED.decode(record.content)
        opened, session = self._places.place(opened)
        if session is None:
            raw.drop(self._db, entry_id, self._writer)
            self._seen[record.entry] = None
            return
        fold = Fold.begin(self._db, self._rows, entry_id, opened, session)
        fold.opened_at(record)
        self._seen[record.entry] = fold

    def known(self, entry: bytes) -> Fold | None:
        """The fold of an entry; None if its records are dropped. Raises Indigestible."""
        if entry in self._seen:
            fold = self._seen[entry]
            if fold is not None and fold.is_closed:
                raise Indigestible("the entry is closed already")
            return fold
        fold = self._find(entry)
        self._seen[entry] = fold
        return fold

    def _find(self, entry: bytes) -> Fold | None:
        """As the tables say now: since the last step the entry or its session may have gone."""
        entry_id = ids.text(entry)
        standing = raw.standing(self._db, entry_id)
        if standing is None:
            if raw.is_removed(self._db, entry_id):
                return None
            raise Indigestible("its entry is unknown")
        if self._places.is_deleted(standing.session_id):
            return None
        if standing.writer != self._writer:
            raise Indigestible(f"its entry came from the writer {standing.writer}")
        if not standing.is_open:
            raise Indigestible("the entry is closed already")
        if standing.state is None:
            raise Indigestible("how far its entry was is lost")
        fold = self._folds.get(entry)
        if fold is None:
            return Fold.resume(self._db, self._rows, entry_id, standing.state)
        fold.use(self._rows)
        return fold


def _commit_position(db: Database, tail: _Tail) -> None:
    with database.write(db):
        raw.set_position(db, tail.writer, tail.reader.position)
    tail.reader.acknowledge(tail.reader.position)


def _is_environment(error: Exception) -> bool:
    """Whether the fault is the disk's or the database's, not that of a record."""
    if isinstance(error, OSError | WirescribeError | sqlite3.OperationalError):
        return True
    # The class itself stands for a damaged file; its other subclasses for values it cannot take.
    return type(error) is sqlite3.DatabaseError
