"""`wirescribe env`: the variables of `run`, for a shell to take over."""

import os
import shlex

import rich_click as click

from addons import baseurl
from cli import agents, client, environment, hints, options, pointing, running, shells
from cli.environment import Changes
from cli.errors import refuse, say
from cli.settings import load
from cli.shells import Shell
from storage.datadir import DataDir


@click.command()
@click.option(
    "--shell", type=click.Choice(shells.SHELLS), help="Whose language.  [default: $SHELL]"
)
@click.option("--session", "chosen", metavar="ID_OR_NAME", help="Record into this session.")
@click.option(
    "--base-url", "is_base_url", is_flag=True, help="Set agents' base URLs, and no proxy."
)
@click.option("--unset", "is_unset", is_flag=True, help="Take the variables back.")
@options.data_dir
def env(
    datadir: DataDir, shell: Shell | None, chosen: str | None, is_base_url: bool, is_unset: bool
) -> None:
    """
    Print the variables that point a shell at the proxy.

    As in `eval "$(wirescribe env)"`. `--unset` removes all of them, also those that had other
    values before.
    """
    language = shell or shells.current(os.environ)
    changes = Changes(variables={}, removed=_every_name()) if is_unset else None
    if changes is None:
        changes = _changes(datadir, chosen, is_base_url=is_base_url)
    for name in changes.removed:
        if is_unset or name in os.environ:
            click.echo(shells.unset_variable(language, name))
    for name, value in changes.variables.items():
        click.echo(shells.set_variable(language, name, value))


def _changes(datadir: DataDir, chosen: str | None, *, is_base_url: bool) -> Changes:
    settings = load(datadir, {}, os.environ)
    proxy = running.look(datadir).proxy
    if proxy is None:
        refuse(f"no proxy runs on {datadir.root}: start `wirescribe up` in another terminal first")
    tag = None
    if chosen:
        session = client.of_server(datadir).find_session(chosen)
        tag = pointing.tag(datadir, session.id)
        if not session.is_recording:
            turn_on = f"sessions record{hints.data_dir(datadir)} on {hints.prefix(session.id)}"
            say(f"wirescribe: {session.name!r} is not recording: `wirescribe {turn_on}`")
    if not is_base_url:
        if tag is None and not baseurl.is_loopback(proxy.host or ""):
            refuse("this proxy listens beyond loopback and demands a session: add --session")
        return pointing.by_proxy(datadir, proxy, tag, settings, os.environ)
    through = pointing.through(datadir, proxy, tag)
    option = shlex.join(agents.codex_arguments(through))
    say(f"wirescribe: Codex takes no variable: start it as codex {option}")
    say(f"wirescribe: {agents.COPILOT_REFUSAL}")
    return pointing.by_base_url(agents.every(through, os.environ), settings, os.environ)


def _every_name() -> tuple[str, ...]:
    from certs import trust

    named = (variable.name for variable in trust.VARIABLES)
    return (*environment.NAMES, *named, *agents.NAMES)
