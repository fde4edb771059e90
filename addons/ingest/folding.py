"""
The fold of one entry: record by record into what the tables hold of it.

A fold's memory is small and can be thrown away at any commit: its `Progress` lies in the table
`folds`, the rest in the entry's own rows.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec
from sqlite_utils import Database

from addons.ingest.parts import Parts
from addons.ingest.progress import DECODER, Flow, Progress
from addons.ingest.ticking import Clock
from storage import bodies, raw
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
from storage.spool import Damage, SpoolRecord


class Indigestible(Exception):
    """A sound record that makes no sense where it stands; the text says why."""


_SIZE = Annotated[int, msgspec.Meta(ge=0, le=(1 << 40))]
_OPCODE = Annotated[int, msgspec.Meta(ge=0, le=15)]
_CHUNK = msgspec.msgpack.Decoder(tuple[_SIZE, bytes])
_LONG_CHUNK = msgspec.msgpack.Decoder(tuple[_SIZE, memoryview])
_DATA = msgspec.msgpack.Decoder(bytes)
_MESSAGE = msgspec.msgpack.Decoder(tuple[bool, _OPCODE, bool, bytes])
_ANSWER = msgspec.msgpack.Decoder(ResponseHead)
_END = msgspec.msgpack.Decoder(BodyEnd)
_CUT = msgspec.msgpack.Decoder(Cut)
_GAP = msgspec.msgpack.Decoder(Gap)
_CLOSED = msgspec.msgpack.Decoder(EntryClosed)

_LONG_BYTES = 4 << 10  # from here on a view is quicker than a copy

_RAW: dict[Side, bodies.Part] = {"request": "request", "response": "response"}
_DECODED: dict[Side, bodies.Part] = {"request": "request-decoded", "response": "response-decoded"}
_SIDES: dict[str, Side] = {"request-body": "request", "response-body": "response"}
CHUNKS: dict[str, Side] = {"request-chunk": "request", "response-chunk": "response"}
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
        self._parts = Parts(db, entry_id, self._gap, is_new=opened is not None)
        self._clocks: dict[Side, Clock] = {side: Clock(db, entry_id, side) for side in _RAW}
        self._new_bytes = 0  # crossed since the last transaction
        self._crossed_ns = 0  # when the latest did, Unix time
        self._last_byte_ns: int | None = None  # of the answer, since then

    @classmethod
    def begin(
        cls, db: Database, rows: raw.Rows, entry_id: str, opened: EntryOpened, session: str
    ) -> "Fold":
        """The fold of a new entry in its session."""
        progress = Progress(
            session=session, started_ns=opened.started_ns, marks=opened.marks,
            is_import=opened.way == "import",
        )  # fmt: skip
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

    def take_chunks(self, first: SpoolRecord, found: Sequence[SpoolRecord | Damage]) -> int:
        """
        As `take`, all at once, of the chunks like the first that `found` begins with; how many.

        It stops before one that comes out of order, or that `take` would refuse.
        """
        kind, entry, progress = first.kind, first.entry, self.progress
        side = CHUNKS[kind]
        number, offset_ns, crossed_ns = progress.number, progress.offset_ns, 0
        is_short = len(first.payload) < _LONG_BYTES  # and so are the others, as a rule
        decode: Callable[[msgspec.Raw], tuple[int, bytes | memoryview]]
        decode = _CHUNK.decode if is_short else _LONG_CHUNK.decode
        pieces: list[bytes | memoryview] = []
        ticks: list[tuple[int, int]] = []
        for record in () if self._flow(side).ended else found:
            # Most records are these: an answer may come in thousands. (To be told that it is no
            # Damage would take ten times as long: msgspec's classes have a class of their own.)
            if not isinstance(record, SpoolRecord) or record.number != number:
                break
            if record.kind != kind or record.entry != entry:
                break
            try:
                size_bytes, data = decode(record.content)
            except msgspec.DecodeError:
                break
            number += 1
            pieces.append(data)
            at_ns = record.offset_ns
            if size_bytes:
                ticks.append((at_ns, size_bytes))
                crossed_ns = offset_ns
            if at_ns > offset_ns:
                offset_ns = at_ns
        if pieces:
            self._arrived(side, pieces, ticks, crossed_ns)
        progress.number, progress.offset_ns = number, offset_ns
        return len(pieces)

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

    def _chunk(self, side: Side, record: SpoolRecord) -> None:
        size_bytes, data = _CHUNK.decode(record.content)
        if self._flow(side).ended:
            raise Indigestible(f"a chunk after the end of the {side}")
        ticks = [(record.offset_ns, size_bytes)] if size_bytes else []
        self._arrived(side, [data], ticks, self.progress.offset_ns)

    def _decoded(self, side: Side, record: SpoolRecord) -> None:
        data = _DATA.decode(record.content)
        if self._flow(side).ended:
            raise Indigestible(f"decoded text after the end of the {side}")
        self._parts.append(_DECODED[side], [data])

    def _end(self, side: Side, record: SpoolRecord) -> None:
        end = _END.decode(record.content)
        progress, flow = self.progress, self._flow(side)
        if flow.ended:
            raise Indigestible(f"a second end of the {side}")
        self._crossed(flow, end.size_bytes - flow.size_bytes, progress.offset_ns)
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
        self._crossed(flow, len(data), self.progress.offset_ns)
        if flow.opcode is None and final:
            self._frame(side, opcode, record.offset_ns, len(data), bodies.put(self._db, data))
            return
        self._parts.append(_MESSAGES[side], [data])
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
        for flow, size_bytes in (
            (progress.request, closed.request_bytes), (progress.response, closed.response_bytes),
        ):  # fmt: skip
            self._crossed(flow, size_bytes - flow.size_bytes, progress.offset_ns)
            is_whole = progress.is_import or flow.stored_bytes in (None, flow.size_bytes)
            if not is_whole and not progress.broken:
                # storage.entries counts on it that all of what is complete is stored.
                self._gap(Gap(reason="bytes_missing"))
        if progress.broken and closed.outcome == "complete":
            self._closed = msgspec.structs.replace(closed, outcome="gap")
        progress.timing = _connected(progress.timing, closed.connection, offset_ns)

    # --- bodies, messages ------------------------------------------------------------------------

    def _flow(self, side: Side) -> Flow:
        return self.progress.request if side == "request" else self.progress.response

    def _arrived(
        self, side: Side, pieces: Sequence[bytes | memoryview], ticks: Sequence[tuple[int, int]],
        crossed_ns: int,
    ) -> None:  # fmt: skip
        """
        Data of chunks, and moment and size of those that have some.

        One without a moment of its own has no size either: a long chunk's rest, or a tail.
        """
        flow = self._flow(side)
        self._parts.append(_RAW[side], pieces)
        if not ticks:
            return
        self._clocks[side].tick(self._rows, ticks, flow.chunks, flow.size_bytes)
        flow.chunks += len(ticks)
        self._crossed(flow, sum([size_bytes for _, size_bytes in ticks]), crossed_ns)
        if side == "response":
            if self._last_byte_ns is None and self.progress.timing.first_byte_ns is None:
                self.progress.timing = _at(self.progress.timing, first_byte_ns=ticks[0][0])
            self._last_byte_ns = ticks[-1][0]

    def _crossed(self, flow: Flow, size_bytes: int, offset_ns: int) -> None:
        """`offset_ns`: the latest moment of the records before."""
        if size_bytes > 0:
            flow.size_bytes += size_bytes
            self._new_bytes += size_bytes
            # At each of them, for that moment must not depend on where transactions end.
            self._crossed_ns = self.progress.started_ns + offset_ns

    def _finish(self, side: Side) -> None:
        """Make bodies of what came in this direction."""
        flow = self._flow(side)
        flow.ended = True
        body = self._parts.finish(_RAW[side])
        if body:
            flow.digest, flow.stored_bytes = body.digest, body.size_bytes
        if flow.digest and flow.coded_until and self._parts.has(_DECODED[side]):
            self._parts.rejoin(_DECODED[side], flow.digest, flow.coding, flow.coded_until)
        text = self._parts.finish(_DECODED[side])
        flow.decoded = text.digest if text else None

    def _end_message(self, side: Side, offset_ns: int) -> None:
        flow = self._flow(side)
        body = self._parts.finish(_MESSAGES[side])
        assert flow.opcode is not None
        self._frame(side, flow.opcode, offset_ns, body.size_bytes if body else 0, body)
        flow.opcode = None

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
        self._parts.write()
        for clock in self._clocks.values():
            clock.write(self._rows)
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
        if self.is_closed:
            # They call us back: only the garbage collector would find us, and all rows of the step.
            del self._parts


_STEPS: dict[str, Callable[[Fold, SpoolRecord], None]] = {
    "request-chunk": lambda fold, record: fold._chunk("request", record),
    "response-chunk": lambda fold, record: fold._chunk("response", record),
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
