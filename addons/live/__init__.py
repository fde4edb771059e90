"""
The live side of ingest: what was just committed becomes events, while it still runs.

Only what is fresh is followed, so that a backlog or an import costs nothing. Turns of an open
socket are put into the tables when they end; all else waits for the projection. A failure in here
costs events, never rows: what is told is told from the tables' own records, after their commit.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence

from sqlite_utils import Database

from addons.live.entries import Entries
from addons.live.hooks import Hooks, Told
from addons.live.sessions import Sessions
from addons.live.shapes import Hook, StoreDegraded, moment
from addons.live.threads import Threads
from addons.live.turns import Turns
from addons.project import Projection
from addons.project.placing import Placer
from storage.feed import Feed
from storage.spool import SpoolRecord

_LOOK_S = 1.0
_WORK_S = 0.01  # of a step of telling
_MOST_WAITING_BYTES = 8 << 20
_SETTLED_S = 0.5  # after a run's exit its last records are still on their way
_PATIENCE_S = 5.0  # what runs so long after the exit of a run belongs to somebody else

_log = logging.getLogger("wirescribe")


class Live:
    """
    In the writer thread: `took` after each committed step of ingest, then `tell` until all of that
    is told, and `look` after each step. `tell` ends early if the writer `is_awaited`.

    None of them raises. `degraded` says what is wrong with the store; None: nothing.
    """

    def __init__(
        self, feed: Feed, projection: Projection, is_awaited: Callable[[], bool] = lambda: False
    ) -> None:
        self._is_awaited = is_awaited
        self.degraded: Callable[[], str | None] = lambda: None
        self._feed = feed
        self._sessions = Sessions()
        self._threads = Threads(Placer(), feed.idle_minutes * 60)
        self._hooks = Hooks(self._threads)
        turns = Turns(feed, projection, self._threads, self._hooks)
        self._turns = turns
        self._entries = Entries(feed, turns)
        self._was_degraded: str | None = None
        self._exits: list[tuple[float, str]] = []  # of runs: when, and their session
        self._look_s = 0.0
        self._has_failed = False

    def took(self, writer: str, records: Sequence[SpoolRecord]) -> None:
        """Records of a writer's log were committed: they wait to be told."""
        self._contained(lambda: self._entries.took(writer, records))

    @property
    def is_behind(self) -> bool:
        """Whether so much waits to be told that no more is to be read before that."""
        return self._entries.waiting_bytes > _MOST_WAITING_BYTES

    def tell(self, db: Database) -> bool:
        """Tell some of what was taken; False: there was nothing left."""
        if not self._entries.are_waiting:
            return False
        end_s = time.monotonic() + _WORK_S
        self._contained(
            lambda: self._entries.tell(db, lambda: time.monotonic() > end_s or self._is_awaited())
        )
        return True

    def look(self, db: Database) -> None:
        """Tell what no record tells: sessions, ends by silence, what the tables hold now."""
        self._contained(self._store)  # first: what is wrong may be the database
        self._contained(lambda: self._look(db))

    def _contained(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the record is sound, whatever fails to tell it
            if not self._has_failed:
                _log.error("the live feed missed something", exc_info=error)
            self._has_failed = True

    def _look(self, db: Database) -> None:
        self._session_changes(db)
        if self._entries.are_waiting:
            return  # who is silent, and what is over, shows when all is told
        self._turns.look(db)
        now_s = time.monotonic()
        self._exits += [(now_s, session_id) for session_id in self._feed.take_ended_runs()]
        if self._exits:
            self._exits = [one for one in self._exits if not self._exited(*one, now_s)]
        if now_s - self._look_s < _LOOK_S:
            return
        self._look_s = now_s
        self._entries.look(db)
        for root in self._threads.idle():
            self._tell(self._hooks.over(root, "idle", time.time_ns()))

    def _session_changes(self, db: Database) -> None:
        events, gone = self._sessions.look(db)
        for session_id in gone:
            self._entries.forget_session(session_id)
            self._threads.forget_session(session_id)
            self._feed.forget(session_id)
        for event in events:
            name = str(event.__struct_config__.tag)
            self._feed.publish("native", name, event, [event.session_id])

    def _exited(self, since_s: float, session_id: str, now_s: float) -> bool:
        """Tell the ends of a run's conversations; False: not yet."""
        if now_s - since_s < _SETTLED_S:
            return False
        roots = self._threads.of_session(session_id)
        for root in roots:
            if self._threads.take_root(root.id):
                self._tell(self._hooks.over(root, "exit", time.time_ns()))
        return not self._threads.of_session(session_id) or now_s - since_s > _PATIENCE_S

    def _store(self) -> None:
        now = self.degraded()
        if now == self._was_degraded:
            return
        self._was_degraded = now
        hook = Hook(
            hook_event_name="Notification",
            timestamp=moment(time.time_ns()),
            title="Wirescribe",
            message=f"Recording is degraded: {now}" if now else "Recording is well again",
        )
        self._feed.publish("native", "store.degraded", StoreDegraded(degraded=now))
        self._feed.publish("hooks", "Notification", hook)

    def _tell(self, told: Iterable[Told]) -> None:
        for thread, hook in told:
            self._feed.publish("hooks", hook.hook_event_name, hook, thread.about)
