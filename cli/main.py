"""The command `wirescribe`. What is slow to import is imported by the command that needs it."""

import rich_click as click

from cli.ca import ca
from cli.conversations import conversations
from cli.doctor import doctor
from cli.env import env
from cli.errors import Commands
from cli.har import har
from cli.imports import import_files
from cli.messages import messages
from cli.projects import projects
from cli.proxy import proxy
from cli.rebuild import rebuild
from cli.run import run
from cli.serve import serve
from cli.sessions import sessions
from cli.tail import tail
from cli.tasks import tasks
from cli.tools import tools
from cli.traffic import traffic
from cli.up import up


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wirescribe", prog_name="wirescribe")
def wirescribe() -> None:
    """
    Record what coding agents and their models say to each other: every byte, with a clock.

    `wirescribe run -- claude` is the short way in. All settings also stand in `config.toml` of
    the data dir, or in WIRESCRIBE_* variables; flags win.

    Completion: eval "$(_WIRESCRIBE_COMPLETE=bash_source wirescribe)", or zsh_source, fish_source.
    """


for _command in (
    up,
    run,
    env,
    conversations,
    messages,
    tools,
    tasks,
    projects,
    sessions,
    tail,
    traffic,
    har,
    import_files,
    proxy,
    serve,
    ca,
    rebuild,
    doctor,
):
    wirescribe.add_command(_command)


def main() -> None:
    wirescribe(prog_name="wirescribe")
