"""
The spool: the append-only log between the proxy and the server.

    spool/<writer>/lock              held (flock) for as long as the writer lives
    spool/<writer>/0000000001.spool  segments, numbered from 1; only the newest one grows

A segment is a sequence of records; storage.envelope says what is in one.
"""

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from storage import files, ids
from storage.envelope import FORMAT as FORMAT
from storage.envelope import MAX_DATA as MAX_DATA
from storage.envelope import MAX_RECORD as MAX_RECORD
from storage.envelope import NIL as NIL
from storage.envelope import Buffers as Buffers
from storage.envelope import SpoolRecord as SpoolRecord
from storage.envelope import pack as pack
from storage.envelope import pack_chunk as pack_chunk
from storage.envelope import pack_decoded as pack_decoded
from storage.envelope import pack_message as pack_message
from storage.errors import Busy, StoreError
from storage.segment import Damage as Damage
from storage.segment import Window

SEGMENT_BYTES = 16 << 20

_IOV = 512  # buffers of one system call


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"{number:010d}.spool"


def segments(folder: Path) -> list[int]:
    """Numbers of the segments in a writer's folder, ascending; [] if there is none."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    stems = (name.removesuffix(".spool") for name in names if name.endswith(".spool"))
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit())


def writers(root: Path) -> Iterator[Path]:
    """The folders of all writers, living or dead, oldest first."""
    try:
        with os.scandir(root) as found:
            names = [one.name for one in found if one.is_dir() and not one.name.startswith(".")]
    except FileNotFoundError:
        return
    for name in sorted(names):
        yield root / name


# --- writing -------------------------------------------------------------------------------------


class SpoolWriter:
    """
    Appends records to segments of its own folder; one process, one thread appends.

    `sync` may be called by another thread. A failed append leaves nothing behind. A name is for
    one writer: a second one may only go on while the server has not finished with the first.
    """

    def __init__(
        self, root: Path, *, name: str | None = None, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self.name = name or ids.new()
        self.folder = root / self.name
        self._lock = _own(self.folder)
        self._segment_bytes = segment_bytes
        # Never append to an old segment: its end may be torn.
        self._number = max(segments(self.folder), default=0)
        self._handle = -1  # none yet
        self._end = 0
        self._torn = False
        self._unsynced: list[int] = []  # full segments, still open because not yet synced
        self._is_named = False  # whether the newest segment's name is durable
        self.appended_bytes = 0
        try:
            self._open_next()
        except OSError as error:
            os.close(self._lock)
            raise StoreError(f"no spool in {self.folder}: {error.strerror}") from error

    def append(self, buffers: Sequence[bytes | memoryview]) -> None:
        """
        Write whole records, all of them or none.

        Raises StoreError when the disk refuses; then nothing of `buffers` is in the log, no reader
        has seen any of it, and the call may be repeated.
        """
        try:
            if self._torn:
                self._cut_back()
            if self._end >= self._segment_bytes:
                self._open_next()
            written = self._put(buffers)
        except OSError as error:
            self._torn = True
            with contextlib.suppress(OSError):
                self._cut_back()
            raise StoreError(f"the spool {self.folder} takes no more: {error.strerror}") from error
        self._end += written
        self.appended_bytes += written

    def begin_segment(self) -> None:
        """
        Go on in a new segment, so that all before can go as soon as it was read.

        For the appending thread. Nothing is done while the newest one is empty. Raises StoreError
        when the disk refuses; then the log goes on where it is, and the call may be repeated.
        """
        try:
            if self._torn:
                self._cut_back()
            if self._end:
                self._open_next()
        except OSError as error:
            raise StoreError(f"no segment in {self.folder}: {error.strerror}") from error

    def sync(self) -> None:
        """Make all that was appended before the call durable. Raises StoreError."""
        # The appending thread may move `handle` to the unsynced ones meanwhile, but only this
        # thread closes them.
        handle, old = self._handle, list(self._unsynced)
        try:
            for full in old:
                os.fsync(full)
                os.close(full)
                self._unsynced.remove(full)
            if handle not in old:
                os.fsync(handle)
            if not self._is_named:
                self._is_named = True  # first, for a segment may be opened during the call
                files.sync_folder(self.folder)
        except OSError as error:
            self._is_named = False
            raise StoreError(f"{self.folder} could not be synced: {error.strerror}") from error

    def close(self) -> None:
        """Sync and give up the lock: from now on the writer counts as dead."""
        try:
            self.sync()
        finally:
            for handle in (*self._unsynced, self._handle, self._lock):
                os.close(handle)

    def _put(self, buffers: Sequence[bytes | memoryview]) -> int:
        try:
            return _write_at(self._handle, self._end, buffers)
        except OSError as error:
            if error.errno != errno.EFBIG or not self._end:
                raise
            # A limit on the size of files, below that of a segment.
            self._cut_back()
            self._open_next()
            return _write_at(self._handle, self._end, buffers)

    def _open_next(self) -> None:
        path = segment_path(self.folder, self._number + 1)
        fresh = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        if self._handle >= 0:
            self._unsynced.append(self._handle)
        self._handle, self._end, self._number = fresh, 0, self._number + 1
        self._is_named = False

    def _cut_back(self) -> None:
        os.ftruncate(self._handle, self._end)
        self._torn = False


def _own(folder: Path) -> int:
    """Make a writer's folder and lock it. Raises Busy if another process writes there."""
    while True:
        files.private_folder(folder)
        # A reader may be removing the folder of a dead writer of the same name.
        with contextlib.suppress(FileNotFoundError):
            return files.take(folder / "lock")


def _write_at(handle: int, start: int, buffers: Sequence[bytes | memoryview]) -> int:
    """
    Write `buffers` at `start`, the very first byte last; returns their length.

    A reader that looks meanwhile finds a zero there and waits, so that it never takes up a record
    that a failing call takes back.
    """
    pending = [memoryview(buffer) for buffer in buffers if len(buffer)]
    if not pending:
        return 0
    first = pending[0][:1]
    pending[0] = pending[0][1:]
    os.lseek(handle, start + 1, os.SEEK_SET)
    total = 1
    for begin in range(0, len(pending), _IOV):
        total += _write_all(handle, pending[begin : begin + _IOV])
    os.pwrite(handle, first, start)
    return total


def _write_all(handle: int, pending: list[memoryview]) -> int:
    total = 0
    while pending:
        count = os.writev(handle, pending)
        total += count
        while pending and count >= len(pending[0]):
            count -= len(pending.pop(0))
        if count:
            pending[0] = pending[0][count:]
    return total


# --- reading -------------------------------------------------------------------------------------


class Position(msgspec.Struct, frozen=True, order=True):
    """Where a reader of one writer's log stands: all before it is dealt with."""

    segment: int = 0
    offset: int = 0


class SpoolReader:
    """Reads one writer's log from a position on; keeps no lock and writes nothing."""

    def __init__(self, folder: Path, position: Position | None = None) -> None:
        self.folder = folder
        self.position = position or Position()

    def is_live(self) -> bool:
        return files.is_locked(self.folder / "lock")

    def lag_bytes(self) -> int:
        """Bytes on disk behind the position."""
        total = 0
        for number in segments(self.folder):
            with contextlib.suppress(FileNotFoundError):
                size = segment_path(self.folder, number).stat().st_size
                if number == self.position.segment:
                    total += max(size - self.position.offset, 0)
                elif number > self.position.segment:
                    total += size
        return total

    def read(
        self, limit_bytes: int = 4 << 20, limit_records: int = 1 << 20
    ) -> list[SpoolRecord | Damage]:
        """
        The records from the position on, in order; moves the position behind them.

        They begin in the next `limit_bytes`, and are no more than `limit_records`.

        [] means: nothing more for now, or for ever if the writer is dead. What is torn at the end
        of a living writer's newest segment is left for the next call; of a dead one it is Damage.
        Raises OSError if a segment cannot be read.
        """
        live = self.is_live()  # asked first: what a dead writer left is complete
        numbers = segments(self.folder)
        if numbers and self.position.segment > numbers[-1]:
            self.position = Position()  # another writer of the same name
        found: list[SpoolRecord | Damage] = []
        for number in numbers:
            if number < self.position.segment:
                continue
            if number > self.position.segment:
                found += self._missing(number)
                self.position = Position(number, 0)
            growing = live and number == numbers[-1]
            found += self._read_segment(number, limit_bytes, limit_records, growing=growing)
            if found:
                break
        return found

    def acknowledge(self, position: Position) -> None:
        """Remove the segments before `position`; all of it is committed elsewhere."""
        for number in segments(self.folder):
            if number < position.segment:
                segment_path(self.folder, number).unlink(missing_ok=True)

    def finished(self) -> bool:
        """Whether the writer is dead and all that it left lies before the position."""
        return not self.is_live() and self.lag_bytes() == 0

    def remove(self) -> bool:
        """Delete what a finished writer left; False if it is not finished after all."""
        try:
            lock = files.take(self.folder / "lock")
        except FileNotFoundError:
            return True
        except Busy:
            return False
        try:
            if self.lag_bytes():
                return False
            for number in segments(self.folder):
                segment_path(self.folder, number).unlink(missing_ok=True)
            (self.folder / "lock").unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # somebody else's file lies there: leave it
                self.folder.rmdir()
        finally:
            os.close(lock)
        return True

    def _missing(self, number: int) -> list[Damage]:
        expected = self.position.segment + 1
        if number == expected:
            return []
        reason = f"segments {expected} to {number - 1} are missing"
        return [Damage(segment=expected, offset=0, size_bytes=None, reason=reason)]

    def _read_segment(
        self, number: int, limit_bytes: int, limit_records: int, *, growing: bool
    ) -> list[SpoolRecord | Damage]:
        try:
            with segment_path(self.folder, number).open("rb", buffering=0) as file:
                window = Window(file, number, self.position.offset, limit_bytes)
                found = window.records(limit_bytes, limit_records, growing=growing)
        except FileNotFoundError:
            return []
        self.position = Position(number, window.start + window.offset)
        return found
