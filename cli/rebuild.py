"""`wirescribe rebuild`: what was understood, made anew from the raw bytes."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import rich_click as click
from click.exceptions import Exit

from cli import options, output
from cli.client import Client
from cli.errors import FAILED, say

if TYPE_CHECKING:
    from cli.client.shapes import Rebuild


@click.command()
@click.option("--session", metavar="ID", help="Only what this session's traffic means.")
@click.option("--force", is_flag=True, help="Take the result also where it holds less than before.")
@options.as_json
@options.client
def rebuild(client: Client, session: str | None, force: bool, as_json: bool) -> None:
    """
    Read all recorded traffic again: conversations, messages, tool calls, usage and cost.

    Recording and reading go on meanwhile. What was recorded is not touched; a result that holds
    less than what stands there is thrown away, unless --force is given.
    """
    found = client.find_session(session) if session is not None else None
    latest: Rebuild | None = None
    with _progress() as at:
        for latest in client.rebuild(found.id if found else None, is_forced=force):
            at(latest.entries - latest.left, latest.entries)
    result = (latest.result if latest and found is None else None) or "done"
    if as_json:
        output.json({"result": result, "session": found.id if found else None})
    else:
        say(f"rebuild {result}")
    if result.startswith("refused"):
        say("what stood there stays; --force takes the new result all the same")
        raise Exit(FAILED)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, if somebody looks there: entries that were read, and all."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("reading entries"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
