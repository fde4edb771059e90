"""
The fold of a WebSocket on which a client asks for many answers, one after another or several at
once. The framing of WebSocket is undone before: a frame is one whole message.
"""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

import msgspec

from addons.wire.contract import AnswerHead, Frame, Head, Side
from addons.wire.running import Builder, Notes, Running, Sink
from storage.decoded import Asked, Change

_MAX_UNDER_WAY = 100
_MAX_EARLY = 20  # messages about the connection that no turn was there for


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says of the turn that it belongs to."""

    kind: str = ""
    response_id: str | None = None
    lane: str | None = None  # of several that a client opened on one socket
    is_lifecycle: bool = False  # speaks of a whole response
    is_failure: bool = False
    is_aside: bool = False  # of the connection, whichever turn runs


class SocketFormat(Protocol):
    """What a wire format brings for its sockets; one object for each socket. All is total."""

    @property
    def name(self) -> str: ...

    def asked(self, head: Head, message: bytes, notes: Notes) -> Asked | None:
        """What a client's message asks; None: it asks for no answer."""
        ...

    def unasked(self, message: bytes, notes: Notes) -> Asked | None:
        """What an answer is to that no message of its own asked for; None: nothing is known."""
        ...

    def address(self, message: bytes) -> Address: ...

    def builder(self, head: Head, asked: Asked, sink: Sink, notes: Notes) -> Builder: ...


class _Turn:
    """A turn under way, and what messages about it name."""

    def __init__(self, running: Running, lane: str | None) -> None:
        self.running = running
        self.lane = lane
        self.response_id: str | None = None


class Socket:
    """A Fold. What belongs to no turn becomes a note of the next one."""

    def __init__(self, head: Head, format: SocketFormat) -> None:
        self._head = head
        self._format = format
        self._turns: list[_Turn] = []  # under way, in the order of their requests
        self._count = 0
        self._loose = Notes()
        self._early: deque[str] = deque(maxlen=_MAX_EARLY)
        self._ended_ids: deque[str] = deque(maxlen=100)
        self._refused = False

    def answered(self, head: AnswerHead, at_ns: int) -> Sequence[Change]:
        # 200 answers an upgrade over HTTP/2 (RFC 8441). What follows a refusal is its body.
        self._refused = head.status not in (101, 200)
        return []

    def feed(self, frame: Frame) -> Sequence[Change]:
        if self._refused:
            return []
        if frame.side == "request":
            return self._client(frame)
        return self._server(frame)

    def ended(self, side: Side, at_ns: int) -> Sequence[Change]:
        return []

    def finish(self, at_ns: int) -> Sequence[Change]:
        return [change for turn in list(self._turns) for change in self._end(turn, at_ns)]

    def _client(self, frame: Frame) -> list[Change]:
        asked = self._format.asked(self._head, frame.data, self._loose)
        if asked is None:
            return []
        lane = self._format.address(frame.data).lane
        return self._begin(asked, lane, frame.offset_ns)

    def _server(self, frame: Frame) -> list[Change]:
        address = self._format.address(frame.data)
        changes: list[Change] = []
        turn = self._turn_of(address)
        if turn is None and address.is_lifecycle and address.response_id not in self._ended_ids:
            asked = self._format.unasked(frame.data, self._loose)
            if asked is not None:
                changes = self._begin(asked, address.lane, frame.offset_ns)
                turn = self._turn_of(address)
        data = frame.data.decode(errors="replace")
        if turn is None:
            if address.is_aside:
                self._early.append(data)
            else:
                self._loose.add("stray-event", address.kind or None)
            return changes
        return [*changes, *self._tell(turn, address, data, frame.offset_ns)]

    def _tell(self, turn: _Turn, address: Address, data: str, at_ns: int) -> list[Change]:
        if address.response_id is not None:
            turn.response_id = address.response_id
        turn.running.arrived(at_ns)
        turn.running.builder.event("", data)
        if turn.running.builder.is_done:
            return self._end(turn, at_ns)
        return turn.running.sink.take()

    def _begin(self, asked: Asked, lane: str | None, at_ns: int) -> list[Change]:
        number, self._count = self._count, self._count + 1
        notes, self._loose = self._loose, Notes()
        sink = Sink(number)
        sink.at_ns = at_ns
        builder = self._format.builder(self._head, asked, sink, notes)
        running = Running(number, self._format.name, asked, builder, sink, notes)
        for data in self._early:
            builder.event("", data)
        self._early.clear()
        changes = running.begin(at_ns)
        self._turns.append(_Turn(running, lane))
        if len(self._turns) > _MAX_UNDER_WAY:
            changes += self._end(self._turns[0], at_ns)
        return changes

    def _end(self, turn: _Turn, at_ns: int) -> list[Change]:
        self._turns.remove(turn)
        if turn.response_id is not None:
            self._ended_ids.append(turn.response_id)
        return turn.running.end(at_ns, is_complete=turn.running.builder.is_done)

    def _turn_of(self, address: Address) -> _Turn | None:
        """
        By what the message names; where it names nothing, the first that is being answered.

        Without lanes a server answers one after another, so nothing tells more than that.
        """
        turns = [turn for turn in self._turns if address.lane in (None, turn.lane)]
        waiting = [turn for turn in turns if turn.response_id is None]
        if address.response_id is not None:
            named = [turn for turn in turns if turn.response_id == address.response_id]
            is_new = address.is_lifecycle and address.response_id not in self._ended_ids
            return next(iter(named or (waiting if is_new else ())), None)
        started = [turn for turn in turns if turn.response_id is not None]
        likely = (*waiting, *started) if address.is_failure else (*started, *waiting)
        return next(iter(likely), None)
