"""`wirescribe tasks`: the agents' own lists."""

from typing import get_args

import rich_click as click

from cli import hints, narrowing, options, output, times
from cli.client import Client
from storage.decoded import TaskStatus


@click.group()
def tasks() -> None:
    """Tasks: items of the agents' own task and todo lists."""


@tasks.command("list")
@narrowing.session
@narrowing.conversation
@click.option("--status", type=click.Choice(get_args(TaskStatus)), help="That stand so.")
@narrowing.limit(200)
@narrowing.after
@options.as_json
@options.client
def list_page(
    client: Client,
    session: str | None,
    conversation: str | None,
    status: TaskStatus | None,
    limit: int,
    after: str | None,
    as_json: bool,
) -> None:
    """List tasks as they stand now, those that changed last first."""
    from cli.client.understood import TaskFilter

    asked = TaskFilter(
        session_id=client.find_session(session).id if session else None,
        conversation_id=narrowing.conversation_of(client, conversation),
        status=status,
    )
    page = client.understood.page_tasks(asked, after=after, limit=limit)
    if as_json:
        output.json(page)
        return
    if not page.tasks:
        narrowing.say_nothing(is_filtered=True)
        return
    is_narrow = output.is_terminal()
    when = times.of_day if is_narrow else times.moment
    ids = [one.conversation_id for one in page.tasks]
    output.table(
        ("CONVERSATION", "TASK", "STATUS", "SUBJECT", "CHANGED"),
        [
            (
                its_id,
                one.id,
                one.status,
                one.subject,
                "?" if one.updated_at is None else when(one.updated_at),
            )
            for one, its_id in zip(page.tasks, hints.short(ids) if is_narrow else ids, strict=True)
        ],
        elastic="SUBJECT",
    )
    narrowing.say_next(page.next)
