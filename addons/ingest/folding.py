"""
The fold of one entry: record by record into what the tables hold of it.

A fold's memory is small and can be thrown away at any commit: its `Progress` lies in the table
`folds`, the rest in the entry's own rows.
"""

from collections.abc import Callable
from typing import Annotated

import msgspec
from sqlite_utils import Database

from addons.framing import codings
from addons.ingest.progress import DECODER, Flow, Progress
from storage import bodies, clocks, raw
from storage.errors import StoreError
from storage.records import (
    Body,
    BodyEnd,
    ConnectionTimes,
    Cut,
    EntryClosed,
    EntryOpened,
    Frame,
    Gap,
    Headers,
    ResponseHead,
    Side,
    Timing,
)
from storage.spool import SpoolRecord


class Indigestible(Exception):
    """A sound record that makes no sense where it stands; the text says why."""


_SIZE = Annotated[int, msgspec.Meta(ge=0, le=(1 << 40))]
_OPCODE = Annotated[int, msgspec.Meta(ge=0, le=15)]
_CHUNK = msgspec.msgpack.Decoder(tuple[_SIZE, memoryview])
_DATA = msgspec.msgpack.Decoder(bytes)
_MESSAGE = msgspec.msgpack.Decoder(tuple[bool, _OPCODE, bool, bytes])
_ANSWER = msgspec.msgpack.Decoder(ResponseHead)
_END = msgspec.msgpack.Decoder(BodyEnd)
_CUT = msgspec.msgpack.Decoder(Cut)
_GAP = msgspec.msgpack.Decoder(Gap)
_CLOSED = msgspec.msgpack.Decoder(EntryClosed)

_RAW: dict[Side, bodies.Part] = {"request": "request", "response": "response"}
_DECODED: dict[Side, bodies.Part] = {"request": "request-decoded", "response": "response-decoded"}
_SIDES: dict[str, Side] = {"request-body": "request", "response-body": "response"}
_MESSAGES: dict[Side, bodies.Part] = {"request": "client-message", "response": "server-message"}


class Fold:
    """
    An open entry. `take` may raise Indigestible or msgspec.DecodeError and then changed nothing.

    Every other exception leaves it, and the transaction, of no use.
    """

    def __init__(
        self, db: Database, rows: raw.Rows, entry_id: str, progress: Progress,
        opened: EntryOpened | None = None,
    ) -> None:  # fmt: skip
        self.id = entry_id
        self.progress = progress
        self._db = db
        self._rows = rows
        self._opened = opened
        self._answer: ResponseHead | None = None
        self._closed: EntryClosed | None = None
        self._growing: dict[bodies.Part, bodies.Growing] = {}
        self._unwritten: set[bodies.Part] = set()
        self._runs: dict[Side, clocks.Run] = {}
        self._ticked: set[Side] = set()
        self._new_bytes = 0  # crossed since the last transaction
        self._crossed_ns = 0  # when the latest did, Unix time
        self._last_byte_ns: int | None = None  # of the answer, since then

    @classmethod
    def begin(
        cls, db: Database, rows: raw.Rows, entry_id: str, opened: EntryOpened, session: str
    ) -> "Fold":
        """The fold of a new entry in its session."""
        progress = Progress(session=session, started_ns=opened.started_ns, marks=opened.marks)
        progress.request.coding = _coding(opened.headers)
        rows.traffic(session, entries=1, size_bytes=0, at_ns=opened.started_ns)
        return cls(db, rows, entry_id, progress, opened)

    @classmethod
    def resume(cls, db: Database, rows: raw.Rows, entry_id: str, state: bytes) -> "Fold":
        """The fold of an entry that is in the tables."""
        return cls(db, rows, entry_id, DECODER.decode(state))

    def opened_at(self, record: SpoolRecord) -> None:
        """Count its first record."""
        self._reached(record)

    @property
    def is_closed(self) -> bool:
        return self._closed is not None

    def use(self, rows: raw.Rows) -> None:
        """Give the rows of the next transaction."""
        self._rows = rows

    # --- records ---------------------------------------------------------------------------------

    def take(self, record: SpoolRecord) -> None:
        step = _STEPS.get(record.kind)
        if step is None:
            raise Indigestible(f"unknown kind {record.kind[:40]!r}")
        if record.number < self.progress.number:
            raise Indigestible(f"number {record.number} was seen already, or comes out of order")
        step(self, record)
        self._reached(record)

    def refuse(self, record: SpoolRecord) -> None:
        """Go on behind a record that went into the quarantine."""
        if record.number >= self.progress.number:
            self._reached(record)
            self.progress.broken = True

    def _reached(self, record: SpoolRecord) -> None:
        progress = self.progress
        missing = record.number - progress.number
        if missing:
            self._gap(Gap(reason="records_missing", records=missing))
        progress.number = record.number + 1
        if record.offset_ns > progress.offset_ns:
            progress.offset_ns = record.offset_ns
        if self._closed is not None:
            self._close_at(record.offset_ns)

    def _request_chunk(self, record: SpoolRecord) -> None:
        self._chunk("request", record)

    def _response_chunk(self, record: SpoolRecord) -> None:
        self._chunk("response", record)

    def _chunk(self, side: Side, record: SpoolRecord) -> None:
        # Most records are these: an answer may come in thousands.
        size_bytes, data = _CHUNK.decode(record.content)
        flow = self._flow(side)
        if flow.ended:
            raise Indigestible(f"a chunk after the end of the {side}")
        self._append(_RAW[side], data)
        # One without a moment of its own has no size either: a long chunk's rest, or a tail.
        if size_bytes:
            self._tick(side, flow, record.offset_ns, size_bytes)
            self._crossed(flow, size_bytes)

    def _decoded(self, side: Side, record: SpoolRecord) -> None:
        data = _DATA.decode(record.content)
        if self._flow(side).ended:
            raise Indigestible(f"decoded text after the end of the {side}")
        self._append(_DECODED[side], data)

    def _end(self, side: Side, record: SpoolRecord) -> None:
        end = _END.decode(record.content)
        progress, flow = self.progress, self._flow(side)
        if flow.ended:
            raise Indigestible(f"a second end of the {side}")
        self._crossed(flow, end.size_bytes - flow.size_bytes)
        flow.hmac = end.wire_hmac
        for mark, holds in (("cut_coded", end.cut_coded), ("unscanned", bool(end.unscanned))):
            if holds and mark not in progress.marks:
                progress.marks = (*progress.marks, mark)
        if side == "request":
            progress.timing = _at(progress.timing, request_done_ns=record.offset_ns)
        self._finish(side)

    def _response(self, record: SpoolRecord) -> None:
        answer = _ANSWER.decode(record.content)
        if self.progress.answered:
            raise Indigestible("a second response head")
        self._answer = answer
        self.progress.answered = True
        self.progress.response.coding = _coding(answer.headers)
        self.progress.timing = _at(self.progress.timing, response_head_ns=record.offset_ns)

    def _message(self, record: SpoolRecord) -> None:
        from_client, opcode, final, data = _MESSAGE.decode(record.content)
        side: Side = "request" if from_client else "response"
        flow = self._flow(side)
        self._crossed(flow, len(data))
        if flow.opcode is None and final:
            self._frame(side, opcode, record.offset_ns, len(data), bodies.put(self._db, data))
            return
        self._append(_MESSAGES[side], data)
        flow.opcode = opcode if flow.opcode is None else flow.opcode
        if final:
            self._end_message(side, record.offset_ns)

    def _cut(self, record: SpoolRecord) -> None:
        cut = _CUT.decode(record.content)
        self._rows.cut(self.id, record.number, cut)
        if cut.kind == "coded":
            self._flow(_SIDES.get(cut.part, "response")).coded_until = cut.offset_bytes

    def _noted_gap(self, record: SpoolRecord) -> None:
        self._gap(_GAP.decode(record.content))

    def _close(self, record: SpoolRecord) -> None:
        self._closed = _CLOSED.decode(record.content)

    # --- the end ---------------------------------------------------------------------------------

    def kill(self) -> None:
        """End the entry of a dead writer with what there is, at its latest moment."""
        self._closed = EntryClosed(outcome="proxy_killed")
        self._close_at(self.progress.offset_ns)

    def _close_at(self, offset_ns: int) -> None:
        closed, progress = self._closed, self.progress
        assert closed is not None
        for side in ("request", "response"):
            flow = self._flow(side)
            if not flow.ended:
                self._finish(side)
            if flow.opcode is not None:
                self._end_message(side, offset_ns)
                self._gap(Gap(reason="message_unfinished"))
        self._crossed(progress.request, closed.request_bytes - progress.request.size_bytes)
        self._crossed(progress.response, closed.response_bytes - progress.response.size_bytes)
        if progress.broken and closed.outcome == "complete":
            self._closed = msgspec.structs.replace(closed, outcome="gap")
        progress.timing = _connected(progress.timing, closed.connection, offset_ns)

    # --- bodies, messages, clocks ----------------------------------------------------------------

    def _flow(self, side: Side) -> Flow:
        return self.progress.request if side == "request" else self.progress.response

    def _crossed(self, flow: Flow, size_bytes: int) -> None:
        if size_bytes > 0:
            flow.size_bytes += size_bytes
            self._new_bytes += size_bytes
            # At each of them, for that moment must not depend on where transactions end.
            self._crossed_ns = self.progress.started_ns + self.progress.offset_ns

    def _tick(self, side: Side, flow: Flow, offset_ns: int, size_bytes: int) -> None:
        run = self._run(side, flow)
        run.append(offset_ns, size_bytes)
        self._ticked.add(side)
        flow.chunks += 1
        if run.is_full:
            self._write_run(side)
        if side == "response":
            if self._last_byte_ns is None and self.progress.timing.first_byte_ns is None:
                self.progress.timing = _at(self.progress.timing, first_byte_ns=offset_ns)
            self._last_byte_ns = offset_ns

    def _run(self, side: Side, flow: Flow) -> clocks.Run:
        run = self._runs.get(side)
        if run is None or run.is_full:
            first = flow.chunks - flow.chunks % clocks.RUN_CHUNKS
            begun = raw.run(self._db, self.id, side, first) if first < flow.chunks else None
            if begun:
                run = clocks.Run.resume(first, *begun)
            else:
                run = clocks.Run(first, flow.size_bytes)
            self._runs[side] = run
        return run

    def _write_run(self, side: Side) -> None:
        run = self._runs[side]
        self._ticked.discard(side)
        self._rows.clock(self.id, side, run.first, run.count, run.at_bytes, bytes(run.data))

    def _append(self, part: bodies.Part, data: bytes | memoryview) -> None:
        (self._growing.get(part) or self._body(part)).append(data)
        self._unwritten.add(part)

    def _body(self, part: bodies.Part) -> bodies.Growing:
        growing = self._growing.get(part)
        if growing is None:
            growing = self._growing[part] = self._resumed(part)
        return growing

    def _resumed(self, part: bodies.Part) -> bodies.Growing:
        if self._opened is not None:
            return bodies.Growing(self.id, part)
        try:
            return bodies.Growing.resume(self._db, self.id, part)
        except StoreError as error:
            # What is damaged cannot be proved any more; the rest of the log must not wait for it.
            bodies.discard(self._db, self.id, part)
            self._gap(Gap(reason="pieces_damaged", detail=f"{part}: {error}"))
            return bodies.Growing(self.id, part)

    def _finish(self, side: Side) -> None:
        """Make bodies of what came in this direction."""
        flow = self._flow(side)
        flow.ended = True
        flow.digest = self._finished(_RAW[side])
        if flow.digest and flow.coded_until and self._has(_DECODED[side]):
            self._rejoin(side, flow.digest, flow.coding, flow.coded_until)
        flow.decoded = self._finished(_DECODED[side])

    def _has(self, part: bodies.Part) -> bool:
        return self._body(part).size_bytes > 0

    def _rejoin(self, side: Side, digest: bytes, coding: bytes | None, until: int) -> None:
        """
        Put what the coded bytes before the cut decode to in front of the text that was kept.

        Redaction offers text from the first hidden byte on; what came before is in the body.
        """
        part = _DECODED[side]
        rest = self._finished(part)
        assert rest is not None
        whole = self._growing[part] = bodies.Growing(self.id, part)
        decoder = codings.Decoder(coding)
        bodies.flush(self._db)
        for piece in bodies.view(self._db.conn, digest).stream(0, until):
            whole.append(decoder.feed(piece))
            whole.flush(self._db)
        for piece in bodies.view(self._db.conn, rest).stream():
            whole.append(piece)
            whole.flush(self._db)
        bodies.release(self._db, rest)

    def _finished(self, part: bodies.Part) -> bytes | None:
        if self._opened is not None and part not in self._growing:
            return None
        body = self._body(part).finish(self._db)
        del self._growing[part]
        self._unwritten.discard(part)
        return body.digest if body else None

    def _end_message(self, side: Side, offset_ns: int) -> None:
        flow, part = self._flow(side), _MESSAGES[side]
        growing = self._body(part)
        body = growing.finish(self._db)
        assert flow.opcode is not None
        self._frame(side, flow.opcode, offset_ns, growing.size_bytes, body)
        flow.opcode = None
        del self._growing[part]
        self._unwritten.discard(part)

    def _frame(self, side: Side, opcode: int, offset_ns: int, size: int, body: Body | None) -> None:
        frame = Frame(
            number=self.progress.messages,
            side=side,
            offset_ns=offset_ns,
            size_bytes=size,
            opcode=opcode,
            body=body,
        )
        self._rows.frame(self.id, frame)
        self.progress.messages += 1

    def _gap(self, gap: Gap) -> None:
        self.progress.broken = True
        self._rows.gap(gap, entry_id=self.id, session_id=self.progress.session)

    # --- the tables ------------------------------------------------------------------------------

    def write(self) -> None:
        """Put all that is new into the rows of this transaction."""
        for part in self._unwritten:
            self._growing[part].flush(self._db)
        self._unwritten.clear()
        for side in list(self._ticked):
            self._write_run(side)
        progress = self.progress
        if self._new_bytes:
            size_bytes, self._new_bytes = self._new_bytes, 0
            self._rows.traffic(
                progress.session, entries=0, size_bytes=size_bytes, at_ns=self._crossed_ns
            )
        if self._last_byte_ns is not None:
            progress.timing = _at(progress.timing, last_byte_ns=self._last_byte_ns)
            self._last_byte_ns = None
        row = raw.EntryRow(
            id=self.id,
            session_id=progress.session,
            opened=self._opened,
            answer=self._answer,
            closed=self._closed,
            duration_ns=progress.timing.closed_ns,
            request=progress.request,
            response=progress.response,
            timing=progress.timing,
            marks=progress.marks,
            message_count=progress.messages,
        )
        self._rows.entry(row, None if self.is_closed else msgspec.msgpack.encode(progress))
        self._opened = self._answer = None


_STEPS: dict[str, Callable[[Fold, SpoolRecord], None]] = {
    "request-chunk": Fold._request_chunk,
    "response-chunk": Fold._response_chunk,
    "request-decoded": lambda fold, record: fold._decoded("request", record),
    "response-decoded": lambda fold, record: fold._decoded("response", record),
    "request-end": lambda fold, record: fold._end("request", record),
    "response-end": lambda fold, record: fold._end("response", record),
    "response": Fold._response,
    "message": Fold._message,
    "cut": Fold._cut,
    "gap": Fold._noted_gap,
    "close": Fold._close,
}


def _coding(headers: Headers) -> bytes | None:
    values = [value for name, value in headers if name.lower() == b"content-encoding"]
    return b", ".join(values) if values else None


def _at(timing: Timing, **moments: int) -> Timing:
    return msgspec.structs.replace(timing, **moments)


def _connected(timing: Timing, connection: ConnectionTimes, closed_ns: int) -> Timing:
    return msgspec.structs.replace(
        timing,
        connect_started_ns=connection.connect_started_ns,
        connected_ns=connection.connected_ns,
        tls_done_ns=connection.tls_done_ns,
        reused=connection.reused,
        closed_ns=closed_ns,
    )
