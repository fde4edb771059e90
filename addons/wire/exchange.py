"""
The fold of a model call over plain HTTP: one request, one answer, one turn.

It undoes content codings and framing (SSE, NDJSON, a JSON array that comes piece by piece, or one
JSON text) and leaves what the pieces mean to the format's own functions.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from addons.framing import codings, ndjson, sse
from addons.framing.jsonarray import Decoder as ArrayDecoder
from addons.wire.contract import AnswerHead, Frame, Head, Side
from addons.wire.running import Builder, Notes, Running, Sink
from storage.decoded import Asked, Change

_MAX_BODY_BYTES = 64 << 20  # of a text that must be whole before it can be read


class Format(Protocol):
    """What a wire format brings for its calls over HTTP. Both functions are total."""

    @property
    def name(self) -> str: ...

    def asked(self, head: Head, body: bytes, notes: Notes) -> Asked:
        """The request; an unreadable one is an empty `Asked` with a note."""
        ...

    def builder(self, head: Head, asked: Asked, sink: Sink, notes: Notes) -> Builder:
        """What reads the answer to this request."""
        ...


class Exchange:
    """A Fold. The answer may begin before the request has ended (an early refusal)."""

    def __init__(self, head: Head, format: Format) -> None:
        self._head = head
        self._format = format
        self._notes = Notes()
        self._sink = Sink(0)
        self._request = _Gathered(head.header("content-encoding"))
        self._running: Running | None = None
        self._answer: AnswerHead | None = None
        self._codec: codings.Decoder | None = None
        self._reader: _Reader | None = None
        self._whole = False  # the answer's body came to its end

    def answered(self, head: AnswerHead, at_ns: int) -> Sequence[Change]:
        self._answer = head
        return []

    def feed(self, frame: Frame) -> Sequence[Change]:
        if frame.side == "request":
            self._request.feed(frame.data)
            return []
        changes = self._begun(frame.offset_ns)
        running, reader = self._reading()
        running.arrived(frame.offset_ns)
        assert self._codec is not None
        reader.feed(self._codec.feed(frame.data))
        return [*changes, *self._sink.take()]

    def ended(self, side: Side, at_ns: int) -> Sequence[Change]:
        if side == "request":
            return self._begun(at_ns)
        self._whole = True
        return []

    def finish(self, at_ns: int) -> Sequence[Change]:
        changes = self._begun(at_ns)
        running, reader = self._reading()
        assert self._codec is not None
        self._codec.finish()
        if self._codec.failed or self._codec.capped or not self._codec.known:
            self._notes.add("undecodable-coding", self._coding())
        reader.finish()
        # A stream is whole when its own last event came, whatever became of the connection then.
        is_whole = self._whole and not self._codec.truncated
        is_complete = running.builder.is_done or (is_whole and not reader.is_stream)
        if not self._answer:
            is_complete = False
        return [*changes, *running.end(at_ns, is_complete=is_complete)]

    def _begun(self, at_ns: int) -> list[Change]:
        """Read the request, once."""
        if self._running:
            return []
        body = self._request.text(self._notes)
        asked = self._format.asked(self._head, body, self._notes)
        builder = self._format.builder(self._head, asked, self._sink, self._notes)
        self._running = Running(0, self._format.name, asked, builder, self._sink, self._notes)
        return self._running.begin(at_ns)

    def _reading(self) -> tuple[Running, "_Reader"]:
        assert self._running is not None
        if self._reader is None:
            self._codec = codings.Decoder((self._coding() or "").encode("latin-1"))
            self._reader = _reader(self._answer, self._running.builder, self._notes)
        return self._running, self._reader

    def _coding(self) -> str | None:
        return self._answer.header("content-encoding") if self._answer else None


class _Gathered:
    """A body that must be whole before it means anything."""

    def __init__(self, coding: str | None) -> None:
        self._codec = codings.Decoder((coding or "").encode("latin-1"))
        self._pieces: list[bytes] = []
        self._size = 0
        self._capped = False

    def feed(self, data: bytes) -> None:
        plain = self._codec.feed(data)
        self._size += len(plain)
        if self._size > _MAX_BODY_BYTES:
            self._capped = True
            return
        self._pieces.append(plain)

    def text(self, notes: Notes) -> bytes:
        if self._capped:
            notes.add("request-too-long")
        if self._codec.failed or self._codec.capped or not self._codec.known:
            notes.add("undecodable-coding", "request")
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


class _Reader(Protocol):
    @property
    def is_stream(self) -> bool: ...

    def feed(self, data: bytes) -> None: ...

    def finish(self) -> None: ...


def _reader(answer: AnswerHead | None, builder: Builder, notes: Notes) -> _Reader:
    if answer is None:
        return _Whole(lambda body: None, notes)
    status = answer.status
    if status >= 400:
        return _Whole(lambda body: builder.failed(status, body), notes)
    media = (answer.header("content-type") or "").partition(";")[0].strip().lower()
    if media == "text/event-stream":
        return _Events(builder, notes)
    if media in ("application/x-ndjson", "application/jsonl", "application/x-jsonlines"):
        return _Values(ndjson.Decoder(), builder, notes)
    return _Json(builder, notes)


class _Events:
    is_stream = True

    def __init__(self, builder: Builder, notes: Notes) -> None:
        self._decoder = sse.Decoder()
        self._builder = builder
        self._notes = notes

    def feed(self, data: bytes) -> None:
        for event in self._decoder.feed(data):
            self._builder.event(event.name, event.data)

    def finish(self) -> None:
        # An event that no empty line ended is no event of the standard, yet it is what came.
        for event in self._decoder.finish():
            self._builder.event(event.name, event.data)


class _Values:
    """NDJSON, or a JSON array whose elements come one by one."""

    is_stream = True

    def __init__(
        self, decoder: "ndjson.Decoder | ArrayDecoder", builder: Builder, notes: Notes
    ) -> None:
        self._decoder = decoder
        self._builder = builder

    def feed(self, data: bytes) -> None:
        for value in self._decoder.feed(data):
            self._builder.event("", value.decode(errors="replace"))

    def finish(self) -> None:
        for value in self._decoder.finish():
            self._builder.event("", value.decode(errors="replace"))


class _Whole:
    is_stream = False

    def __init__(self, read: Callable[[bytes], None], notes: Notes) -> None:
        self._read = read
        self._gathered = _Gathered(None)
        self._notes = notes

    def feed(self, data: bytes) -> None:
        self._gathered.feed(data)

    def finish(self) -> None:
        self._read(self._gathered.text(self._notes))


class _Json:
    """
    An answer in JSON: an array is a stream of its elements (Gemini), all else is one text.

    The first byte that is no white space decides.
    """

    def __init__(self, builder: Builder, notes: Notes) -> None:
        self._builder = builder
        self._notes = notes
        self._reader: _Reader | None = None

    @property
    def is_stream(self) -> bool:
        return self._reader is not None and self._reader.is_stream

    def feed(self, data: bytes) -> None:
        if self._reader is None:
            data = data.lstrip()
            if not data:
                return
            if data[:1] == b"[":
                self._reader = _Values(ArrayDecoder(), self._builder, self._notes)
            else:
                self._reader = _Whole(self._builder.whole, self._notes)
        self._reader.feed(data)

    def finish(self) -> None:
        if self._reader is not None:
            self._reader.finish()
