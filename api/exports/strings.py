"""JSON strings in pieces, for texts too long to hold."""

import base64
import codecs
from collections.abc import Generator, Iterable, Iterator

import msgspec

from storage.errors import NotFound, StoreError

UNREADABLE = (StoreError, NotFound)  # damaged in the store, or deleted since it was found

_encode = msgspec.json.encode


def quoted(pieces: Iterable[bytes], *, is_text: bool) -> Generator[bytes, None, str | None]:
    """
    One JSON string of all pieces: as UTF-8, what is not replaced, or as base64.

    If the store cannot go on reading, the string ends there, and the reason is returned.
    """
    fault: str | None = None
    yield b'"'
    try:
        yield from _escaped(pieces) if is_text else _base64(pieces)
    except UNREADABLE as error:
        fault = str(error)
    yield b'"'
    return fault


def _escaped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    utf8 = codecs.getincrementaldecoder("utf-8")("replace")
    for piece in pieces:
        yield _encode(utf8.decode(piece))[1:-1]
    yield _encode(utf8.decode(b"", final=True))[1:-1]


def _base64(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        data = rest + piece
        whole = len(data) // 3 * 3
        yield base64.b64encode(data[:whole])
        rest = data[whole:]
    yield base64.b64encode(rest)
