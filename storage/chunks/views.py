"""
Reading bodies: recipe, chunks, packs, and the proof that the bytes are those that were stored.
"""

import hashlib
import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from storage import database
from storage.chunks import blocks, digests, first, packs, pieces, recipes, recoding
from storage.chunks.chains import Found, runs_of
from storage.chunks.recipes import Run, Stretch
from storage.errors import NotFound, StoreError

PIECE_BYTES = 256 << 10  # of a stream

_AT_ONCE_BYTES = 4 << 20  # a body of that is read without a look at what lies where
_TRIES = 5  # to read what is packed anew meanwhile


class BodyView:
    """
    Stored bytes, read as they are wanted.

    `size_bytes` and `digest` are of the moment when the view was made; `digest` is None while the
    body still grows, and of nothing. What is read whole is proved by it, a part of it by the
    checksums of its chunks.
    """

    def __init__(
        self,
        size_bytes: int,
        digest: bytes | None,
        read: Callable[[int, int], list[bytes]],
        stretch: Callable[[int, int], Stretch | None] = lambda start, stop: None,
        plain: "BodyView | None" = None,
        *,
        is_proved: bool = False,
    ) -> None:
        """`is_proved`: `read` gives nothing that its digest does not prove."""
        self.size_bytes = size_bytes
        self.digest = digest
        self.stretch = stretch  # where some bytes stand; None: in no chunks, or that is not known
        self._plain = plain  # of itself it would be a cycle, and its packs stay in memory for long
        self._read = read
        self._is_to_prove = digest is not None and not is_proved

    @property
    def plain(self) -> "BodyView":
        """What is stored, of a body in another form."""
        return self._plain or self

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """
        The bytes from `start` to before `stop`, as far as there are any.

        Raises StoreError that names the digest if they are damaged, NotFound if the body was
        deleted meanwhile.
        """
        start, stop = self._span(start, stop)
        if start >= stop:
            return b""
        data = b"".join(self._read(start, stop))
        if self._is_to_prove and stop - start == self.size_bytes:
            self._prove(hashlib.sha256(data).digest())
        return data

    def stream(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """As `read`, in pieces of at most 256 KB; memory stays flat."""
        start, stop = self._span(start, stop)
        is_whole = stop - start == self.size_bytes > 0
        whole = hashlib.sha256() if self._is_to_prove and is_whole else None
        while start < stop:
            end = min(stop, start + PIECE_BYTES)
            data = b"".join(self._read(start, end))
            if whole:
                whole.update(data)
                # Before the last piece is given away, for it cannot be taken back.
                if end == stop:
                    self._prove(whole.digest())
            yield data
            start = end

    def _prove(self, digest: bytes) -> None:
        if self.digest and digest != self.digest:
            raise StoreError(f"body {self.digest.hex()} is damaged: its bytes have another digest")

    def _span(self, start: int, stop: int | None) -> tuple[int, int]:
        if start < 0 or (stop is not None and stop < 0):
            raise ValueError("a body is read from a place that is not negative")
        return start, self.size_bytes if stop is None else min(stop, self.size_bytes)


def nothing() -> BodyView:
    """The view of an empty body."""
    return BodyView(0, None, lambda start, stop: [])


def view(conn: sqlite3.Connection, digest: bytes) -> BodyView:
    """Raises NotFound, and StoreError if its recipe is damaged."""
    return proved_by(conn, digest, packs.Reader(conn))


def proved_by(conn: sqlite3.Connection, digest: bytes, reader: packs.Reader) -> BodyView:
    found = runs_of(conn, digest)
    if found is None:
        return _first_view(conn, digest)
    if found.size_bytes <= 0:  # nothing would be read, and so nothing proved
        raise StoreError(f"body {digest.hex()} is damaged: its size is {found.size_bytes}")
    if found.coding:
        return _coded_view(conn, digest, found, reader)
    size_bytes = found.size_bytes
    layout = _Layout(reader, found.runs, size_bytes)

    def read(start: int, stop: int) -> list[bytes]:
        # Bytes of a deleted body may be in memory for some time.
        if not _exists(conn, digest):
            raise NotFound(f"body {digest.hex()} was deleted")
        try:
            return layout.read(start, stop)
        except StoreError as error:
            raise StoreError(f"body {digest.hex()} is damaged: {error}") from error

    return BodyView(size_bytes, digest, read, layout.stretch)


def _coded_view(
    conn: sqlite3.Connection, digest: bytes, found: Found, reader: packs.Reader
) -> BodyView:
    """Of a body that is stored in another form; it is short enough to be held."""
    coding = found.coding
    assert coding is not None
    layout = _Layout(reader, found.runs, coding.plain_bytes)
    kept: list[bytes] = []

    def read(start: int, stop: int) -> list[bytes]:
        if not _exists(conn, digest):
            raise NotFound(f"body {digest.hex()} was deleted")
        try:
            if not kept:
                coded = recoding.again(coding, b"".join(layout.read(0, coding.plain_bytes)))
                if hashlib.sha256(coded).digest() != digest:
                    raise recoding.failure(coding)
                if len(coded) != found.size_bytes:
                    raise StoreError(f"it has {len(coded)} bytes instead of {found.size_bytes}")
                kept.append(coded)
        except StoreError as error:
            raise StoreError(f"body {digest.hex()} is damaged: {error}") from error
        return [kept[0][start:stop]]

    plain = BodyView(coding.plain_bytes, None, layout.read, layout.stretch)
    return BodyView(found.size_bytes, digest, read, plain=plain, is_proved=True)


def _first_view(conn: sqlite3.Connection, digest: bytes) -> BodyView:
    found = first.recipe(conn, digest)
    if found is None:
        raise NotFound(f"there is no body {digest.hex()}")
    size_bytes, recipe = found
    spans = blocks.Spans(blocks.steps(recipe))

    def read(start: int, stop: int) -> list[bytes]:
        try:
            return [
                blocks.read(conn, block)[low:high]
                for block, low, high in spans.covering(start, stop)
            ]
        except (blocks.Missing, sqlite3.OperationalError) as error:
            # It was deleted meanwhile, or moved: then the view of its new form gives the bytes.
            if first.recipe(conn, digest) is None:
                return [view(conn, digest).read(start, stop)]
            raise StoreError(f"body {digest.hex()} is damaged: {error}") from error
        except StoreError as error:
            raise StoreError(f"body {digest.hex()} is damaged: {error}") from error

    return BodyView(size_bytes, digest, read)


class _Layout:
    """Chunks one behind the other, and where each of them is at present."""

    def __init__(self, reader: packs.Reader, runs: Sequence[Run], size_bytes: int) -> None:
        self._reader = reader
        self._runs = runs
        self._size_bytes = size_bytes
        self._segments: list[tuple[packs.Place, int, int, int]] = []
        self._ends: list[int] = []

    def read(self, start: int, stop: int) -> list[bytes]:
        """Raises StoreError."""
        if stop - start == self._size_bytes <= _AT_ONCE_BYTES:
            whole = self._reader.whole(self._runs)
            if whole is not None and sum(map(len, whole)) == self._size_bytes:
                return whole
        for _ in range(_TRIES):
            found = self._read(start, stop) if self._ends or self._look() else None
            if found is not None:
                return found
            self._ends = []
        raise StoreError("it is packed anew again and again")

    def _look(self) -> bool:
        self._reader.forget()
        try:
            self._segments = list(self._reader.segments(self._runs))
        except packs.Moved:
            return False
        self._ends = list(accumulate(size_bytes for *_, size_bytes in self._segments))
        total = self._ends[-1] if self._ends else 0
        if total != self._size_bytes:
            raise StoreError(f"it has {total} bytes instead of {self._size_bytes}")
        return True

    def _read(self, start: int, stop: int) -> list[bytes] | None:
        found = []
        for index in range(bisect_right(self._ends, start), len(self._segments)):
            place, low, high, size_bytes = self._segments[index]
            at = self._ends[index] - size_bytes
            if at >= stop:
                break
            pack = self._reader.pack(place)
            if pack is None:
                return None
            found.append(pack.span(low, high, max(start - at, 0), min(stop - at, size_bytes)))
        return found

    def stretch(self, start: int, stop: int) -> Stretch | None:
        """None: it is packed anew again and again. Raises StoreError."""
        for _ in range(_TRIES):
            found = self._stretch(start, stop) if self._ends or self._look() else None
            if found is not None:
                return found
            self._ends = []
        return None

    def _stretch(self, start: int, stop: int) -> Stretch | None:
        runs: list[Run] = []
        skip_bytes = 0
        for index in range(bisect_right(self._ends, start), len(self._segments)):
            place, low, high, size_bytes = self._segments[index]
            at = self._ends[index] - size_bytes
            if at >= stop:
                break
            pack = self._reader.pack(place)
            if pack is None:
                return None
            begin = pack.offsets[low] - at  # of the body, in the pack
            if at < start:
                low = bisect_right(pack.offsets, begin + start, low, high) - 1
            if at + size_bytes > stop:
                high = bisect_left(pack.offsets, begin + stop, low, high)
            if not runs:
                skip_bytes = begin + start - pack.offsets[low]
            recipes.append(runs, place.first + low, high - low)
        return Stretch(skip_bytes, stop - start, runs)


def read_runs(
    conn: sqlite3.Connection, runs: Sequence[Run], size_bytes: int, start: int, stop: int
) -> bytes:
    """Some of the bytes of these chunks, which have this size together. Raises StoreError."""
    return b"".join(_Layout(packs.Reader(conn), runs, size_bytes).read(start, stop))


def _exists(conn: sqlite3.Connection, digest: bytes) -> bool:
    row = conn.execute(
        f"select 1 from bodies where {digests.equal('digest', ':digest')} and uses > 0",
        {"digest": digest},
    ).fetchone()
    return row is not None or first.recipe(conn, digest) is not None


def growing(
    conn: sqlite3.Connection, entry_id: str, part: str, finished: Callable[[], BodyView]
) -> BodyView:
    """
    The view of what is stored by now of a body that still grows.

    `finished` finds the whole body should it have ended when the view is read.
    """

    def read(start: int, stop: int) -> list[bytes]:
        with database.snapshot(conn):
            layout = pieces.layout(conn, entry_id, part)
            if pieces.size(layout) >= stop:
                spans = blocks.Spans([(piece, piece.size_bytes) for piece in layout])
                return [
                    piece
                    for where, low, high in spans.covering(start, stop)
                    for piece in piece_of(conn, entry_id, part, where, low, high)
                ]
        whole = finished()
        if whole.size_bytes < stop:
            raise NotFound(f"the {part} of entry {entry_id} was deleted")
        return [whole.read(start, stop)]

    return BodyView(pieces.size(pieces.layout(conn, entry_id, part)), None, read)


def piece_of(
    conn: sqlite3.Connection, entry_id: str, part: str, piece: pieces.Piece, start: int, stop: int
) -> list[bytes]:
    if piece.block:
        return [blocks.read(conn, piece.block)[start:stop]]
    if piece.runs:
        runs = recipes.own(recipes.unpack(piece.runs))
        return [read_runs(conn, runs, piece.size_bytes, start, stop)]
    return [pieces.data(conn, entry_id, part, piece.number)[start:stop]]
