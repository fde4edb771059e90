"""Which tool call of which conversation started a subagent's conversation."""

from collections.abc import Iterable

import msgspec

from storage.projection.shapes import ConversationRow, ToolCallRow
from storage.projection.writing import Tables


def link(tables: Tables, child: ConversationRow) -> None:
    """A subagent's conversation is new or changed: find the call that started it."""
    _by_word(tables, child)
    if child.spawn_digest is not None:
        _by_task(tables, child.spawn_digest)


def link_calls(tables: Tables, calls: Iterable[ToolCallRow]) -> None:
    """Calls that start subagents are new or changed: find the conversations that they started."""
    for call in calls:
        if call.spawn_digest is not None:
            _by_task(tables, call.spawn_digest)
        child = tables.conversation(call.child) if call.child else None
        for found in [child] if child else tables.children(parent_id=call.conversation_id):
            _by_word(tables, found)


def _by_word(tables: Tables, child: ConversationRow) -> None:
    """By an id or a name that the agent itself gives, on either side."""
    if child.parent_id is None and child.spawn_call_id is None:
        return
    calls = _spawns(tables, child)
    for call in calls:
        # Codex names a subagent by a path: "/root/counter" was started as "counter".
        name = (child.subagent_name or "").rpartition("/")[2]
        is_named = bool(name) and name == call.spawn_name
        is_called = child.spawn_call_id is not None and child.spawn_call_id == call.call_id
        if call.child == child.id or is_called or is_named:
            _set(tables, child, call)
            return


def _spawns(tables: Tables, child: ConversationRow) -> list[ToolCallRow]:
    if child.parent_id is None:
        return []
    return tables.tool_calls_of(child.parent_id, ["task"])


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
    children = [child for child in children if child.id not in told]
    calls = [call for call in calls if call.child not in told]
    for session in sorted({child.session_id for child in children}):
        fitting = [call for call in calls if sessions[call.conversation_id] == session]
        waiting = [child for child in children if child.session_id == session]
        for child, call in zip(waiting, fitting, strict=False):
            if child.parent_id in (None, call.conversation_id) and child.id != call.conversation_id:
                _set(tables, child, call)


def _session(tables: Tables, call: ToolCallRow) -> str | None:
    row = tables.conversation(call.conversation_id)
    return row.session_id if row else None


def _set(tables: Tables, child: ConversationRow, call: ToolCallRow) -> None:
    linked = msgspec.structs.replace(
        child,
        parent_id=call.conversation_id,
        parent_call=call.id,
        is_subagent=True,
        subagent_type=child.subagent_type or call.subagent_type,
    )
    if linked != child:
        tables.put_conversation(linked)
