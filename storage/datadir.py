"""
The data dir: where everything lives.

    config.toml     settings, the user's
    control.json    what the proxy must know (storage.control)
    wirescribe.db   the database, with -wal and -shm beside it
    spool/<writer>/ the write-ahead log (storage.spool)
    ca/             the certificate authority (certs)
    hmac.key        32 random bytes: keyed hashes of what was cut
    run/            lock files, and one file per running process that says where it listens
"""

import contextlib
import secrets
import time
from pathlib import Path

import platformdirs

from storage import files
from storage.errors import ConfigError

_KEY_BYTES = 32
_ABANDONED_S = 3600  # no write takes that long


def default() -> Path:
    """`$XDG_DATA_HOME/wirescribe`, or what stands for it on this system."""
    return Path(platformdirs.user_data_dir("wirescribe", appauthor=False))


class DataDir:
    """Names of what lies in a data dir; `prepare` makes it."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.config = self.root / "config.toml"
        self.control = self.root / "control.json"
        self.database = self.root / "wirescribe.db"
        self.spool = self.root / "spool"
        self.ca = self.root / "ca"
        self.run = self.root / "run"
        self._key = self.root / "hmac.key"

    def prepare(self) -> "DataDir":
        """
        Make the folders, 0700, and clear away what a killed process left half-written.

        The umask stays as it is: an agent that this process starts inherits it. Raises
        ConfigError if the place cannot be trusted.
        """
        for folder in (self.root, self.spool, self.run):
            files.private_folder(folder)
            for path in folder.glob(f".*{files.FRESH_SUFFIX}"):
                with contextlib.suppress(OSError):
                    if time.time() - path.lstat().st_mtime > _ABANDONED_S:
                        path.unlink()
        return self

    def hmac_key(self) -> bytes:
        """32 bytes, made at first use. Raises ConfigError if the file cannot be used."""
        try:
            if not self._key.exists():
                with files.locked(self.run / "hmac.lock", wait=True):
                    if not self._key.exists():
                        files.replace(self._key, secrets.token_bytes(_KEY_BYTES))
            key = self._key.read_bytes()
        except OSError as error:
            raise ConfigError(f"{self._key} cannot be read: {error.strerror}") from error
        if len(key) != _KEY_BYTES:
            raise ConfigError(
                f"{self._key} holds {len(key)} bytes instead of {_KEY_BYTES}: remove it"
            )
        return key
