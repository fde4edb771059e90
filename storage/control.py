"""
The control file: all that the proxy must know of the server's state.

The server replaces it (write, fsync, rename, fsync of the folder) before it answers the call that
changed something; the proxy looks at it before it decides anything. A missing file means that no
server ever ran here: no session is active. A file that cannot be read keeps the last good state.
"""

import os
import time
from pathlib import Path

import msgspec

from storage import files

VERSION = 1


class SessionControl(msgspec.Struct, frozen=True, kw_only=True):
    recording: bool
    word: str
    finishing: bool = False  # nothing new is recorded, but what is open goes on to its end: another
    # session became active, and nobody asked for this one to stop


class Control(msgspec.Struct, frozen=True, kw_only=True):
    version: int = VERSION
    generation: int = 0  # counts up with each change
    active: str | None = None  # id of the active session
    automatic: bool = True  # rule 3 of architecture.md is on
    sessions: dict[str, SessionControl] = {}
    deleted: tuple[str, ...] = ()  # ids deleted lately, newest last
    blocks: tuple[str, ...] = ()


_DECODE = msgspec.json.Decoder(Control)
_SETTLED_NS = 100_000_000  # file times may move in steps of some ms


def write(path: Path, control: Control) -> None:
    """Replace the file at `path`; on return it survives a power cut. Raises StoreError."""
    files.replace(path, msgspec.json.format(msgspec.json.encode(control), indent=1))


class ControlWriter:
    """Replaces the file when there is something new to say, or when somebody else touched it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._generation = ControlReader(path).current().generation
        self._told: Control | None = None
        self._left: tuple[int, int, int] | None = None  # how the file looked when it was written

    def tell(self, control: Control, *, anew: bool = False) -> None:
        """
        On return `control` is in the file, with a generation of its own. Raises StoreError.

        `anew`: with a new generation, whether it says something new or not.
        """
        known = control == self._told and self._left is not None and self._left == self._look()
        if known and not anew:
            return
        self._left = None
        write(self._path, msgspec.structs.replace(control, generation=self._generation + 1))
        self._generation += 1
        self._told, self._left = control, self._look()

    def _look(self) -> tuple[int, int, int] | None:
        try:
            return _look_of(os.stat(self._path))
        except OSError:
            return None


class ControlReader:
    """
    The newest state of a control file, looked at with one `stat` per call.

    `degraded` holds the reason while the file cannot be read; the last good state stays in force.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None  # of the file that was read last
        self._current = Control()
        self._was_read = False
        self.degraded: str | None = None

    def current(self) -> Control:
        """The state in force. Never raises."""
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            if self._was_read:
                self._lost("is gone")
            else:
                self.degraded = None
            return self._current
        except OSError as error:
            self._lost(f"cannot be looked at: {error.strerror}")
            return self._current
        seen = _look_of(found)
        if seen != self._seen:
            self._load()
            # A file that was replaced just now may be so again without any of the three moving.
            is_settled = abs(time.time_ns() - found.st_mtime_ns) > _SETTLED_NS
            self._seen = seen if is_settled and self.degraded is None else None
        return self._current

    def _load(self) -> None:
        try:
            control = _DECODE.decode(self._path.read_bytes())
        except OSError as error:
            self._lost(f"cannot be read: {error.strerror}")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._lost(f"cannot be read: {error}")
        else:
            if control.version != VERSION:
                self._lost(f"has version {control.version}, and this proxy knows {VERSION}")
                return
            self._current, self._was_read, self.degraded = control, True, None

    def _lost(self, why: str) -> None:
        self._seen = None
        self.degraded = f"the control file {self._path} {why}: the last state stays in force"


def _look_of(found: os.stat_result) -> tuple[int, int, int]:
    return (found.st_mtime_ns, found.st_ino, found.st_size)
