"""`wirescribe tools`: what agents did."""

from typing import TYPE_CHECKING, get_args

import rich_click as click

from cli import hints, narrowing, options, output, times
from cli.client import Client
from storage.decoded import ToolKind

if TYPE_CHECKING:
    from cli.client.understood import ToolCallBody


@click.group()
def tools() -> None:
    """Tool calls: what agents did, and how it ended."""


@tools.command("list")
@narrowing.session
@narrowing.conversation
@click.option("--name", help="Of this tool, as the agent calls it.")
@click.option("--kind", type=click.Choice(get_args(ToolKind)), help="Of this kind.")
@click.option("--mcp-server", metavar="NAME", help="Of this MCP server.")
@click.option("--errors/--no-errors", "error", default=None, help="That failed, or did not.")
@narrowing.limit(100)
@narrowing.after
@options.as_json
@options.client
def list_page(
    client: Client,
    session: str | None,
    conversation: str | None,
    name: str | None,
    kind: ToolKind | None,
    mcp_server: str | None,
    error: bool | None,
    limit: int,
    after: str | None,
    as_json: bool,
) -> None:
    """List tool calls, newest first. ~ in front of a duration: measured, not stated."""
    from cli.client.understood import ToolCallFilter

    asked = ToolCallFilter(
        session_id=client.find_session(session).id if session else None,
        conversation_id=narrowing.conversation_of(client, conversation),
        name=name,
        kind=kind,
        mcp_server=mcp_server,
        error=error,
    )
    page = client.understood.page_tool_calls(asked, after=after, limit=limit)
    if as_json:
        output.json(page)
        return
    if not page.tool_calls:
        narrowing.say_nothing(is_filtered=asked != ToolCallFilter())
        return
    _show(page.tool_calls)
    narrowing.say_next(page.next)


def _show(calls: "list[ToolCallBody]") -> None:
    from cli import turns

    is_narrow = output.is_terminal()
    when = times.of_day if is_narrow else times.moment
    ids = [one.conversation_id for one in calls]
    output.table(
        ("CONVERSATION", "TIME", "TOOL", "WHAT", "ENDED", "TOOK"),
        [
            (
                its_id,
                "?" if one.called_at is None else when(one.called_at),
                one.name,
                " ".join(turns.what(one).split()),
                turns.ending(one) or "ok",
                turns.took(one) or "?",
            )
            for one, its_id in zip(calls, hints.short(ids) if is_narrow else ids, strict=True)
        ],
        right=("TOOK",),
        elastic="WHAT",
    )
