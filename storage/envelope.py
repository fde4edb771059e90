"""
One record of the spool as bytes: packing it, and finding it again among damaged bytes.

All numbers are big-endian:

    4 bytes  magic `WSP1`
    4 bytes  length of the payload
    4 bytes  CRC-32 of the payload
    4 bytes  CRC-32 of the 12 bytes before
    payload  msgpack array: format version, entry (16 bytes), number of the record in its entry
             (from 0, the `open`), kind, offset_ns (monotonic, from the start of the entry), content

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

No record is longer than MAX_RECORD, so that a reader's memory is bounded. The first byte of what
one call appends is written last: while it is zero, the record is not there yet.
"""

import struct
from typing import Annotated

import msgspec
from zlib_ng.zlib_ng import crc32

from storage.errors import StoreError

FORMAT = 1
MAX_RECORD = 8 << 20
MAX_DATA = 1 << 20  # of one chunk's or message piece's data; a writer splits longer ones
NIL = bytes(16)  # the entry of records that belong to no entry

_COPIED_BYTES = 4 << 10  # a shorter record is a copy, for a view of it takes longer to make

MAGIC = b"WSP1"
HEAD = struct.Struct(">4sIII")
_HEAD_BYTES = HEAD.size
_MAGIC_CRC = crc32(MAGIC)
# array of 6, version, bin8 of 16 bytes, uint32 number
_ENVELOPE = struct.Struct(">BBBB16sBI")
_OFFSET = struct.Struct(">BQ")
_BIN = struct.Struct(">BI")

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
    first = struct.pack(">4sII", MAGIC, size, crc32(data, crc32(prefix)))
    return [first + crc32(first).to_bytes(4) + prefix, data]


# --- finding -------------------------------------------------------------------------------------


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A record's first 16 bytes, sound in themselves."""

    payload_bytes: int
    payload_crc: int
    published: bool  # false: the call that appended it had not returned

    @property
    def record_bytes(self) -> int:
        return HEAD.size + self.payload_bytes


def head_at(data: bytes, offset: int) -> Head | None:
    """The head at `offset`, or None if there is no sound one."""
    if offset + HEAD.size > len(data):
        return None
    magic, size, payload_crc, head_crc = HEAD.unpack_from(data, offset)
    if magic[1:] != MAGIC[1:] or magic[0] not in (MAGIC[0], 0) or size > MAX_RECORD:
        return None
    if _head_crc(data, offset) != head_crc:
        return None
    return Head(payload_bytes=size, payload_crc=payload_crc, published=magic[0] != 0)


def _head_crc(data: bytes, offset: int) -> int:
    return crc32(data[offset + 4 : offset + 12], _MAGIC_CRC)


def payload_at(data: bytes, offset: int, head: Head) -> bytes | None:
    """The payload of the record at `offset`, or None if its bytes are not all there and sound."""
    payload = data[offset + HEAD.size : offset + head.record_bytes]
    if len(payload) != head.payload_bytes or crc32(payload) != head.payload_crc:
        return None
    return payload


class SpoolRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    A sound record; `content` is msgpack, `payload` the whole of it.

    Long ones are views of a piece of the log, which stays in memory as long as they do.
    """

    segment: int  # where it stands in the log of its writer
    offset: int
    entry: bytes
    number: int
    kind: str
    offset_ns: int
    content: msgspec.Raw
    payload: bytes | memoryview


_INTEGER = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]  # what the tables can hold
_ENTRY = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
_PAYLOAD = msgspec.msgpack.Decoder(tuple[int, _ENTRY, _INTEGER, str, _INTEGER, msgspec.Raw])


def sound_from(
    data: bytes, offset: int, stop: int, most: int, *, segment: int, start: int
) -> tuple[list[SpoolRecord], int]:
    """
    Records from `offset` on, each whole, published and sound; and where the last one ends.

    They begin before `stop` and are at most `most`; `start` is the place of `data` in the segment.
    """
    found: list[SpoolRecord] = []
    view, length = memoryview(data), len(data)
    stop = min(stop, length - HEAD.size + 1)
    # All that is recorded goes through these lines, an answer in thousands of pieces.
    unpack, crc, decode = HEAD.unpack_from, crc32, _PAYLOAD.decode
    while offset < stop and len(found) < most:
        magic, size, payload_crc, head_crc = unpack(data, offset)
        at = offset + _HEAD_BYTES
        end = at + size
        if magic != MAGIC or size > MAX_RECORD or end > length:
            break
        payload = data[at:end] if size < _COPIED_BYTES else view[at:end]
        if crc(payload) != payload_crc or crc(data[offset : at - 4]) != head_crc:
            break
        try:
            version, entry, number, kind, offset_ns, content = decode(payload)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            break  # `open_payload` says why
        if version != FORMAT:
            break
        found.append(
            SpoolRecord(
                segment=segment,
                offset=start + offset,
                entry=entry,
                number=number,
                kind=kind,
                offset_ns=offset_ns,
                content=content,
                payload=payload,
            )
        )
        offset = end
    return found, offset


def open_payload(payload: bytes | memoryview, segment: int = 0, offset: int = 0) -> SpoolRecord:
    """The record of a sound payload. Raises ValueError with the reason if it is none."""
    try:
        version, entry, number, kind, offset_ns, content = _PAYLOAD.decode(payload)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"unknown payload: {error}") from error
    if version != FORMAT:
        raise ValueError(f"unknown payload: format {version}")
    return SpoolRecord(
        segment=segment,
        offset=offset,
        entry=entry,
        number=number,
        kind=kind,
        offset_ns=offset_ns,
        content=content,
        payload=payload,
    )
