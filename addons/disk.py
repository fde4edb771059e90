"""Whether the disk has room for more recording, so that ingest and deletion still work."""

import os
from pathlib import Path

import msgspec

from storage import spool


class DiskLimits(msgspec.Struct, frozen=True, kw_only=True):
    """0 turns a limit off."""

    min_free_bytes: int = 512 << 20
    max_spool_bytes: int = 8 << 30


class DiskGuard:
    """Looks at the disk of a spool; once over a limit, it asks for some room before recording."""

    def __init__(self, root: Path, limits: DiskLimits) -> None:
        self._root = root
        self._limits = limits
        self._over = False

    def verdict(self) -> str | None:
        """None: record. "disk_low" or "spool_full": recording pauses. Takes some 50 us."""
        # Without a margin, recording would go on and off at the limit.
        margin = 1.05 if self._over else 1.0
        limits = self._limits
        found = None
        if limits.min_free_bytes and self._free_bytes() < limits.min_free_bytes * margin:
            found = "disk_low"
        elif limits.max_spool_bytes and self._spool_bytes() * margin > limits.max_spool_bytes:
            found = "spool_full"
        self._over = found is not None
        return found

    def sentence(self, verdict: str) -> str:
        """The verdict in words for the user."""
        if verdict == "disk_low":
            room = self._limits.min_free_bytes >> 20
            return f"recording pauses: less than {room} MB are free on the disk of the data dir"
        size = self._limits.max_spool_bytes >> 20
        return f"recording pauses: the spool holds more than {size} MB; is the server running?"

    def _free_bytes(self) -> int:
        found = os.statvfs(self._root)
        return found.f_bavail * found.f_frsize

    def _spool_bytes(self) -> int:
        total = 0
        for folder in spool.writers(self._root):
            try:
                with os.scandir(folder) as files:
                    total += sum(file.stat(follow_symlinks=False).st_size for file in files)
            except FileNotFoundError:  # ingested this moment
                continue
        return total
