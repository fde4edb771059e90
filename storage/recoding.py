"""
Bodies that came zstd-coded, stored decoded where coding them again gives the same bytes.

An agent that sends its conversation again with every turn and codes each request would store each
nearly whole: coded bytes are alike only up to the first change. Decoded they cost what is new.

Which encoder it was is found out by trying, at the time of writing, and proved each time by the
digest of what came. The encoder's library is recorded: another version may code otherwise, and then
reading says which one is needed. Only zstd is done so, because its library comes with a wheel of
ours and its output depends on nothing else. Of gzip there are many encoders, of which CPython's own
(zlib here, zlib-ng there) gives none of the captured bytes again; nobody sends brotli.
"""

import contextlib
import threading
from collections.abc import Iterator

import msgspec
import zstandard

from storage import flips
from storage.errors import StoreError

#: of coded bodies that are tried: shorter ones save nothing, of longer ones reading would be slow
SIZES = range(4 << 10, 2 << 20)

_MAGIC = bytes.fromhex("28b52ffd")
HEAD_BYTES = len(_MAGIC)  # of a body tell whether it is worth trying
_PLAIN_BYTES = 4 << 20  # at most; the whole is coded again to read a part
_BLOCK_BYTES = 128 << 10  # a wrong guess shows in the first one
_LEVELS = (3, 1, 2, 4, 5, 6)

_local = threading.local()


class Coding(msgspec.Struct, frozen=True, array_like=True):
    """How to code the stored bytes again."""

    library: str
    level: int
    has_size: bool
    has_checksum: bool
    plain_bytes: int


_DECODE = msgspec.msgpack.Decoder(Coding)


def pack(coding: Coding) -> bytes:
    data = msgspec.msgpack.encode(coding)
    return data + flips.seal(data)


def unpack(data: bytes) -> Coding:
    """Damage within one byte undone, which the digest of the body proves. Raises StoreError."""
    found = [data] if flips.is_sound(data) else [mended for _, mended in flips.proposals(data)]
    for sealed in found:
        with contextlib.suppress(msgspec.DecodeError):
            return _DECODE.decode(sealed[:-4])
    raise StoreError("how it was coded is damaged")


def library() -> str:
    return f"zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))}"


def may_be_coded(head: bytes, size_bytes: int) -> bool:
    """Whether it is worth trying, by the first bytes of a body."""
    return head.startswith(_MAGIC) and size_bytes in SIZES


def undone(coded: bytes) -> tuple[Coding, bytes] | None:
    """The plain bytes, and how they become these again; None if that is not known."""
    if not may_be_coded(coded[:HEAD_BYTES], len(coded)):
        return None
    plain = _plain(coded)
    if plain is None:
        return None
    frame = zstandard.get_frame_parameters(coded)
    has_size = frame.content_size == len(plain)
    known = getattr(_local, "level", _LEVELS[0])  # an agent codes all its requests alike
    for level in sorted(_LEVELS, key=lambda level: level != known):
        coding = Coding(library(), level, has_size, frame.has_checksum, len(plain))
        if _gives(coding, plain, coded):
            _local.level = level
            return coding, plain
    return None


def again(coding: Coding, plain: bytes) -> bytes:
    """The coded bytes; the caller proves them by their digest."""
    return b"".join(_coded(coding, plain))


def failure(coding: Coding) -> StoreError:
    """What to say if the bytes are not those that came."""
    if coding.library == library():
        return StoreError("its bytes have another digest")
    return StoreError(
        f"it came coded and is stored decoded; {coding.library} gives its bytes again, "
        f"{library()} does not: read it with a zstandard of that version"
    )


def _plain(coded: bytes) -> bytes | None:
    """None: not one whole frame, or too long."""
    stream = zstandard.ZstdDecompressor(max_window_size=_PLAIN_BYTES).decompressobj()
    plain = bytearray()
    try:
        for at in range(0, len(coded), 256):  # which may hold 8 MB
            plain += stream.decompress(coded[at : at + 256])
            if len(plain) > _PLAIN_BYTES or (stream.eof and at + 256 < len(coded)):
                return None
    except zstandard.ZstdError:
        return None
    return bytes(plain) if stream.eof and not stream.unused_data else None


def _gives(coding: Coding, plain: bytes, coded: bytes) -> bool:
    at = 0
    for piece in _coded(coding, plain):
        if coded[at : at + len(piece)] != piece:
            return False
        at += len(piece)
    return at == len(coded)


def _coded(coding: Coding, plain: bytes) -> Iterator[bytes]:
    compressor = zstandard.ZstdCompressor(
        level=coding.level,
        write_checksum=coding.has_checksum,
        write_content_size=coding.has_size,
    )
    stream = compressor.compressobj(size=len(plain) if coding.has_size else -1)
    for at in range(0, len(plain), _BLOCK_BYTES):
        yield stream.compress(plain[at : at + _BLOCK_BYTES])
    yield stream.flush()
