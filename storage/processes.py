"""
The running processes of a data dir: each says where it listens and how it is.

    run/<role>-<pid>.json   what `Announcement` holds
    run/<role>-<pid>.lock   held for as long as the process lives; the pair is stale without
"""

import contextlib
import os
from pathlib import Path
from typing import Literal

import msgspec

from storage import files
from storage.datadir import DataDir
from storage.errors import Busy

Role = Literal["up", "proxy", "server", "run"]


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process as it announced itself."""

    role: Role
    pid: int
    started_ms: int  # Unix time
    version: str  # Wirescribe's
    host: str | None = None  # where it listens; None: nowhere
    port: int | None = None
    writer: str | None = None  # a proxy's spool folder
    scope: str | None = None  # a proxy's: agents, all
    session: str | None = None  # a run's: id of the session that its agent is tagged with
    degraded: tuple[str, ...] = ()  # what is wrong with it now, in words for the user


_DECODE = msgspec.json.Decoder(Process)


class Announcement:
    """Keeps the file of this process; `withdraw` or the process's end takes it back."""

    def __init__(self, datadir: DataDir, process: Process) -> None:
        """Raises StoreError if the disk refuses."""
        _clear_stale(datadir)
        self._path = datadir.run / f"{process.role}-{process.pid}.json"
        self._lock = files.take(_lock_of(self._path))
        self.process = process
        try:
            files.replace(self._path, msgspec.json.encode(process))
        except BaseException:
            os.close(self._lock)
            raise

    def update(self, **changes: object) -> None:
        """Replace fields of the announcement. Raises StoreError if the disk refuses."""
        changed = msgspec.structs.replace(self.process, **changes)
        if changed != self.process:
            files.replace(self._path, msgspec.json.encode(changed))
            self.process = changed

    def withdraw(self) -> None:
        """To be called once."""
        self._path.unlink(missing_ok=True)
        _lock_of(self._path).unlink(missing_ok=True)
        os.close(self._lock)


def running(datadir: DataDir) -> list[Process]:
    """What runs now on this data dir; files of dead processes are passed over."""
    found = []
    for path in sorted(datadir.run.glob("*-*.json")):
        if files.is_locked(_lock_of(path)) and (process := _read(path)):
            found.append(process)
    return found


def _read(path: Path) -> Process | None:
    try:
        return _DECODE.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None  # withdrawn this moment, or of another version


def _clear_stale(datadir: DataDir) -> None:
    """Remove what dead processes left behind."""
    for path in datadir.run.glob("*-*.json"):
        # A process takes its lock before it writes its file, so one without a holder is dead.
        if not files.is_locked(_lock_of(path)):
            with contextlib.suppress(Busy, OSError), files.locked(_lock_of(path)):
                path.unlink(missing_ok=True)
                _lock_of(path).unlink(missing_ok=True)


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")
