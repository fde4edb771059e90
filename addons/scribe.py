"""
Takes what the event loop saw and brings it to the spool, from threads of its own.

`put` never waits and never raises. The spool thread wakes, lets 25 ms of traffic gather, redacts
and appends it in one write; a thread beside it syncs. Measured: an append inside the event loop, or
a thread woken for each record, costs several times as much.

The queue is bounded by bytes; what does not fit is lost, with a gap. While the disk refuses, the
batch is kept and tried again. While the disk is low, recording pauses, with a gap.
"""

import threading
import time
from collections import deque
from typing import Any

from addons.disk import DiskGuard
from addons.entrylog import Buffers, Closing, EntryLog, Lost, Step
from addons.redaction import Redactor
from storage import spool
from storage.errors import StoreError
from storage.records import EntryOpened, Gap, Side

GATHER_S = 0.025
RETRY_S = 0.25
LOOK_AT_DISK_S = 1.0
SYNC_S = 0.5
SETTLE_S = 0.25
BATCH_BYTES = 4 << 20
QUEUE_BYTES = 256 << 20
ITEM_BYTES = 300  # about what a queued step weighs beside its content
STOP_RETRIES_S = 3.0

_FAULT = "recording failed inside the proxy ({}): a gap is on record"

Item = tuple[EntryLog, Step, int, Any, int]


class Scribe:
    """One per proxy process. The public methods belong to the event loop, save `stop`."""

    def __init__(
        self,
        writer: spool.SpoolWriter,
        redactor: Redactor,
        guard: DiskGuard | None = None,
        *,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self._writer = writer
        self._redactor = redactor
        self._guard = guard
        self._queue_bytes = queue_bytes
        self._queue: deque[Item] = deque()
        self._put_bytes = 0  # written by the event loop only
        self._done_bytes = 0  # written by the spool thread only
        self._awake = False
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._appended = threading.Event()
        self._nobody = EntryLog(redactor, time.monotonic_ns(), spool.NIL)
        self._paused: Lost | None = None
        self._closed_in_pause: list[tuple[EntryLog, int, Closing]] = []
        self._holding: dict[EntryLog, int] = {}  # bodies with a tail held back, and their last step
        self._looked_at_disk = 0.0
        self._parting = False  # a new segment is due
        self._troubles: dict[str, str] = {}
        self._threads = [
            threading.Thread(target=self._run, name="spool", daemon=True),
            threading.Thread(target=self._sync, name="spool-sync", daemon=True),
        ]

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is wrong with recording now, in words for the user."""
        return tuple(self._troubles.copy().values())

    # --- the event loop's side -------------------------------------------------------------------

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Write what is queued, sync and close the log. Waits, so not in the event loop."""
        self._stop.set()
        self._wake.set()
        self._appended.set()
        for thread in self._threads:
            thread.join()
        self._writer.close()

    def new_log(self, started_ns: int) -> EntryLog:
        """An entry of its own; `started_ns` is monotonic."""
        return EntryLog(self._redactor, started_ns)

    def learn(self, head: EntryOpened, at_ns: int) -> None:
        """
        Know the credentials of a head that is not recorded.

        The same key may stand in the body of an entry that is.
        """
        self.put(self.new_log(at_ns), EntryLog.learn, at_ns, head)

    def put(self, log: EntryLog, step: Step, at_ns: int, content: Any, size: int = 0) -> None:
        """Queue a step; `size` is that of the traffic in its content."""
        size += ITEM_BYTES
        full = self._put_bytes - self._done_bytes + size > self._queue_bytes
        if (full or log.missed is not None) and not self._fits(log, step, at_ns, content, size):
            return
        self._enqueue(log, step, at_ns, content, size)

    def _enqueue(self, log: EntryLog, step: Step, at_ns: int, content: Any, size: int) -> None:
        self._put_bytes += size
        self._queue.append((log, step, at_ns, content, size))
        if not self._awake:
            self._awake = True
            self._wake.set()

    def fault(self, log: EntryLog | None, error: BaseException) -> None:
        """The recorder itself failed at this entry, or at one that it could not even begin."""
        name = type(error).__name__
        self._troubles["capture"] = _FAULT.format(name)
        gap = Gap(reason="capture_failed", started_ns=time.time_ns(), detail=name)
        sides: tuple[Side, ...] = ("request", "response")
        self.put(log or self._nobody, EntryLog.gap, time.monotonic_ns(), (gap, sides))

    def begin_segment(self) -> None:
        """
        Part what was put by now from what follows.

        A segment goes as soon as all of it is in the tables: after this, what was deleted does not
        lie in the log until the segment is full.
        """
        self._parting = True
        self._wake.set()

    def tick(self) -> None:
        """Put down what was lost of entries that never got on record. To be called now and then."""
        queued = self._put_bytes - self._done_bytes
        if self._nobody.missed is not None and queued <= self._queue_bytes // 2:
            self._put_missed(self._nobody, time.monotonic_ns())

    def _fits(self, log: EntryLog, step: Step, at_ns: int, content: Any, size: int) -> bool:
        """Decides when the queue is full or was full for this entry."""
        queued = self._put_bytes - self._done_bytes + size
        # Whoever lost something waits for some room, or one gap would become many.
        room = self._queue_bytes if log.missed is None else self._queue_bytes // 2
        if log.silent:  # it never got on record, so nothing of it may fill the queue
            if self._nobody.missed is not None:
                self._nobody.missed.add(step, content)
            return False
        if step is EntryLog.open and queued > room:
            log.silent = True
            log = self._nobody
        # The end of what is on record is always worth its few bytes.
        elif step is EntryLog.close or queued <= room:
            self._put_missed(log, at_ns)
            return True
        if log.missed is None:
            log.missed = Lost("queue_full", time.time_ns())
        log.missed.add(step, content)
        self._troubles["queue"] = "the disk is slower than the traffic: a gap is on record"
        return False

    def _put_missed(self, log: EntryLog, at_ns: int) -> None:
        missed, log.missed = log.missed, None
        if missed is not None:
            self._troubles.pop("queue", None)
            content = (missed.gap(time.time_ns()), missed.sides)
            # However full the queue is: without it the entry would look whole.
            self._enqueue(log, EntryLog.gap, at_ns, content, ITEM_BYTES)

    # --- the spool thread ------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set() or self._queue:
            idle = not self._holding and self._paused is None and not self._parting
            self._wake.wait(None if idle else SETTLE_S)
            self._wake.clear()
            if not self._stop.is_set():
                time.sleep(GATHER_S)
            # From here on a step that comes wakes the thread again.
            self._awake = False
            try:
                self._drain()
            except Exception as error:  # noqa: BLE001 - the thread must outlive whatever it is
                self._troubles["spool"] = f"the spool thread failed: {type(error).__name__}"
        if self._paused is not None:
            self._append(self._resumed())

    def _drain(self) -> None:
        self._look_at_disk()
        buffers: Buffers = []
        done_bytes = 0
        parting = self._parting  # asked before the queue: what was put before is taken from it
        while self._queue:
            log, step, at_ns, content, size = self._queue.popleft()
            buffers += self._records(log, step, at_ns, content)
            done_bytes += size
            if done_bytes >= BATCH_BYTES:
                self._append(buffers)
                self._done_bytes += done_bytes
                buffers, done_bytes = [], 0
        buffers += self._settled()
        self._append(buffers)
        self._done_bytes += done_bytes
        if parting:
            self._part()

    def _part(self) -> None:
        self._parting = False  # first, for the event loop may ask again meanwhile
        try:
            self._writer.begin_segment()
        except StoreError:
            self._parting = True
        else:
            self._appended.set()  # the full one is to be synced and closed

    def _records(self, log: EntryLog, step: Step, at_ns: int, content: Any) -> Buffers:
        if log.silent:
            return []
        if self._paused is not None and step is not EntryLog.learn:
            self._skip(self._paused, log, step, at_ns, content)
            if step is not EntryLog.open:
                return []
            step = EntryLog.learn
        begins = step in (EntryLog.open, EntryLog.learn)
        if not begins and not log.is_open and log is not self._nobody:
            return []
        try:
            if log.lost is not None:
                log.gap(at_ns, (log.lost.gap(time.time_ns()), log.lost.sides))
                log.lost = None
            step(log, at_ns, content)
        except Exception as error:  # noqa: BLE001 - one entry may fail, the others go on
            return self._failed(log, step, at_ns, content, error)
        if log.holds:
            self._holding[log] = time.monotonic_ns()
        return log.take()

    def _failed(
        self, log: EntryLog, step: Step, at_ns: int, content: Any, error: Exception
    ) -> Buffers:
        """Nothing of the step is written: it might hold what redaction would have cut."""
        log.take()
        name = type(error).__name__
        self._troubles["capture"] = _FAULT.format(name)
        lost = Lost("capture_failed", time.time_ns(), detail=name)
        lost.add(step, content)
        gap = (lost.gap(time.time_ns()), lost.sides)
        if not log.is_open:
            log.silent = True
            log = self._nobody
        log.gap(at_ns, gap)
        if step is EntryLog.close:
            log.close_bare(at_ns, content)
        return log.take()

    def _settled(self) -> Buffers:
        """What redaction held back of bodies that are silent since."""
        buffers: Buffers = []
        now_ns = time.monotonic_ns()
        for log, since_ns in list(self._holding.items()):
            if now_ns - since_ns >= SETTLE_S * 1e9:
                del self._holding[log]
                if not log.silent and self._paused is None:
                    buffers += self._settle(log, now_ns)
        return buffers

    def _settle(self, log: EntryLog, now_ns: int) -> Buffers:
        try:
            log.settle(now_ns)
        except Exception as error:  # noqa: BLE001 - one entry may fail, the others go on
            log.take()
            name = type(error).__name__
            self._troubles["capture"] = _FAULT.format(name)
            gap = Gap(reason="capture_failed", started_ns=time.time_ns(), detail=name)
            log.gap(now_ns, (gap, ("request", "response")))
        return log.take()

    def _append(self, buffers: Buffers) -> None:
        """Append, however long the disk refuses; the queue takes what comes meanwhile."""
        if not buffers:
            return
        give_up = 0.0
        while True:
            try:
                self._writer.append(buffers)
            except StoreError as error:
                self._troubles["write"] = f"recording waits: {error}"
            else:
                self._troubles.pop("write", None)
                self._appended.set()
                return
            if self._stop.is_set():
                give_up = give_up or time.monotonic() + STOP_RETRIES_S
                if time.monotonic() > give_up:
                    return
            time.sleep(RETRY_S)

    # --- pauses ----------------------------------------------------------------------------------

    def _look_at_disk(self) -> None:
        if self._guard is None or time.monotonic() - self._looked_at_disk < LOOK_AT_DISK_S:
            return
        self._looked_at_disk = time.monotonic()
        verdict = self._guard.verdict()
        if verdict is not None:
            self._troubles["disk"] = self._guard.sentence(verdict)
            if self._paused is None:
                self._pause(verdict)
        elif self._paused is not None:
            self._append(self._resumed())

    def _pause(self, verdict: str) -> None:
        """What is lost is counted at the end of the pause, which a kill -9 would take along."""
        self._paused = Lost(verdict, time.time_ns())
        gap = Gap(
            reason=verdict, started_ns=self._paused.started_ns, detail="recording pauses from here"
        )
        self._nobody.gap(time.monotonic_ns(), (gap, ()))
        self._append(self._nobody.take())

    def _skip(self, paused: Lost, log: EntryLog, step: Step, at_ns: int, content: Any) -> None:
        paused.add(step, content)
        if not log.is_open:
            return
        if step is EntryLog.close:
            self._closed_in_pause.append((log, at_ns, content))
        else:
            log.lost = log.lost or Lost(paused.reason, time.time_ns())
            log.lost.add(step, content)

    def _resumed(self) -> Buffers:
        """The gap of the pause, and the ends of the entries that ended in it."""
        assert self._paused is not None
        self._troubles.pop("disk", None)
        gap, self._paused = self._paused.gap(time.time_ns()), None
        self._nobody.gap(time.monotonic_ns(), (gap, ()))
        buffers = self._nobody.take()
        closed, self._closed_in_pause = self._closed_in_pause, []
        for log, at_ns, closing in closed:
            buffers += self._records(log, EntryLog.close, at_ns, closing)
        return buffers

    # --- the sync thread -------------------------------------------------------------------------

    def _sync(self) -> None:
        while not self._stop.is_set():
            self._appended.wait()
            self._appended.clear()
            try:
                self._writer.sync()
            except StoreError as error:
                self._troubles["sync"] = str(error)
            else:
                self._troubles.pop("sync", None)
            self._stop.wait(SYNC_S)
