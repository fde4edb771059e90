"""
The running processes of a data dir: each says where it listens and how it is.

    run/<role>-<pid>.json   what `Announcement` holds
    run/<role>-<pid>.lock   held for as long as the process lives; without a holder the pair is stale
"""

import os
from pathlib import Path
from typing import Literal

import msgspec

from storage import files
from storage.datadir import DataDir

Role = Literal["up", "proxy", "server"]


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
    degraded: tuple[str, ...] = ()  # what is wrong with it now, in words for the user


_DECODE = msgspec.json.Decoder(Process)


class Announcement:
    """Keeps the file of this process; `withdraw` or the process's end takes it back."""

    def __init__(self, datadir: DataDir, process: Process) -> None:
        self._path = datadir.run / f"{process.role}-{process.pid}.json"
        self._lock = files.take(self._path.with_suffix(".lock"))
        self.process = process
        files.replace(self._path, msgspec.json.encode(process))

    def update(self, **changes: object) -> None:
        """Replace fields of the announcement. Raises StoreError if the disk refuses."""
        changed = msgspec.structs.replace(self.process, **changes)
        if changed != self.process:
            files.replace(self._path, msgspec.json.encode(changed))
            self.process = changed

    def withdraw(self) -> None:
        self._path.unlink(missing_ok=True)
        self._path.with_suffix(".lock").unlink(missing_ok=True)
        os.close(self._lock)


def running(datadir: DataDir) -> list[Process]:
    """What runs now on this data dir; files of dead processes are passed over."""
    found = []
    for path in sorted(datadir.run.glob("*-*.json")):
        if files.is_locked(path.with_suffix(".lock")) and (process := _read(path)):
            found.append(process)
    return found


def _read(path: Path) -> Process | None:
    try:
        return _DECODE.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return None  # withdrawn this moment, or of another version
