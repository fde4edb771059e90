"""
What runs on a data dir, and the locks by which `up` and `run` find each other.

    run/up.lock     held by the one `up`
    run/start.lock  held while a `run` looks for an `up` and starts one if there is none
    run/runs.lock   shared by all `run`s; an `up` that was started by one takes it for itself when
                    it ends: so it has none left, and a new one waits until it has ended
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator

import msgspec

from storage import files, processes
from storage.datadir import DataDir
from storage.errors import Busy, ConfigError
from storage.processes import Process


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """The processes of a data dir; None where there is none that listens."""

    up: Process | None
    proxy: Process | None
    server: Process | None


def look(datadir: DataDir) -> Running:
    """What runs now; of several proxies the newest."""
    found = {
        process.role: process
        for process in sorted(processes.running(datadir), key=lambda one: one.started_ms)
        if process.role == "up" or process.port
    }
    return Running(up=found.get("up"), proxy=found.get("proxy"), server=found.get("server"))


def authority(process: Process) -> str:
    """`host:port` under which this machine reaches it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(
        process.host or "", process.host or ""
    )
    return f"[{host}]:{process.port}" if ":" in host else f"{host}:{process.port}"


def url(process: Process) -> str:
    return f"http://{authority(process)}"


def only_up(datadir: DataDir) -> int:
    """Take the lock of the one `up`. Raises Busy that says who has it."""
    try:
        return files.take(datadir.run / "up.lock")
    except Busy as error:
        found = look(datadir)
        who = f"process {found.up.pid}" if found.up else "another process"
        where = [
            f"{name} {url(process)}"
            for name, process in (("proxy", found.proxy), ("API", found.server))
            if process
        ]
        raise Busy(
            f"`wirescribe up` runs on {datadir.root} already: {', '.join([who, *where])}. "
            "Use that one, end it, or choose another --data-dir"
        ) from error


def check_free(host: str, port: int, option: str) -> None:
    """Raises ConfigError if `port` cannot be listened on; `option` would choose another."""
    import socket

    try:
        # As asyncio listens: a port whose last connections still time out is free.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)
    except OSError as error:
        raise ConfigError(
            f"port {port} of {host} cannot be used ({error.strerror or error}): "
            f"end what listens there, or choose another with {option} (0: any that is free)"
        ) from error


def is_free(host: str, port: int) -> bool:
    try:
        check_free(host, port, "")
    except ConfigError:
        return False
    return True


@contextlib.contextmanager
def counted_run(datadir: DataDir) -> Iterator[None]:
    """Be one of the runs; waits while an `up` that was started by a run is ending."""
    with _runs(datadir) as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def without_runs(datadir: DataDir) -> Iterator[None]:
    """Waits until there is no run, and keeps new ones waiting for a block."""
    with _runs(datadir) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _runs(datadir: DataDir) -> Iterator[int]:
    path = datadir.run / "runs.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)
