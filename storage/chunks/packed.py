"""
A pack as it is stored: a zstd frame, a directory of its chunks, their uses.

Everything has a checksum, so that damage is found, and where it lies within one byte it is undone
as it is read (`flips`): a mended frame is proved by its own checksum and by those of its chunks.
Of greater damage a frame gives what is left (`salvaged`).
"""

import io
import struct
import threading
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import zstandard
from zlib_ng.zlib_ng import crc32

from storage.chunks import flips
from storage.errors import StoreError

_HAS_CHECKSUM = 4  # in the first byte behind the magic number of a zstd frame (RFC 8878, 3.1.1.1.1)
_MOST_BYTES = 1 << 20  # a damaged size is not trusted with more memory

_UNKNOWN_USES = 1 << 30

_local = threading.local()  # a (de)compressor must not be shared by threads


class Parts(NamedTuple):
    """What is stored of a pack, and what that means."""

    directory: bytes
    data: bytes
    crc: int
    sizes: Sequence[int]
    crcs: Sequence[int]
    plain: bytes


# --- the frame ------------------------------------------------------------------------------------


def compress(plain: bytes, level: int) -> bytes:
    compressors: dict[int, zstandard.ZstdCompressor] = _local.__dict__.setdefault("levels", {})
    found = compressors.get(level)
    if found is None:
        found = zstandard.ZstdCompressor(level=level, write_checksum=True)
        compressors[level] = found
    return found.compress(plain)


def decompress(data: bytes, size_bytes: int) -> bytes:
    """Proved by the frame's checksum. Raises ZstdError."""
    if size_bytes > _MOST_BYTES or zstandard.frame_content_size(data) != size_bytes:
        raise zstandard.ZstdError("its frame tells another size")
    return decompressor().decompress(data, max_output_size=size_bytes)


def decompressor() -> zstandard.ZstdDecompressor:
    found: zstandard.ZstdDecompressor | None = getattr(_local, "decompressor", None)
    if found is None:
        found = _local.decompressor = zstandard.ZstdDecompressor()
    return found


def salvaged(data: bytes, size_bytes: int) -> bytes:
    """What a damaged frame still gives, zeros for the rest. Raises StoreError."""
    plain = bytearray()
    if size_bytes <= _MOST_BYTES:
        # As one without a checksum: that is wrong, and each chunk has its own.
        head = bytes(byte & ~_HAS_CHECKSUM for byte in data[4:5])
        frame = data[:4] + head + data[5:-4]
        stream = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(frame), read_size=64)
        try:
            while len(plain) < size_bytes and (piece := stream.read(256)):
                plain += piece
        except zstandard.ZstdError:
            pass
        return bytes(plain[:size_bytes]).ljust(size_bytes, b"\0")
    raise StoreError("a pack claims to be longer than any is")


# --- the directory --------------------------------------------------------------------------------


def directory(sizes: Sequence[int], crcs: Sequence[int]) -> bytes:
    """Sizes of 2 bytes, checksums of 4, and a checksum of it all, little-endian."""
    data = struct.pack(f"<{len(sizes)}H{len(crcs)}I", *sizes, *crcs)
    return data + flips.seal(data)


def read_directory(data: bytes, first: int) -> tuple[Sequence[int], Sequence[int]]:
    """Raises StoreError."""
    if not flips.is_sound(data) or len(data) % 6 != 4:
        raise StoreError(f"the sizes of the chunks from {first} on are damaged")
    count = len(data) // 6
    values = struct.unpack_from(f"<{count}H{count}I", data)
    return values[:count], values[count:]


# --- uses -----------------------------------------------------------------------------------------


def pack_uses(uses: Sequence[int]) -> bytes:
    """As many bytes each as the greatest needs."""
    top = max(uses, default=0)
    kind = "B" if top < 1 << 8 else "H" if top < 1 << 16 else "I"
    return struct.pack(f"<{len(uses)}{kind}", *uses)


def unpack_uses(data: bytes, count: int) -> list[int]:
    """If they are damaged, many of each: nothing is dropped that may be in use."""
    kind = {1: "B", 2: "H", 4: "I"}.get(len(data) // count) if count else None
    if kind is None or len(data) % count:
        return [_UNKNOWN_USES] * count
    return list(struct.unpack(f"<{count}{kind}", data))


# --- damage ---------------------------------------------------------------------------------------


def damaged(sizes: Sequence[int], crcs: Sequence[int], plain: bytes) -> frozenset[int]:
    """Indexes of the chunks whose bytes have another checksum."""
    ends = list(accumulate(sizes, initial=0))
    return frozenset(
        index
        for index, crc in enumerate(crcs)
        if crc32(plain[ends[index] : ends[index + 1]]) != crc
    )


def mended(directory: bytes, data: bytes, crc: int, first: int) -> Parts | None:
    """
    The same without the damage that it has; None if that is more than a byte of each.

    A sound one comes back as it is.
    """
    for its_directory in _directories(directory):
        try:
            sizes, crcs = read_directory(its_directory, first)
        except StoreError:
            continue
        for its_data in _frames(data, crc):
            try:
                plain = decompress(its_data, sum(sizes))
            except zstandard.ZstdError:
                continue
            if not damaged(sizes, crcs, plain):
                return Parts(its_directory, its_data, crc32(its_data), sizes, crcs, plain)
    return None


def _directories(directory: bytes) -> Iterator[bytes]:
    yield directory
    for _, proposed in flips.proposals(directory):
        yield proposed


def _frames(data: bytes, crc: int) -> Iterator[bytes]:
    # A few bits of a frame mean nothing: with the checksum they are found all the same.
    for _, proposed in flips.proposals(data + (crc & 0xFFFFFFFF).to_bytes(4, "little")):
        if proposed[:-4] != data:
            yield proposed[:-4]
    yield data
