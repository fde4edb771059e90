"""
The row of a conversation, merged from its turns.

Whatever order turns come in, the same row comes out: of facts that the first turn states and later
ones repeat, the smallest turn id wins; of those that change, the greatest; sums only grow. `marks`
remembers which turn stated what.
"""

from typing import Literal

import msgspec

from addons.project import keys, turns
from addons.project.reading import Decoded
from storage.projection.shapes import ConversationRow, TurnRow

_FIRST = (
    "summary", "cwd", "git_branch", "git_repository", "subagent_type", "subagent_name",
    "parent_key", "spawn_call_id", "spawn_digest", "is_subagent",
)  # fmt: skip
_NEWEST = ("agent_version", "model", "mode")
_MARKS = msgspec.msgpack.Decoder(dict[str, str])
_SUMMARY = 500  # signs
_THREAD = ("main", "subagent", "compaction")  # classes that belong to the thread itself


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Which conversation a turn belongs to."""

    id: str
    key: str
    is_inferred: bool


def merged(
    before: ConversationRow | None, identity: Identity, decoded: Decoded, turn: TurnRow
) -> ConversationRow:
    """The row with this turn in it; its messages and tool calls are counted elsewhere."""
    row = before or _blank(identity, decoded, turn)
    row = _stated(row, _facts(decoded, turn), turn.id)
    if turn.id < row.first_turn:
        row = msgspec.structs.replace(row, first_turn=turn.id, session_id=turn.session_id)
    usage = turn
    return msgspec.structs.replace(
        row,
        parent_id=_parent(row, decoded),
        last_turn=max(row.last_turn, turn.id),
        started_ns=min(row.started_ns, turn.started_ns),
        ended_ns=max(row.ended_ns, turn.ended_ns or turn.started_ns),
        turn_count=row.turn_count + 1,
        thread_turns=row.thread_turns + (turn.request_class in _THREAD),
        error_count=row.error_count + turns.is_failed(decoded),
        input_tokens=row.input_tokens + (usage.input_tokens or 0),
        output_tokens=row.output_tokens + (usage.output_tokens or 0),
        cache_read_tokens=row.cache_read_tokens + (usage.cache_read_tokens or 0),
        cache_write_tokens=row.cache_write_tokens + (usage.cache_write_tokens or 0),
        reasoning_tokens=row.reasoning_tokens + (usage.reasoning_tokens or 0),
        # Rounded, so that the order of adding does not show in the last digits.
        cost_usd=round(row.cost_usd + (turn.cost_usd or 0.0), 9),
        unmetered_turns=row.unmetered_turns + turns.is_unmetered(decoded),
        unpriced_turns=row.unpriced_turns
        + (turn.input_tokens is not None and turn.cost_usd is None),
    )


def stated(row: ConversationRow) -> frozenset[str]:
    """Which of its fields its own turns state; others may come from the call that started it."""
    return frozenset(_MARKS.decode(row.marks))


def _parent(row: ConversationRow, decoded: Decoded) -> str | None:
    """Stated by the agent; else what was found by the subagent's task, which stays."""
    if row.parent_key is not None:
        return keys.conversation(decoded.agent.name, row.parent_key)
    return row.parent_id


def _facts(decoded: Decoded, turn: TurnRow) -> dict[str, object]:
    hints = decoded.hints
    is_thread = turn.request_class in _THREAD
    summary = turn.prompt if not hints.is_subagent else (hints.spawn_prompt or turn.prompt)
    return {
        "summary": " ".join(summary.split())[:_SUMMARY] if summary and is_thread else None,
        "cwd": hints.cwd,
        "git_branch": hints.git_branch,
        "git_repository": hints.git_repository,
        "subagent_type": hints.subagent_type,
        "subagent_name": hints.subagent_name,
        "parent_key": hints.parent,
        "spawn_call_id": hints.spawn_call_id,
        "spawn_digest": keys.text(hints.spawn_prompt) if hints.spawn_prompt else None,
        "is_subagent": hints.is_subagent or None,
        "agent_version": hints.agent_version,
        "model": decoded.turn.asked.model if is_thread else None,
        "mode": hints.mode,
    }


def _stated(row: ConversationRow, facts: dict[str, object], turn_id: str) -> ConversationRow:
    marks = _MARKS.decode(row.marks)
    changes: dict[str, object] = {}
    for name in _FIRST + _NEWEST:
        which: Literal["first", "newest"] = "first" if name in _FIRST else "newest"
        if facts[name] is not None and _wins(turn_id, marks.get(name), which):
            changes[name], marks[name] = facts[name], turn_id
    changes["marks"] = msgspec.msgpack.encode(marks, order="sorted")
    return msgspec.structs.replace(row, **changes)


def _wins(turn_id: str, marked: str | None, which: Literal["first", "newest"]) -> bool:
    if marked is None:
        return True
    return turn_id < marked if which == "first" else turn_id > marked


def _blank(identity: Identity, decoded: Decoded, turn: TurnRow) -> ConversationRow:
    return ConversationRow(
        id=identity.id,
        key=identity.key,
        agent=decoded.agent.name,
        is_inferred=identity.is_inferred,
        parent_id=None,
        parent_call=None,
        is_subagent=False,
        session_id=turn.session_id,
        first_turn=turn.id,
        last_turn=turn.id,
        started_ns=turn.started_ns,
        ended_ns=turn.started_ns,
        summary=None,
        cwd=None,
        git_branch=None,
        git_repository=None,
        agent_version=None,
        model=None,
        mode=None,
        subagent_type=None,
        subagent_name=None,
        parent_key=None,
        spawn_call_id=None,
        spawn_digest=None,
        marks=msgspec.msgpack.encode({}),
        turn_count=0,
        thread_turns=0,
        prompt_count=0,
        message_count=0,
        tool_call_count=0,
        error_count=0,
        input_tokens=0,
        output_tokens=0,
        cache_read_tokens=0,
        cache_write_tokens=0,
        reasoning_tokens=0,
        cost_usd=0.0,
        unmetered_turns=0,
        unpriced_turns=0,
    )
