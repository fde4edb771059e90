"""Tool calls and their results: found in messages, joined by the provider's call id."""

from collections.abc import Iterable, Iterator

import msgspec

from addons.agents.contract import Agent, CallMeaning, ResultMeaning, Touch
from addons.project import keys
from storage.decoded import Message, ToolCallPart, ToolResultPart
from storage.projection import forgetting, rows
from storage.projection.shapes import ToolCallRow, TouchRow
from storage.projection.unfinished import Unfinished
from storage.projection.writing import Tables

_LISTED = ("todo", "plan")  # kinds of calls whose words stand in their rows, to be read often
_BETWEEN_RESTS = 32  # calls that are put down
_MAX_WORDS = 2_000  # of descriptions and commands; the arguments have all


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A message as a turn shows it."""

    id: str
    message: Message
    turn_id: str
    is_answer: bool
    at_ns: int
    before: tuple[str, Message] | None  # the message that it stands behind, where it is at hand


class Calls:
    """Gathers what one turn shows of tool calls and merges it into the tables."""

    def __init__(
        self, agent: Agent, conversation_id: str, tables: Tables, messages: Iterable[Message]
    ) -> None:
        """`messages` are all of the turn: a result may stand far behind its call."""
        self._agent = agent
        self._conversation_id = conversation_id
        self._tables = tables
        self._parts = {
            part.call_id: part
            for message in messages
            for part in message.parts
            if isinstance(part, ToolCallPart) and part.call_id is not None
        }
        self._found: dict[str, ToolCallRow] = {}
        self._known: dict[str, ToolCallRow] = {}
        self._touches: dict[str, list[TouchRow]] = {}
        self.made = 0  # calls that are new and that an answer brought
        self.spawning: list[ToolCallRow] = []  # calls that start subagents, and changed
        self.lists_tasks = False  # a call that may change the task list is new or has its result

    def take(self, seen: Seen, called_ns: Iterator[int]) -> None:
        """`called_ns`: when the calls of an answer were whole, in their order."""
        for number, part in enumerate(seen.message.parts):
            if isinstance(part, ToolCallPart):
                self._call(seen, number, part, next(called_ns, seen.at_ns))
            elif isinstance(part, ToolResultPart):
                self._result(seen, number, part)

    def _call(self, seen: Seen, number: int, part: ToolCallPart, at_ns: int) -> None:
        call_id = keys.tool_call(self._conversation_id, part.call_id, seen.id, number)
        meaning = self._meaning(part)
        row = self._found.get(call_id) or self._blank(call_id, part.call_id, part.name)
        self._found[call_id] = msgspec.structs.replace(
            row,
            name=part.name,
            namespace=part.namespace,
            kind=meaning.tool.kind,
            is_custom=part.is_custom,
            mcp_server=meaning.tool.mcp_server,
            mcp_tool=meaning.tool.mcp_tool,
            skill=meaning.skill,
            turn_id=seen.turn_id,
            message_id=seen.id,
            part=number,
            made=seen.is_answer,
            called_ns=at_ns,
            spawn_digest=keys.text(meaning.spawn_prompt) if meaning.spawn_prompt else None,
            spawn_name=meaning.spawn_name,
            subagent_type=meaning.subagent_type,
            description=_short(meaning.description),
            command=_short(meaning.command),
            arguments=_kept(meaning.tool.kind, part.arguments),
        )
        self._touches[call_id] = [
            TouchRow(
                tool_call_id=call_id,
                number=place,
                conversation_id=self._conversation_id,
                path=touch.path,
                access=touch.access,
            )
            for place, touch in enumerate(_all_touches(meaning))
        ]

    def _result(self, seen: Seen, number: int, part: ToolResultPart) -> None:
        call_id, call = self._called(seen, number, part)
        if call_id is None:
            return
        meaning = self._result_meaning(call, part)
        name = call.name if call else part.name
        row = self._found.get(call_id) or self._blank(call_id, part.call_id, name or "")
        self._found[call_id] = msgspec.structs.replace(
            row,
            result_turn=seen.turn_id,
            result_message=seen.id,
            result_part=number,
            result_ns=seen.at_ns,
            is_error=meaning.is_error,
            is_error_inferred=meaning.is_inferred,
            exit_code=meaning.exit_code,
            is_pending=meaning.is_pending,
            stated_ms=meaning.duration_ms,
            child=meaning.child,
            result=_kept(row.kind, part.text),
        )

    def _called(
        self, seen: Seen, number: int, part: ToolResultPart
    ) -> tuple[str | None, ToolCallPart | None]:
        """The call that this is the result of; by its id, else by name and order (Gemini)."""
        if part.call_id is not None:
            call_id = keys.tool_call(self._conversation_id, part.call_id, "", 0)
            return call_id, self._parts.get(part.call_id) or self._stored(call_id)
        before_id, before = seen.before or ("", None)
        calls = [
            (place, call)
            for place, call in enumerate(before.parts if before else ())
            if isinstance(call, ToolCallPart)
        ]
        nameless = [(place, call) for place, call in calls if call.call_id is None]
        named = [one for one in nameless if one[1].name == part.name]
        rank = sum(
            isinstance(other, ToolResultPart) and other.name == part.name
            for other in seen.message.parts[:number]
        )
        if rank >= len(named):
            return None, None
        place, call = named[rank]
        return keys.tool_call(self._conversation_id, None, before_id, place), call

    def _stored(self, call_id: str) -> ToolCallPart | None:
        """A call that an earlier turn brought; a socket's requests hold only what is new."""
        row = self._tables.tool_calls([call_id]).get(call_id)
        return self._tables.sides(row)[0] if row and row.turn_id is not None else None

    def _meaning(self, part: ToolCallPart) -> CallMeaning:
        return self._agent.call(part)

    def _result_meaning(self, call: ToolCallPart | None, part: ToolResultPart) -> ResultMeaning:
        return self._agent.result(call, part)

    def _blank(self, call_id: str, provider_id: str | None, name: str) -> ToolCallRow:
        kind = self._agent.tool(name, None).kind if name else "other"
        return ToolCallRow(
            id=call_id,
            conversation_id=self._conversation_id,
            call_id=provider_id,
            name=name,
            namespace=None,
            kind=kind,
        )

    def state(self, durations: Iterable[tuple[str, int]], results: Iterable[str]) -> None:
        """
        Give the durations that the agent states, by name and in order, to the tools whose results
        this request brings; `results` are the provider's ids of their calls, in the order of their
        results. One that an earlier turn brought has its duration from there, and has one here.
        """
        stated = list(durations)
        for provider_id in results:
            call_id = keys.tool_call(self._conversation_id, provider_id, "", 0)
            row, part = self._found.get(call_id), self._parts.get(provider_id)
            name = part.name if part else row.name if row else None
            match = next((pair for pair in stated if pair[0] == name), None)
            if match:
                stated.remove(match)
                if row:
                    self._found[call_id] = msgspec.structs.replace(row, stated_ms=match[1])

    # --- the tables ------------------------------------------------------------------------------

    def write_new(self, tables: Tables, rest: Unfinished) -> Iterator[Unfinished]:
        """
        Put down calls that no other turn showed, which do not show before this turn does.

        Gives `rest` wherever the caller may rest.
        """
        self._known = tables.tool_calls(list(self._found))
        new = [one for one in self._found.values() if one.id not in self._known]
        for number, found in enumerate(new, 1):
            if not _lacks_result(found):
                self._write(tables, None, self._found.pop(found.id))
            if number % _BETWEEN_RESTS == 0:
                yield rest

    def write_others(self, tables: Tables) -> None:
        """
        Merge the rest: of each call the smallest turn that holds it counts, and so of its result.
        """
        for call_id, found in self._found.items():
            self._write(tables, self._known.get(call_id), found)

    def _write(self, tables: Tables, before: ToolCallRow | None, found: ToolCallRow) -> None:
        merged = self._listed(_merged(before, found))
        if merged == before:
            return
        tables.put_tool_calls([merged])
        if before and _is_undone(before, merged):
            forgetting.make_stale(tables, merged.conversation_id)
        self.made += int(merged.made) - int(before.made if before else False)
        if merged.turn_id != (before.turn_id if before else None):
            tables.put_touches(self._touches.get(merged.id, []))
        if merged.kind == "task" or merged.spawn_digest or merged.child:
            self.spawning.append(merged)
        # Equal ids: what was such a call before may be another one now.
        kinds = {merged.kind, before.kind if before else merged.kind}
        self.lists_tasks = self.lists_tasks or not kinds.isdisjoint(_LISTED)

    def _listed(self, row: ToolCallRow) -> ToolCallRow:
        """With its result, also if that came before it was known what kind of a call it is of."""
        if _lacks_result(row):
            result = self._tables.sides(row)[1]
            if result is not None:
                return msgspec.structs.replace(row, result=_kept(row.kind, result.text))
        return row


def part_of(row: ToolCallRow) -> ToolCallPart:
    """A call of the agent's list as it stood in its message, as far as its row keeps it."""
    return ToolCallPart(
        call_id=row.call_id,
        name=row.name,
        namespace=row.namespace,
        arguments=rows.unsqueeze(row.arguments).decode(errors="replace") if row.arguments else "",
        is_custom=row.is_custom,
    )


def _lacks_result(row: ToolCallRow) -> bool:
    """Whether it is to be taken from its message."""
    return row.kind in _LISTED and row.result is None and row.result_turn is not None


_CALL_SIDE = (
    "name", "namespace", "kind", "is_custom", "mcp_server", "mcp_tool", "skill", "turn_id",
    "message_id", "part", "made", "called_ns", "spawn_digest", "spawn_name", "subagent_type",
    "description", "command", "arguments",
)  # fmt: skip
_RESULT_SIDE = (
    "result_turn", "result_message", "result_part", "result_ns", "is_error", "is_error_inferred",
    "exit_code", "is_pending", "stated_ms", "child", "result",
)  # fmt: skip


def _merged(before: ToolCallRow | None, found: ToolCallRow) -> ToolCallRow:
    if before is None:
        return found
    changes: dict[str, object] = {}
    if _is_earlier(found.turn_id, before.turn_id):
        changes |= {name: getattr(found, name) for name in _CALL_SIDE}
    if _is_earlier(found.result_turn, before.result_turn):
        changes |= {name: getattr(found, name) for name in _RESULT_SIDE}
    return msgspec.structs.replace(before, **changes)


def _is_undone(before: ToolCallRow, merged: ToolCallRow) -> bool:
    """Whether something was counted or linked by what a later turn said of a call."""
    is_moved = before.turn_id is not None and merged.turn_id != before.turn_id
    is_used = before.made or before.spawn_digest is not None
    return (is_moved and is_used) or (before.child is not None and merged.child != before.child)


def _is_earlier(found: str | None, before: str | None) -> bool:
    return found is not None and (before is None or found < before)


def _all_touches(meaning: CallMeaning) -> Iterator[Touch]:
    yield from meaning.touches
    for inner in meaning.inner:
        yield from _all_touches(inner)


def _kept(kind: str, text: str) -> bytes | None:
    return rows.squeeze(text.encode(errors="replace")) if kind in _LISTED else None


def _short(text: str | None) -> str | None:
    return None if text is None else text[:_MAX_WORDS]
