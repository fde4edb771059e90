"""
Where the blocks of a zstd stream begin and end (RFC 8878, section 3.1.1).

A zstd decoder shows nothing of a block before it has all of it, so coded bytes may only be let go
block by block: half a block can hold a secret that no decoder has shown yet.
"""

import struct
from collections.abc import Iterator
from typing import Final

MAGIC: Final = b"\x28\xb5\x2f\xfd"
MAX_BLOCK_BYTES: Final = 128 << 10


class MalformedError(ValueError):
    """Not a zstd frame, or a kind that HTTP does not use (skippable, reserved)."""


class Blocks:
    """Splits a stream into frame headers, blocks and checksums, in whatever chunks it comes."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._next = self._header
        self._checksum = False
        self._begun = False

    @property
    def has_begun(self) -> bool:
        """Was there a frame's header?"""
        return self._begun

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The units that are complete now. Raises MalformedError."""
        data, at = self._pending, 0
        data += chunk
        while (size := self._next(data, at)) and at + size <= len(data):
            unit = bytes(data[at : at + size])
            at += size
            self._advance(unit)
            yield unit
        del data[:at]

    # Each gives the length of the unit that begins at `at`, or 0 while that cannot be told.

    def _header(self, data: bytearray, at: int) -> int:
        magic = data[at : at + 4]
        if not MAGIC.startswith(magic):
            raise MalformedError("not a zstd frame")
        if len(data) < at + 5:
            return 0
        flags = data[at + 4]
        single = flags >> 5 & 1
        content_size = (single, 2, 4, 8)[flags >> 6]
        return 5 + (1 - single) + (0, 1, 2, 4)[flags & 3] + content_size

    def _block(self, data: bytearray, at: int) -> int:
        if len(data) < at + 3:
            return 0
        (head,) = struct.unpack("<I", data[at : at + 3] + b"\0")
        kind, size = head >> 1 & 3, head >> 3
        if kind == 3 or size > MAX_BLOCK_BYTES:
            raise MalformedError("reserved block type, or a block too long")
        return 3 + (1 if kind == 1 else size)

    def _trailer(self, data: bytearray, at: int) -> int:
        return 4

    def _advance(self, unit: bytes) -> None:
        if self._next == self._header:
            self._begun = True
            self._checksum = bool(unit[4] & 4)
            self._next = self._block
        elif self._next == self._trailer:
            self._next = self._header
        elif unit[0] & 1:  # the last block
            self._next = self._trailer if self._checksum else self._header
