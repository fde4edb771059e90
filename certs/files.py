"""
Private files in a private folder: 0700 and 0600 from the first byte, replaced whole or not at all.

A key must never be in a file that somebody else could read for a moment, could have put there
before, or could point elsewhere; and two processes that start together must not both make one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from certs.errors import FolderError

LOCK_NAME = ".lock"
TEMPORARY_PREFIX = ".tmp-"


def check_folder(folder: Path) -> None:
    """
    Raise FolderError unless `folder` is a real directory of this user that no other can write to.

    FileNotFoundError when it is not there. The folders above are their owner's to check.
    """
    os.close(_open_folder(folder))


def private_folder(folder: Path) -> None:
    """Make `folder` if it is missing and see that it is ours alone (0700)."""
    _make(folder)
    descriptor = _open_folder(folder)
    try:
        # Readable by others is no reason to refuse: it is ours, and nobody can have written to it.
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != 0o700:
            os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)


def _make(folder: Path) -> None:
    # Path.mkdir(parents=True) gives its mode to the last folder only.
    missing = []
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)


def _open_folder(folder: Path) -> int:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.EACCES):
            raise
        reason = "not readable" if error.errno == errno.EACCES else "a link or not a directory"
        raise FolderError(f"{folder} is {reason}; move it away and start again") from error
    status = os.fstat(descriptor)
    problem = None
    if status.st_uid != os.geteuid():
        problem = f"belongs to uid {status.st_uid}, not to you (uid {os.geteuid()})"
    elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        problem = (
            f"is writable by others (mode {stat.S_IMODE(status.st_mode):04o}): a key may have been "
            "put there; look at it, remove it, and start again"
        )
    if problem is not None:
        os.close(descriptor)
        raise FolderError(f"{folder} {problem}")
    return descriptor


@contextlib.contextmanager
def locked(folder: Path, *, create: bool) -> Iterator[None]:
    """
    Hold `folder` against every other process of this user; waits for as long as another has it.

    With `create` the folder is made when missing; without, that raises FileNotFoundError.
    """
    descriptor = _take_lock(folder, create=create)
    try:
        for left_over in folder.glob(f"{TEMPORARY_PREFIX}*"):
            left_over.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)


def _take_lock(folder: Path, *, create: bool) -> int:
    path = folder / LOCK_NAME
    while True:
        if create:
            private_folder(folder)
        else:
            check_folder(folder)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags, 0o600)
        except FileNotFoundError:  # removed since the line before
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # While this process waited, the holder may have removed the whole folder: a lock on a
        # file without a name keeps nobody out.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                return descriptor
        os.close(descriptor)


def write(path: Path, data: bytes) -> None:
    """Replace `path` by a 0600 file that holds `data`, durably; a file that already does stays."""
    if read(path) == data:
        if stat.S_IMODE(path.lstat().st_mode) != 0o600:
            path.chmod(0o600)
        return
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def read(path: Path) -> bytes | None:
    """The content of a regular file of this user, None when there is none; follows no link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise FolderError(f"{path} is a link; remove it and start again") from error
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise FolderError(f"{path} is not a regular file of yours; remove it and start again")
        return stream.read()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
