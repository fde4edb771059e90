"""A body of an entry without its content coding: its size, whether it is text, and its bytes."""

import codecs
from collections.abc import Iterator

from addons.framing.codings import Decoder
from api.exports import har_heads
from api.exports.captured import Captured, Stored
from storage import bodies
from storage.records import Side

_HELD_BYTES = 1 << 20  # a plain body up to here is made once and held; a longer one is made again
_STEP_BYTES = 256  # fed to a decoder at a time: of zstd they may stand for some megabytes


class Plain:
    """
    One body, gone through once to know it.

    `size_bytes`, `is_text` and `is_decoded` are of what `pieces` gives out; `comment` says why
    that is not simply the decoded body, or is None. Raises StoreError or NotFound where the store
    cannot read it.
    """

    def __init__(self, captured: Captured, side: Side) -> None:
        entry = captured.entry
        headers = entry.request_headers if side == "request" else entry.response_headers or ()
        self._captured = captured
        self._side: Side = side
        self._coding = har_heads.joined(headers, b"content-encoding")
        self._stored = captured.body(side)
        self._stop: int | None = None  # where the coding of the stored bytes was cut off
        self._kept: Stored | None = None  # the cut text that stands for the coded bytes
        self._is_raw = False  # its coding cannot be undone
        self.comment: str | None = None
        self._find_cut()
        self._decoder = Decoder(self._coding)
        self.is_decoded = self._decoder.coded
        noted = len(captured.cuts)
        self._look()
        self._decoder.finish()
        if fault := self._fault():
            self.comment = f"as captured: {fault}"
            self.is_decoded, self._is_raw = False, True
            del captured.cuts[noted:]
            self._look()
        elif self._decoder.truncated and self._stop is None:
            self.comment = "the coded stream was cut off; this is what it held"

    @property
    def stored_bytes(self) -> int:
        """How many bytes are stored, with their coding."""
        return self._stored.size_bytes

    def pieces(self) -> Iterator[bytes]:
        """The bytes, credentials cut if that was asked for."""
        return iter(self._held) if self._held is not None else self._go_through()

    def _look(self) -> None:
        utf8 = codecs.getincrementaldecoder("utf-8")()
        self._held: list[bytes] | None = []
        self.size_bytes, self.is_text = 0, True
        for piece in self._go_through(noting=True):
            self.size_bytes += len(piece)
            self.is_text = self.is_text and _accepts(utf8, piece, final=False)
            if self.size_bytes > _HELD_BYTES:
                self._held = None
            elif self._held is not None:
                self._held.append(piece)
        self.is_text = self.is_text and _accepts(utf8, b"", final=True)

    def _go_through(self, *, noting: bool = False) -> Iterator[bytes]:
        if not self._is_raw:
            return self._captured.masked(self._side, self._decoded(), noting=noting)
        coding = (self._coding or b"").decode("latin-1")
        return self._captured.masked(self._side, self._stored.stream(), coding, noting=noting)

    def _decoded(self) -> Iterator[bytes]:
        self._decoder = decoder = Decoder(None if self._kept else self._coding)
        for block in (self._kept or self._stored).stream(0, self._stop):
            step = _STEP_BYTES if decoder.coded else max(len(block), 1)
            for at in range(0, len(block), step):
                yield decoder.feed(block[at : at + step])

    def _fault(self) -> str | None:
        """Why the coding cannot be undone; None if it is, as far as it goes."""
        decoder = self._decoder
        name = (self._coding or b"").decode("latin-1")
        if not decoder.known:
            return f"the coding {name} is unknown"
        if decoder.failed:
            return f"it is not in the coding {name} that it names"
        return f"in the coding {name} it is too long" if decoder.capped else None

    def _find_cut(self) -> None:
        entry = self._captured.entry
        kept = entry.request_decoded if self._side == "request" else entry.response_decoded
        if kept is not None:
            self._kept = bodies.view(self._captured.conn, kept.digest)
            self.comment = "its coded bytes were cut; this is the text that was kept beside them"
            return
        for cut in self._captured.cuts:
            if cut.part == f"{self._side}-body" and cut.kind in ("coded", "unscanned"):
                self._stop = cut.offset_bytes
                self.comment = f"its coded bytes were cut from byte {self._stop} on"


def _accepts(utf8: codecs.IncrementalDecoder, piece: bytes, *, final: bool) -> bool:
    try:
        utf8.decode(piece, final)
    except UnicodeDecodeError:
        return False
    return True
