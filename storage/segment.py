"""One segment of the spool, read from any place of it, damaged or not."""

from typing import BinaryIO

import msgspec

from storage import envelope
from storage.envelope import SpoolRecord

_READ_BYTES = 8 << 20  # of one system call
_AHEAD_BYTES = 80 << 10  # behind what was asked for: the last record ends there, as a rule
_WHOLE = 1 << 40  # more than any segment holds


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """
    Bytes of a segment that hold no sound record, or a sound record that is no valid payload.

    `payload` is given in the second case, for the quarantine.
    """

    segment: int
    offset: int
    size_bytes: int | None  # None: whole segments are missing
    reason: str
    payload: bytes | None = None


class Window:
    """The part of a segment that is in memory: it begins at `start` and grows by need."""

    def __init__(self, file: BinaryIO, segment: int, start: int, size_bytes: int) -> None:
        self._file = file
        self._segment = segment
        self.start = start
        self.offset = 0  # of the next record, from `start`
        file.seek(start)
        self._data = b""
        self._reaches(size_bytes + _AHEAD_BYTES)

    def records(
        self, limit_bytes: int, limit_records: int, *, growing: bool
    ) -> list[SpoolRecord | Damage]:
        """What begins in the first `limit_bytes`; `offset` goes behind it."""
        found: list[SpoolRecord | Damage] = []
        while len(found) < limit_records:
            # Nearly all records are sound and in memory as a whole.
            sound, self.offset = envelope.sound_from(
                self._data, self.offset, limit_bytes, limit_records - len(found),
                segment=self._segment, start=self.start,
            )  # fmt: skip
            found += sound
            if len(found) >= limit_records or self.offset >= limit_bytes:
                break
            other = self._other(growing=growing)
            if other is None:
                break
            found.append(other)
        return found

    def _other(self, *, growing: bool) -> SpoolRecord | Damage | None:
        """What stands at `offset` and is no sound record that is in memory; None: nothing (yet)."""
        if not self._reaches(self.offset + 1) or (growing and self._data[self.offset] == 0):
            return None  # the end, or its writer is at it
        payload = self._payload(self.offset)
        if payload is None:
            after = self._next_sound(growing=growing)
            if after is None and growing:
                return None  # torn, or still being written: wait
            size = (len(self._data) if after is None else after) - self.offset
            found: SpoolRecord | Damage = self._damage(size, "damaged bytes")
        else:
            size = envelope.HEAD.size + len(payload)
            found = self._opened(size, payload)
        self.offset += size
        return found

    def _opened(self, size: int, payload: bytes) -> SpoolRecord | Damage:
        try:
            return envelope.open_payload(payload, self._segment, self.start + self.offset)
        except ValueError as error:
            return self._damage(size, str(error), payload)

    def _reaches(self, end: int) -> bool:
        """Whether the segment has `end` bytes from `start` on; they are in memory then."""
        while len(self._data) < end:
            more = self._file.read(min(end - len(self._data), _READ_BYTES))
            if not more:
                return False
            self._data += more
        return True

    def _payload(self, offset: int) -> bytes | None:
        """The payload of the sound record at `offset`, or None."""
        self._reaches(offset + envelope.HEAD.size)
        head = envelope.head_at(self._data, offset)
        if head is None or not self._reaches(offset + head.record_bytes):
            return None
        return envelope.payload_at(self._data, offset, head)

    def _next_sound(self, *, growing: bool) -> int | None:
        """
        Where the first record after the damage at `offset` begins; None if there is none (yet).

        With the head of the damaged record sound, its length is trusted: its payload may be a part
        of some other spool that travelled through the proxy.
        """
        head = envelope.head_at(self._data, self.offset)
        if head is not None:
            after = self.offset + head.record_bytes
            if not self._reaches(after):
                return None
            if not self._reaches(after + 1) or (growing and self._data[after] == 0):
                return after
            if self._payload(after) is not None:
                return after
        self._reaches(_WHOLE)
        found = self.offset + 1
        while (found := self._data.find(envelope.MAGIC[1:], found + 1)) >= 0:
            begin = found - 1
            candidate = envelope.head_at(self._data, begin)
            if candidate is None:
                continue
            if growing and not candidate.published:
                return None  # its writer is at it, and what follows belongs to it
            if envelope.payload_at(self._data, begin, candidate) is not None:
                return begin
        return None

    def _damage(self, size: int, reason: str, payload: bytes | None = None) -> Damage:
        return Damage(
            segment=self._segment,
            offset=self.start + self.offset,
            size_bytes=size,
            reason=reason,
            payload=payload,
        )
