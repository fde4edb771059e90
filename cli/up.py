"""`wirescribe up`: proxy and server together, until ^C."""

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import rich_click as click

from cli import client, hints, options, running
from cli.errors import say
from cli.running import Running
from cli.settings import Settings, load
from storage.datadir import DataDir
from storage.errors import NotFound
from storage.processes import Announcement, Process

_ENDING = "^C ends both; open streams may finish first"
_PATIENCE_S = 5.0  # after the last run, until what is still open is cut


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
        active = await asyncio.to_thread(_active_session, datadir, session)
        say(_welcome(datadir, found, active, settings))
        say("ends with the last run" if is_for_runs else _ENDING)

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
            # What an agent left behind may keep a stream open; the next run waits for this lock.
            time.sleep(_PATIENCE_S)
            loop.call_soon_threadsafe(end)
            threading.Event().wait()

    threading.Thread(target=wait, name="runs", daemon=True).start()


def _active_session(datadir: DataDir, wanted: str | None) -> str | None:
    """The name of the active session; `wanted` becomes it first, and is made if it is missing."""
    opened = client.of_server(datadir)
    if wanted is None:
        return next((one.name for one in opened.list_sessions() if one.is_active), None)
    try:
        session = opened.find_session(wanted)
    except NotFound:
        session = opened.create_session(wanted)
    return opened.activate_session(session.id).name


def _welcome(datadir: DataDir, found: Running, active: str | None, settings: Settings) -> str:
    """Where to point an agent, in the agent's terms."""
    assert found.proxy
    assert found.server
    there, command = hints.data_dir(datadir), hints.command()
    lines = [
        f"Wirescribe {found.proxy.version} records to {datadir.root}",
        "",
        f"  an agent in a session of its own:   {command} run{there} -- claude",
        f'  all that a shell starts:            eval "$({command} env{there})"',
        f"  proxy             HTTPS_PROXY={running.url(found.proxy)}",
        f"  its CA            NODE_EXTRA_CA_CERTS={datadir.ca / 'mitmproxy-ca-cert.pem'}",
        f"  API               {running.url(found.server)}",
    ]
    if settings.auth == "token":
        lines.append(f"  its token         in {datadir.root / 'token'}")
    lines += ["", _untagged(active, settings)]
    return "\n".join(lines)


def _untagged(active: str | None, settings: Settings) -> str:
    """What happens to traffic of agents that `run` did not start."""
    if active:
        return f"Untagged traffic goes into the active session {active!r}"
    if settings.capture.automatic:
        return "No session is active: untagged traffic gets sessions by itself"
    return "No session is active: untagged traffic is not recorded (capture.automatic is off)"
