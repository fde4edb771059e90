"""An entry's bytes as turns, with what their agent says of them."""

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from addons import agents, wire
from addons.agents.contract import Agent, Call, Hints
from addons.wire import driving
from addons.wire.contract import AnswerHead, Head
from storage import replay
from storage.bodies import BodyView
from storage.decoded import Change, Note, PartDone, ToolCallPart, Turn, TurnEnded
from storage.records import Entry, Side


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """A turn, who made it, and when each tool call of its answer was whole (offsets in order)."""

    entry: Entry
    head: Head
    answer: AnswerHead | None
    turn: Turn
    agent: Agent
    hints: Hints
    called_ns: tuple[int, ...] = ()
    views: dict[Side, BodyView] = {}  # the entry's bodies, where it was read from them


class Gatherer:
    """Makes turns of the changes of one entry's fold, as they come."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._called: dict[int, list[int]] = {}

    def take(self, entry: Entry, changes: Iterable[Change]) -> list[Decoded]:
        """The turns that ended with these changes."""
        found = []
        for change in changes:
            if isinstance(change, PartDone) and isinstance(change.part, ToolCallPart):
                self._called.setdefault(change.number, []).append(change.at_ns)
            elif isinstance(change, TurnEnded):
                called_ns = tuple(self._called.pop(change.turn.number, ()))
                found.append(understand(entry, self._head, change.turn, called_ns))
        return found


def understand(entry: Entry, head: Head, turn: Turn, called_ns: Sequence[int] = ()) -> Decoded:
    """What the turn's agent says of it. An agent that fails leaves a note, not a hole."""
    answer = driving.answer_of(entry)
    call = Call(head=head, answer=answer, turn=turn)
    agent = agents.agent_of(head, turn.asked)
    try:
        hints = agent.hints(call)
    except Exception as error:  # noqa: BLE001 - one fact less must not cost the turn
        note = Note(kind="agent-failed", detail=f"{agent.name}: {type(error).__name__}")
        turn = msgspec.structs.replace(turn, notes=(*turn.notes, note))
        hints = Hints()
    return Decoded(
        entry=entry,
        head=head,
        answer=answer,
        turn=turn,
        agent=agent,
        hints=hints,
        called_ns=tuple(called_ns),
    )


def decode(conn: sqlite3.Connection, entry: Entry) -> list[Decoded]:
    """
    All turns of a stored entry; [] of one that is no model call. Of an open one, those that ended.

    Raises NotFound if it was deleted meanwhile. A decoder that fails raises whatever it raises:
    the caller notes that.
    """
    entry = replay.readable(entry)
    head = driving.head_of(entry)
    decoder = wire.decoder_of(head)
    if decoder is None or entry.kind == "tunnel":
        return []
    gatherer = Gatherer(head)
    views: dict[Side, BodyView] = {}
    changes = driving.drive(
        decoder.open(head),
        driving.answer_of(entry),
        replay.passed(conn, entry, views),
        entry.timing.closed_ns,
    )
    found = [msgspec.structs.replace(one, views=views) for one in gatherer.take(entry, changes)]
    return found if entry.outcome is not None else [one for one in found if one.turn.is_complete]
