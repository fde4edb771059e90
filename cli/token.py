"""The API's token: 0600 in the data dir, never in an argv or in a child's environment."""

import secrets

from storage import files
from storage.datadir import DataDir
from storage.errors import ConfigError

VARIABLE = "WIRESCRIBE_TOKEN"
_BYTES = 24  # 192 bits


def ensure(datadir: DataDir) -> str:
    """The token of this data dir, made at first use."""
    with files.locked(datadir.run / "token.lock", wait=True):
        known = read(datadir)
        if known is None:
            known = secrets.token_urlsafe(_BYTES)
            files.replace(datadir.root / "token", known.encode() + b"\n")
    return known


def read(datadir: DataDir) -> str | None:
    """The token of this data dir; None if it never had one."""
    path = datadir.root / "token"
    try:
        return path.read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}; remove it to get a new one") from error
