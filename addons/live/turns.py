"""Turns while they run: what a fold says becomes native events and hooks, and rows at their end."""

import time
from collections.abc import Iterable
from typing import Any

import msgspec
from sqlite_utils import Database

from addons.agents.contract import Agent
from addons.live.following import Following, merged
from addons.live.hooks import Hooks, Told
from addons.live.shapes import Delta as DeltaEvent
from addons.live.shapes import Native, TurnStored, part_body
from addons.live.shapes import PartDone as PartEvent
from addons.live.shapes import TurnBegun as BegunEvent
from addons.live.shapes import TurnEnded as EndedEvent
from addons.live.threads import Thread, Threads
from addons.project import Projection, keys, reading
from addons.project.reading import Decoded
from storage import raw, sessions, turns
from storage.decoded import Answer, Change, Delta, PartDone, Turn, TurnBegun, Usage
from storage.errors import NotFound
from storage.feed import Feed
from storage.projection import keeping
from storage.projection.writing import Tables
from storage.records import Session

_STORED_S = 60.0  # how long an ended turn is looked for in the tables
_MAX_UNSTORED = 1_000
_OTHER = "other:"  # keys of the automatic sessions that entries leave when they end


class _Running(msgspec.Struct, frozen=True, kw_only=True):
    agent: Agent
    entry_id: str
    thread: Thread
    turn_id: str


class Turns:
    """All turns under way, and those that ended and are not in the tables yet."""

    def __init__(self, feed: Feed, projection: Projection, threads: Threads, hooks: Hooks) -> None:
        self._feed = feed
        self._projection = projection
        self._threads = threads
        self._hooks = hooks
        self._running: dict[str, dict[int, _Running]] = {}  # by entry
        self._unstored: dict[str, tuple[float, _Running]] = {}  # by turn: until when
        self._due: set[str] = set()  # of these, those that may be in the tables now
        projection.on_placed = self._placed

    def changed(
        self, db: Database, following: Following, changes: Iterable[Change], *, is_quiet: bool
    ) -> None:
        """
        Tell what an entry's fold said. `is_quiet`: it is from before this server's time.

        Raises NotFound if the entry was deleted.
        """
        for change in merged(changes):
            match change:
                case TurnBegun():
                    self._begun(db, following, change, is_quiet=is_quiet)
                case Delta():
                    self._delta(following, change, is_quiet=is_quiet)
                case PartDone():
                    self._part(following, change, is_quiet=is_quiet)
            for decoded in following.gatherer.take(following.entry, [change]):
                self._ended(db, following, decoded, is_quiet=is_quiet)

    def gone(self, entry_id: str) -> None:
        """Nothing more will be told of an entry's turns."""
        for running in self._running.pop(entry_id, {}).values():
            running.thread.running.discard(running.turn_id)

    def look(self, db: Database) -> None:
        """Tell which of the ended turns are in the tables now."""
        tables = Tables(db, keeping.LIVE)
        due, self._due = self._due, set()
        for turn_id in sorted(due):
            if turn_id in self._unstored and tables.has_turn(turn_id):
                self._stored(db, turn_id, self._unstored.pop(turn_id)[1])
        now_s = time.monotonic()
        while self._unstored and next(iter(self._unstored.values()))[0] < now_s:
            del self._unstored[next(iter(self._unstored))]

    def _placed(self, turn_id: str) -> None:
        """The projection put a turn down, in some set of tables and maybe in vain."""
        if turn_id in self._unstored:
            self._due.add(turn_id)

    # --- one change ------------------------------------------------------------------------------

    def _begun(
        self, db: Database, following: Following, change: TurnBegun, *, is_quiet: bool
    ) -> None:
        session = self._session(db, following)
        turn = Turn(
            number=change.number,
            wire=following.wire,
            asked=change.asked,
            answer=Answer(),
            is_complete=False,
        )
        decoded = reading.understand(following.entry, following.head, turn)
        thread = self._threads.of(db, decoded, session, time.time_ns())
        running = _Running(
            agent=decoded.agent,
            entry_id=following.entry.id,
            thread=thread,
            turn_id=keys.turn(following.entry.id, change.number),
        )
        self._running.setdefault(following.entry.id, {})[change.number] = running
        thread.running.add(running.turn_id)
        at_ns = following.entry.started_ns + change.at_ns
        event = BegunEvent(
            **_place(running, at_ns),
            request_class=decoded.hints.request_class,
            is_subagent=thread.is_subagent,
            model=change.asked.model,
            prompt=decoded.hints.prompt,
            message_count=len(change.asked.messages),
        )
        self._native(thread, "turn.begun", event, is_quiet=is_quiet)
        told = self._hooks.begun(decoded, thread, running.turn_id, at_ns)
        self._tell(told, is_quiet=is_quiet)

    def _delta(self, following: Following, change: Delta, *, is_quiet: bool) -> None:
        running = self._running.get(following.entry.id, {}).get(change.number)
        if running is None:
            return
        self._threads.touch(running.thread)
        event = DeltaEvent(
            **_place(running, following.entry.started_ns + change.at_ns),
            index=change.index,
            kind=change.kind,
            text=change.text,
        )
        self._native(running.thread, "delta", event, is_quiet=is_quiet)

    def _part(self, following: Following, change: PartDone, *, is_quiet: bool) -> None:
        running = self._running.get(following.entry.id, {}).get(change.number)
        if running is None:
            return
        at_ns = following.entry.started_ns + change.at_ns
        event = PartEvent(**_place(running, at_ns), index=change.index, part=part_body(change.part))
        self._native(running.thread, "part.done", event, is_quiet=is_quiet)
        told = self._hooks.part(running.agent, running.thread, change.part, running.turn_id, at_ns)
        self._tell(told, is_quiet=is_quiet)

    def _ended(
        self, db: Database, following: Following, decoded: Decoded, *, is_quiet: bool
    ) -> None:
        running = self._running.get(following.entry.id, {}).pop(decoded.turn.number, None)
        if running is None:
            return
        running.thread.running.discard(running.turn_id)
        self._threads.touch(running.thread)
        at_ns = decoded.entry.started_ns + (decoded.turn.timing.ended_ns or 0)
        event = _ended_event(running, decoded, at_ns)
        self._native(running.thread, "turn.ended", event, is_quiet=is_quiet)
        told = self._hooks.ended(decoded, running.thread, running.turn_id, at_ns)
        self._tell(told, is_quiet=is_quiet)
        if not is_quiet:
            until_s = time.monotonic() + _STORED_S
            self._unstored[running.turn_id] = (until_s, running)
            self._due.add(running.turn_id)  # it may be there already
            while len(self._unstored) > _MAX_UNSTORED:
                del self._unstored[next(iter(self._unstored))]
        if following.entry.kind == "websocket" and not following.is_finished:
            self._put(db, decoded)

    # --- the tables ------------------------------------------------------------------------------

    def _session(self, db: Database, following: Following) -> Session:
        """That of the entry now: it may have moved, or have been deleted."""
        entry = following.entry
        standing = raw.standing(db, entry.id)
        if standing is None:
            raise NotFound("Traffic entry not found")
        if standing.session_id != entry.session_id:
            following.entry = msgspec.structs.replace(entry, session_id=standing.session_id)
        return sessions.get(db.conn, standing.session_id)

    def _put(self, db: Database, decoded: Decoded) -> None:
        """An open socket's turn goes into the tables now; one that will move, when it ended."""
        key = sessions.key_of(db.conn, decoded.entry.session_id)
        if key is not None and key.startswith(_OTHER):
            return
        self._projection.hand(db, decoded)

    def _stored(self, db: Database, turn_id: str, running: _Running) -> None:
        try:
            row = turns.get(db.conn, turn_id)
        except NotFound:
            return
        place = _place(running, row.ended_ns or row.started_ns)
        place |= {"session_id": row.session_id, "conversation_id": row.conversation_id}
        about = (*running.thread.about, row.session_id, row.conversation_id)
        self._feed.publish("native", "turn.stored", TurnStored(**place), dict.fromkeys(about))

    # --- the feed --------------------------------------------------------------------------------

    def _native(self, thread: Thread, name: str, event: Native, *, is_quiet: bool) -> None:
        if not is_quiet:
            self._feed.publish("native", name, event, thread.about)

    def _tell(self, told: Iterable[Told], *, is_quiet: bool) -> None:
        for thread, hook in told:
            if not is_quiet:
                self._feed.publish("hooks", hook.hook_event_name, hook, thread.about)


def _place(running: _Running, at_ns: int) -> dict[str, Any]:
    thread = running.thread
    return {
        "session_id": thread.session_id,
        "entry_id": running.entry_id,
        "at": at_ns // 1_000_000,
        "conversation_id": thread.id,
        "root_id": thread.root_id,
        "turn_id": running.turn_id,
        "agent": thread.agent,
    }


def _ended_event(running: _Running, decoded: Decoded, at_ns: int) -> EndedEvent:
    turn = decoded.turn
    usage, failure = turn.answer.usage or Usage(), turn.answer.failure
    return EndedEvent(
        **_place(running, at_ns),
        request_class=decoded.hints.request_class,
        is_complete=turn.is_complete,
        model=turn.answer.model or turn.asked.model,
        stop_reason=turn.answer.stop_reason,
        failure=(failure.message or failure.type or "unknown") if failure else None,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )
