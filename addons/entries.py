"""
The entries that are open: in which session each is recorded, from when, until when.

The control state is looked at for each head, for each WebSocket message of a client, and every 250
ms for all that is open (`look_again`). All of it runs in the event loop.
"""

import time
from collections.abc import Callable

import msgspec

from addons.assignment import Assignment, Rules, Tag
from addons.entrylog import Closing, EntryLog
from addons.scribe import Scribe
from addons.visits import Live, Visitor
from storage.control import Control, ControlReader
from storage.records import EntryOpened, Gap, ResponseHead, Side


class Entries:
    """Opens, continues and ends entries."""

    def __init__(self, scribe: Scribe, control: ControlReader) -> None:
        self.rules = Rules()
        self.open: set[Live] = set()
        self._scribe = scribe
        self._reader = control
        self._latest = control.current()  # as of the last look
        self._applied = self._latest  # to all that is open

    @property
    def control(self) -> Control:
        """The newest state; one `stat`."""
        self._latest = self._reader.current()
        return self._latest

    def begin(self, visitor: Visitor, head: EntryOpened, at_ns: int, tag: Tag | None) -> Live:
        """A head came: from now on the entry is open, and recorded if the rules say so."""
        live = Live(visitor, head, at_ns, tag)
        visitor.current = live
        self.open.add(live)
        found = self.rules.assign(tag, self.control)
        if found.recorded:
            self._record(live, found, head, at_ns)
        else:
            self._scribe.learn(head, at_ns)
        return live

    def answered(self, live: Live, response: ResponseHead) -> None:
        live.response = response
        if live.log is not None:
            self._scribe.put(live.log, EntryLog.response, time.monotonic_ns(), response)

    def tee(self, live: Live, side: Side) -> Callable[[bytes], bytes]:
        """
        What each chunk of a body passes through. Total: an exception in here would make mitmproxy
        drop the chunk and go on, so the client would see a broken stream that looks whole.
        """
        put, step, now = self._scribe.put, EntryLog.chunk, time.monotonic_ns

        def tee(data: bytes) -> bytes:
            try:
                log = live.log
                if data and log is not None:
                    live.last_ns = at_ns = now()
                    put(log, step, at_ns, (side, data), len(data))
            except Exception as error:  # noqa: BLE001 - see above
                self.fault(live, error)
            return data

        return tee

    def body_ended(self, live: Live, side: Side) -> None:
        if live.log is not None:
            self._scribe.put(live.log, EntryLog.end, time.monotonic_ns(), side)

    def message(self, live: Live, *, from_client: bool, opcode: int, data: bytes) -> None:
        """A WebSocket message passes: in the entry that is due for it, if any is."""
        live.last_ns = at_ns = time.monotonic_ns()
        self._before_message(live, from_client=from_client)
        if live.log is not None:
            content = (from_client, opcode, data)
            self._scribe.put(live.log, EntryLog.message, at_ns, content, len(data))

    def end(self, live: Live, closing: Closing) -> None:
        """The entry is over, whatever is said of it later."""
        self._close(live, closing)
        self.open.discard(live)

    def lost(self, live: Live, reason: str) -> None:
        """What follows of this entry is no traffic that can be recorded."""
        if live.log is not None:
            gap = Gap(reason=reason, started_ns=time.time_ns())
            self._scribe.put(live.log, EntryLog.gap, time.monotonic_ns(), (gap, ()))

    def fault(self, live: Live | None, error: BaseException) -> None:
        """The recorder failed: what follows of the entry's bodies is not recorded."""
        self._scribe.fault(None if live is None else live.log, error)

    # --- when the state changes ------------------------------------------------------------------

    def look_again(self) -> None:
        """Apply a changed control state to all that is open."""
        control = self.control
        if control is self._applied:
            return
        self._applied = control
        for live in list(self.open):
            self._look(live, control)
        # Something may have been deleted: nothing of it follows, and what is in the log can go.
        self._scribe.begin_segment()

    def _look(self, live: Live, control: Control) -> None:
        if live.log is None:
            return
        state = self.rules.goes_on(live.session, control)
        if state == "deleted":
            live.log.silent = True
            live.log = None
            live.forsaken = True
        elif state == "stopped":
            self._close(live, live.closing("recording_stopped"))

    def _before_message(self, live: Live, *, from_client: bool) -> None:
        # A provider's message does not decide anything, so it need not look at the file.
        control = self.control if from_client else self._latest
        self._look(live, control)
        found = self.rules.assign(live.tag, control)
        if live.log is None:
            # A socket whose session was deleted is not taken up by an automatic one.
            if found.recorded and not (live.forsaken and found.session is None):
                self._again(live, found, "started_late")
        elif from_client and not found.recorded:
            self._close(live, live.closing("recording_stopped"))
        elif from_client and found.session != live.session:
            before = live.log.text_id
            self._close(live, live.closing("continued"))
            self._again(live, found, continues=before)

    def _again(
        self, live: Live, found: Assignment, *marks: str, continues: str | None = None
    ) -> None:
        """A new entry with the same head, from here on."""
        at_ns = time.monotonic_ns()
        head = msgspec.structs.replace(
            live.head,
            started_ns=time.time_ns(),
            marks=(*live.head.marks, *marks),
            continues=continues,
        )
        self._record(live, found, head, at_ns)
        assert live.log is not None
        self._scribe.put(live.log, EntryLog.end, at_ns, "request")
        if live.response is not None:
            self._scribe.put(live.log, EntryLog.response, at_ns, live.response)

    def _record(self, live: Live, found: Assignment, head: EntryOpened, at_ns: int) -> None:
        live.log = self._scribe.new_log(at_ns)
        live.session = found.session
        marks = (*head.marks, *found.marks)
        opened = msgspec.structs.replace(head, session=found.session, marks=marks)
        self._scribe.put(live.log, EntryLog.open, at_ns, opened)

    def _close(self, live: Live, closing: Closing) -> None:
        log, live.log = live.log, None
        if log is not None:
            self._scribe.put(log, EntryLog.close, time.monotonic_ns(), closing)
