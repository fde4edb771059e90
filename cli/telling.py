"""
A conversation as people read it: its turns in their order, subagents below what started them.

Pure: what a client answered goes in, lines come out.
"""

from collections.abc import Iterator, Sequence

import msgspec

from cli import times, units
from cli.client.understood import (
    BranchBody,
    ConversationBody,
    MessageBody,
    ToolCallBody,
    TurnBody,
)
from cli.lines import Line, brief
from cli.turns import Teller

_CONVERSING = ("main", "subagent", "compaction")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one conversation."""

    conversation: ConversationBody
    tree: list[ConversationBody]
    branches: list[BranchBody]
    turns: list[TurnBody]
    messages: list[MessageBody]
    calls: list[ToolCallBody]


class Telling:
    """`of` is by id: the conversation to tell and those below it. `is_full`: nothing shortened."""

    def __init__(self, of: dict[str, Told], *, is_full: bool) -> None:
        self._of = of
        self._teller = Teller(is_full=is_full)
        self._told: set[str] = set()

    def tell(self, conversation_id: str) -> Iterator[Line]:
        found = self._of[conversation_id]
        yield from heading(found.conversation, found.tree)
        yield from self._conversation(found, 0)

    def _conversation(self, told: Told, depth: int) -> Iterator[Line]:
        self._told.add(told.conversation.id)
        brought, calls = _by_turn(told.messages), _by_turn(told.calls)
        for turn in told.turns:
            if turn.request_class in _CONVERSING:
                yield from self._teller.turn(
                    turn,
                    brought.get(turn.id, []),
                    calls.get(turn.id, []),
                    depth=depth,
                    task=_task(told.conversation, turn),
                    below=self._below,
                )
        for child in told.tree:
            # Those of which nobody knows the tool call that started them.
            if child.parent_id == told.conversation.id:
                yield from self._subagent(child.id, depth + 1)
        yield from _beside(told.turns, depth)

    def _below(self, call: ToolCallBody, depth: int) -> list[Line]:
        child = call.child_conversation_id
        return list(self._subagent(child, depth)) if child else []

    def _subagent(self, conversation_id: str, depth: int) -> Iterator[Line]:
        told = self._of.get(conversation_id)
        if told is None or conversation_id in self._told:
            return
        child = told.conversation
        name = child.subagent_type or child.subagent_name or "subagent"
        yield Line(
            sign="◆",
            text=f"{name}  {child.model or ''}".rstrip(),
            tone="title",
            right=_sums(child),
            depth=depth,
        )
        yield from self._conversation(told, depth + 1)


def _task(conversation: ConversationBody, turn: TurnBody) -> str | None:
    is_first = conversation.is_subagent and turn.id == conversation.first_turn_id
    return conversation.summary if is_first else None


def heading(conversation: ConversationBody, tree: Sequence[ConversationBody]) -> Iterator[Line]:
    """What the conversation is about, who led it where, and its sums with all below it."""
    summary = (conversation.summary or "a conversation without a prompt").strip().split("\n")[0]
    yield Line(text=brief(summary, lines=1, signs=200).split("\n")[0], tone="title")
    agent = " ".join(filter(None, [conversation.agent, conversation.agent_version]))
    where = conversation.project
    if where and conversation.git_branch:
        where = f"{where} ({conversation.git_branch})"
    yield Line(text=" · ".join(filter(None, [agent, conversation.model, where])), tone="faint")
    took = times.duration(conversation.ended_at - conversation.started_at)
    when = f"{times.moment(conversation.started_at)}, {took}"
    yield Line(text=f"{when} · {_sums(conversation)}", tone="faint")
    below = [one for one in tree if one.id != conversation.id]
    if below:
        yield Line(
            text=f"{units.count(len(below), 'subagent', 'subagents')} below: {_total(below)}",
            tone="faint",
        )
    guessed = "  (its id was concluded)" if conversation.is_inferred else ""
    yield Line(text=f"{conversation.id}{guessed}", tone="faint")
    yield Line()


def _sums(one: ConversationBody) -> str:
    counts = [
        units.count(one.turn_count, "model call", "model calls"),
        units.count(one.tool_call_count, "tool call", "tool calls") if one.tool_call_count else "",
        units.count(one.error_count, "error", "errors") if one.error_count else "",
    ]
    return " · ".join([*filter(None, counts), _tokens([one]), _cost([one])])


def _total(some: Sequence[ConversationBody]) -> str:
    return f"{_tokens(some)} · {_cost(some)}"


def _tokens(some: Sequence[ConversationBody]) -> str:
    more = "+" if any(one.unmetered_turns for one in some) else ""
    read = _sum([one.input_tokens for one in some])
    cached = _sum([one.cache_read_tokens for one in some])
    wrote = _sum([one.output_tokens for one in some])
    part = f" ({units.short(cached)} cached)" if cached else ""
    return f"{units.short(read)}{more} in{part} · {units.short(wrote)}{more} out"


def _cost(some: Sequence[ConversationBody]) -> str:
    known = [one.cost_usd for one in some if one.cost_usd is not None]
    unpriced = sum(one.unpriced_turns for one in some)
    return units.cost(sum(known) if known else None, unpriced=unpriced)


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _beside(turns: Sequence[TurnBody], depth: int) -> Iterator[Line]:
    """Calls that are no part of the conversation, by what they are for."""
    counts: dict[str, int] = {}
    for turn in turns:
        if turn.request_class not in _CONVERSING:
            counts[turn.request_class] = counts.get(turn.request_class, 0) + 1
    if counts:
        named = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        yield Line(sign="∙", text=f"beside it: {named}", tone="faint", depth=depth)


def _by_turn[T: (MessageBody, ToolCallBody)](some: Sequence[T]) -> dict[str | None, list[T]]:
    found: dict[str | None, list[T]] = {}
    for one in some:
        found.setdefault(one.turn_id, []).append(one)
    return found
