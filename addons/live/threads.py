"""
Which conversations run now: whose they are, what they wait for, which subagent which call started.

All of it is memory; the tables know the rest. Nothing here is published.
"""

import time
from collections.abc import Iterator

import msgspec
from sqlite_utils import Database

from addons.agents.contract import CallMeaning, Hints
from addons.project import keys
from addons.project.placing import Placer
from addons.project.reading import Decoded
from storage.decoded import ToolCallPart
from storage.projection.keeping import LIVE
from storage.projection.shapes import ConversationRow
from storage.projection.writing import Tables
from storage.records import Session

_MAX_THREADS = 2_000
_MAX_SPAWNS = 200
_MAX_ENDED = 10_000
_MAX_DEPTH = 20


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """An item of an agent's own list as it was last told."""

    subject: str | None
    status: str | None


class Thread(msgspec.Struct, kw_only=True, eq=False):
    """A conversation that has traffic now. `session_id` is the capture session."""

    id: str
    root_id: str
    agent: str
    is_subagent: bool
    session_id: str
    agent_type: str | None = None
    description: str | None = None
    cwd: str | None = None
    mode: str | None = None
    is_adopted: bool = False  # a subagent whose root was looked for
    is_known: bool = False  # the tables held it when it came
    has_begun: bool = False  # its start was told, or was before this server's time
    is_working: bool = False  # a subagent that has not stopped
    spawned_by: tuple[str, str] | None = None  # conversation and id of the call
    calls: dict[str, ToolCallPart] = {}  # by the provider's id, without a result so far
    nameless: list[ToolCallPart] = []  # the same without an id (Gemini)
    done: dict[str, None] = {}  # ids of calls whose result came
    tasks: dict[str, Task] = {}
    running: set[str] = set()  # turns
    seen_s: float = 0.0

    @property
    def about(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.session_id, self.root_id, self.id)))


class Spawn(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A call that starts a subagent, whose conversation did not show yet."""

    thread: Thread
    call_id: str | None
    name: str | None
    task: bytes | None  # digest of its text
    agent_type: str | None
    description: str | None


class Threads:
    """All that run; those that are idle for long are `taken` out."""

    def __init__(self, placer: Placer, idle_s: float) -> None:
        self._placer = placer
        self._idle_s = idle_s
        self._threads: dict[str, Thread] = {}
        self._spawns: list[Spawn] = []
        self._ended: dict[str, None] = {}  # roots whose end was told

    def of(self, db: Database, decoded: Decoded, session: Session, now_ns: int) -> Thread:
        """The conversation of a turn that begins."""
        identity = self._placer.identity(decoded, session)
        thread = self._threads.get(identity.id)
        if thread is None:
            thread = self._threads[identity.id] = self._made(db, identity.id, decoded, now_ns)
            while len(self._threads) > _MAX_THREADS:
                del self._threads[next(iter(self._threads))]
        hints = decoded.hints
        # Not always from its first call: a router's for it may not say so (Gemini CLI).
        if (hints.is_subagent or thread.is_subagent) and not thread.is_adopted:
            self._adopt(Tables(db, LIVE), thread, decoded)
        thread.session_id = session.id
        thread.cwd = hints.cwd or thread.cwd
        thread.mode = hints.mode or thread.mode
        thread.agent_type = hints.subagent_type or thread.agent_type
        self.touch(thread)
        return thread

    def get(self, conversation_id: str) -> Thread | None:
        return self._threads.get(conversation_id)

    def touch(self, thread: Thread) -> None:
        """Something passed in it."""
        thread.seen_s = time.monotonic()
        root = self._threads.get(thread.root_id)
        if root is not None:
            root.seen_s = thread.seen_s

    def spawned(self, thread: Thread, part: ToolCallPart, meaning: CallMeaning) -> None:
        """A call was made that starts a subagent."""
        words = meaning.spawn_prompt
        made = Spawn(
            thread=thread,
            call_id=part.call_id,
            name=meaning.spawn_name,
            task=keys.text(words) if words else None,
            agent_type=meaning.subagent_type,
            description=meaning.description,
        )
        self._spawns = [*self._spawns[-_MAX_SPAWNS + 1 :], made]

    def child(self, parent: Thread, call_id: str | None) -> Thread | None:
        """The subagent that a call started, if it showed and that is known."""
        if call_id is None:
            return None
        by = (parent.id, call_id)
        return next((one for one in self._threads.values() if one.spawned_by == by), None)

    def idle(self) -> list[Thread]:
        """Roots without traffic for long, in which nothing runs; they and theirs are taken out."""
        limit_s = time.monotonic() - self._idle_s
        old = [
            thread
            for thread in self._threads.values()
            if thread.seen_s < limit_s and not thread.running
        ]
        roots = {thread.id for thread in old if thread.id == thread.root_id}
        for thread in old:
            if thread.root_id not in self._threads:  # a subagent whose root is not here
                del self._threads[thread.id]
        return [found for root in roots if (found := self.take_root(root))]

    def of_session(self, session_id: str) -> list[Thread]:
        """The roots that record into a capture session."""
        return [
            thread
            for thread in self._threads.values()
            if thread.session_id == session_id and thread.id == thread.root_id
        ]

    def take_root(self, root_id: str) -> Thread | None:
        """Take a root out with all below it; None: something of it runs."""
        family = [thread for thread in self._threads.values() if thread.root_id == root_id]
        if any(thread.running for thread in family):
            return None
        root = self._threads.get(root_id)
        for thread in family:
            del self._threads[thread.id]
        self._spawns = [one for one in self._spawns if one.thread.root_id != root_id]
        self._ended[root_id] = None
        while len(self._ended) > _MAX_ENDED:
            del self._ended[next(iter(self._ended))]
        return root

    def forget_session(self, session_id: str) -> None:
        """A capture session was deleted."""
        self._threads = {
            key: thread for key, thread in self._threads.items() if thread.session_id != session_id
        }
        self._spawns = [one for one in self._spawns if one.thread.session_id != session_id]

    # --- a new one -------------------------------------------------------------------------------

    def _made(self, db: Database, own: str, decoded: Decoded, now_ns: int) -> Thread:
        known = Tables(db, LIVE).conversation(own)
        return Thread(
            id=own,
            root_id=own,
            agent=decoded.agent.name,
            is_subagent=known is not None and known.is_subagent,
            session_id=decoded.entry.session_id,
            is_known=known is not None,
            has_begun=known is not None and self._goes_on(known, now_ns),
        )

    def _adopt(self, tables: Tables, thread: Thread, decoded: Decoded) -> None:
        """Find whose a subagent is, and whether its start was told with the call for it."""
        hints = decoded.hints
        thread.is_subagent = thread.is_adopted = True
        parent = keys.conversation(decoded.agent.name, hints.parent) if hints.parent else None
        spawn = self._spawn(decoded, parent)
        if spawn is not None:
            self._spawns = [one for one in self._spawns if one is not spawn]
            thread.has_begun = True
            thread.agent_type, thread.description = spawn.agent_type, spawn.description
            if spawn.call_id is not None:
                thread.spawned_by = (spawn.thread.id, spawn.call_id)
            parent = parent or spawn.thread.id
        thread.root_id = self._root(tables, decoded, thread.id, parent)

    def _goes_on(self, known: ConversationRow, now_ns: int) -> bool:
        """Whether its last turn was so near that it did not end meanwhile."""
        is_near = now_ns - known.ended_ns < self._idle_s * 1_000_000_000
        return known.id not in self._ended and (known.is_subagent or is_near)

    def _root(self, tables: Tables, decoded: Decoded, own: str, parent: str | None) -> str:
        if decoded.hints.root:
            return keys.conversation(decoded.agent.name, decoded.hints.root)
        root = parent or own
        for _ in range(_MAX_DEPTH):
            if root != own and (thread := self._threads.get(root)):
                return thread.root_id
            row = tables.conversation(root)
            if row is None or row.parent_id is None:
                break
            root = row.parent_id
        return root

    def _spawn(self, decoded: Decoded, parent: str | None) -> Spawn | None:
        """The call that started this subagent: by what names it, else the oldest that fits."""
        hints = decoded.hints
        root = keys.conversation(decoded.agent.name, hints.root) if hints.root else None
        fitting = [
            one
            for one in self._spawns
            if one.thread.agent == decoded.agent.name
            and one.thread.session_id == decoded.entry.session_id
            and root in (None, one.thread.root_id)
        ]
        return next(_best(fitting, hints, parent), None)


def _best(fitting: list[Spawn], hints: Hints, parent: str | None) -> Iterator[Spawn]:
    if hints.spawn_call_id:
        yield from (one for one in fitting if one.call_id == hints.spawn_call_id)
        return
    if hints.subagent_name:  # Codex: "/root/counter" of the call's "counter"
        own = hints.subagent_name.rpartition("/")[2]
        yield from (one for one in fitting if one.name in (own, hints.subagent_name))
    if hints.spawn_prompt:
        task = keys.text(hints.spawn_prompt)
        yield from (one for one in fitting if one.task == task)
    # Nothing names it, yet the agent says whose it is, or of which kind.
    if hints.root or parent:
        ours = [one for one in fitting if parent in (None, one.thread.id)]
        yield from (one for one in ours if one.agent_type == hints.subagent_type)
