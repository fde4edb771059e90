"""
Quotes: content that says again what stands in a body, compressed against the bytes there.

Projected rows say decoded what the bodies hold. So the stretches of a body that say it are the
dictionary that a row is compressed with: what is left are a few bytes, and which chunks of the
store these stretches are. A chunk keeps its number for ever and stays as long as a body with it is
in use; a row goes before the bodies of the entries that it was made from.

Content begins with a byte that tells its form:

    0, 2  no quotes, as storage.squeezing has it
    3     the places of the stretches, and a zstd frame without its magic number, made against
          storage.projection.known.PARTS and the text of the stretches
    4     the same, and the stretches as they stand too: for JSON that is kept as it came

Which bytes a dictionary has is part of the form: tables.VERSION rises with any change of it.
"""

import sqlite3
from collections.abc import Sequence
from typing import Protocol

import msgspec
import zstandard

from storage import varints
from storage.chunks import packed, packs
from storage.chunks.recipes import Run, Stretch
from storage.errors import StoreError
from storage.projection import known
from storage.records import Side
from storage.squeezing import Squeezer

_QUOTED, _QUOTED_RAW = b"\x03", b"\x04"
_LEVEL = 6
_LONG_BYTES = 64 << 10
_LEVEL_LONG = 1
_MOST_HASH_LOG = 22
_MAGIC = b"\x28\xb5\x2f\xfd"
_HEAD = _MAGIC + b"\xa0"  # frame header of one segment: the content's size follows in 4 bytes
_MOST_BLOCK = 128 << 10
_TRIES = 5  # to read what is packed anew meanwhile

_SQUEEZER = Squeezer(known.PARTS)

# JSON text is read as if it were one string. A quotation mark is no sign of a string, so it is read
# as another escape and put back: one that is escaped stays, those around strings become an "f".
_TEXT = msgspec.json.Decoder(str)
_AS_STRING = bytes.maketrans(bytes([*range(32), ord('"')]), b" " * 32 + b"f")
_FROM_STRING = bytes.maketrans(b"\f", b'"')
# What cannot be read so (cut in an escape, half a surrogate): an escaped backslash comes first, so
# that it begins no other escape, and is put back last.
_ESCAPES = ((rb"\\", b"\0"), (rb"\n", b"\n"), (rb"\"", b'"'), (rb"\t", b"\t"), (b"\0", b"\\"))


class Said(msgspec.Struct, frozen=True):
    """A text of a row. `is_json`: it may stand in a body as it is."""

    text: str
    is_json: bool = False


class Source(Protocol):
    """What rows may quote."""

    def quote(self, data: bytes, said: Sequence[Said], side: Side) -> bytes | None:
        """Content of `data`, which says these texts; None: nothing of it was found."""
        ...


def squeeze(data: bytes) -> bytes:
    """Content without quotes."""
    return _SQUEEZER.squeeze(data)


def unsqueeze(content: bytes) -> bytes:
    """The data of content that has no quotes. Raises ValueError if it is none."""
    return _SQUEEZER.unsqueeze(content)


def quote(data: bytes, stretches: Sequence[tuple[Stretch, bytes]]) -> bytes:
    """Content that quotes these stretches, which are given with their bytes."""
    raw = b"".join(piece for _, piece in stretches)
    form = _QUOTED_RAW if b"\\" in data and b"\\" in raw else _QUOTED
    places = bytearray()
    _put_places(places, [stretch for stretch, _ in stretches])
    head = bytearray()
    varints.put(head, len(places))
    return form + head + places + _compress(data, _dictionary(form, raw))


def is_quoted(content: bytes) -> bool:
    return content[:1] >= _QUOTED


class Opener:
    """Gives the data of content; for one thread, with its connection."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._reader = packs.Reader(conn)
        self._pack: packs.Pack | None = None  # what was read last lay there

    def open(self, content: bytes) -> bytes:
        """Raises StoreError if what it quotes is damaged, packs.Missing if that is gone."""
        form = content[:1]
        if form < _QUOTED:
            return unsqueeze(content)
        try:
            size_bytes, at = varints.take(content, 1)
            frame_at = at + size_bytes
            places = _places(content[at:frame_at])
        except (IndexError, ValueError) as error:
            raise StoreError(f"what a quote names is damaged: {error}") from error
        found = [self._read(*place) for place in places]
        raw = found[0] if len(found) == 1 else b"".join(found)
        try:
            return _decompress(content[frame_at:], _dictionary(form, raw))
        except zstandard.ZstdError as error:
            raise StoreError(f"what is quoted is not what it was: {error}") from error

    def _read(self, skip_bytes: int, size_bytes: int, runs: Sequence[Run]) -> bytes:
        """The bytes of a stretch; if they are not what they were, the frame does not open."""
        pack = self._pack
        if pack is not None and len(runs) == 1 and not pack.bad:
            # What a page shows lies together.
            low = runs[0][0] - pack.first
            high = low + runs[0][1]
            if low >= 0 and high <= pack.count:
                start = pack.offsets[low] + skip_bytes
                if start + size_bytes <= pack.offsets[high]:
                    return pack.plain[start : start + size_bytes]
        for _ in range(_TRIES):
            found = self._chunks(runs)
            if found is not None:
                data = found[skip_bytes : skip_bytes + size_bytes]
                if len(data) != size_bytes:
                    raise StoreError("what is quoted has another size")
                return data
            self._reader.forget()
        raise StoreError("what is quoted is packed anew again and again")

    def _chunks(self, runs: Sequence[Run]) -> bytes | None:
        """All bytes of these chunks; None if a pack was written anew meanwhile."""
        found = []
        for first, count in runs:
            while count:
                place = self._reader.place(first)
                pack = self._pack = self._reader.pack(place)
                if pack is None:
                    return None
                low = first - place.first
                high = min(low + count, pack.count)
                offsets = pack.offsets[low : high + 1]
                if len(set(offsets)) < len(offsets):
                    raise packs.Missing(f"a chunk from {first} on is gone")
                found.append(pack.span(low, high, 0, offsets[-1] - offsets[0]))
                first, count = first + high - low, count - (high - low)
        return b"".join(found)


# --- the form -------------------------------------------------------------------------------------


def _put_places(data: bytearray, stretches: Sequence[Stretch]) -> None:
    """Of each: bytes to skip, size, how many runs; of a run how far it is from the former one."""
    expected = 0
    for stretch in stretches:
        for value in (stretch.skip_bytes, stretch.size_bytes, len(stretch.runs)):
            varints.put(data, value)
        for first, count in stretch.runs:
            varints.put_signed(data, first - expected)
            varints.put(data, count)
            expected = first + count


def _places(data: bytes) -> list[tuple[int, int, list[Run]]]:
    """The fields of the stretches."""
    values = _numbers(data)
    found = []
    at = expected = 0
    while at < len(values):
        skip_bytes, size_bytes, left = values[at : at + 3]
        at += 3
        stop = at + 2 * left
        runs = []
        while at < stop:
            moved, count = values[at : at + 2]
            at += 2
            first = expected + (-(moved + 1 >> 1) if moved & 1 else moved >> 1)
            runs.append((first, count))
            expected = first + count
        found.append((skip_bytes, size_bytes, runs))
    return found


def _numbers(data: bytes) -> list[int]:
    """As `varints.take` gives them, but all at once: a page has a thousand."""
    found = []
    value = shift = 0
    for byte in data:
        if byte & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
        else:
            found.append(value | byte << shift)
            value = shift = 0
    return found


def _dictionary(form: bytes, raw: bytes) -> bytes:
    text = _unescaped(raw)
    return known.PARTS + raw + text if form == _QUOTED_RAW else known.PARTS + text


def _unescaped(raw: bytes) -> bytes:
    """About what JSON says there: a dictionary need not be right, only always the same."""
    if b"\\" not in raw:
        return raw
    try:
        text = _TEXT.decode(b'"' + raw.translate(_AS_STRING) + b'"')
        return text.encode().translate(_FROM_STRING)
    except (msgspec.DecodeError, UnicodeError):
        for escape, sign in _ESCAPES:
            raw = raw.replace(escape, sign)
        return raw


def _compress(data: bytes, dictionary: bytes) -> bytes:
    window_log = max((len(data) + len(dictionary)).bit_length(), zstandard.WINDOWLOG_MIN)
    is_long = len(data) > _LONG_BYTES
    parameters = zstandard.ZstdCompressionParameters.from_level(
        _LEVEL_LONG if is_long else _LEVEL,
        source_size=len(data),
        dict_size=len(dictionary),
        window_log=window_log,
        # All of a long dictionary must be found again.
        **({"hash_log": min(window_log, _MOST_HASH_LOG)} if is_long else {}),
        write_checksum=True,
        format=zstandard.FORMAT_ZSTD1_MAGICLESS,
    )
    return zstandard.ZstdCompressor(
        compression_params=parameters, dict_data=_as_dictionary(dictionary)
    ).compress(data)


def _decompress(frame: bytes, dictionary: bytes) -> bytes:
    """Raises ZstdError."""
    # As a chain of frames, for a decompressor of its own for each dictionary is dear to make.
    chain: list[bytes | bytearray | memoryview] = [_stored(dictionary), _MAGIC + frame]
    return packed.decompressor().decompress_content_dict_chain(chain)


def _stored(data: bytes) -> bytes:
    """A zstd frame of blocks that are not compressed (RFC 8878, 3.1.1)."""
    size_bytes = len(data)
    head = _HEAD + size_bytes.to_bytes(4, "little")
    if size_bytes <= _MOST_BLOCK:
        return head + (size_bytes << 3 | 1).to_bytes(3, "little") + data
    pieces = [head]
    for at in range(0, len(data), _MOST_BLOCK):
        piece = data[at : at + _MOST_BLOCK]
        is_last = at + _MOST_BLOCK >= len(data)
        pieces += ((len(piece) << 3 | is_last).to_bytes(3, "little"), piece)
    return b"".join(pieces)


def _as_dictionary(data: bytes) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(data, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
