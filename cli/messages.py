"""`wirescribe messages`: what was said, in all conversations."""

from typing import TYPE_CHECKING, get_args

import rich_click as click

from cli import hints, narrowing, options, output, times
from cli.client import Client
from storage.decoded import Role

if TYPE_CHECKING:
    from cli.client.understood import MessagePage


@click.group()
def messages() -> None:
    """Messages of all conversations, and the words in them."""


@messages.command("list")
@click.option("--search", metavar="WORDS", help='That hold all words; "a phrase", begin*.')
@narrowing.session
@narrowing.conversation
@click.option("--role", type=click.Choice(get_args(Role)), help="Of this role.")
@click.option("--kind", help="prompt, answer, tool-results, context, summary ...")
@narrowing.limit(50)
@narrowing.after
@options.as_json
@options.client
def list_page(
    client: Client,
    search: str | None,
    session: str | None,
    conversation: str | None,
    role: Role | None,
    kind: str | None,
    limit: int,
    after: str | None,
    as_json: bool,
) -> None:
    """List messages, newest first."""
    from cli.client.understood import MessageFilter

    asked = MessageFilter(
        text=search,
        session_id=client.find_session(session).id if session else None,
        conversation_id=narrowing.conversation_of(client, conversation),
        role=role,
        kind=kind,
    )
    page = client.understood.page_messages(asked, after=after, limit=limit)
    if as_json:
        output.json(page)
        return
    if not page.messages:
        narrowing.say_nothing(is_filtered=asked != MessageFilter())
        return
    _show(page)
    narrowing.say_next(page.next)


def _show(page: "MessagePage") -> None:
    is_narrow = output.is_terminal()
    when = times.of_day if is_narrow else times.moment
    ids = [one.conversation_id for one in page.messages]
    snippets = {hit.message_id: hit.snippet for hit in page.hits or []}
    output.table(
        ("CONVERSATION", "TIME", "ROLE", "KIND", "TEXT"),
        [
            (its_id, when(one.timestamp), one.role, one.kind, snippets.get(one.id, one.preview))
            for one, its_id in zip(
                page.messages, hints.short(ids) if is_narrow else ids, strict=True
            )
        ],
        elastic="TEXT",
    )
