"""How a `run` finds the `up` of its data dir, or starts one in the background."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

from cli import running
from cli.errors import say
from cli.running import Running
from storage import files
from storage.datadir import DataDir
from storage.errors import ConfigError, StoreError

_START_S = 40.0
_LOOK_S = 0.02
_LOG_TAIL_BYTES = 2000


def ensure(datadir: DataDir) -> Running:
    """
    A proxy and a server that listen. Raises WirescribeError if they cannot be had.

    The caller is a counted run: an `up` that this starts ends with the last of them.
    """
    found = running.look(datadir)
    if found.proxy and found.server:
        return found
    with files.locked(datadir.run / "start.lock", wait=True):
        started: subprocess.Popen[bytes] | None = None
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            found = running.look(datadir)
            if found.proxy and found.server:
                return found
            # An `up` that is there may be about to listen, or to start again what died.
            if started is None and not files.is_locked(datadir.run / "up.lock"):
                started = _start(datadir, found)
            elif started is not None and started.poll() is not None:
                raise StoreError(f"proxy and server could not start{_log_tail(datadir)}")
            time.sleep(_LOOK_S)
    raise StoreError(f"no proxy and server in {_START_S:.0f} s{_log_tail(datadir)}")


def _start(datadir: DataDir, found: Running) -> subprocess.Popen[bytes]:
    if found.server:
        raise ConfigError(
            f"a server runs on {datadir.root} (process {found.server.pid}), but no proxy: "
            "start one with `wirescribe proxy`, or end it"
        )
    say(f"wirescribe: starting in the background, log in {log_path(datadir)}")
    command = (sys.executable, "-P", "-m", "cli", "up", "--for-runs")
    with _fresh_log(datadir) as log:
        return subprocess.Popen(
            (*command, "--data-dir", str(datadir.root)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=datadir.root,
            env={name: value for name, value in os.environ.items() if name != "WIRESCRIBE_TOKEN"},
            start_new_session=True,
        )


def log_path(datadir: DataDir) -> Path:
    return datadir.root / "up.log"


def _fresh_log(datadir: DataDir) -> BinaryIO:
    """Empty, and 0600 like everything in the data dir, also if an earlier one was not."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    handle = os.open(log_path(datadir), flags, 0o600)
    os.fchmod(handle, 0o600)
    return os.fdopen(handle, "wb")


def _log_tail(datadir: DataDir) -> str:
    try:
        tail = log_path(datadir).read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()
    except OSError:
        return ""
    return f"; {log_path(datadir)} ends:\n{tail}" if tail else ""
