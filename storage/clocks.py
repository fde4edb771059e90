"""
The chunk clock of a streamed body: when each chunk came, and how long it was.

It is stored in runs of RUN_CHUNKS chunks (the last one of a body may be shorter), each of which
can be read alone: varints in pairs, a chunk's moment and its size. The first moment of a run is
an offset of the entry, each further one counts from that before (zigzag, for it may be negative).

In the table a run is a zstd frame where that is shorter, behind a mark that no run begins with: a
zero in two bytes. Its magic number is left out.
"""

import threading
from collections.abc import Sequence

import zstandard

_SQUEEZED = b"\x80\x00"
_MIN_SQUEEZED = 16  # shorter runs do not get shorter
_FORMAT = zstandard.FORMAT_ZSTD1_MAGICLESS
_PARAMETERS = zstandard.ZstdCompressionParameters.from_level(9, format=_FORMAT)

_local = threading.local()  # a compressor takes longer to make than to use, and is of one thread

RUN_CHUNKS = 256  # fixed, so that the runs of a body do not depend on how its records came


class Run:
    """A run that grows; `first` is the number of its first chunk, which begins at `at_bytes`."""

    __slots__ = ("at_bytes", "count", "data", "first", "last_ns")

    def __init__(self, first: int = 0, at_bytes: int = 0) -> None:
        self.first = first
        self.at_bytes = at_bytes
        self.count = 0
        self.last_ns = 0
        self.data = bytearray()

    @classmethod
    def resume(cls, first: int, at_bytes: int, data: bytes) -> "Run":
        """Go on with a run that was stored."""
        self = cls(first, at_bytes)
        chunks = decode(data)
        self.data += data
        self.count = len(chunks)
        self.last_ns = chunks[-1][0] if chunks else 0
        return self

    @property
    def is_full(self) -> bool:
        return self.count >= RUN_CHUNKS

    def append(self, offset_ns: int, size_bytes: int) -> None:
        self.extend([(offset_ns, size_bytes)])

    def extend(self, chunks: Sequence[tuple[int, int]]) -> None:
        """As many as there is room for."""
        put, last_ns = self.data.append, self.last_ns
        for offset_ns, size_bytes in chunks:
            delta, last_ns = offset_ns - last_ns, offset_ns
            # As varints.put_signed and varints.put, for these are most of what a chunk costs.
            value = delta << 1 if delta >= 0 else (-delta << 1) - 1
            while value > 0x7F:
                put(value & 0x7F | 0x80)
                value >>= 7
            put(value)
            while size_bytes > 0x7F:
                put(size_bytes & 0x7F | 0x80)
                size_bytes >>= 7
            put(size_bytes)
        self.last_ns = last_ns
        self.count += len(chunks)


def decode(data: bytes) -> list[tuple[int, int]]:
    """`(offset_ns, size_bytes)` of each chunk of a run. Raises ValueError if it is cut short."""
    chunks: list[tuple[int, int]] = []
    offset_ns = value = shift = 0
    moved: int | None = None
    # As varints.take_signed and varints.take, for these are most of what a chunk costs.
    for byte in data:
        if byte > 0x7F:
            value |= (byte & 0x7F) << shift
            shift += 7
            continue
        value |= byte << shift
        if moved is None:
            moved = -(value + 1 >> 1) if value & 1 else value >> 1
        else:
            offset_ns += moved
            chunks.append((offset_ns, value))
            moved = None
        value = shift = 0
    if shift or moved is not None:
        raise ValueError("a chunk clock is cut short")
    return chunks


def squeeze(data: bytes) -> bytes:
    """A run as the table keeps it."""
    if len(data) < _MIN_SQUEEZED:
        return data
    frame = _compressor().compress(data)
    return _SQUEEZED + frame if len(frame) + len(_SQUEEZED) < len(data) else data


def _compressor() -> zstandard.ZstdCompressor:
    found: zstandard.ZstdCompressor | None = getattr(_local, "compressor", None)
    if found is None:
        found = zstandard.ZstdCompressor(compression_params=_PARAMETERS)
        _local.compressor = found
    return found


def unsqueeze(content: bytes) -> bytes:
    """The run again. Raises ValueError if it is damaged."""
    if not content.startswith(_SQUEEZED):
        return content
    try:
        decompressor = zstandard.ZstdDecompressor(format=_FORMAT)
        return decompressor.decompress(content[len(_SQUEEZED) :])
    except zstandard.ZstdError as error:
        raise ValueError(f"a damaged chunk clock: {error}") from error
