"""`wirescribe conversations`: what agents and their models said to each other."""

from typing import TYPE_CHECKING

import rich_click as click

from cli import hints, narrowing, options, output, times, units
from cli.client import Client
from cli.errors import say

if TYPE_CHECKING:
    from cli.client.understood import ConversationBody
    from cli.telling import Told

_WIDE = (
    "CONVERSATION", "STARTED", "AGENT", "MODEL", "CALLS", "TOOLS", "ERRORS", "IN", "CACHED", "OUT",
    "COST", "PROJECT", "PROMPT",
)  # fmt: skip
_NARROW = ("ID", "STARTED", "AGENT", "PROMPT", "CALLS", "IN", "OUT", "COST")
_RIGHT = ("CALLS", "TOOLS", "ERRORS", "IN", "CACHED", "OUT", "COST")


@click.group()
def conversations() -> None:
    """Conversations: what an agent and its model said to each other."""


@conversations.command("list")
@narrowing.session
@narrowing.project
@click.option("--agent", help="Of this agent: claude-code, codex ...")
@click.option("--model", help="With this model.")
@click.option("--text", help="Part of the first prompt.")
@click.option("--subagents", is_flag=True, help="Those of subagents too.")
@narrowing.limit(50)
@narrowing.after
@options.as_json
@options.client
def list_page(
    client: Client,
    session: str | None,
    project: str | None,
    agent: str | None,
    model: str | None,
    text: str | None,
    subagents: bool,
    limit: int,
    after: str | None,
    as_json: bool,
) -> None:
    """List conversations, newest activity first."""
    from cli.client.understood import ConversationFilter

    asked = ConversationFilter(
        session_id=client.find_session(session).id if session else None,
        project=narrowing.path_of(client, project),
        agent=agent,
        model=model,
        text=text,
        subagents=subagents,
    )
    page = client.understood.page_conversations(asked, after=after, limit=limit)
    if as_json:
        output.json(page)
        return
    show_table(page.conversations, is_filtered=asked != ConversationFilter())
    narrowing.say_next(page.next)


def show_table(found: "list[ConversationBody]", *, is_filtered: bool) -> None:
    if not found:
        narrowing.say_nothing(is_filtered=is_filtered)
        return
    is_narrow = output.is_terminal()
    ids = hints.short([one.id for one in found]) if is_narrow else [one.id for one in found]
    row = _narrow_row if is_narrow else _wide_row
    output.table(
        _NARROW if is_narrow else _WIDE,
        [row(one, its_id) for one, its_id in zip(found, ids, strict=True)],
        right=_RIGHT,
        elastic="PROMPT",
    )


def _wide_row(one: "ConversationBody", its_id: str) -> tuple[object, ...]:
    return (
        its_id,
        times.moment(one.started_at),
        one.agent,
        one.model or "?",
        one.turn_count,
        one.tool_call_count,
        one.error_count,
        *(_known(value) for value in (one.input_tokens, one.cache_read_tokens, one.output_tokens)),
        units.cost(one.cost_usd, unpriced=one.unpriced_turns),
        one.project or "?",
        _prompt(one),
    )


def _narrow_row(one: "ConversationBody", its_id: str) -> tuple[object, ...]:
    return (
        its_id,
        times.of_day(one.started_at),
        one.agent,
        _prompt(one),
        one.turn_count,
        units.short(one.input_tokens),
        units.short(one.output_tokens),
        units.cost(one.cost_usd, unpriced=one.unpriced_turns),
    )


def _known(value: int | None) -> object:
    return "?" if value is None else value


def _prompt(one: "ConversationBody") -> str:
    text = " ".join((one.summary or "").split())[:300]
    return f"↳ {text}" if one.is_subagent or one.parent_id else text or "-"


@conversations.command()
@click.argument("conversation")
@click.option("--full", "is_full", is_flag=True, help="Shorten nothing, and show what was put in.")
@options.as_json
@options.client
def show(client: Client, conversation: str, is_full: bool, as_json: bool) -> None:
    """
    Show a conversation with its subagents, by its id or the beginning of it.

    Prompts, answers, tool calls with their results, tokens, cost and times. A duration with ~ in
    front was measured from the call to its result, others are the agent's own word.
    """
    found = gathered(client, conversation)
    root = next(iter(found))
    if as_json:
        output.json(
            {
                "conversation": found[root].conversation,
                "tree": found[root].tree,
                "branches": found[root].branches,
                "turns": [turn for told in found.values() for turn in told.turns],
                "messages": [one for told in found.values() for one in told.messages],
                "toolCalls": [call for told in found.values() for call in told.calls],
            }
        )
        return
    from cli import lines, telling

    lines.show(telling.Telling(found, is_full=is_full).tell(root))
    if output.is_terminal() and not is_full:
        say("--full shortens nothing, --json has it all")


def gathered(client: Client, text: str) -> "dict[str, Told]":
    """A conversation and those below it, each with all of its parts; the one asked for first."""
    first = client.understood.find_conversation(text)
    others = [one.id for one in first.tree if one.id != first.conversation.id]
    return {one: _told(client, one) for one in (first.conversation.id, *others)}


def _told(client: Client, conversation_id: str) -> "Told":
    from cli.client.understood import ToolCallFilter
    from cli.telling import Told

    ask = client.understood
    detail = ask.find_conversation(conversation_id)
    turns, after = list(detail.turns), detail.next_turn
    while after:
        more = ask.find_conversation(conversation_id, after=after)
        turns += more.turns
        after = more.next_turn
    page = ask.messages_of(conversation_id)
    messages = list(page.messages)
    while page.next:
        page = ask.messages_of(conversation_id, after=page.next)
        messages += page.messages
    asked = ToolCallFilter(conversation_id=conversation_id)
    found = ask.page_tool_calls(asked, limit=500, order="oldest")
    calls = list(found.tool_calls)
    while found.next:
        found = ask.page_tool_calls(asked, after=found.next, limit=500, order="oldest")
        calls += found.tool_calls
    return Told(
        conversation=detail.conversation,
        tree=detail.tree,
        branches=detail.branches,
        turns=turns,
        messages=messages,
        calls=calls,
    )
