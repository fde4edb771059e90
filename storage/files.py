"""Files that survive a crash whole, and folders that nobody else can read."""

import contextlib
import fcntl
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from storage.errors import Busy, ConfigError, StoreError

FRESH_SUFFIX = ".new"  # of a hidden file that will replace another one

_PROBED_S = 0.2  # for how long `take` puts up with other processes asking `is_locked`


def replace(path: Path, data: bytes) -> None:
    """
    Put `data` at `path`: the old file or the new one, never half, also after a power cut.

    Raises StoreError if the disk refuses.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}{FRESH_SUFFIX}")
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        os.rename(fresh, path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise StoreError(f"{path} could not be written: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def private_folder(folder: Path) -> Path:
    """
    Make `folder` if it is missing, readable by its owner only.

    Raises ConfigError if it is a link, belongs to somebody else or others may write in it.
    """
    try:
        found = _made(folder)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be used as a folder: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"{folder} is a link or a file: name a real folder of your own")
    if found.st_uid != os.getuid():
        raise ConfigError(f"{folder} belongs to user id {found.st_uid}: name a folder of your own")
    if found.st_mode & 0o022:
        raise ConfigError(f"others may write in {folder}: run `chmod 700 {folder}` first")
    if found.st_mode & 0o077:
        folder.chmod(0o700)
    return folder


def _made(folder: Path) -> os.stat_result:
    while True:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700, parents=True)
        with contextlib.suppress(FileNotFoundError):  # somebody removed it this moment
            return folder.lstat()


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[int]:
    """
    Hold the lock file at `path` for a block; yields its descriptor.

    Raises Busy at once if another process holds it and `wait` is false. The lock goes with the
    process, however that ends.
    """
    handle = take(path, wait=wait)
    try:
        yield handle
    finally:
        os.close(handle)


def take(path: Path, *, wait: bool = False) -> int:
    """
    As `locked`, for the life of the descriptor that is returned.

    Raises FileNotFoundError if the folder is not there.
    """
    give_up = time.monotonic() + _PROBED_S
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if _is_at(path, handle):
                return handle
        except BlockingIOError as error:
            # `is_locked` holds the lock for a moment, so being refused once says nothing.
            if time.monotonic() >= give_up:
                os.close(handle)
                raise Busy(f"{path} is held by another process") from error
            time.sleep(0.002)
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is_at(path: Path, handle: int) -> bool:
    """Whether the open file still lies at `path`: its last holder may have removed it."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock at `path`; False if there is no such file."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)
