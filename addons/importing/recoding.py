"""
Content codings put on again.

A HAR holds bodies without their coding, but the heads still name it. What reads the record goes by
the heads, so the body gets a coding again: not the bytes that crossed, but the same text.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import brotli
import zstandard

from addons.importing.exchange import Piece

_LEVEL = 6
_QUALITY = 4  # of brotli: its default takes a hundred times as long


class _Encoder(Protocol):
    def feed(self, data: bytes) -> bytes: ...

    def flush(self) -> bytes:
        """What makes all that was fed readable."""

    def finish(self) -> bytes: ...


def can(coding: bytes | None) -> bool:
    """Whether this Content-Encoding can be put on; chains of codings cannot."""
    return coding is not None and coding.strip().lower() in _ENCODERS


def recoded(pieces: Iterable[Piece], coding: bytes, *, is_whole: bool) -> Iterator[Piece]:
    """
    The pieces in a coding that `can` be put on, each readable at its own moment.

    Not `is_whole`: the stream ends without an end of its coding, as one that was cut off.
    """
    encoder = _ENCODERS[coding.strip().lower()]()
    offset_ns: int | None = None
    for piece in pieces:
        offset_ns = piece.offset_ns
        data = encoder.feed(piece.data)
        if offset_ns is not None:
            data += encoder.flush()
        if data:
            yield Piece(data, offset_ns)
    rest = encoder.finish() if is_whole else encoder.flush()
    if rest:
        yield Piece(rest, offset_ns)


class _Zlib:
    def __init__(self, window_bits: int) -> None:
        self._stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, window_bits)

    def feed(self, data: bytes) -> bytes:
        return self._stream.compress(data)

    def flush(self) -> bytes:
        return self._stream.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._stream.flush()


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Compressor(quality=_QUALITY)

    def feed(self, data: bytes) -> bytes:
        found: bytes = self._stream.process(data)
        return found

    def flush(self) -> bytes:
        found: bytes = self._stream.flush()
        return found

    def finish(self) -> bytes:
        found: bytes = self._stream.finish()
        return found


class _Zstd:
    def __init__(self) -> None:
        self._stream = zstandard.ZstdCompressor().compressobj()

    def feed(self, data: bytes) -> bytes:
        return self._stream.compress(data)

    def flush(self) -> bytes:
        return self._stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def finish(self) -> bytes:
        return self._stream.flush()


_ENCODERS: dict[bytes, Callable[[], _Encoder]] = {
    b"gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    b"x-gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    b"deflate": lambda: _Zlib(zlib.MAX_WBITS),
    b"br": _Brotli,
    b"zstd": _Zstd,
}
