"""
The spool: the append-only log between the proxy and the server.

    spool/<writer>/lock              held (flock) for as long as the writer lives
    spool/<writer>/0000000001.spool  segments, numbered from 1; only the newest one grows

A segment is a sequence of records. A record, all numbers big-endian:

    4 bytes  magic `WSP1`
    4 bytes  length of the payload
    4 bytes  CRC-32 of the payload
    4 bytes  CRC-32 of the 12 bytes before
    payload  msgpack array: format version, entry (16 bytes), number of the record in its entry,
             kind, offset_ns (monotonic, from the start of the entry), content

Content by kind:

    open             records.EntryOpened
    request-chunk    [size_bytes, data]: `size_bytes` is the chunk's length on the wire, the data is
    response-chunk   what redaction let go by now: the data of all chunks makes up the body. Chunks
                     without a moment of their own (a long one's rest, a tail) have size_bytes 0
    request-end, response-end   records.BodyEnd
    request-decoded, response-decoded   bytes: a piece of the decoded text beside a body cut_coded
    response         records.ResponseHead
    message          [from_client, opcode, final, data]; a long message comes in several pieces
    cut              records.Cut
    gap              records.Gap
    close            records.EntryClosed

No record is longer than MAX_RECORD, so that a reader's memory is bounded.
"""

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from storage import files, ids
from storage.errors import StoreError

FORMAT = 1
MAX_RECORD = 8 << 20
MAX_DATA = 1 << 20  # of one chunk's or message piece's data; a writer splits longer ones
SEGMENT_BYTES = 16 << 20
NIL = bytes(16)  # the entry of records that belong to no entry

_MAGIC = b"WSP1"
_HEAD = struct.Struct(">4sIII")
# array of 6, version, bin8 of 16 bytes, uint32 number
_ENVELOPE = struct.Struct(">BBBB16sBI")
_OFFSET = struct.Struct(">BQ")
_BIN = struct.Struct(">BI")
_IOV = 512

Buffers = list[bytes | memoryview]


# --- packing -------------------------------------------------------------------------------------


def pack(entry: bytes, number: int, kind: str, offset_ns: int, content: msgspec.Struct) -> Buffers:
    """One record as buffers for `SpoolWriter.append`. Raises StoreError above MAX_RECORD."""
    return _framed(_envelope(entry, number, kind, offset_ns), msgspec.msgpack.encode(content))


def pack_chunk(
    entry: bytes, number: int, kind: str, offset_ns: int, size_bytes: int, data: bytes
) -> Buffers:
    """A `request-chunk` or `response-chunk` record; the data is not copied."""
    prefix = b"\x92\xce" + size_bytes.to_bytes(4) + _BIN.pack(0xC6, len(data))
    return _framed(_envelope(entry, number, kind, offset_ns) + prefix, data)


def pack_decoded(entry: bytes, number: int, kind: str, offset_ns: int, data: bytes) -> Buffers:
    """A `request-decoded` or `response-decoded` record; the data is not copied."""
    prefix = _BIN.pack(0xC6, len(data))
    return _framed(_envelope(entry, number, kind, offset_ns) + prefix, data)


def pack_message(
    entry: bytes,
    number: int,
    offset_ns: int,
    data: bytes,
    *,
    from_client: bool,
    opcode: int,
    final: bool = True,
) -> Buffers:
    """A `message` record: one WebSocket message or a piece of it; the data is not copied."""
    flags = bytes((0x94, 0xC3 if from_client else 0xC2, opcode, 0xC3 if final else 0xC2))
    prefix = flags + _BIN.pack(0xC6, len(data))
    return _framed(_envelope(entry, number, "message", offset_ns) + prefix, data)


def _envelope(entry: bytes, number: int, kind: str, offset_ns: int) -> bytes:
    name = kind.encode()
    return (
        _ENVELOPE.pack(0x96, FORMAT, 0xC4, 16, entry, 0xCE, number)
        + bytes((0xA0 | len(name),))
        + name
        + _OFFSET.pack(0xCF, max(offset_ns, 0))
    )


def _framed(prefix: bytes, data: bytes) -> Buffers:
    size = len(prefix) + len(data)
    if size > MAX_RECORD:
        raise StoreError(f"a record of {size} bytes is longer than the spool takes ({MAX_RECORD})")
    return [_record_head(size, zlib.crc32(data, zlib.crc32(prefix))) + prefix, data]


def _record_head(size: int, payload_crc: int) -> bytes:
    first = struct.pack(">4sII", _MAGIC, size, payload_crc)
    return first + zlib.crc32(first).to_bytes(4)


# --- writing -------------------------------------------------------------------------------------


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"{number:010d}.spool"


def segments(folder: Path) -> list[int]:
    """Numbers of the segments in a writer's folder, ascending; [] if there is none."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    stems = (name.removesuffix(".spool") for name in names if name.endswith(".spool"))
    return sorted(int(stem) for stem in stems if stem.isdigit())


class SpoolWriter:
    """
    Appends records to segments of its own folder; one process, one thread appends.

    `sync` may be called by another thread. A failed append leaves no half record behind.
    """

    def __init__(
        self, root: Path, *, name: str | None = None, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self.name = name or ids.new()
        self.folder = files.private_folder(root / self.name)
        self._lock = files.take(self.folder / "lock")
        self._segment_bytes = segment_bytes
        # Never append to an old segment: its end may be torn.
        self._number = max(segments(self.folder), default=0)
        self._handle = -1
        self._end = 0
        self._torn = False
        self._unsynced: list[int] = []  # full segments, still open because not yet synced
        self.appended_bytes = 0
        self._open_next()

    def append(self, buffers: Sequence[bytes | memoryview]) -> None:
        """
        Write whole records, all of them or none.

        Raises StoreError when the disk refuses; then nothing of `buffers` is in the log, and the
        call may be repeated.
        """
        try:
            if self._torn:
                self._cut_back()
            if self._end >= self._segment_bytes:
                self._open_next()
            written = _write_all(self._handle, buffers)
        except OSError as error:
            self._torn = True
            with contextlib.suppress(OSError):
                self._cut_back()
            raise StoreError(f"the spool {self.folder} takes no more: {error.strerror}") from error
        self._end += written
        self.appended_bytes += written

    def sync(self) -> None:
        """Make all that was appended before the call durable. Raises StoreError."""
        handle = self._handle
        try:
            while self._unsynced:
                os.fsync(self._unsynced[0])
                os.close(self._unsynced.pop(0))
            os.fsync(handle)
        except OSError as error:
            raise StoreError(f"{self.folder} could not be synced: {error.strerror}") from error

    def close(self) -> None:
        """Sync and give up the lock: from now on the writer counts as dead."""
        try:
            self.sync()
        finally:
            os.close(self._handle)
            os.close(self._lock)

    def _open_next(self) -> None:
        path = segment_path(self.folder, self._number + 1)
        fresh = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        if self._handle >= 0:
            self._unsynced.append(self._handle)
        self._handle, self._end, self._number = fresh, 0, self._number + 1
        files.sync_folder(self.folder)

    def _cut_back(self) -> None:
        os.ftruncate(self._handle, self._end)
        os.lseek(self._handle, self._end, os.SEEK_SET)
        self._torn = False


def _write_all(handle: int, buffers: Sequence[bytes | memoryview]) -> int:
    total = 0
    for start in range(0, len(buffers), _IOV):
        pending = list(buffers[start : start + _IOV])
        while pending:
            count = os.writev(handle, pending)
            total += count
            while pending and count >= len(pending[0]):
                count -= len(pending.pop(0))
            if count:
                pending[0] = memoryview(pending[0])[count:]
    return total


# --- reading -------------------------------------------------------------------------------------


class Position(msgspec.Struct, frozen=True, order=True):
    """Where a reader of one writer's log stands: all before it is dealt with."""

    segment: int = 0
    offset: int = 0


class SpoolRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A sound record; `content` is msgpack, `payload` the whole of it."""

    entry: bytes
    number: int
    kind: str
    offset_ns: int
    content: msgspec.Raw
    payload: bytes


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """
    Bytes of a segment that hold no sound record, or a sound record that is no valid payload.

    `payload` is given in the second case, for the quarantine.
    """

    segment: int
    offset: int
    size_bytes: int
    reason: str
    payload: bytes | None = None


_PAYLOAD = msgspec.msgpack.Decoder(tuple[int, bytes, int, str, int, msgspec.Raw])


class SpoolReader:
    """Reads one writer's log from a position on; keeps no lock and writes nothing."""

    def __init__(self, folder: Path, position: Position | None = None) -> None:
        self.folder = folder
        self.position = position or Position()

    def is_live(self) -> bool:
        return files.is_locked(self.folder / "lock")

    def lag_bytes(self) -> int:
        """Bytes on disk behind the position."""
        total = 0
        for number in segments(self.folder):
            if number >= self.position.segment:
                with contextlib.suppress(FileNotFoundError):
                    total += segment_path(self.folder, number).stat().st_size
        return total - (self.position.offset if total else 0)

    def read(self, limit_bytes: int = 4 << 20) -> list[SpoolRecord | Damage]:
        """
        The records from the position on, in order, some `limit_bytes` of them; moves the position.

        [] means: nothing more for now, or for ever if the writer is dead. What is torn at the end
        of a living writer's newest segment is left for the next call; of a dead one it is Damage.
        """
        live = self.is_live()  # asked first: what a dead writer left is complete
        found: list[SpoolRecord | Damage] = []
        for number in segments(self.folder):
            if number < self.position.segment:
                continue
            if number > self.position.segment:
                self.position = Position(number, 0)
            newest = number == max(segments(self.folder), default=number)
            found += self._read_segment(number, limit_bytes, growing=live and newest)
            if found:
                break
        return found

    def acknowledge(self, position: Position) -> None:
        """Remove the segments before `position`; all of it is committed elsewhere."""
        for number in segments(self.folder):
            if number < position.segment:
                segment_path(self.folder, number).unlink(missing_ok=True)

    def finished(self) -> bool:
        """Whether the writer is dead and all that it left lies before the position."""
        return not self.is_live() and self.lag_bytes() <= 0

    def remove(self) -> None:
        """Delete the folder of a finished writer."""
        for number in segments(self.folder):
            segment_path(self.folder, number).unlink(missing_ok=True)
        (self.folder / "lock").unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _read_segment(
        self, number: int, limit_bytes: int, *, growing: bool
    ) -> list[SpoolRecord | Damage]:
        path = segment_path(self.folder, number)
        try:
            with path.open("rb") as file:
                start = self.position.offset
                file.seek(start)
                # The limit, and then as much as a record that begins before it may need.
                data = file.read(limit_bytes + MAX_RECORD + _HEAD.size)
        except FileNotFoundError:
            return []
        at_end = len(data) < limit_bytes + MAX_RECORD + _HEAD.size
        found: list[SpoolRecord | Damage] = []
        offset = 0
        while offset < len(data) and offset < limit_bytes:
            record, size = _record_at(data, offset)
            if record is None:
                after = _next_sound(data, offset + 1)
                if after is None and at_end and growing:
                    break  # torn, or still being written: wait
                after = len(data) if after is None else after
                size = after - offset
                record = Damage(
                    segment=number, offset=start + offset, size_bytes=size, reason="damaged bytes"
                )
            elif isinstance(record, Damage):
                record = msgspec.structs.replace(record, segment=number, offset=start + offset)
            found.append(record)
            offset += size
        self.position = Position(number, start + offset)
        return found


def _record_at(data: bytes, offset: int) -> tuple[SpoolRecord | Damage | None, int]:
    payload = _payload_at(data, offset)
    if payload is None:
        return None, 0
    size = _HEAD.size + len(payload)
    try:
        version, entry, number, kind, offset_ns, content = _PAYLOAD.decode(payload)
        if version != FORMAT or len(entry) != 16:
            raise msgspec.ValidationError(f"format {version}, entry of {len(entry)} bytes")
    except msgspec.DecodeError as error:
        damage = Damage(
            segment=0, offset=0, size_bytes=size, reason=f"unknown payload: {error}",
            payload=payload,
        )  # fmt: skip
        return damage, size
    return (
        SpoolRecord(
            entry=entry,
            number=number,
            kind=kind,
            offset_ns=offset_ns,
            content=content,
            payload=payload,
        ),
        size,
    )


def _payload_at(data: bytes, offset: int) -> bytes | None:
    """The payload of a sound record at `offset`, or None."""
    if offset + _HEAD.size > len(data):
        return None
    magic, size, payload_crc, head_crc = _HEAD.unpack_from(data, offset)
    if magic != _MAGIC or size > MAX_RECORD:
        return None
    if zlib.crc32(data[offset : offset + 12]) != head_crc:
        return None
    payload = data[offset + _HEAD.size : offset + _HEAD.size + size]
    if len(payload) != size or zlib.crc32(payload) != payload_crc:
        return None
    return payload


def _next_sound(data: bytes, offset: int) -> int | None:
    while (offset := data.find(_MAGIC, offset)) >= 0:
        if _payload_at(data, offset) is not None:
            return offset
        offset += 1
    return None


def writers(root: Path) -> Iterator[Path]:
    """The folders of all writers, living or dead, oldest first."""
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(root)):
            folder = root / name
            if folder.is_dir() and not name.startswith("."):
                yield folder
