"""`wirescribe run -- CMD`: an agent through the proxy, in a session of its own."""

import contextlib
import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import rich_click as click

from cli import (
    agents,
    child,
    client,
    joining,
    options,
    pointing,
    running,
    settings,
    summary,
    version,
)
from cli.environment import Changes
from cli.errors import say
from cli.running import Running
from cli.settings import Settings
from storage.datadir import DataDir
from storage.errors import StoreError, WirescribeError
from storage.processes import Announcement, Process

if TYPE_CHECKING:
    from cli.client.http import HttpClient
    from cli.client.shapes import Session


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--name", help="Name of the new session.  [default: CMD in FOLDER, TIME]")
@click.option(
    "--session",
    "chosen",
    metavar="ID_OR_NAME",
    help="Record into this session instead of a new one.",
)
@click.option(
    "--base-url",
    "is_base_url",
    is_flag=True,
    help="Point the agent's base URL at the proxy, for a client that cannot trust a CA.",
)
@options.data_dir
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="CMD ARGS...")
@click.pass_context
def run(
    ctx: click.Context,
    datadir: DataDir,
    name: str | None,
    chosen: str | None,
    is_base_url: bool,
    command: tuple[str, ...],
) -> None:
    """
    Run an agent through the proxy, in a session of its own.

    As in `wirescribe run -- claude -p "hi"`. Joins the `wirescribe up` of the data dir, or starts
    one in the background that ends with the last run. Terminal, signals and exit code are those
    of CMD.
    """
    if name and chosen:
        raise click.UsageError(
            "--name names a new session, --session chooses one: give one of them"
        )
    child.check(command[0])
    if is_base_url:
        agents.check(command[0])
    in_force = settings.load(datadir.prepare(), {}, os.environ)
    with running.counted_run(datadir), contextlib.ExitStack() as announced:
        found = joining.ensure(datadir)
        server = client.of_server(datadir)
        session = _chosen(server, chosen) if chosen else _own(server, name, command)
        announced.enter_context(_announced(datadir, session))
        start = summary.begin(datadir, server, session)
        arguments, changes = _pointed(
            datadir, found, session, in_force, command, is_base_url=is_base_url
        )
        exit_code = child.run(arguments, changes.applied(os.environ))
        with contextlib.suppress(WirescribeError):  # nobody waits for it; silence ends it too
            server.hasty().end_run(session.id)
        say(summary.end(start, command[0], is_base_url=is_base_url))
    ctx.exit(exit_code)


def _own(server: "HttpClient", name: str | None, command: tuple[str, ...]) -> "Session":
    now = datetime.now().astimezone()
    default = f"{PurePath(command[0]).name} in {Path.cwd().name or '/'}, {now:%Y-%m-%d %H:%M:%S}"
    return server.create_session(name or default, origin="run", is_recording=True)


@contextlib.contextmanager
def _announced(datadir: DataDir, session: "Session") -> Iterator[None]:
    """Tell that an agent is at work in this session: retention leaves it alone meanwhile."""
    process = Process(
        role="run",
        pid=os.getpid(),
        started_ms=time.time_ns() // 1_000_000,
        version=version.current(),
        session=session.id,
    )
    with contextlib.ExitStack() as announced:
        with contextlib.suppress(StoreError):  # a full disk keeps no agent from its work
            announced.callback(Announcement(datadir, process).withdraw)
        yield


def _chosen(server: "HttpClient", text: str) -> "Session":
    session = server.find_session(text)
    if session.is_recording:
        return session
    say(f"wirescribe: session {session.name!r} was not recording, now it is")
    return server.change_session(session.id, is_recording=True)


def _pointed(
    datadir: DataDir,
    found: Running,
    session: "Session",
    in_force: Settings,
    command: tuple[str, ...],
    *,
    is_base_url: bool,
) -> tuple[tuple[str, ...], Changes]:
    """The command, and what changes in its environment, so that it comes through the proxy."""
    assert found.proxy
    tag = pointing.tag(datadir, session.id)
    if not is_base_url:
        return command, pointing.by_proxy(datadir, found.proxy, tag, in_force, os.environ)
    through = pointing.through(datadir, found.proxy, tag)
    urls = agents.base_urls(command[0], through, os.environ)
    if not urls.known:
        say(
            f"wirescribe: {command[0]} is no agent that is known here; it gets "
            f"{', '.join(urls.variables)}"
        )
    changes = pointing.by_base_url(urls.variables, in_force, os.environ)
    return (command[0], *urls.arguments, *command[1:]), changes
