"""
The live feed of one process: filled by the writer thread, read by consumers in asyncio loops.

Nothing here waits for a consumer: one that does not keep up is told so and let go. Each channel
keeps its latest events, so that a consumer that comes back continues where it was.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from storage.activity import IDLE_MINUTES
from storage.records import Record

Channel = Literal["native", "hooks"]
Reason = Literal["too slow", "server stops"]

_RING_EVENTS = 10_000  # of each channel
_RING_BYTES = 16 << 20
_WAITING_EVENTS = 5_000  # of each consumer
_WAITING_BYTES = 8 << 20

_log = logging.getLogger("wirescribe")


class Event(Record, frozen=True, kw_only=True):
    """
    Something that happened, ready to be sent: `data` is a JSON object with `seq` in it.

    `about` are the ids that a consumer may filter by: its capture session and its conversations.
    Empty: it concerns everybody.
    """

    seq: int
    channel: Channel
    name: str
    about: tuple[str, ...]
    data: bytes


class Missed(Record, frozen=True, kw_only=True):
    """What came right behind `since` is not kept any more; `oldest_seq` is the first that is."""

    since: int
    oldest_seq: int


class Ended(Exception):
    """A consumer gets no more events; `reason` says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class Subscription:
    """A consumer. Made by `Feed.subscribe` in the loop that reads it; `close` when done."""

    def __init__(self, feed: "Feed", channel: Channel, about: str | None) -> None:
        self.missed: Missed | None = None
        self.channel = channel
        self._feed = feed
        self._about = about
        self.loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._over = asyncio.Event()
        self._left = asyncio.Event()
        self._is_signalled = False
        self._ended: Reason | None = None
        self._waiting: deque[Event] = deque()
        self._waiting_bytes = 0
        self._kept: list[Event] = []  # of the ring, from before; they cost no memory of their own

    async def next(self, timeout_s: float) -> list[Event]:
        """
        The events that wait, oldest first; [] if none came in this time.

        Raises Ended; what waited then is lost to this consumer, but may still be in the ring.
        """
        found = self._feed._taken(self)
        if not found:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._woken.wait()
            except TimeoutError:
                return []
            found = self._feed._taken(self)
        return found

    @property
    def reason(self) -> Reason | None:
        """Why it ended; None: it did not."""
        return self._ended

    async def ended(self) -> None:
        """Returns once no more events will come; then `next` raises Ended."""
        await self._over.wait()

    def close(self) -> None:
        """From its own loop."""
        self._feed._closed(self)
        self._left.set()

    # --- called by the feed under its lock -------------------------------------------------------

    def _wants(self, event: Event) -> bool:
        if event.channel != self.channel:
            return False
        return self._about is None or not event.about or self._about in event.about

    def _offer(self, event: Event) -> None:
        if self._ended or not self._wants(event):
            return
        self._waiting.append(event)
        self._waiting_bytes += len(event.data)
        is_long = len(self._waiting) > _WAITING_EVENTS or self._waiting_bytes > _WAITING_BYTES
        if is_long and len(self._waiting) > 1:
            self._end("too slow")
        else:
            self._signal()

    def _end(self, reason: Reason) -> None:
        self._ended = reason
        self._waiting.clear()
        self._kept = []
        self._signal()
        self.loop.call_soon_threadsafe(self._over.set)

    def _signal(self) -> None:
        if not self._is_signalled:
            self._is_signalled = True
            self.loop.call_soon_threadsafe(self._woken.set)

    def _take(self) -> list[Event]:
        if self._ended:
            raise Ended(self._ended)
        found = [*self._kept, *self._waiting]
        self._kept = []
        self._waiting.clear()
        self._waiting_bytes = 0
        self._is_signalled = False
        self._woken.clear()
        return found


class _Ring:
    """The latest events of a channel."""

    def __init__(self, seq: int) -> None:
        self.events: deque[Event] = deque()
        self.lost_seq = seq  # of the newest that is not kept any more
        self._size_bytes = 0

    def add(self, event: Event) -> None:
        self.events.append(event)
        self._size_bytes += len(event.data)
        while len(self.events) > 1 and (
            len(self.events) > _RING_EVENTS or self._size_bytes > _RING_BYTES
        ):
            gone = self.events.popleft()
            self.lost_seq = gone.seq
            self._size_bytes -= len(gone.data)

    def forget(self, about: str) -> None:
        self.events = deque(event for event in self.events if about not in event.about)
        self._size_bytes = sum(len(event.data) for event in self.events)


class Feed:
    """
    `publish` is for the writer thread, `subscribe` for asyncio loops; all else for any thread.

    Sequence numbers only grow, also over restarts of the server: they begin with the clock.
    """

    def __init__(self, *, idle_minutes: float = IDLE_MINUTES) -> None:
        self.idle_minutes = idle_minutes
        self._lock = threading.Lock()
        self._seq = time.time_ns() // 1_000_000 * 1000
        self._rings: dict[Channel, _Ring] = {
            "native": _Ring(self._seq),
            "hooks": _Ring(self._seq),
        }
        self._subscriptions: set[Subscription] = set()
        self._runs_ended: deque[str] = deque(maxlen=1000)
        self._has_failed = False

    def publish(
        self, channel: Channel, name: str, body: msgspec.Struct, about: Iterable[str] = ()
    ) -> None:
        """Give `body`, which encodes as an object with at least one key, to all who want it."""
        try:
            encoded = msgspec.json.encode(body)
            with self._lock:
                self._seq += 1
                data = b'{"seq":%d,%b' % (self._seq, encoded[1:])
                event = Event(
                    seq=self._seq, channel=channel, name=name, about=tuple(about), data=data
                )
                self._rings[channel].add(event)
                self._each(lambda subscription: subscription._offer(event))
        except Exception as error:  # noqa: BLE001 - ingest must not stop for an event
            if not self._has_failed:
                _log.error("an event of the live feed was lost", exc_info=error)
            self._has_failed = True

    def subscribe(
        self, channel: Channel, *, about: str | None = None, since: int | None = None
    ) -> Subscription:
        """
        Events of a channel from now on, or from the one behind `since`.

        `about` is the id of a capture session or a conversation: only its events. If `missed` of
        the result is not None, some behind `since` are lost.
        """
        made = Subscription(self, channel, about)
        with self._lock:
            ring = self._rings[channel]
            if since is not None:
                made._kept = [e for e in ring.events if e.seq > since and made._wants(e)]
                if since < ring.lost_seq or since > self._seq:
                    oldest = ring.events[0].seq if ring.events else self._seq + 1
                    made.missed = Missed(since=since, oldest_seq=oldest)
            self._subscriptions.add(made)
        return made

    def forget(self, session_id: str) -> None:
        """Keep nothing of a session that was deleted."""
        with self._lock:
            for ring in self._rings.values():
                ring.forget(session_id)

    # --- the server stops ------------------------------------------------------------------------

    async def release(self, patience_s: float = 2.0) -> None:
        """End all consumers in the calling loop, and wait a little until they have gone."""
        loop = asyncio.get_running_loop()
        with self._lock:
            ours = [one for one in self._subscriptions if one.loop is loop]
            for subscription in ours:
                subscription._end("server stops")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                for subscription in ours:
                    await subscription._left.wait()

    # --- the other way ---------------------------------------------------------------------------

    def run_ended(self, session_id: str) -> None:
        """The `wirescribe run` that recorded into this session is over."""
        self._runs_ended.append(session_id)

    def take_ended_runs(self) -> list[str]:
        found: list[str] = []
        while self._runs_ended:
            found.append(self._runs_ended.popleft())
        return found

    # --- of subscriptions ------------------------------------------------------------------------

    def _each(self, tell: Callable[[Subscription], None]) -> None:
        for subscription in list(self._subscriptions):
            try:
                tell(subscription)
            except RuntimeError:  # its loop is closed
                self._subscriptions.discard(subscription)

    def _taken(self, subscription: Subscription) -> list[Event]:
        with self._lock:
            return subscription._take()

    def _closed(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions.discard(subscription)
