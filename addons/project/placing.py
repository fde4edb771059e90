"""
Puts a decoded turn into the projected tables, with all that it shows of other things.

A long one takes several transactions: its new messages and tool calls first, which do not show
while the turn is not there; then, in one, the turn and all that it changes of what shows already.
"""

from collections.abc import Generator, Iterable

import msgspec

from addons.agents.contract import Hints
from addons.project import chain, conversations, keys, linking, shares, tasks, turns
from addons.project.calls import Calls, Seen
from addons.project.chain import Chains, Link, Start
from addons.project.conversations import Identity
from addons.project.history import Prints
from addons.project.reading import Decoded
from storage.decoded import Note, Part, ToolCallPart, ToolResultPart
from storage.projection import forgetting, rows
from storage.projection.shapes import MessageRow, Sums, TurnRow
from storage.projection.unfinished import Unfinished
from storage.projection.writing import Known, Tables
from storage.quoting import Source
from storage.records import Session

_THREAD = ("main", "subagent", "compaction")
_BETWEEN_RESTS = 16  # messages that are put down


class Placer:
    """Keeps what was read of messages from turn to turn; one for each writing thread."""

    def __init__(self) -> None:
        self._prints = Prints()
        self._chains = Chains(self._prints)

    def identity(self, decoded: Decoded, session: Session) -> Identity:
        """By the agent's own id; where the wire has none, by prompt, directory and start."""
        agent, hints = decoded.agent, decoded.hints
        if hints.conversation:
            key = f"{agent.name} {hints.conversation}"
            public = keys.conversation(agent.name, hints.conversation)
            return Identity(id=public, key=key, is_inferred="conversation" in hints.inferred)
        own = keys.inferred(agent.name, decoded.entry, session, self._opening(decoded))
        return Identity(id=own, key=f"{agent.name} {own}", is_inferred=True)

    def _opening(self, decoded: Decoded) -> str:
        """The first words of the user in what was sent; else of whoever spoke first."""
        first: str | None = None
        for message in decoded.turn.asked.messages:
            read = self._prints.of(decoded.agent, message)
            if read.reading.prompt is not None:
                return read.reading.prompt.strip()
            if first is None and not read.hangs:
                first = rows.text(message.parts)
        return first or ""

    def place(
        self, tables: Tables, decoded: Decoded, session: Session
    ) -> Generator[Unfinished, None, str | None]:
        """
        In the caller's transaction; its id. None: the tables hold this turn already.

        Wherever it gives what is unfinished, the caller may leave it so and go on in another
        transaction, if nothing else was put into the tables and nothing that it may hang on went.
        """
        turn_id = keys.turn(decoded.entry.id, decoded.turn.number)
        if tables.has_turn(turn_id):
            return None
        identity = self.identity(decoded, session)
        rest = Unfinished(turn_id=turn_id, conversation_id=identity.id)
        track = _track(decoded.hints)
        start, is_unjoined, decoded = _start(tables, decoded, turn_id, identity.id)
        links = yield from self._chains.links(decoded, rest, track, start)
        asked_leaf = _leaf([link for link in links if not link.is_answer], start)
        row = turns.row_of(
            decoded,
            conversation_id=identity.id,
            asked_leaf=asked_leaf,
            leaf=_leaf(links, start),
            is_unjoined=is_unjoined,
        )
        number = tables.next_turn()
        calls = Calls(decoded.agent, identity.id, tables, (link.message for link in links))
        put = yield from self._put_messages(tables, decoded, row, number, links, track, calls, rest)
        yield from calls.write_new(tables, rest)
        tables.put_turn(number, row, turns.notes_of(decoded, turn_id))
        _move(tables, put.moved)
        calls.write_others(tables)
        self._finish(tables, decoded, identity, row, calls, put)
        if row.answer_id is not None and not tables.answer(row.answer_id, turn_id):
            for conversation_id in tables.going_on(row.answer_id, turn_id):
                forgetting.make_stale(tables, conversation_id)  # they did not know it
        return turn_id

    def _put_messages(
        self,
        tables: Tables,
        decoded: Decoded,
        turn: TurnRow,
        turn_number: int,
        links: list[Link],
        track: str,
        calls: Calls,
        rest: Unfinished,
    ) -> Generator[Unfinished, None, "_Put"]:
        known = chain.known(tables, links, turn.id)
        timing = decoded.turn.timing
        source = Source(
            tables.db.conn, decoded.entry, timing.asked_ns, timing.ended_ns, decoded.views
        )
        messages = {link.id: link.message for link in links}
        offset = decoded.entry.started_ns
        called_ns = iter([offset + at_ns for at_ns in decoded.called_ns])
        new, moved_from, moved, written = 0, [], [], 0
        for link in links:
            before = known.get(link.id)
            if before and (before.turn_id, before.position) <= (turn.id, link.position):
                if before.is_answer and not before.is_quoted and before.turn_id < turn.id:
                    tables.quote_message(link.id, source)
                continue
            written += 1
            if written % _BETWEEN_RESTS == 0:
                yield rest
            parent = messages.get(link.parent_id or "")
            seen = Seen(
                id=link.id,
                message=link.message,
                turn_id=turn.id,
                is_answer=link.is_answer,
                at_ns=_moment(turn, link, offset),
                before=(link.parent_id, parent) if link.parent_id and parent else None,
            )
            row = _message_row(link, seen, turn, turn_number, track, decoded, source)
            parts = link.message.parts
            if before:
                moved.append(_moved(tables, row, parts))
            else:
                tables.add_message(row, parts)
            known[link.id] = Known(
                turn_id=turn.id,
                position=link.position,
                depth=row.depth,
                is_answer=link.is_answer,
                is_quoted=True,
            )
            calls.take(seen, called_ns if link.is_answer else iter(()))
            if not link.hangs and track == "main":
                new += before is None
                moved_from += [before.turn_id] if before else []
        calls.state(decoded.hints.tool_durations, _results(links))
        return _Put(new, moved_from, moved)

    def _finish(
        self,
        tables: Tables,
        decoded: Decoded,
        identity: Identity,
        turn: TurnRow,
        calls: Calls,
        put: "_Put",
    ) -> None:
        row = conversations.merged(tables.conversation(identity.id), identity, decoded, turn)
        row = msgspec.structs.replace(
            row,
            prompt_count=tables.prompts(identity.id),
            message_count=row.message_count + put.new,
            tool_call_count=row.tool_call_count + calls.made,
        )
        tables.put_conversation(row)
        shares.add(
            tables, decoded, turn, new=put.new, moved_from=put.moved_from, tool_calls=calls.made
        )
        _count(tables, decoded, turn, calls.made)
        if calls.lists_tasks:
            tasks.renew(tables, decoded.agent, identity.id)
        if row.is_subagent:
            linking.link(tables, row)
        if calls.spawning:
            linking.link_calls(tables, calls.spawning)


class _Put(msgspec.Struct, frozen=True):
    """Messages of the thread: how many came new, and which turns held others until now."""

    new: int
    moved_from: list[str]
    moved: list["_Moved"]


class _Moved(msgspec.Struct, frozen=True):
    """A message that stands at a later turn; `words` as Tables.move_message wants them."""

    row: MessageRow
    words: tuple[str | None, str] | None
    has_other_calls: bool


def _moved(tables: Tables, row: MessageRow, parts: tuple[Part, ...]) -> _Moved:
    before = tables.parts(row.id)
    words = None if before is None else rows.words(before), rows.words(parts)
    return _Moved(
        row,
        None if words[0] == words[1] else words,
        # It gave its calls to the later turn.
        _call_ids(before) != _call_ids(parts),
    )


def _move(tables: Tables, moved: Iterable[_Moved]) -> None:
    for one in moved:
        tables.move_message(one.row, one.words)
        if one.has_other_calls:
            forgetting.make_stale(tables, one.row.conversation_id)


def _start(
    tables: Tables, decoded: Decoded, turn_id: str, conversation_id: str
) -> tuple[Start, bool, Decoded]:
    """
    The message that this turn goes on behind, and whether it should and none is known.

    Only answers of turns before it count: conversations that are made again are read in that
    order, and would otherwise be made again for ever.
    """
    previous = decoded.turn.asked.previous_id
    if previous is None:
        return Start(), False, decoded
    known = tables.answer(previous, turn_id)
    if known is not None:
        start = _behind(tables, known[1], is_foreign=known[0] != conversation_id)
        return start, False, decoded
    note = Note(kind="unknown-previous-answer", detail=previous)
    turn = msgspec.structs.replace(decoded.turn, notes=(*decoded.turn.notes, note))
    return Start(), True, msgspec.structs.replace(decoded, turn=turn)


def _behind(tables: Tables, leaf: str | None, *, is_foreign: bool) -> Start:
    found = tables.known([leaf]) if leaf else {}
    return Start(leaf, found[leaf].depth, is_foreign) if leaf and leaf in found else Start()


def _track(hints: Hints) -> str:
    """Calls beside the thread (titles, routers ...) have messages of their own."""
    return "main" if hints.request_class in _THREAD else hints.request_class


def _leaf(links: list[Link], start: Start) -> str | None:
    return next((link.id for link in reversed(links) if not link.hangs), start.id)


def _moment(turn: TurnRow, link: Link, started_ns: int) -> int:
    if not link.is_answer:
        return turn.started_ns
    offset_ns = turn.first_content_offset_ns or turn.ended_offset_ns
    return turn.started_ns if offset_ns is None else started_ns + offset_ns


def _message_row(
    link: Link,
    seen: Seen,
    turn: TurnRow,
    turn_number: int,
    track: str,
    decoded: Decoded,
    source: Source,
) -> MessageRow:
    reading, parts = link.print.reading, link.message.parts
    preview = None
    if reading.prompt is not None:
        own = rows.preview(parts, reading.prompt)
        preview = own if own != rows.preview(parts) else None
    return MessageRow(
        id=link.id,
        conversation_id=turn.conversation_id,
        parent_id=link.parent_id,
        depth=link.depth,
        track=track,
        role=link.message.role,
        kind="answer" if link.is_answer else reading.kind,
        hangs=link.hangs,
        is_partial=link.is_answer and not decoded.turn.is_complete,
        is_answer=link.is_answer,
        turn=turn_number,
        position=link.position,
        at_ns=seen.at_ns,
        preview=preview,
        injected=msgspec.msgpack.encode(reading.injected),
        content=rows.pack(parts, source, "response" if link.is_answer else "request"),
    )


def _call_ids(parts: Iterable[Part] | None) -> list[str | None]:
    """The only things that messages of the same print may differ in and that rows hang on."""
    return [part.call_id for part in parts or () if isinstance(part, ToolCallPart | ToolResultPart)]


def _results(links: list[Link]) -> list[str]:
    """
    The provider's ids of the calls whose results this request brings: those at its end, behind the
    model's last words.
    """
    asked = [link.message for link in links if not link.is_answer]
    last = max((n for n, message in enumerate(asked) if message.role == "assistant"), default=-1)
    return [
        part.call_id
        for message in asked[last + 1 :]
        for part in message.parts
        if isinstance(part, ToolResultPart) and part.call_id is not None
    ]


def _count(tables: Tables, decoded: Decoded, turn: TurnRow, tool_calls: int) -> None:
    tables.count(
        turn.started_ns // 900_000_000_000,
        turn.conversation_id,
        decoded.turn.answer.model or decoded.turn.asked.model or "",
        Sums(
            turns=1,
            tool_calls=tool_calls,
            input_tokens=turn.input_tokens or 0,
            output_tokens=turn.output_tokens or 0,
            cache_read_tokens=turn.cache_read_tokens or 0,
            cache_write_tokens=turn.cache_write_tokens or 0,
            cost_usd=turn.cost_usd or 0.0,
            unmetered=turns.is_unmetered(decoded),
            unpriced=turn.input_tokens is not None and turn.cost_usd is None,
        ),
    )
