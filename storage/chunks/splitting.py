"""
Streamed answers (server-sent events) as their text and the framing around it.

An answer is some hundred events that are alike but for a few letters of text. One behind the other
these letters are what the next request sends again, and what is around them costs hardly anything.
So a stream is taken apart into *frames* and *holes* by turns; a frame is first and last. Holes are
the strings behind some names (`"text":"..."`) and the numbers that change with every event. Which
ones is a hint of the writer's: whatever bytes the holes are, the form gives the stream again.

Form 1, for ever. All frames but the last are in a table of at most 256, each with the number of a
series. The holes are sorted by the series of the frames before them, those of one series in the
order of the stream. One behind the other stand, with the sizes that `Split` says:

    holes     sorted
    table     its frames, each with a NUL byte behind it
    last      the last frame
    series    of each frame of the table, a byte
    places    in the table, of the frame before each hole in the order of the stream, a byte each
    lengths   of the holes, sorted: the lowest byte of each, then the next byte of each, and so on
"""

import io
import re
import struct
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import count
from typing import NamedTuple

import msgspec

from storage.errors import StoreError

# Of streams that are tried: shorter ones save nothing, and the whole is joined to read a part.
_SIZES = range(1 << 10, 512 << 10)

_FORM = 1
_HEADS = (b"event:", b"data:", b":")  # one of them begins a stream
_WORTH = 0.75  # of the bytes of a stream its form may have


class Split(msgspec.Struct, frozen=True, array_like=True):
    """How to join the stored bytes again."""

    form: int
    plain_bytes: int
    holes: int
    frames: int  # in the table
    planes: int  # bytes of each length


def may_be_split(head: bytes, size_bytes: int) -> bool:
    """Whether it is worth trying, by the first bytes."""
    return size_bytes in _SIZES and head.startswith(_HEADS)


def split(data: bytes) -> tuple[Split, bytes] | None:
    """The stream in the form above; None if it has none, or that does not pay."""
    if b"\0" in data:
        return None
    hints = _hints(data)
    found = _formed(hints.pattern.split(data), hints)
    if found is None or len(found[1]) > len(data) * _WORTH or joined(*found) != data:
        return None
    return found


def joined(split: Split, plain: bytes) -> bytes:
    """The stream. Raises StoreError if these are no bytes of that form."""
    try:
        return _joined(split, plain)
    except (ValueError, IndexError, struct.error) as error:
        raise StoreError(f"it is a stream that was stored split, wrongly: {error}") from error


# --- the form -------------------------------------------------------------------------------------


def _formed(parts: list[bytes], hints: "_Hints") -> tuple[Split, bytes] | None:
    """Of the frames without the marks at their ends, and the holes, by turns."""
    holes, last = parts[1::2], parts[-1]
    table: dict[bytes, int] = defaultdict(count().__next__)
    try:
        places = bytes(map(table.__getitem__, parts[:-1:2]))
    except ValueError:  # more than 256 are different
        return None
    if not places:
        return None
    series = _series(table) if hints.is_mixed else bytes(len(table))
    order = _order(series, places)
    if order:
        holes = [holes[index] for index in order]
    lengths = list(map(len, holes))
    planes = (max(lengths).bit_length() + 7) // 8
    packed = bytes(lengths) if planes == 1 else struct.pack(f"<{len(lengths)}I", *lengths)
    step = len(packed) // len(lengths)
    plain = b"".join([
        *holes, *[frame + hints.mark(frame) + b"\0" for frame in table], last,
        series, places, *[packed[plane::step] for plane in range(planes)],
    ])  # fmt: skip
    return Split(_FORM, len(plain), len(holes), len(table), planes), plain


def _joined(split: Split, plain: bytes) -> bytes:
    lengths_at = len(plain) - split.planes * split.holes
    places_at = lengths_at - split.holes
    series_at = places_at - split.frames
    if split.form != _FORM or min(split.holes, split.frames, split.planes, series_at) < 0:
        raise ValueError(f"{split} of {len(plain)} bytes")
    places, series = plain[places_at:lengths_at], plain[series_at:places_at]
    text = io.BytesIO(plain)
    holes = list(map(text.read, _lengths(plain[lengths_at:], split.holes, split.planes)))
    *table, last = plain[text.tell() : series_at].split(b"\0")
    order = _order(series, places)
    if order:
        sorted_holes, holes = holes, [b""] * split.holes
        for index, hole in zip(order, sorted_holes, strict=True):
            holes[index] = hole
    parts = [last] * (2 * split.holes + 1)
    parts[:-1:2] = map(table.__getitem__, places)
    parts[1::2] = holes
    return b"".join(parts)


def _order(series: bytes, places: bytes) -> list[int] | None:
    """Which hole comes where when they are sorted; None: all are of one series."""
    if not any(series):
        return None
    by_hole = places.translate(series.ljust(256, b"\0"))
    return sorted(range(len(by_hole)), key=by_hole.__getitem__)


def _lengths(packed: bytes, holes: int, planes: int) -> Sequence[int]:
    if planes == 1:
        return packed
    data = bytearray(4 * holes)
    for plane in range(planes):
        data[plane::4] = packed[plane * holes : (plane + 1) * holes]
    return struct.unpack(f"<{holes}I", data)


# --- hints of the writer --------------------------------------------------------------------------

# The names of the strings and numbers that are holes, by their last five letters: to look back from
# a colon, for as many letters, is faster than to look for names.
_STRINGS = rb"(?:.text|nking|_json|ntent|oning|ments|delta|ation|input)"
_NUMBERS = rb"(?:umber|Count)"
_MIXING = (b'_number":', b'Count":', b'"obfuscation":')  # names beside the text in each event
_TEXT = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_HEAD_BYTES = 512  # which tell how a stream is written


class _Hints(NamedTuple):
    """Where the holes are in streams that are written in one way."""

    pattern: re.Pattern[bytes]  # the mark, which belongs to the frame, and the hole as a group
    colon: bytes  # behind a name, with its quotation mark
    is_mixed: bool  # holes of several names by turns

    def mark(self, frame: bytes) -> bytes:
        return self.colon if frame.endswith((b"umber", b"Count")) else self.colon + b'"'


def _hints(data: bytes) -> _Hints:
    head = data[:_HEAD_BYTES]
    # Anthropic writes its pings with spaces among events without.
    is_spaced = b'":"' not in head
    return _hints_of(is_spaced, any(map(head.__contains__, _MIXING)))


@cache
def _hints_of(is_spaced: bool, is_mixed: bool) -> _Hints:
    colon = b'": ' if is_spaced else b'":'
    string = rb'"(?<=%b%b")' % (_STRINGS, colon)
    number = rb"(?<=%b%b)" % (_NUMBERS, colon)
    if is_mixed:
        pattern = rb'%b(?:%b|%b)((?<=")%b|\d++)' % (colon, string, number, _TEXT)
    else:
        pattern = rb"%b%b(%b)" % (colon, string, _TEXT)
    return _Hints(re.compile(pattern, re.DOTALL), colon, is_mixed)


def _series(table: Iterable[bytes]) -> bytes:
    """Of frames that end with one name, a number."""
    names = [frame[frame.rfind(b'"') :] for frame in table]
    known = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return bytes(known[name] for name in names)
