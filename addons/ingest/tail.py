"""One writer's log on its way into the tables: its open entries, and the records of a step."""

from collections.abc import Callable, Sequence

import msgspec
from sqlite_utils import Database

from addons.ingest.folding import CHUNKS, Fold, Indigestible
from addons.ingest.placing import Places
from storage import database, ids, raw, spool
from storage.records import EntryOpened, Gap
from storage.spool import Damage, Position, SpoolReader, SpoolRecord

_CLOSED_AT_ONCE = 20  # entries of a dead writer
_TOGETHER = 64  # chunks

_OPENED = msgspec.msgpack.Decoder(EntryOpened)
_GAP = msgspec.msgpack.Decoder(Gap)


def span_bytes(found: Sequence[SpoolRecord | Damage]) -> int:
    """What these take of their segment."""
    last = found[-1]
    size_bytes = len(last.payload) if isinstance(last, SpoolRecord) else last.size_bytes or 0
    return last.offset + size_bytes - found[0].offset


def begun_late(found: Sequence[SpoolRecord | Damage]) -> SpoolRecord | None:
    """
    The `open` of an entry that begins in the second half of these and to which all behind belong.

    None if there is none, or if it ends too. When more records are there already, it is better left
    to the next step: what begins and ends in one is written once, as a whole, and its bytes do not
    lie in `pieces` meanwhile.
    """
    last = found[-1]
    if not isinstance(last, SpoolRecord) or last.kind == "close":
        return None
    half = found[0].offset + span_bytes(found) // 2
    for one in reversed(found):
        if not isinstance(one, SpoolRecord) or one.entry != last.entry or one.offset < half:
            return None
        if one.kind == "open":
            return one
    return None


class Tail:
    """One writer's log, and the open entries in it."""

    def __init__(self, writer: str, reader: SpoolReader) -> None:
        self.writer = writer
        self.reader = reader
        self.is_behind = False  # at the last look there was more than is read at once
        self.acknowledged = -1  # the segments before this one are durable elsewhere, and removed
        self._folds: dict[bytes, Fold] = {}

    def take(
        self,
        db: Database,
        found: Sequence[SpoolRecord | Damage],
        until: Callable[[], bool],
        rest: SpoolRecord | None = None,
    ) -> SpoolRecord | None:
        """
        Fold records and write their rows, in a transaction of the caller.

        Stops before `rest`, and when `until()` says so, but not before the first one; returns the
        record where it stopped, None at the end.
        """
        step = _Step(db, self.writer, self._folds)
        at = 0
        left = None
        while at < len(found):
            one = found[at]
            if not isinstance(one, SpoolRecord):
                step.damage(one)
                at += 1
            elif at and (one is rest or until()):
                left = one
                break
            else:
                at += step.some(one, found, at)
        step.write()
        return left

    def refuse(self, db: Database, record: SpoolRecord, reason: str) -> None:
        """Put a record away unread, in a transaction of the caller."""
        step = _Step(db, self.writer, self._folds)
        step.refuse(record, step.known_or_none(record.entry), reason)
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

    def some(self, first: SpoolRecord, found: Sequence[SpoolRecord | Damage], at: int) -> int:
        """Fold the first record, found here, or more of them if they are chunks; how many."""
        if first.kind in CHUNKS and (fold := self.known_or_none(first.entry)):
            taken = fold.take_chunks(first, found[at : at + _TOGETHER])
            if taken:
                return taken
        self._record(first)
        return 1

    def _record(self, record: SpoolRecord) -> None:
        if record.entry == spool.NIL:
            self._nobodys(record)
            return
        try:
            if record.kind == "open":
                self._open(record)
                return
            fold = self.known(record.entry)
            if fold is not None:
                fold.take(record)
        except (msgspec.DecodeError, UnicodeDecodeError, Indigestible) as error:
            self.refuse(record, self.known_or_none(record.entry), str(error))

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
            bytes(record.payload),
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
        known = self._seen.get(record.entry) or raw.known(self._db, entry_id)
        if known == "removed":
            return
        if known:
            raise Indigestible("a second open of this entry")
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

    def known_or_none(self, entry: bytes) -> Fold | None:
        try:
            return None if entry == spool.NIL else self.known(entry)
        except Indigestible:
            return None

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
