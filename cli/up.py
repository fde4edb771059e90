"""`wirescribe up`: proxy and server together, until ^C."""

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import rich_click as click

from cli import hints, options, running
from cli.errors import say
from cli.running import Running
from cli.settings import Settings, load
from storage.datadir import DataDir
from storage.errors import NotFound
from storage.processes import Announcement, Process


@click.command()
@options.both
@options.data_dir
@click.option(
    "--session", metavar="NAME", help="Create this session, or find it, and make it the active one."
)
@click.option("--for-runs", "is_for_runs", is_flag=True, hidden=True)
def up(datadir: DataDir, session: str | None, is_for_runs: bool, **flags: Any) -> None:
    """
    Start proxy and server, and watch both.

    One that dies is started again. ^C ends both, and lets open streams finish first.
    """
    import asyncio

    settings = load(datadir.prepare(), flags, os.environ)
    lock = running.only_up(datadir)
    try:
        settings = _with_free_ports(settings) if is_for_runs else _checked_ports(settings)
        asyncio.run(_up(datadir, settings, session, is_for_runs=is_for_runs))
    finally:
        os.close(lock)


def _checked_ports(settings: Settings) -> Settings:
    running.check_free(settings.host, settings.proxy_port, "--proxy-port")
    running.check_free(settings.host, settings.port, "--port")
    return settings


def _with_free_ports(settings: Settings) -> Settings:
    """Nobody chose a port on the command line: where one is taken, any will do."""

    def free(port: int) -> int:
        return port if running.is_free(settings.host, port) else 0

    return msgspec.structs.replace(
        settings, proxy_port=free(settings.proxy_port), port=free(settings.port)
    )


async def _up(
    datadir: DataDir, settings: Settings, session: str | None, *, is_for_runs: bool
) -> None:
    import asyncio

    from cli import version
    from cli.supervisor import Supervisor

    async def on_ready(found: Running) -> None:
        if session:
            await asyncio.to_thread(_activate, datadir, session)
        say(_welcome(datadir, found, session, auth=settings.auth))

    announcement = Announcement(
        datadir,
        Process(
            role="up",
            pid=os.getpid(),
            started_ms=time.time_ns() // 1_000_000,
            version=version.current(),
        ),
    )
    try:
        supervisor = Supervisor(datadir, settings, on_ready)
        if is_for_runs:
            _end_after_last_run(datadir, supervisor.end)
        await supervisor.run()
    finally:
        announcement.withdraw()


def _end_after_last_run(datadir: DataDir, end: Callable[[], None]) -> None:
    """Call `end` on this loop once there is no run; new ones wait until this process has ended."""
    import asyncio

    loop = asyncio.get_running_loop()

    def wait() -> None:
        with running.without_runs(datadir):
            loop.call_soon_threadsafe(end)
            threading.Event().wait()

    threading.Thread(target=wait, name="runs", daemon=True).start()


def _activate(datadir: DataDir, name: str) -> None:
    from cli import client

    opened = client.of_server(datadir)
    try:
        session = opened.find_session(name)
    except NotFound:
        session = opened.create_session(name)
    opened.activate_session(session.id)


def _welcome(datadir: DataDir, found: Running, session: str | None, *, auth: str) -> str:
    """Where to point an agent, in the agent's terms."""
    assert found.proxy
    assert found.server
    there = hints.data_dir(datadir)
    lines = [
        f"Wirescribe {found.proxy.version} records to {datadir.root}",
        "",
        f"  an agent in a session of its own:   wirescribe run{there} -- claude",
        f'  all that a shell starts:            eval "$(wirescribe env{there})"',
        f"  proxy             HTTPS_PROXY={running.url(found.proxy)}",
        f"  its CA            NODE_EXTRA_CA_CERTS={datadir.ca / 'mitmproxy-ca-cert.pem'}",
        f"  API and viewer    {running.url(found.server)}",
    ]
    if auth == "token":
        lines.append(f"  its token         in {datadir.root / 'token'}")
    lines += [
        "",
        f"Active session: {session}"
        if session
        else "Active session: see `wirescribe sessions list`",
        "^C ends both; open streams may finish first",
    ]
    return "\n".join(lines)
