"""
Coded bodies: let go only what decodes to text that is known to be clean.

A coded byte waits until all that its unit decodes to has been scanned and cannot be the beginning
of a known value any more (some 8 KB at most; of zstd one block). At the first secret all that
waits and all that follows becomes `*`, and the decoded, cut text is offered from the first hidden
unit on: what came before can be decoded from the coded bytes that were kept (`rejoined`).

What cannot be looked into becomes `*` as well, marked `unscanned`: a bomb, coded bytes after a
coding fault, half a zstd block at the end, two codings on top of each other. The promise is that a
credential never reaches the disk; a body that hides what it holds does not get round it. A body
that is not in the coding it names from its first byte on is kept and scanned as it is.
"""

import contextlib
from collections import deque
from typing import Final, NamedTuple

import msgspec

from addons.redaction import decoders
from addons.redaction.cuts import STAR, Fingerprint, Kind, Place, Scanned
from addons.redaction.known import Known
from addons.redaction.stream import PlainBody
from storage.records import Cut, Side


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Against bombs: beyond them a body is not looked into. No text is kept, so it is CPU only."""

    max_decoded_bytes: int = 256 << 20
    max_ratio: int = 200  # decoded to coded, asked from ratio_from_bytes of decoded text on
    ratio_from_bytes: int = 1 << 20


LIMITS: Final = Limits()


class _TooLargeError(Exception):
    """The decoded text passed a limit."""


class _Unit(NamedTuple):
    size_bytes: int  # coded
    text_end: int  # offset in the decoded text after it


class CodedBody:
    """One body in a coding; `coding` is None for codings on top of each other."""

    def __init__(
        self,
        known: Known,
        fingerprint: Fingerprint,
        side: Side,
        coding: str | None,
        limits: Limits = LIMITS,
    ) -> None:
        self.cut_coded = False
        self.unscanned: str | None = None
        self._known = known
        self._fingerprint = fingerprint
        self._limits = limits
        self._coding = coding
        self._place = Place("request-body" if side == "request" else "response-body")
        # All that is let go passes through here: coded bytes, too, can hold a value as it is (a
        # file name in a gzip header, anything where a decoder does not mind).
        self._wire = PlainBody(known, fingerprint, self._place)
        self._is_raw = False  # the body is not coded after all

        self._held = bytearray()  # coded bytes that were not let go
        self._let_go = 0
        self._waiting: deque[_Unit] = deque()  # the units in `_held`
        self._star_at: int | None = None  # offset of the first hidden coded byte
        self._hidden = fingerprint.running()

        self._decoder = decoders.CODINGS[coding]() if coding else None
        self._decoded = 0
        text = Place("request-decoded" if side == "request" else "response-decoded")
        self._text = PlainBody(known, fingerprint, text)
        self._clean = bytearray()  # scanned text of the waiting units
        self._clean_at = 0
        if not coding:
            self._blind("chained")

    @property
    def wire_hmac(self) -> str | None:
        within, hidden = self._wire.wire_hmac, self._hidden.hex()
        if within and hidden:
            return self._fingerprint.running((within + hidden).encode()).hex()
        return within or hidden

    def feed(self, chunk: bytes) -> Scanned:
        if self._is_raw:
            return self._wire.feed(chunk)
        self._held += chunk
        cuts: list[Cut] = []
        if self._decoder:
            self._look(self._decoder, chunk, cuts)
        return self._give(self._ready(), cuts)

    @property
    def holds(self) -> bool:
        return bool(self._held) or self._wire.holds

    def settle(self) -> Scanned:
        if self._star_at is not None:
            return Scanned()
        # More than a few bytes of a value cannot be cut out of coded bytes: they go on waiting.
        if self._text.is_sure:
            self._clean += self._text.settle().data
        ready = self._wire.feed(self._ready())
        rest = self._wire.settle() if self._is_raw or self._wire.is_sure else Scanned()
        return Scanned(ready.data + rest.data, ready.cuts + rest.cuts)

    def finish(self) -> Scanned:
        cuts: list[Cut] = []
        if self._star_at is None or self.cut_coded:  # what was hidden unread has no text to end
            scanned = self._text.finish()
            self._clean += scanned.data
            cuts += scanned.cuts
            self._mark(cuts)
        ready = self._ready(at_end=True)
        if self._star_at is None and self._held:
            self._blind("cut_off")  # a zstd block that never came to its end
        last = self._give(ready, cuts)
        rest = self._wire.finish()
        cuts = [*last.cuts, *rest.cuts]
        if self._star_at is not None and self._let_go > self._star_at:
            cuts.append(self._hidden_range(self._star_at))
        return Scanned(last.data + rest.data, tuple(cuts), last.decoded)

    # --- looking ---------------------------------------------------------------------------------

    def _look(self, decoder: decoders.Decoder, chunk: bytes, cuts: list[Cut]) -> None:
        try:
            for unit in decoder.units(chunk):
                for text in decoder.decode(unit):
                    self._scan(text, cuts)
                self._waiting.append(_Unit(len(unit), self._decoded))
        except _TooLargeError:
            self._blind("too_large")
        except decoders.ERRORS:
            self._fault(decoder, cuts)
        self._mark(cuts)

    def _scan(self, text: bytes, cuts: list[Cut]) -> None:
        self._decoded += len(text)
        limits = self._limits
        ratio = self._decoded / (self._let_go + len(self._held))
        if self._decoded > limits.max_decoded_bytes or (
            self._decoded > limits.ratio_from_bytes and ratio > limits.max_ratio
        ):
            raise _TooLargeError
        scanned = self._text.feed(text)
        self._clean += scanned.data
        cuts += scanned.cuts

    def _fault(self, decoder: decoders.Decoder, cuts: list[Cut]) -> None:
        """The coded bytes broke off; a decoder that forgives more than ours might still read."""
        self.unscanned = "undecodable"
        if self._decoded or decoder.is_sure:
            self._blind("undecodable")
            return
        # Not one byte came out of the first unit, which may be short and broken at its end (then
        # it tells more byte by byte), or a body in no coding at all.
        self._creep(cuts)
        self._is_raw = not cuts

    def _creep(self, cuts: list[Cut]) -> None:
        """Decode as far as it goes, to where the fault is."""
        assert self._coding
        self._decoder = None
        decoder = decoders.CODINGS[self._coding]()
        with contextlib.suppress(_TooLargeError, *decoders.ERRORS):
            for byte in self._held:  # pragma: no branch - the fault comes again
                for unit in decoder.units(bytes((byte,))):
                    for text in decoder.decode(unit):
                        self._scan(text, cuts)

    def _mark(self, cuts: list[Cut]) -> None:
        if cuts and not self.cut_coded:
            self.cut_coded = True
            self._hide()

    def _blind(self, reason: str) -> None:
        self.unscanned = reason
        self._decoder = None
        self._hide()

    def _hide(self) -> None:
        if self._star_at is None:
            self._star_at = self._let_go

    # --- letting go ------------------------------------------------------------------------------

    def _ready(self, *, at_end: bool = False) -> bytes:
        """The coded bytes whose text is known to be clean; they wait no longer."""
        if self._star_at is not None:
            return b""
        size, text_end = 0, self._clean_at
        # Until the first text comes the body may prove not to be in this coding at all.
        while self._waiting and (self._decoded or at_end):
            unit = self._waiting[0]
            if unit.text_end > self._text.at:
                break
            size += unit.size_bytes
            text_end = unit.text_end
            self._waiting.popleft()
        if self._is_raw:
            size = len(self._held)
        ready = bytes(self._held[:size])
        del self._held[:size]
        del self._clean[: text_end - self._clean_at]
        self._clean_at = text_end
        self._let_go += size
        return ready

    def _give(self, ready: bytes, cuts: list[Cut]) -> Scanned:
        wire = self._wire.feed(ready)
        if self._star_at is None:
            return wire
        tail = self._wire.finish()
        hidden, text = bytes(self._held), bytes(self._clean)
        self._held.clear()
        self._clean.clear()
        self._waiting.clear()
        self._hidden.update(hidden)
        self._let_go += len(hidden)
        return Scanned(
            wire.data + tail.data + STAR * len(hidden),
            (*wire.cuts, *tail.cuts, *cuts),
            text if self.cut_coded else b"",
        )

    def _hidden_range(self, start: int) -> Cut:
        kind: Kind = "coded" if self.cut_coded else "unscanned"
        return Cut(
            part=self._place.part,
            offset_bytes=start,
            length_bytes=self._let_go - start,
            kind=kind,
            hmac=(self._hidden.hex() or "")[:32],
        )


def rejoined(content_encoding: str | None, coded: bytes, rest: bytes) -> bytes | None:
    """
    The whole decoded, cut text of a body that is cut_coded; None if `coded` is not what it was.

    `coded` are its stored bytes up to the cut of kind "coded", `rest` is all the text that was
    offered beside it.
    """
    names = decoders.codings(content_encoding)
    text = decoders.decoded(names, coded, LIMITS.max_decoded_bytes) if coded else b""
    return None if text is None else text + rest
