"""What lists of what was understood have in common: filters, pages, and what to say of nothing."""

import os
from collections.abc import Callable
from typing import Any

import rich_click as click

from cli import hints
from cli.client import Client
from cli.errors import say

session = click.option("--session", metavar="ID_OR_NAME", help="Of this session alone.")

conversation = click.option("--conversation", metavar="ID", help="Of this conversation alone.")

project = click.option(
    "--project", metavar="PATH_OR_ID", help="That ran in this directory; `.` is this one."
)

after = click.option("--after", metavar="PLACE", help="Go on behind the page before.")


def limit(default: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        "--limit",
        type=click.IntRange(1, 500),
        default=default,
        show_default=True,
        help="At most so many.",
    )


def path_of(client: Client, text: str | None) -> str | None:
    """The directory that a user means by a path, by one from here, or by a project's id."""
    if text is None:
        return None
    if text.startswith((".", "~")):
        return os.path.abspath(os.path.expanduser(text))
    return client.understood.find_project(text).path if not text.startswith("/") else text


def conversation_of(client: Client, text: str | None) -> str | None:
    return client.understood.find_conversation(text).conversation.id if text else None


def say_next(place: str | None) -> None:
    if place:
        say(f"there are more; the next: --after {place}")


def say_nothing(*, is_filtered: bool) -> None:
    if is_filtered:
        say("nothing matches")
        return
    say(f"nothing recorded yet: {hints.command()} run -- claude")
