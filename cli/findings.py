"""What `doctor` finds out about files, settings and processes; cli.record has the rest."""

import os
import platform
import socket
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from typing import Literal

import msgspec

from certs import authority
from certs.errors import CertificateError
from cli import client, running, version
from cli.ca import permitted
from cli.running import Running
from cli.settings import Settings
from storage.datadir import DataDir
from storage.errors import WirescribeError
from storage.processes import Process

_SHOWN = 5


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`wrong` makes the exit code 1; `note` is worth knowing. `advice` says what to do."""

    level: Literal["ok", "note", "wrong"]
    subject: str
    text: str
    advice: str | None = None


def ok(subject: str, text: str) -> Finding:
    return Finding(level="ok", subject=subject, text=text)


def note(subject: str, text: str, advice: str | None = None) -> Finding:
    return Finding(level="note", subject=subject, text=text, advice=advice)


def wrong(subject: str, text: str, advice: str) -> Finding:
    return Finding(level="wrong", subject=subject, text=text, advice=advice)


def versions() -> Iterator[Finding]:
    yield ok(
        "versions",
        f"wirescribe {version.current()}, Python {platform.python_version()}, "
        f"mitmproxy {metadata.version('mitmproxy')}",
    )


def permissions(datadir: DataDir) -> Iterator[Finding]:
    """Whether others can read or write what was recorded."""
    open_to_others, foreign = [], []
    for folder, _, names in os.walk(datadir.root):
        for path in (folder, *(os.path.join(folder, name) for name in names)):
            try:
                found = os.lstat(path)
            except FileNotFoundError:
                continue
            # A user's editor makes config.toml as it makes any file; the folder keeps others out.
            forbidden = 0o022 if path == str(datadir.config) else 0o077
            if not stat.S_ISLNK(found.st_mode) and found.st_mode & forbidden:
                open_to_others.append(path)
            if found.st_uid != os.getuid():
                foreign.append(path)
    if open_to_others:
        yield wrong(
            "permissions",
            f"others may look into {_some(open_to_others)}",
            f"chmod -R go= '{datadir.root}'",
        )
    if foreign:
        yield wrong("permissions", f"{_some(foreign)} belong to somebody else", "remove them")
    if not open_to_others and not foreign:
        yield ok("permissions", f"only you can read {datadir.root}")


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(paths[:_SHOWN]) + more


def certificate(datadir: DataDir, settings: Settings, found: Running) -> Iterator[Finding]:
    try:
        present = authority.load(datadir.ca)
    except CertificateError as error:
        yield wrong("ca", str(error), "wirescribe ca renew")
        return
    if present is None:
        yield note("ca", "there is no certificate authority yet", "the first proxy makes one")
        return
    reason = authority.renewal_reason(present, permitted(settings), datetime.now(UTC))
    valid = f"valid to {present.not_after:%Y-%m-%d}"
    if reason is None:
        yield ok("ca", f"{present.certificate_path}, {valid}")
    elif found.proxy and datetime.now(UTC) >= present.not_after:
        yield wrong("ca", f"{reason}, and a proxy uses it", "end `wirescribe up`, start it again")
    else:
        yield note("ca", f"{valid}, but {reason}", "the next start of a proxy makes a new one")


def processes(datadir: DataDir, settings: Settings, found: Running) -> Iterator[Finding]:
    for process, port, option in (
        (found.proxy, settings.proxy_port, "--proxy-port"),
        (found.server, settings.port, "--port"),
    ):
        name = "proxy" if option == "--proxy-port" else "server"
        if process is None:
            yield _port(name, settings.host, port, option)
        else:
            yield from _process(process)
    if found.server and (failure := _api_failure(datadir)):
        yield wrong("server", failure, f"end process {found.server.pid} and start it again")
    if found.proxy and not found.server:
        yield note(
            "server",
            "a proxy records and no server reads it: nothing is lost, but nothing is shown",
            "start `wirescribe serve`",
        )


def _port(name: str, host: str, port: int, option: str) -> Finding:
    if not port or running.is_free(host, port):
        return ok(name, f"does not run; port {port} is free")
    return wrong(
        name,
        f"does not run, and something else listens on {host}:{port}",
        f"end that, or choose another port with {option} or in config.toml",
    )


def _process(process: Process) -> Iterator[Finding]:
    where = f"process {process.pid} on {process.host}:{process.port}"
    for reason in process.degraded:
        yield wrong(
            process.role, f"{where} is degraded: {reason}", "mend that; it goes on by itself"
        )
    if not _answers(process):
        yield wrong(process.role, f"{where} does not answer", f"kill {process.pid}, start it again")
    elif process.version != version.current():
        yield note(process.role, f"{where} is version {process.version}", "start it again")
    elif not process.degraded:
        yield ok(process.role, where)


def _answers(process: Process) -> bool:
    host, _, port = running.authority(process).rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
    except OSError:
        return False
    return True


def _api_failure(datadir: DataDir) -> str | None:
    try:
        client.of_server(datadir).hasty().list_sessions()
    except WirescribeError as error:
        return str(error)
    return None
