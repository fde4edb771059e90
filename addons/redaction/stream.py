"""
Bodies that are not coded, and messages: known values out, chunk by chunk.

Held back is only a tail that may be the beginning of a needle. What comes out does not depend on
where the chunks were cut: every occurrence of every needle is a span (of one needle those that do
not overlap, from the left), and spans inside another one are dropped.

A body that falls silent is settled, so that what a client has is on record: of a needle's beginning
fewer than SETTLED_BYTES are shown, more become `*`. Whatever comes later, the rest is still found.
"""

from typing import Final, Protocol

from addons.redaction.cuts import Fingerprint, Place, Scanned, Span, outermost, starred
from addons.redaction.known import Index, Known
from storage.records import Cut

SETTLED_BYTES: Final = 8


class Body(Protocol):
    """One direction of an entry. After `finish` the three properties are true for all of it."""

    cut_coded: bool
    unscanned: str | None  # why a part of it could not be looked into

    def feed(self, chunk: bytes) -> Scanned: ...

    def settle(self) -> Scanned:
        """Let go of a tail although it may be a beginning, for nothing has come since."""

    def finish(self) -> Scanned: ...

    @property
    def holds(self) -> bool:
        """Is there something that `settle` may let go?"""

    @property
    def wire_hmac(self) -> str | None: ...


class PlainBody:
    """A body as it crosses, scanned for the values that are known when each chunk passes."""

    __slots__ = (
        "_at",
        "_busy",
        "_covered",
        "_fingerprint",
        "_given",
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
        self._given = 0  # how much of the tail was let go, but is still needed for the search
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

    @property
    def holds(self) -> bool:
        return len(self._tail) > self._given

    @property
    def is_sure(self) -> bool:
        """Would `settle` show all that is held back?"""
        return len(self._tail) < SETTLED_BYTES

    def settle(self) -> Scanned:
        out = self._tail[self._given :]
        cuts: tuple[Cut, ...] = ()
        if not self.is_sure and out:
            span = Span(0, len(out), "known-value", out)
            cuts = (self._fingerprint.cut(self._place, span, self._at),)
            self._hidden.add(self._at, out)
            self._covered = max(self._covered, self._at + len(out))
        out = starred(out, (self._before(out),))
        self._given = len(self._tail)
        self._at += len(out)
        return Scanned(out, cuts)

    def finish(self) -> Scanned:
        return self._let_go(self._tail, self._known.index(), len(self._tail))

    def _let_go(self, data: bytes, index: Index, hold: int) -> Scanned:
        present = index.present(data)
        given = self._given
        out, self._tail = (data, b"") if hold == len(data) else (data[:hold], data[hold:])
        if given:
            out, self._given = out[given:], max(0, given - hold)
        cuts: tuple[Cut, ...] = ()
        if present or self._covered > self._at:
            spans = self._spans(data, index, present, hold, self._at - given)
            out, cuts = self._cut(out, data, spans, given)
        self._at += len(out)
        return Scanned(out, cuts)

    def _spans(
        self, data: bytes, index: Index, present: list[bytes], hold: int, base: int
    ) -> list[Span]:
        """What begins before `hold`: all of that is decided, later spans may yet be swallowed."""
        spans: list[Span] = []
        for needle in present:
            start = data.find(needle, max(0, self._busy.get(needle, 0) - base))
            while 0 <= start < hold:
                end = start + len(needle)
                spans.append(Span(start, end, "known-value", index.value(needle)))
                self._busy[needle] = base + end
                start = data.find(needle, end)
        return [span for span in outermost(spans) if base + span.end > max(self._covered, self._at)]

    def _cut(
        self, out: bytes, data: bytes, spans: list[Span], given: int
    ) -> tuple[bytes, tuple[Cut, ...]]:
        """`out` begins at `data[given]`; of a span that began before, the rest is cut."""
        before = self._before(out)
        base = self._at - given
        spans = [span._replace(start=max(span.start, given)) for span in spans]
        for span in spans:
            self._hidden.add(base + span.start, data[span.start : span.end])
            self._covered = base + span.end
        cuts = tuple(self._fingerprint.cut(self._place, span, base) for span in spans)
        within = [
            span._replace(start=span.start - given, end=min(span.end - given, len(out)))
            for span in spans
        ]
        return starred(out, (before, *within)), cuts

    def _before(self, out: bytes) -> Span:
        """What a span that began earlier still covers of `out`."""
        end = min(max(0, self._covered - self._at), len(out))
        return Span(0, end, "known-value", b"")


class OpenBody:
    """Redaction turned off: everything goes as it came."""

    cut_coded = False
    unscanned: str | None = None
    wire_hmac: str | None = None

    holds = False

    def feed(self, chunk: bytes) -> Scanned:
        return Scanned(chunk)

    def settle(self) -> Scanned:
        return Scanned()

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
