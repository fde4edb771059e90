"""The file that is imported: its digest, its kind, and its contents where it is compressed."""

import contextlib
import hashlib
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from storage import files, ids
from storage.errors import StoreError, Unreadable

FILE_BYTES = 1 << 30
RATIO = 200  # contents to file, of one that is compressed
RATIO_FROM_BYTES = 1 << 20

Kind = Literal["har", "flows"]
OnBytes = Callable[[int], None]

_STEP_BYTES = 1 << 16
_GZIP, _ZLIB = b"\x1f\x8b", (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_BOM = b"\xef\xbb\xbf"


def digest(path: Path, limit_bytes: int = FILE_BYTES) -> str:
    """The SHA-256 of a file. Raises Unreadable if it is empty, too long or cannot be read."""
    found, size_bytes = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while piece := file.read(_STEP_BYTES):
                size_bytes += len(piece)
                if size_bytes > limit_bytes:
                    raise Unreadable("the file is too long", f"more than {limit_bytes >> 20} MB")
                found.update(piece)
    except OSError as error:
        raise Unreadable(f"{path} cannot be read", error.strerror) from error
    if not size_bytes:
        raise Unreadable("the file is empty")
    return found.hexdigest()


@contextlib.contextmanager
def plain(path: Path, folder: Path, limit_bytes: int = FILE_BYTES) -> Iterator[Path]:
    """
    The file, or its contents for the length of a block where it is gzip or zlib (mitmproxy's
    `.zhar`). Raises Unreadable, StoreError.
    """
    with path.open("rb") as file:
        beginning = file.read(2)
    if beginning != _GZIP and beginning not in _ZLIB:
        yield path
        return
    fresh = folder / f".import-{ids.new()}{files.FRESH_SUFFIX}"
    try:
        _inflate(path, fresh, limit_bytes)
        yield fresh
    finally:
        fresh.unlink(missing_ok=True)


def kind(path: Path) -> Kind:
    """By its first signs. Raises Unreadable if it is neither."""
    with path.open("rb") as file:
        beginning = file.read(4096).removeprefix(_BOM).lstrip()
    if beginning.startswith(b"{"):
        return "har"
    if beginning[:1].isdigit() and b":" in beginning[:14]:
        return "flows"
    raise Unreadable("this is neither a HAR file nor a flow file of mitmproxy")


def _inflate(path: Path, fresh: Path, limit_bytes: int) -> None:
    stream = zlib.decompressobj(zlib.MAX_WBITS | 32)  # finds out which of the two it is
    read_bytes = made_bytes = 0
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with path.open("rb") as file, os.fdopen(handle, "wb") as out:
            while not stream.eof and (piece := file.read(_STEP_BYTES)):
                read_bytes += len(piece)
                while piece and not stream.eof:
                    made = stream.decompress(piece, _STEP_BYTES)
                    made_bytes += out.write(made)
                    _check(made_bytes, read_bytes, limit_bytes)
                    piece = stream.unconsumed_tail
    except zlib.error as error:
        raise Unreadable("the file's compression is damaged", str(error)) from error
    except OSError as error:
        raise StoreError(f"{fresh} could not be written: {error.strerror}") from error


def _check(made_bytes: int, read_bytes: int, limit_bytes: int) -> None:
    if made_bytes > limit_bytes:
        raise Unreadable("the file's contents are too long", f"more than {limit_bytes >> 20} MB")
    if made_bytes > RATIO_FROM_BYTES and made_bytes > read_bytes * RATIO:
        raise Unreadable("the file claims to hold too much", f"more than {RATIO} times its length")
