"""
Content codings undone in small units, so that coded bytes and decoded text can be told apart.

A decoder splits coded bytes into units and shows what each one decodes to, never more than some
MAX_OUTPUT_BYTES at a time: a bomb is met step by step. Deflate and brotli decoders show every
symbol whose last bit has come, so of what was let go at most one symbol, a single literal, is not
seen yet. zstd shows whole blocks; its units are blocks.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import brotli
import zstandard

from addons.redaction import zstdblocks

UNIT_BYTES: Final = 2048
MAX_OUTPUT_BYTES: Final = 64 << 10
GZIP_MAGIC: Final = b"\x1f\x8b"

_GZIP = 16 + zlib.MAX_WBITS

# What a decoder raises at bytes that are not in its coding.
ERRORS: Final = (zlib.error, brotli.error, zstandard.ZstdError, zstdblocks.MalformedError)


class Decoder(Protocol):
    """One coded body. Every method may raise ERRORS."""

    def units(self, chunk: bytes) -> Iterator[bytes]:
        """The coded units that are complete with `chunk`, in order."""

    def decode(self, unit: bytes) -> Iterator[bytes]:
        """What the next unit decodes to, piece by piece."""

    @property
    def is_sure(self) -> bool:
        """Did the body begin as this coding does? (Brotli has no mark, so it never does.)"""


class _Sliced:
    def units(self, chunk: bytes) -> Iterator[bytes]:
        for at in range(0, len(chunk), UNIT_BYTES):
            yield chunk[at : at + UNIT_BYTES]


class Deflate(_Sliced):
    """gzip (also of several members), or HTTP's `deflate`: zlib by the RFC, raw by some servers."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._start = b""  # the first bytes, until it can be told what they are
        self._inflate: zlib._Decompress | None = None

    @property
    def is_sure(self) -> bool:
        return self._gzip and self._start.startswith(GZIP_MAGIC)

    def decode(self, unit: bytes) -> Iterator[bytes]:
        if self._inflate is None:
            unit = self._start = self._start + unit
            if len(unit) < 2:
                return
            self._inflate = zlib.decompressobj(self._window_bits())
        more = True
        while more:
            text = self._inflate.decompress(unit, MAX_OUTPUT_BYTES)
            yield text
            unit = self._inflate.unconsumed_tail
            if self._inflate.eof:
                unit = self._inflate.unused_data.lstrip(b"\0")  # padding behind gzip members
                if unit and not self._gzip:
                    raise zlib.error("bytes after the end of a deflate stream")
                self._inflate = zlib.decompressobj(_GZIP) if unit else self._inflate
            # A full buffer may leave text inside that is due for input already taken.
            more = bool(unit) or len(text) == MAX_OUTPUT_BYTES

    def _window_bits(self) -> int:
        if self._gzip:
            return _GZIP
        is_zlib = self._start[0] & 15 == 8 and int.from_bytes(self._start[:2]) % 31 == 0
        return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS


class Brotli(_Sliced):
    is_sure = False

    def __init__(self) -> None:
        self._inflate = brotli.Decompressor()

    def decode(self, unit: bytes) -> Iterator[bytes]:
        # Not `can_accept_more_data`: it may say yes while text for what it took is still inside.
        while text := self._inflate.process(unit, output_buffer_limit=MAX_OUTPUT_BYTES):
            yield text
            unit = b""


class Zstd:
    def __init__(self) -> None:
        self._blocks = zstdblocks.Blocks()
        self._frame = zstandard.ZstdDecompressor().decompressobj()

    def units(self, chunk: bytes) -> Iterator[bytes]:
        return self._blocks.feed(chunk)

    def decode(self, unit: bytes) -> Iterator[bytes]:
        if self._frame.eof:
            self._frame = zstandard.ZstdDecompressor().decompressobj()
        yield self._frame.decompress(unit)

    @property
    def is_sure(self) -> bool:
        return self._blocks.has_begun


CODINGS: Final[dict[str, Callable[[], Decoder]]] = {
    "gzip": lambda: Deflate(gzip=True),
    "x-gzip": lambda: Deflate(gzip=True),
    "deflate": lambda: Deflate(gzip=False),
    "br": Brotli,
    "zstd": Zstd,
}
# Said by servers of bodies that are not coded at all.
PLAIN: Final = frozenset({"identity", "none", "binary", "utf-8", "utf8", "aws-chunked"})


def codings(content_encoding: str | None) -> list[str]:
    """The codings of a Content-Encoding header, in order, without those that change nothing."""
    names = (name.strip().lower() for name in (content_encoding or "").split(","))
    return [name for name in names if name and name not in PLAIN]


def decoded(names: list[str], body: bytes, limit_bytes: int) -> bytes | None:
    """All of a small body; None if it cannot be decoded or is longer than the limit."""
    if len(names) != 1 or names[0] not in CODINGS:
        return None
    decoder, text = CODINGS[names[0]](), bytearray()
    try:
        for unit in decoder.units(body):
            for piece in decoder.decode(unit):
                text += piece
                if len(text) > limit_bytes:
                    return None
    except ERRORS:
        return None
    return bytes(text)
