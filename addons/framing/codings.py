"""
Content codings undone as the bytes come: gzip, deflate, br, zstd, and chains of them.

Source: RFC 9110 section 8.4, RFC 1952 (a gzip file may have several members), RFC 1950 and 1951
(`deflate` means zlib, but servers send the raw form too), RFC 7932, RFC 8878 (several frames).
Total: broken input sets `failed` and ends the output, it never raises. Output beyond `cap_bytes`
is dropped and sets `capped`: a small body may claim to be a very long text.
"""

import zlib
from collections.abc import Callable, Iterable
from typing import Protocol

import brotli
import zstandard

CAP_BYTES = 256 << 20
_STEP = 1 << 16  # a decoder hands out about this much at a time
_ZSTD_SLICE = 256  # zstd has no bound on a call's output; 256 bytes can hold some 8 MB of it


class _Codec(Protocol):
    def feed(self, chunk: bytes) -> Iterable[bytes]: ...

    def complete(self) -> bool: ...


class Decoder:
    """
    Bytes in, plain bytes out, for one `Content-Encoding` value.

    `known` is false for a coding that nobody here can undo: then the bytes pass through as they
    are. `truncated` is set by `finish` when the stream ended in the middle of a coding.
    """

    def __init__(self, content_encoding: bytes | None, cap_bytes: int = CAP_BYTES) -> None:
        names = [name.strip().lower() for name in (content_encoding or b"").split(b",")]
        names = [name for name in names if name not in (b"", b"identity")]
        self.known = all(name in _CODECS for name in names)
        # Codings were applied in the order of their names, so they are undone from the last.
        self._codecs = [_CODECS[name]() for name in reversed(names)] if self.known else []
        self._left = cap_bytes
        self._fed = False
        self.failed = False
        self.capped = False
        self.truncated = False

    @property
    def coded(self) -> bool:
        """Whether there is anything to undo."""
        return bool(self._codecs)

    def feed(self, chunk: bytes) -> bytes:
        """What this chunk decodes to; b"" once the decoder failed or is at its cap."""
        if not self._codecs:
            return chunk
        self._fed = self._fed or bool(chunk)
        if self.failed or self.capped:
            return b""
        plain = []
        try:
            for piece in self._through(chunk, self._codecs):
                plain.append(piece[: self._left])
                self._left -= len(plain[-1])
                if len(plain[-1]) < len(piece):
                    self.capped = True
                    break
        except (zlib.error, brotli.error, zstandard.ZstdError):
            self.failed = True
        return b"".join(plain)

    def finish(self) -> None:
        """To be called at the end of the stream; sets `truncated`."""
        if self._fed and not (self.failed or self.capped):
            self.truncated = not all(codec.complete() for codec in self._codecs)

    def _through(self, chunk: bytes, codecs: list[_Codec]) -> Iterable[bytes]:
        if not codecs:
            yield chunk
            return
        for piece in codecs[0].feed(chunk):
            yield from self._through(piece, codecs[1:])


def decode(body: bytes, content_encoding: bytes | None, cap_bytes: int = CAP_BYTES) -> bytes | None:
    """The whole plain body; None if its coding is unknown, broken, cut off or beyond the cap."""
    decoder = Decoder(content_encoding, cap_bytes)
    plain = decoder.feed(body)
    decoder.finish()
    whole = decoder.known and not (decoder.failed or decoder.capped or decoder.truncated)
    return plain if whole else None


class _Zlib:
    """gzip and zlib; the raw form of deflate where the first byte cannot be zlib's."""

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._member = zlib.decompressobj(window_bits)
        self._begun = False  # a byte of the present member came
        self._first = True

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        if self._first and chunk:
            self._first = False
            if self._window_bits == zlib.MAX_WBITS and chunk[0] & 0x0F != 8:
                self._window_bits = -zlib.MAX_WBITS
                self._member = zlib.decompressobj(self._window_bits)
        while chunk:
            if self._member.eof:
                # Another member may follow; zeros after the last one are padding (RFC 1952, 2.2).
                chunk = chunk.lstrip(b"\0")
                if not chunk:
                    return
                self._member = zlib.decompressobj(self._window_bits)
            self._begun = True
            yield self._member.decompress(chunk, _STEP)
            chunk = self._member.unconsumed_tail or self._member.unused_data
        # The inflater may hold more output than one step.
        while not self._member.eof and (rest := self._member.decompress(b"", _STEP)):
            yield rest

    def complete(self) -> bool:
        return self._member.eof or not self._begun


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()
        self._begun = False

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        self._begun = self._begun or bool(chunk)
        plain = self._stream.process(chunk, output_buffer_limit=_STEP)
        # It accepts more data as soon as it took all of the chunk, with output still to come.
        while plain or not self._stream.can_accept_more_data():
            yield plain
            plain = self._stream.process(b"", output_buffer_limit=_STEP)

    def complete(self) -> bool:
        return self._stream.is_finished() or not self._begun


class _Zstd:
    def __init__(self) -> None:
        self._context = zstandard.ZstdDecompressor()
        self._frame = self._context.decompressobj()
        self._begun = False

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        for at in range(0, len(chunk), _ZSTD_SLICE):
            part = chunk[at : at + _ZSTD_SLICE]
            while part:
                if self._frame.eof:
                    self._frame = self._context.decompressobj()
                self._begun = True
                yield self._frame.decompress(part)
                part = self._frame.unused_data if self._frame.eof else b""

    def complete(self) -> bool:
        return self._frame.eof or not self._begun


_CODECS: dict[bytes, Callable[[], _Codec]] = {
    b"gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    b"x-gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    b"deflate": lambda: _Zlib(zlib.MAX_WBITS),
    b"br": _Brotli,
    b"zstd": _Zstd,
}
