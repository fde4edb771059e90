"""
Bodies that are not coded, and messages: known values out, chunk by chunk.

Held back is only a tail that may be the beginning of a needle. What comes out does not depend on
where the chunks were cut: every occurrence of every needle is a span (of one needle those that do
not overlap, from the left), and spans inside another one are dropped.
"""

from typing import Protocol

from addons.redaction.cuts import Fingerprint, Place, Scanned, Span, outermost, starred
from addons.redaction.known import Index, Known
from storage.records import Cut


class Body(Protocol):
    """One direction of an entry. After `finish` the three properties are true for all of it."""

    cut_coded: bool
    unscanned: str | None  # why a part of it could not be looked into

    def feed(self, chunk: bytes) -> Scanned: ...

    def finish(self) -> Scanned: ...

    @property
    def wire_hmac(self) -> str | None: ...


class PlainBody:
    """A body as it crosses, scanned for the values that are known when each chunk passes."""

    __slots__ = (
        "_at",
        "_busy",
        "_covered",
        "_fingerprint",
        "_hidden",
        "_known",
        "_place",
        "_tail",
        "cut_coded",
        "unscanned",
    )

    def __init__(
        self,
        known: Known,
        fingerprint: Fingerprint,
        place: Place,
        *,
        at: int = 0,
        unscanned: str | None = None,
    ) -> None:
        self.cut_coded = False
        self.unscanned = unscanned
        self._known = known
        self._fingerprint = fingerprint
        self._place = place
        self._hidden = fingerprint.running()
        self._at = at  # offset of the first byte that is still held back
        self._tail = b""
        self._covered = at  # end of the spans so far
        self._busy: dict[bytes, int] = {}  # needle: end of its last span

    @property
    def wire_hmac(self) -> str | None:
        return self._hidden.hex()

    @property
    def at(self) -> int:
        """How many bytes were let go; all before it is known."""
        return self._at

    def feed(self, chunk: bytes) -> Scanned:
        data = self._tail + chunk if self._tail else chunk
        index = self._known.index()
        return self._let_go(data, index, index.hold(data))

    def finish(self) -> Scanned:
        return self._let_go(self._tail, self._known.index(), len(self._tail))

    def _let_go(self, data: bytes, index: Index, hold: int) -> Scanned:
        present = index.present(data)
        out, self._tail = (data, b"") if hold == len(data) else (data[:hold], data[hold:])
        cuts: tuple[Cut, ...] = ()
        if present or self._covered > self._at:
            out, cuts = self._cut(out, data, self._spans(data, index, present, hold))
        self._at += len(out)
        return Scanned(out, cuts)

    def _spans(self, data: bytes, index: Index, present: list[bytes], hold: int) -> list[Span]:
        """What begins before `hold`: all of that is decided, later spans may yet be swallowed."""
        spans: list[Span] = []
        for needle in present:
            start = data.find(needle, max(0, self._busy.get(needle, 0) - self._at))
            while 0 <= start < hold:
                end = start + len(needle)
                spans.append(Span(start, end, "known-value", index.value(needle)))
                self._busy[needle] = self._at + end
                start = data.find(needle, end)
        return [span for span in outermost(spans) if self._at + span.end > self._covered]

    def _cut(self, out: bytes, data: bytes, spans: list[Span]) -> tuple[bytes, tuple[Cut, ...]]:
        before = Span(0, min(max(0, self._covered - self._at), len(out)), "known-value", b"")
        for span in spans:
            self._hidden.add(self._at + span.start, data[span.start : span.end])
            self._covered = self._at + span.end
        cuts = tuple(self._fingerprint.cut(self._place, span, self._at) for span in spans)
        within = [span._replace(end=min(span.end, len(out))) for span in spans]
        return starred(out, (before, *within)), cuts


class OpenBody:
    """Redaction turned off: everything goes as it came."""

    cut_coded = False
    unscanned: str | None = None
    wire_hmac: str | None = None

    def feed(self, chunk: bytes) -> Scanned:
        return Scanned(chunk)

    def finish(self) -> Scanned:
        return Scanned()


def whole(data: bytes, known: Known, fingerprint: Fingerprint, place: Place) -> Scanned:
    """
    A message, or a text of our own.

    Each is scanned by itself: a JSON string cannot span two messages, and a tail held back until
    the next one would join what the peer kept apart.
    """
    index = known.index()
    spans = found(data, index)
    if not spans:
        return Scanned(data)
    return Scanned(starred(data, spans), tuple(fingerprint.cut(place, span) for span in spans))


def found(data: bytes, index: Index) -> list[Span]:
    """All known values in `data`."""
    spans: list[Span] = []
    for needle in index.present(data):
        start = data.find(needle)
        while start >= 0:
            end = start + len(needle)
            spans.append(Span(start, end, "known-value", index.value(needle)))
            start = data.find(needle, end)
    return outermost(spans)
