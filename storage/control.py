"""
The control file: all that the proxy must know of the server's state.

The server replaces it (write, fsync, rename, fsync of the folder) before it answers the call that
changed something; the proxy looks at it before it decides anything. A missing file means that no
server ever ran here: no session is active. A file that cannot be read keeps the last good state.
"""

import os
from pathlib import Path

import msgspec

from storage import files
from storage.errors import StoreError

VERSION = 1


class SessionControl(msgspec.Struct, frozen=True, kw_only=True):
    recording: bool
    word: str


class Control(msgspec.Struct, frozen=True, kw_only=True):
    version: int = VERSION
    generation: int = 0  # counts up with each change
    active: str | None = None  # id of the active session
    automatic: bool = True  # rule 3 of architecture.md is on
    sessions: dict[str, SessionControl] = {}
    deleted: tuple[str, ...] = ()  # ids deleted lately, newest last
    blocks: tuple[str, ...] = ()


_DECODE = msgspec.json.Decoder(Control)


def write(path: Path, control: Control) -> None:
    """Replace the file at `path`; on return it survives a power cut. Raises StoreError."""
    files.replace(path, msgspec.json.format(msgspec.json.encode(control), indent=1))


class ControlReader:
    """
    The newest state of a control file, looked at with one `stat` per call.

    `degraded` holds the reason while the file cannot be read; the last good state stays in force.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._current = Control()
        self.degraded: str | None = None

    def current(self) -> Control:
        """The state in force. Never raises."""
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            if self._seen is not None:
                self.degraded = f"the control file {self._path} is gone"
            return self._current
        except OSError as error:
            self.degraded = f"the control file {self._path} cannot be looked at: {error}"
            return self._current
        seen = (found.st_mtime_ns, found.st_ino, found.st_size)
        if seen != self._seen:
            self._load(seen)
        return self._current

    def _load(self, seen: tuple[int, int, int]) -> None:
        try:
            control = _DECODE.decode(self._path.read_bytes())
            if control.version != VERSION:
                raise StoreError(f"its version is {control.version}, this proxy knows {VERSION}")
        except (OSError, msgspec.DecodeError, StoreError) as error:
            self.degraded = f"the control file {self._path} cannot be read: {error}"
            return
        self._current, self._seen, self.degraded = control, seen, None
