"""Which tool call of which conversation started a subagent's conversation."""

from collections.abc import Iterable
from itertools import zip_longest

import msgspec

from addons.project import conversations, keys
from storage.projection.shapes import ConversationRow, ToolCallRow
from storage.projection.writing import Tables


def link(tables: Tables, child: ConversationRow) -> None:
    """A subagent's conversation is new or changed: find the call that started it."""
    call = _named(tables, child)
    if call:
        _set(tables, child, call)
    if child.spawn_digest is not None:
        _by_task(tables, child.spawn_digest)


def link_calls(tables: Tables, calls: Iterable[ToolCallRow]) -> None:
    """Calls that start subagents are new or changed: find the conversations that they started."""
    for call in calls:
        digests = {call.spawn_digest}
        child = tables.conversation(call.child) if call.child else None
        for found in [child] if child else tables.children(parent_id=call.conversation_id):
            named = _named(tables, found)
            if named:
                _set(tables, found, named)
                digests.add(found.spawn_digest)
        for digest in sorted(filter(None, digests)):
            _by_task(tables, digest)


def _named(tables: Tables, child: ConversationRow) -> ToolCallRow | None:
    """By an id or a name that the agent itself gives, on either side."""
    # Codex names a subagent by a path: "/root/counter" was started as "counter".
    name = (child.subagent_name or "").rpartition("/")[2]
    for call in tables.tool_calls_of(child.parent_id, ["task"]) if child.parent_id else ():
        is_named = bool(name) and name == call.spawn_name
        is_called = child.spawn_call_id is not None and child.spawn_call_id == call.call_id
        if call.child == child.id or is_called or is_named:
            return call
    return None


def _by_task(tables: Tables, digest: bytes) -> None:
    """
    By the task's text, where nobody gives an id: the n-th child of a session with this task belongs
    to the n-th call with it. Equal tasks at the same time may be mixed up among themselves.
    """
    children = tables.children(spawn_digest=digest)
    calls = tables.spawns(digest)
    sessions = {call.conversation_id: _session(tables, call) for call in calls}
    # An id that a result names counts where there is such a conversation (yet).
    told = {call.child for call in calls if call.child and tables.conversation(call.child)}
    found = {child.id: _named(tables, _alone(child)) for child in children}
    named = {call.id for call in found.values() if call}
    children = [child for child in children if child.id not in told and not found[child.id]]
    calls = [call for call in calls if call.child not in told and call.id not in named]
    for session in sorted({child.session_id for child in children}):
        fitting = [call for call in calls if sessions[call.conversation_id] == session]
        waiting = [child for child in children if child.session_id == session]
        for child, call in zip_longest(waiting, fitting[: len(waiting)]):
            alone = _alone(child)
            is_free = call and alone.parent_id in (None, call.conversation_id)
            if call and is_free and child.id != call.conversation_id:
                _set(tables, child, call)
            elif alone != child:
                tables.put_conversation(alone)


def _session(tables: Tables, call: ToolCallRow) -> str | None:
    row = tables.conversation(call.conversation_id)
    return row.session_id if row else None


def _set(tables: Tables, child: ConversationRow, call: ToolCallRow) -> None:
    alone = _alone(child)
    linked = msgspec.structs.replace(
        alone,
        parent_id=call.conversation_id,
        parent_call=call.id,
        is_subagent=True,
        subagent_type=alone.subagent_type or call.subagent_type,
    )
    if linked != child:
        tables.put_conversation(linked)


def _alone(child: ConversationRow) -> ConversationRow:
    """What its own turns say of a conversation: without the call that it was linked to."""
    stated = conversations.stated(child)
    return msgspec.structs.replace(
        child,
        parent_id=keys.conversation(child.agent, child.parent_key) if child.parent_key else None,
        parent_call=None,
        is_subagent="is_subagent" in stated,
        subagent_type=child.subagent_type if "subagent_type" in stated else None,
    )
