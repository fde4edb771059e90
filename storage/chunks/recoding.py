"""
Bodies stored in another form that gives the same bytes again; their `Coding` says which and how.

Event streams are stored split (`splitting`), bodies that came zstd-coded are stored decoded. An
agent that sends its conversation again with every turn and codes each request would store each
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

from storage.chunks import flips, splitting
from storage.chunks.splitting import Split
from storage.errors import StoreError

# Of coded bodies that are tried: shorter ones save nothing, of longer ones reading would be slow.
_SIZES = range(4 << 10, 2 << 20)

_MAGIC = bytes.fromhex("28b52ffd")
HEAD_BYTES = 8  # of a body tell whether it is worth trying
_PLAIN_BYTES = 4 << 20  # at most; the whole is coded again to read a part
_BLOCK_BYTES = 128 << 10  # a wrong guess shows in the first one
_LEVELS = (3, 1, 2, 4, 5, 6)

_local = threading.local()


class Coded(msgspec.Struct, frozen=True, array_like=True):
    """How to code the stored bytes again with zstd."""

    library: str
    level: int
    has_size: bool
    has_checksum: bool
    plain_bytes: int


type Coding = Coded | Split

_CODED = msgspec.msgpack.Decoder(Coded)
_SPLIT = msgspec.msgpack.Decoder(Split)


def pack(coding: Coding) -> bytes:
    data = msgspec.msgpack.encode(coding)
    return data + flips.seal(data)


def unpack(data: bytes) -> Coding:
    """Damage within one byte undone, which the digest of the body proves. Raises StoreError."""
    found = [data] if flips.is_sound(data) else [mended for _, mended in flips.proposals(data)]
    for sealed in found:
        # Behind the byte for a list stands a text of the one, a small number of the other.
        decoder = _SPLIT if sealed[1:2] < b"\x80" else _CODED
        with contextlib.suppress(msgspec.DecodeError):
            return decoder.decode(sealed[:-4])
    raise StoreError("how it was coded is damaged")


def library() -> str:
    return f"zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))}"


def may_be_coded(head: bytes, size_bytes: int) -> bool:
    """Whether it is worth trying, by the first bytes of a body."""
    if head.startswith(_MAGIC):
        return size_bytes in _SIZES
    return splitting.may_be_split(head, size_bytes)


def undone(data: bytes) -> tuple[Coding, bytes] | None:
    """What to store, and how it becomes these bytes again; None: they are stored as they are."""
    if not may_be_coded(data[:HEAD_BYTES], len(data)):
        return None
    return _decoded(data) if data.startswith(_MAGIC) else splitting.split(data)


def again(coding: Coding, plain: bytes) -> bytes:
    """The bytes that came; the caller proves them by their digest. Raises StoreError."""
    if isinstance(coding, Split):
        return splitting.joined(coding, plain)
    return b"".join(_coded(coding, plain))


def failure(coding: Coding) -> StoreError:
    """What to say if the bytes are not those that came."""
    if isinstance(coding, Split) or coding.library == library():
        return StoreError("its bytes have another digest")
    return StoreError(
        f"it came coded and is stored decoded; {coding.library} gives its bytes again, "
        f"{library()} does not: read it with a zstandard of that version"
    )


def _decoded(coded: bytes) -> tuple[Coded, bytes] | None:
    plain = _plain(coded)
    if plain is None:
        return None
    frame = zstandard.get_frame_parameters(coded)
    has_size = frame.content_size == len(plain)
    known = getattr(_local, "level", _LEVELS[0])  # an agent codes all its requests alike
    for level in sorted(_LEVELS, key=lambda level: level != known):
        coding = Coded(library(), level, has_size, frame.has_checksum, len(plain))
        if _gives(coding, plain, coded):
            _local.level = level
            return coding, plain
    return None


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


def _gives(coding: Coded, plain: bytes, coded: bytes) -> bool:
    at = 0
    for piece in _coded(coding, plain):
        if coded[at : at + len(piece)] != piece:
            return False
        at += len(piece)
    return at == len(coded)


def _coded(coding: Coded, plain: bytes) -> Iterator[bytes]:
    compressor = zstandard.ZstdCompressor(
        level=coding.level,
        write_checksum=coding.has_checksum,
        write_content_size=coding.has_size,
    )
    stream = compressor.compressobj(size=len(plain) if coding.has_size else -1)
    for at in range(0, len(plain), _BLOCK_BYTES):
        yield stream.compress(plain[at : at + _BLOCK_BYTES])
    yield stream.flush()
