"""The entries that are open now: told when they begin and end, followed if they are model calls."""

import contextlib
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence

import msgspec
from sqlite_utils import Database

from addons import wire
from addons.ingest.progress import DECODER as PROGRESS
from addons.live.following import Following
from addons.live.shapes import EntryClosed, EntryOpened
from addons.live.turns import Turns
from addons.project import pricing
from addons.wire import driving
from storage import ids, raw, spool, traffic
from storage.decoded import Change
from storage.errors import NotFound
from storage.feed import Feed
from storage.records import Cut, Entry, ResponseHead
from storage.records import EntryClosed as Closed
from storage.records import EntryOpened as Opened
from storage.spool import SpoolRecord

_FRESH_NS = 5 * 60 * 1_000_000_000
_MAX_CATCH_UP_BYTES = 8 << 20  # of an open entry that is read again after a restart
_SILENT_S = 30.0  # then an entry is looked up in the tables: its writer may have died
_MAX_LEFT_OUT = 10_000
_RECORD_BYTES = 500  # of memory beside its payload

_OPENED = msgspec.msgpack.Decoder(Opened)
_CLOSED = msgspec.msgpack.Decoder(Closed)
_CUT = msgspec.msgpack.Decoder(Cut)
_ANSWER = msgspec.msgpack.Decoder(ResponseHead)

_log = logging.getLogger("wirescribe")


class _Open(msgspec.Struct, kw_only=True, eq=False):
    """An entry that was told to be open. `following` None: it is no model call."""

    session_id: str
    started_ns: int
    following: Following | None = None
    status: int | None = None
    seen_s: float


class Entries:
    """All that are open and fresh."""

    def __init__(self, feed: Feed, turns: Turns) -> None:
        self._feed = feed
        self._turns = turns
        self._open: dict[bytes, _Open] = {}
        self._left_out: dict[bytes, int | None] = {}  # when it started; None: for good
        self._waiting: dict[str, deque[tuple[bytes, list[SpoolRecord]]]] = {}  # by writer
        self.waiting_bytes = 0  # what that takes of memory, as a rule
        self._has_failed = False

    def took(self, writer: str, records: Sequence[SpoolRecord]) -> None:
        """Records of one step were committed."""
        for entry in {record.entry for record in records if _is_coded_cut(record)}:
            if found := self._open.get(entry):
                self._unfollow(entry, found)
        runs = itertools.groupby(records, key=lambda record: record.entry)
        told = [(entry, list(run)) for entry, run in runs if entry != spool.NIL]
        if told:
            self._waiting.setdefault(writer, deque()).extend(told)
            self.waiting_bytes += sum(_memory_bytes(run) for _, run in told)

    @property
    def are_waiting(self) -> bool:
        """Whether there is something to `tell`."""
        return bool(self._waiting)

    def tell(self, db: Database, until: Callable[[], bool]) -> None:
        """
        Tell what waits, until `until()` says stop, but one run of records at least.

        The log of which the least waits goes first: an agent at work, and not a backlog.
        """
        while self._waiting:
            writer, runs = min(self._waiting.items(), key=lambda one: len(one[1]))
            entry, records = runs.popleft()
            if not runs:
                del self._waiting[writer]
            self.waiting_bytes -= _memory_bytes(records)
            self._run(db, entry, records)
            if until():
                break
        while len(self._left_out) > _MAX_LEFT_OUT:
            del self._left_out[next(iter(self._left_out))]

    def look(self, db: Database) -> None:
        """Find what ended without a record: its writer died, or it was deleted."""
        now_s = time.monotonic()
        for entry, found in list(self._open.items()):
            if now_s - found.seen_s < _SILENT_S:
                continue
            found.seen_s = now_s
            standing = raw.standing(db, ids.text(entry))
            if standing is None:
                self._forget(entry)
            elif not standing.is_open:
                self._killed(db, entry, found)

    def forget_session(self, session_id: str) -> None:
        for entry, found in list(self._open.items()):
            if found.session_id == session_id:
                self._forget(entry)

    # --- some records of one entry ---------------------------------------------------------------

    def _run(self, db: Database, entry: bytes, records: list[SpoolRecord]) -> None:
        try:
            found = self._open.get(entry)
            if found is None and records[0].kind == "open" and entry not in self._left_out:
                found = self._begin(db, records.pop(0))
            elif found is None:
                found = self._join(db, records[0])
            if found is not None:
                self._go_on(db, found, records)
            elif records and records[-1].kind == "close":
                self._left_out.pop(entry, None)
        except NotFound:
            self._forget(entry)
        except Exception as error:  # noqa: BLE001 - one entry must not silence the others
            if not self._has_failed:
                _log.error("entry %s is not followed", ids.text(entry), exc_info=error)
            self._has_failed = True
            self._forget(entry)

    def _begin(self, db: Database, record: SpoolRecord) -> _Open | None:
        opened = _OPENED.decode(record.content)
        if opened.way == "import" or not _is_fresh(opened.started_ns + record.offset_ns):
            self._left_out[record.entry] = None if opened.way == "import" else opened.started_ns
            return None
        entry_id = ids.text(record.entry)
        standing = raw.standing(db, entry_id)
        if standing is None:
            self._left_out[record.entry] = None
            return None
        found = self._add(record.entry, standing.session_id, opened.started_ns)
        path = opened.target.partition(b"?")[0].decode("latin-1")
        event = EntryOpened(
            session_id=found.session_id,
            entry_id=entry_id,
            at=opened.started_ns // 1_000_000,
            kind=opened.kind,
            method=opened.method,
            host=opened.host,
            path=path,
        )
        self._feed.publish("native", "entry.opened", event, [found.session_id])
        entry = _entry_of(entry_id, found.session_id, opened)
        decoder = None if opened.kind == "tunnel" else wire.decoder_of(driving.head_of(entry))
        if decoder is not None:
            pricing.prepare()  # while the agent waits for its answer
            found.following = Following(entry, decoder)
        return found

    def _go_on(self, db: Database, found: _Open, records: list[SpoolRecord]) -> None:
        found.seen_s = time.monotonic()
        changes: list[Change] = []
        for record in records:
            with contextlib.suppress(msgspec.DecodeError):  # it is in the quarantine
                if found.following is not None:
                    changes += found.following.take(record)
                elif record.kind == "response":
                    found.status = _ANSWER.decode(record.content).status
                if record.kind == "close":
                    self._told(db, found, changes)
                    closed = _CLOSED.decode(record.content)
                    self._closed(record.entry, found, closed, record.offset_ns)
                    return
        self._told(db, found, changes)

    def _told(self, db: Database, found: _Open, changes: list[Change]) -> None:
        following = found.following
        if following is not None:
            self._turns.changed(db, following, changes, is_quiet=False)
            found.session_id, found.status = following.entry.session_id, following.entry.status

    # --- after a restart, or behind a backlog ----------------------------------------------------

    def _join(self, db: Database, record: SpoolRecord) -> _Open | None:
        """Take up an entry in its middle, from the tables; None: leave it out (for now)."""
        if record.entry in self._left_out:
            started_ns = self._left_out[record.entry]
            if started_ns is None or not _is_fresh(started_ns + record.offset_ns):
                return None
        entry = traffic.get(db.conn, ids.text(record.entry))
        self._left_out[record.entry] = entry.started_ns
        if not _is_fresh(entry.started_ns + record.offset_ns):
            return None
        head = driving.head_of(entry)
        decoder = None if entry.kind == "tunnel" else wire.decoder_of(head)
        size_bytes = entry.request_bytes + entry.response_bytes
        if decoder is None or entry.way == "import" or size_bytes > _MAX_CATCH_UP_BYTES:
            self._left_out[record.entry] = None
            return None
        return self._caught_up(db, record, entry, Following(entry, decoder))

    def _caught_up(
        self, db: Database, record: SpoolRecord, entry: Entry, following: Following
    ) -> _Open | None:
        standing = raw.standing(db, entry.id)
        state = standing.state if standing else None
        progress = PROGRESS.decode(state) if state is not None else None
        flows = (progress.request, progress.response) if progress else ()
        if any(flow.opcode is not None for flow in flows):
            return None  # in the middle of a message that comes in pieces: at the next record
        before, since = following.catch_up(db.conn, progress, record.offset_ns)
        self._turns.changed(db, following, before, is_quiet=True)
        found = self._add(record.entry, entry.session_id, entry.started_ns)
        found.following = following
        self._turns.changed(db, following, since, is_quiet=False)
        if progress is None:
            self._ended(record.entry, found, entry)
            self._left_out[record.entry] = None
            return None
        return found

    # --- ends ------------------------------------------------------------------------------------

    def _killed(self, db: Database, entry: bytes, found: _Open) -> None:
        """It was closed for a writer that died."""
        stored = traffic.get(db.conn, ids.text(entry))
        if found.following is not None:
            changes = found.following.finish(stored.timing.closed_ns or 0)
            self._turns.changed(db, found.following, changes, is_quiet=False)
        self._ended(entry, found, stored)

    def _ended(self, entry: bytes, found: _Open, stored: Entry) -> None:
        closed = Closed(
            outcome=stored.outcome or "gap",
            request_bytes=stored.request_bytes,
            response_bytes=stored.response_bytes,
        )
        found.status = stored.status
        self._closed(entry, found, closed, stored.timing.closed_ns or 0)

    def _closed(self, entry: bytes, found: _Open, closed: Closed, offset_ns: int) -> None:
        event = EntryClosed(
            session_id=found.session_id,
            entry_id=ids.text(entry),
            at=(found.started_ns + offset_ns) // 1_000_000,
            outcome=closed.outcome,
            status=found.status,
            request_bytes=closed.request_bytes,
            response_bytes=closed.response_bytes,
        )
        self._feed.publish("native", "entry.closed", event, [found.session_id])
        self._open.pop(entry, None)
        self._turns.gone(ids.text(entry))

    def _add(self, entry: bytes, session_id: str, started_ns: int) -> _Open:
        self._left_out.pop(entry, None)
        found = _Open(session_id=session_id, started_ns=started_ns, seen_s=time.monotonic())
        self._open[entry] = found
        return found

    def _unfollow(self, entry: bytes, found: _Open) -> None:
        """Its coded bytes are no more what crossed: the projection reads the decoded text."""
        found.following = None
        self._turns.gone(ids.text(entry))

    def _forget(self, entry: bytes) -> None:
        self._open.pop(entry, None)
        self._left_out[entry] = None
        self._turns.gone(ids.text(entry))


def _memory_bytes(records: Sequence[SpoolRecord]) -> int:
    return sum([len(record.payload) + _RECORD_BYTES for record in records])


def _is_fresh(at_ns: int) -> bool:
    return time.time_ns() - at_ns < _FRESH_NS


def _is_coded_cut(record: SpoolRecord) -> bool:
    try:
        return record.kind == "cut" and _CUT.decode(record.content).kind == "coded"
    except msgspec.DecodeError:  # in the quarantine
        return False


def _entry_of(entry_id: str, session_id: str, opened: Opened) -> Entry:
    """As the tables have it."""
    return Entry(
        id=entry_id,
        session_id=session_id,
        kind=opened.kind,
        way=opened.way,
        started_ns=opened.started_ns,
        client=opened.client,
        method=opened.method,
        scheme=opened.scheme,
        host=opened.host,
        port=opened.port,
        target=opened.target,
        http_version=opened.http_version,
        request_headers=opened.headers,
        marks=opened.marks,
        continues=opened.continues,
    )
