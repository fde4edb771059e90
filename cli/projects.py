"""`wirescribe projects`: the directories that agents worked in."""

from typing import TYPE_CHECKING

import rich_click as click

from cli import narrowing, options, output, times, units
from cli.client import Client

if TYPE_CHECKING:
    from cli.client.understood import ProjectBody

_SHOWN = 10  # conversations


@click.group()
def projects() -> None:
    """Projects: the directories that agents worked in."""


@projects.command("list")
@narrowing.limit(100)
@narrowing.after
@options.as_json
@options.client
def list_page(client: Client, limit: int, after: str | None, as_json: bool) -> None:
    """List projects with their sums, newest activity first."""
    page = client.understood.page_projects(after=after, limit=limit)
    if as_json:
        output.json(page)
        return
    if not page.projects:
        narrowing.say_nothing(is_filtered=False)
        return
    when = times.of_day if output.is_terminal() else times.moment
    output.table(
        ("PROJECT", "CONVERSATIONS", "CALLS", "IN", "OUT", "COST", "LAST"),
        [
            (
                one.path,
                one.conversation_count,
                one.turn_count,
                units.short(one.input_tokens),
                units.short(one.output_tokens),
                units.cost(one.cost_usd, unpriced=one.unpriced_turns),
                when(one.last_activity_at),
            )
            for one in page.projects
        ],
        right=("CONVERSATIONS", "CALLS", "IN", "OUT", "COST"),
        elastic="PROJECT",
    )
    narrowing.say_next(page.next)


# An id looks like an option, -h of them all.
@projects.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]}
)
@click.argument("project")
@options.as_json
@options.client
def show(client: Client, project: str, as_json: bool) -> None:
    """Show a project, by its path or id, and its newest conversations."""
    from cli.client.understood import ConversationFilter
    from cli.conversations import show_table

    path = narrowing.path_of(client, project)
    assert path is not None
    found = client.understood.find_project(path)
    asked = ConversationFilter(project=found.path)
    newest = client.understood.page_conversations(asked, limit=_SHOWN)
    if as_json:
        output.json({"project": found, "conversations": newest.conversations})
        return
    _facts(found)
    click.echo()
    show_table(newest.conversations, is_filtered=True)


def _facts(found: "ProjectBody") -> None:
    output.facts(
        {
            "Project": found.path,
            "Id": found.id,
            "Agents": ", ".join(found.agents),
            "Sessions": f"{found.session_count:,}",
            "Conversations": f"{found.conversation_count:,}",
            "Subagents": f"{found.subagent_count:,}",
            "Model calls": f"{found.turn_count:,}",
            "Tool calls": f"{found.tool_call_count:,}",
            "Errors": f"{found.error_count:,}",
            "Tokens in": _known(found.input_tokens, found.unmetered_turns),
            "of these cached": _known(found.cache_read_tokens, found.unmetered_turns),
            "Tokens out": _known(found.output_tokens, found.unmetered_turns),
            "Cost": units.cost(found.cost_usd, unpriced=found.unpriced_turns),
            "First": times.moment(found.started_at),
            "Last": times.moment(found.last_activity_at),
        }
    )


def _known(tokens: int | None, unmetered: int) -> str:
    if tokens is None:
        return "unknown"
    more = f", and those of {units.count(unmetered, 'call', 'calls')}" if unmetered else ""
    return f"{tokens:,}{more}"
