"""
The records of one entry on their way to the spool: redacted, numbered and packed.

The event loop only names a step (`EntryLog.chunk` ...), a moment and the raw content; the steps
run in the spool thread.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import msgspec

from addons.redaction import Body, Redactor, Scanned
from storage import ids, spool
from storage.records import (
    BodyEnd,
    ConnectionTimes,
    Cut,
    EntryClosed,
    EntryOpened,
    Gap,
    Headers,
    Outcome,
    ResponseHead,
    Side,
)

Step = Callable[["EntryLog", int, Any], None]
Buffers = list[bytes | memoryview]


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """What the event loop knows at the end of an entry; the log adds what it counted."""

    outcome: Outcome
    error: str | None = None
    connection: ConnectionTimes = ConnectionTimes()
    server: str | None = None
    tls_version: str | None = None
    close_code: int | None = None
    close_reason: str | None = None
    tunnelled: tuple[int, int] | None = None  # bytes from and to the client, which no step saw


class Lost(msgspec.Struct):
    """Steps of an entry that will never be recorded."""

    reason: str
    started_ns: int  # wall clock
    records: int = 0
    size_bytes: int = 0
    sides: tuple[Side, ...] = ()  # whose body is incomplete
    detail: str | None = None

    def add(self, step: Step, content: Any) -> None:
        self.records += 1
        self.size_bytes += size_of(step, content)
        if step is EntryLog.chunk and content[0] not in self.sides:
            self.sides = (*self.sides, content[0])

    def gap(self, ended_ns: int) -> Gap:
        return Gap(
            reason=self.reason,
            records=self.records,
            size_bytes=self.size_bytes,
            started_ns=self.started_ns,
            ended_ns=ended_ns,
            detail=self.detail,
        )


class Flow(msgspec.Struct):
    """One direction of an entry."""

    headers: Headers = ()
    body: Body | None = None
    size_bytes: int = 0
    ended: bool = False
    cut_off: bool = False  # a piece was lost, so what follows would stand in the wrong place


class EntryLog:
    """
    One entry. `started_ns` is monotonic; all moments are given on the same clock.

    `silent` is set by the event loop when the session is deleted: no further record then.
    `missed` belongs to the event loop, everything else to the spool thread.
    """

    __slots__ = (
        "_messages",
        "_number",
        "_opened",
        "_out",
        "_redactor",
        "_sides",
        "broken",
        "dropped_bytes",
        "id",
        "lost",
        "missed",
        "silent",
        "started_ns",
    )

    def __init__(self, redactor: Redactor, started_ns: int, entry: bytes | None = None) -> None:
        self.id = entry or ids.new_bytes()
        self.started_ns = started_ns
        self.silent = False
        self.missed: Lost | None = None
        self.lost: Lost | None = None
        self.broken = False
        self.dropped_bytes = 0
        self._redactor = redactor
        self._opened: EntryOpened | None = None
        self._number = 0
        self._messages = 0
        self._sides: dict[Side, Flow] = {"request": Flow(), "response": Flow()}
        self._out: Buffers = []

    @property
    def text_id(self) -> str:
        return ids.text(self.id)

    @property
    def is_open(self) -> bool:
        """Whether its `open` record was made: without it nothing else makes sense."""
        return self._opened is not None

    @property
    def holds(self) -> bool:
        """Whether redaction holds back a tail that may be the beginning of a known value."""
        return any(
            flow.body is not None and not flow.ended and flow.body.holds
            for flow in self._sides.values()
        )

    def take(self) -> Buffers:
        """The packed records since the last call."""
        out, self._out = self._out, []
        return out

    # --- steps -----------------------------------------------------------------------------------

    def open(self, at_ns: int, opened: EntryOpened) -> None:
        head = self._redactor.request_head(opened.target, opened.headers)
        self._sides["request"].headers = opened.headers
        self._opened = opened
        clean = msgspec.structs.replace(opened, target=head.target, headers=head.headers)
        self._pack("open", at_ns, clean)
        self._cuts(at_ns, head.cuts)

    def learn(self, _: int, opened: EntryOpened) -> None:
        """Nothing is recorded, but its credentials are known from now on."""
        self._redactor.request_head(opened.target, opened.headers)

    def response(self, at_ns: int, response: ResponseHead) -> None:
        head = self._redactor.response_head(response.headers)
        reason = self._redactor.text(response.reason)
        self._sides["response"].headers = response.headers
        clean = msgspec.structs.replace(response, headers=head.headers, reason=reason.data)
        self._pack("response", at_ns, clean)
        self._cuts(at_ns, head.cuts + reason.cuts)

    def chunk(self, at_ns: int, content: tuple[Side, bytes]) -> None:
        side, data = content
        flow = self._sides[side]
        flow.size_bytes += len(data)
        if flow.cut_off:
            self.dropped_bytes += len(data)
            return
        if flow.body is None:
            flow.body = self._body(side, flow)
        self._scanned(side, at_ns, len(data), flow.body.feed(data))

    def end(self, at_ns: int, side: Side) -> None:
        """The body of this side ended as HTTP says it should."""
        flow = self._sides[side]
        if flow.ended:
            return
        self._finish(side, at_ns)
        if not flow.cut_off:
            body = flow.body
            done = BodyEnd(
                size_bytes=flow.size_bytes,
                cut_coded=body is not None and body.cut_coded,
                wire_hmac=None if body is None else body.wire_hmac,
                unscanned=None if body is None else body.unscanned,
            )
            self._pack(f"{side}-end", at_ns, done)

    def message(self, at_ns: int, content: tuple[bool, int, bytes]) -> None:
        from_client, opcode, data = content
        side: Side = "request" if from_client else "response"
        self._sides[side].size_bytes += len(data)
        scanned = self._redactor.message(side, self._messages, data)
        self._messages += 1
        pieces = _pieces(scanned.data)
        for count, piece in enumerate(pieces, 1):
            self._out += spool.pack_message(
                self.id,
                self._next(),
                at_ns - self.started_ns,
                piece,
                from_client=from_client,
                opcode=opcode,
                final=count == len(pieces),
            )
        self._cuts(at_ns, scanned.cuts)

    def gap(self, at_ns: int, content: tuple[Gap, tuple[Side, ...]]) -> None:
        gap, sides = content
        self.broken = True
        self.dropped_bytes += gap.size_bytes or 0
        for side in sides:
            # What redaction holds back of a body that it failed at is lost as well.
            with contextlib.suppress(Exception):
                self._finish(side, at_ns)
            self._sides[side].cut_off = True
            self._sides[side].size_bytes += gap.size_bytes or 0
        self._pack("gap", at_ns, gap)

    def settle(self, at_ns: int) -> None:
        """Let go of what redaction holds back of bodies that are silent for a while."""
        for side, flow in self._sides.items():
            if flow.body is not None and not flow.ended and not flow.cut_off:
                rest = flow.body.settle()
                if rest.data or rest.cuts:
                    self._scanned(side, at_ns, 0, rest)

    def close(self, at_ns: int, closing: Closing) -> None:
        for side in self._sides:
            self._finish(side, at_ns)
        request, response = (flow.size_bytes for flow in self._sides.values())
        if closing.tunnelled is not None:
            request, response = closing.tunnelled
        error, cuts = self._words(closing.error)
        reason, reason_cuts = self._words(closing.close_reason)
        self._cuts(at_ns, cuts + reason_cuts)
        closed = EntryClosed(
            outcome=self._outcome(closing),
            error=error,
            request_bytes=request,
            response_bytes=response,
            connection=closing.connection,
            server=closing.server,
            tls_version=closing.tls_version,
            close_code=closing.close_code,
            close_reason=reason,
            dropped_bytes=self.dropped_bytes,
        )
        self._pack("close", at_ns, closed)

    def close_bare(self, at_ns: int, closing: Closing) -> None:
        """The end without any text, for an entry whose redaction failed."""
        closed = EntryClosed(outcome=self._outcome(closing), dropped_bytes=self.dropped_bytes)
        self._pack("close", at_ns, closed)

    # --- their parts -----------------------------------------------------------------------------

    def _outcome(self, closing: Closing) -> Outcome:
        # `complete` promises that the record is.
        return "gap" if self.broken and closing.outcome == "complete" else closing.outcome

    def _body(self, side: Side, flow: Flow) -> Body:
        assert self._opened is not None
        target = self._opened.target.decode("latin-1")
        return self._redactor.body(
            side,
            content_type=_value(flow.headers, b"content-type"),
            content_encoding=_value(flow.headers, b"content-encoding"),
            is_credential=self._redactor.is_credential(self._opened.host, target),
        )

    def _finish(self, side: Side, at_ns: int) -> None:
        """Let go of what redaction held back of this body."""
        flow = self._sides[side]
        if not flow.ended and not flow.cut_off and flow.body is not None:
            rest = flow.body.finish()
            if rest.data or rest.cuts or rest.decoded:
                self._scanned(side, at_ns, 0, rest)
        flow.ended = True

    def _scanned(self, side: Side, at_ns: int, size_bytes: int, scanned: Scanned) -> None:
        offset_ns = at_ns - self.started_ns
        for piece in _pieces(scanned.data):
            kind = f"{side}-chunk"
            self._out += spool.pack_chunk(self.id, self._next(), kind, offset_ns, size_bytes, piece)
            size_bytes = 0
        for piece in _pieces(scanned.decoded) if scanned.decoded else ():
            kind = f"{side}-decoded"
            self._out += spool.pack_decoded(self.id, self._next(), kind, offset_ns, piece)
        self._cuts(at_ns, scanned.cuts)

    def _words(self, text: str | None) -> tuple[str | None, tuple[Cut, ...]]:
        if text is None:
            return None, ()
        scanned = self._redactor.text(text.encode("utf-8", "replace"))
        return scanned.data.decode("utf-8", "replace"), scanned.cuts

    def _cuts(self, at_ns: int, cuts: tuple[Cut, ...]) -> None:
        for cut in cuts:
            self._pack("cut", at_ns, cut)

    def _pack(self, kind: str, at_ns: int, content: msgspec.Struct) -> None:
        self._out += spool.pack(self.id, self._next(), kind, at_ns - self.started_ns, content)

    def _next(self) -> int:
        self._number += 1
        return self._number - 1


def size_of(step: Step, content: Any) -> int:
    """Bytes of the traffic in a step's content."""
    if step is EntryLog.chunk or step is EntryLog.message:
        return len(content[-1])
    return 0


def _value(headers: Headers, name: bytes) -> str | None:
    """A header's value, several of them joined."""
    values = [value for key, value in headers if key.lower() == name]
    return b", ".join(values).decode("latin-1") if values else None


def _pieces(data: bytes) -> list[bytes]:
    """In what a record may hold; at least one."""
    if len(data) <= spool.MAX_DATA:
        return [data]
    return [data[at : at + spool.MAX_DATA] for at in range(0, len(data), spool.MAX_DATA)]
