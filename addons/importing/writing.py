"""From an entry of a file to its records: through the redaction that live traffic goes through."""

from collections.abc import Iterable, Iterator

import msgspec

from addons.entrylog import Buffers, EntryLog
from addons.importing.exchange import Exchange, Half, Piece
from addons.redaction import Redactor, Scanned
from storage.records import Cut, Gap, Side

BODY_BYTES = 256 << 20  # of one body; what is beyond is a gap
_STEP_BYTES = 1 << 18


class ImportLog(EntryLog):
    """The log of an entry that is over: steps for what a live one does not know."""

    def unclocked(self, at_ns: int, side: Side, data: bytes) -> None:
        """Bytes of a body that nobody knows the moment of: they count by `crossed` alone."""
        flow = self._sides[side]
        if flow.body is None:
            flow.body = self._body(side, flow)
        self._scanned(side, at_ns, 0, flow.body.feed(data))

    def kept(self, side: Side, coded_bytes: int) -> None:
        """The coded bytes of this body are lost; what comes now is the text beside them."""
        self._sides[side].body = _KeptText(self._redactor, side, coded_bytes)

    def crossed(self, side: Side, size_bytes: int) -> None:
        flow = self._sides[side]
        flow.size_bytes = max(flow.size_bytes, size_bytes)

    def cut(self, at_ns: int, cut: Cut) -> None:
        """What was cut when the entry was recorded."""
        self._cuts(at_ns, (cut,))


class _KeptText:
    """A body of which only the decoded text is left; as many stars stand for it as it was long."""

    cut_coded = True
    unscanned: str | None = None
    wire_hmac: str | None = None
    holds = False

    def __init__(self, redactor: Redactor, side: Side, coded_bytes: int) -> None:
        self._text = redactor.body(side)
        self._part = f"{side}-decoded"
        self._coded_bytes = max(coded_bytes, 1)

    def feed(self, chunk: bytes) -> Scanned:
        return self._beside(self._text.feed(chunk))

    def settle(self) -> Scanned:
        return Scanned()

    def finish(self) -> Scanned:
        return self._beside(self._text.finish())

    def _beside(self, text: Scanned) -> Scanned:
        stars, self._coded_bytes = b"*" * self._coded_bytes, 0
        cuts = tuple(msgspec.structs.replace(cut, part=self._part) for cut in text.cuts)
        return Scanned(stars, cuts, text.data)


def records(
    exchange: Exchange, redactor: Redactor, session: str, entry: bytes, continues: str | None
) -> Iterator[Buffers]:
    """The records of one entry, some at a time."""
    opened = msgspec.structs.replace(exchange.opened, session=session, continues=continues)
    start = opened.started_ns
    log = ImportLog(redactor, start, entry)
    log.open(start, opened)
    yield from _half(log, "request", exchange.request, start)
    for cut in exchange.cuts:
        log.cut(start, cut)
    for gap in exchange.gaps:
        log.gap(start, (gap, ()))
    answered_ns = start + (exchange.answered_ns or 0)
    if exchange.head is not None:
        log.response(answered_ns, exchange.head)
    for message in exchange.messages:
        at_ns = start + message.offset_ns
        log.message(at_ns, (message.from_client, message.opcode, message.data))
        yield log.take()
    yield from _half(log, "response", exchange.response, answered_ns)
    log.close(start + exchange.closed_ns, exchange.closing)
    yield log.take()


def _half(log: ImportLog, side: Side, half: Half, begun_ns: int) -> Iterator[Buffers]:
    start = log.started_ns
    if half.is_kept:
        log.kept(side, half.size_bytes or 0)
    fed_bytes = 0
    for piece in _steps(half.pieces):
        fed_bytes += len(piece.data)
        if fed_bytes > BODY_BYTES:
            detail = f"the {side}'s body is longer than {BODY_BYTES >> 20} MB"
            log.gap(begun_ns, (Gap(reason="body_too_long", detail=detail), (side,)))
            return
        if piece.offset_ns is None:
            log.unclocked(begun_ns, side, piece.data)
        else:
            log.chunk(start + piece.offset_ns, (side, piece.data))
        yield log.take()
    log.crossed(side, fed_bytes if half.size_bytes is None else half.size_bytes)
    if half.ended_ns is not None:
        log.end(start + half.ended_ns, side)
    yield log.take()


def _steps(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """A piece of unknown time may be long: not all of it at once."""
    for piece in pieces:
        if piece.offset_ns is not None or len(piece.data) <= _STEP_BYTES:
            if piece.data:
                yield piece
            continue
        for at in range(0, len(piece.data), _STEP_BYTES):
            yield Piece(piece.data[at : at + _STEP_BYTES], None)
