"""The agent's own task list, as it stands after all calls that change it."""

import msgspec

from addons.agents.contract import Agent, TaskChange
from addons.project import calls
from storage.decoded import ToolCallPart, ToolResultPart
from storage.projection import rows
from storage.projection.shapes import TaskRow, ToolCallRow
from storage.projection.writing import Tables

_KINDS = ("todo", "plan")
_KEYS = msgspec.msgpack.Decoder(tuple[str, ...])


def renew(tables: Tables, agent: Agent, conversation_id: str) -> None:
    """Make the list anew from all of the conversation's calls, in their order."""
    found: dict[str, TaskRow] = {}
    for call in tables.tool_calls_of(conversation_id, _KINDS):
        changes = agent.tasks(*_parts(call))
        if any(change.replaces_all for change in changes):
            found = {key: row for key, row in found.items() if key in {c.key for c in changes}}
        for change in changes:
            before = found.get(change.key)
            found[change.key] = _changed(before, change, call, conversation_id, len(found))
    tables.put_tasks(conversation_id, found.values())


def _parts(call: ToolCallRow) -> tuple[ToolCallPart, ToolResultPart | None]:
    if call.result is None:
        return calls.part_of(call), None
    text = rows.unsqueeze(call.result).decode(errors="replace")
    result = ToolResultPart(call_id=call.call_id, text=text, is_error=call.is_error)
    return calls.part_of(call), result


def _changed(
    before: TaskRow | None, change: TaskChange, call: ToolCallRow, conversation_id: str, place: int
) -> TaskRow:
    turn_id = call.turn_id or call.result_turn or ""
    row = before or TaskRow(
        conversation_id=conversation_id,
        key=change.key,
        place=place,
        subject="",
        description=None,
        status="pending",
        active_form=None,
        owner=None,
        blocked_by=_pack(()),
        blocks=_pack(()),
        metadata_json=None,
        created_turn=turn_id,
        updated_turn=turn_id,
    )
    stated: dict[str, object] = {
        "subject": change.subject,
        "description": change.description,
        "status": change.status,
        "active_form": change.active_form,
        "owner": change.owner,
        "blocked_by": _linked(row.blocked_by, change.blocked_by, change),
        "blocks": _linked(row.blocks, change.blocks, change),
        "metadata_json": change.metadata_json,
    }
    changes = {name: value for name, value in stated.items() if value is not None}
    return msgspec.structs.replace(row, updated_turn=turn_id, **changes)


def _linked(before: bytes, stated: tuple[str, ...] | None, change: TaskChange) -> bytes | None:
    """A change of one task adds to its links; a whole new list states them."""
    if stated is None:
        return None
    known: tuple[str, ...] = () if change.replaces_all else _KEYS.decode(before)
    return _pack(tuple(dict.fromkeys((*known, *stated))))


def _pack(keys: tuple[str, ...]) -> bytes:
    return msgspec.msgpack.encode(keys)
