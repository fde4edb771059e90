"""Options that several commands share. An option that was not given is None: see cli.settings."""

import contextlib
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich_click as click

from cli import client as clients
from cli.errors import MISUSED, refuse
from cli.settings import split_upstream
from storage import datadir
from storage.datadir import DataDir
from storage.errors import ConfigError

type _Command = Callable[..., Any]


def _datadir(_context: click.Context, _option: click.Parameter, value: Path | None) -> DataDir:
    return DataDir(value or datadir.default())


def _upstream(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    try:
        return dict(split_upstream(value) for value in values)
    except ConfigError as error:
        raise click.BadParameter(str(error)) from error


data_dir = click.option(
    "--data-dir",
    "datadir",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="WIRESCRIBE_DATA_DIR",
    callback=_datadir,
    help="Where everything is kept.  [default: the XDG data folder]",
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")

yes = click.option("--yes", is_flag=True, help="Do not ask.")

session_argument = click.argument("session", metavar="SESSION")

server_url = click.option(
    "--server-url",
    metavar="URL",
    envvar="WIRESCRIBE_SERVER_URL",
    help="Ask this server instead of the data dir; its token comes from WIRESCRIBE_TOKEN.",
)

_PORT = click.IntRange(0, 65535)

_host = click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")

_proxy = (
    click.option(
        "--proxy-port",
        type=_PORT,
        help="Port of the proxy, 0 for one that is free.  [default: 8888]",
    ),
    click.option(
        "--scope",
        type=click.Choice(["agents", "all"]),
        help="What is decrypted: model providers and agents' own services, or everything.",
    ),
    click.option(
        "--host-extra",
        "hosts",
        multiple=True,
        metavar="HOST",
        help="Decrypt this host too; `.example.com` is it and all below. Repeatable.",
    ),
    click.option(
        "--upstream",
        multiple=True,
        callback=_upstream,
        metavar="HOST=URL",
        help="Send this host's traffic to URL instead. Repeatable.",
    ),
    click.option(
        "--upstream-ca",
        type=click.Path(exists=True, dir_okay=False, resolve_path=True),
        help="PEM file of a CA that upstream certificates may come from, beside the public ones.",
    ),
    click.option("--http2/--no-http2", default=None, help="Offer HTTP/2 to both sides."),
    click.option(
        "--record-secrets/--no-record-secrets",
        default=None,
        help="Keep credentials in the record instead of cutting them.",
    ),
)

_server = (
    click.option(
        "--port",
        type=_PORT,
        help="Port of the API, 0 for one that is free.  [default: 8889]",
    ),
    click.option(
        "--auth",
        type=click.Choice(["none", "token"]),
        help="What the API demands of a caller on this machine.  [default: none]",
    ),
    click.option(
        "--allowed-host",
        "allowed_hosts",
        multiple=True,
        metavar="NAME",
        help="A further Host that the API answers to. Repeatable.",
    ),
)


def proxy(command: _Command) -> _Command:
    """The settings of a proxy."""
    return _all(command, (_host, *_proxy))


def server(command: _Command) -> _Command:
    """The settings of a server."""
    return _all(command, (_host, *_server))


def both(command: _Command) -> _Command:
    return _all(command, (_host, *_proxy, *_server))


def _all(command: _Command, options: tuple[Callable[[_Command], _Command], ...]) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command


def client(command: _Command) -> _Command:
    """Gives the command a `client`: of `--server-url` if that is given, else of the data dir."""

    @functools.wraps(command)
    def wrapped(*args: Any, datadir: DataDir, server_url: str | None, **kwargs: Any) -> Any:
        with contextlib.closing(clients.of(datadir, server_url)) as opened:
            return command(*args, client=opened, **kwargs)

    return data_dir(server_url(wrapped))


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if the user says so; without a terminal to ask on, that takes `--yes`."""
    if yes:
        return
    if not sys.stdin.isatty():
        refuse(f"{question} Nobody can be asked here: add --yes to do it", MISUSED)
    click.confirm(question, abort=True, err=True)
