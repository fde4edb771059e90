"""A turn while it runs: its clock, its notes and what its answer's parts say as they come."""

from typing import Literal, Protocol

from storage.decoded import (
    Answer,
    Asked,
    Change,
    Delta,
    Note,
    Part,
    PartDone,
    Turn,
    TurnBegun,
    TurnEnded,
    TurnTiming,
)

_MAX_NOTES = 50  # kinds of notes of one turn; what a hostile stream can make is bounded


class Notes:
    """Gathers notes and counts equal ones, in the order in which they first came."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str | None], int] = {}

    def add(self, kind: str, detail: str | None = None) -> None:
        key = (kind, None if detail is None else detail[:200])
        if key in self._counts or len(self._counts) < _MAX_NOTES:
            self._counts[key] = self._counts.get(key, 0) + 1

    def all(self) -> tuple[Note, ...]:
        return tuple(
            Note(kind=kind, detail=detail, count=count)
            for (kind, detail), count in self._counts.items()
        )


class Sink:
    """Where a builder says what the answer's parts do; keeps the moments of content."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._changes: list[Change] = []
        self.at_ns = 0  # of the frame that is being read
        self.first_ns: int | None = None
        self.last_ns: int | None = None

    def delta(
        self, index: int, kind: Literal["text", "thinking", "arguments", "refusal"], text: str
    ) -> None:
        """More text of the part with this index (they count as parts begin, from 0)."""
        self.content()
        self._changes.append(
            Delta(number=self._number, index=index, kind=kind, text=text, at_ns=self.at_ns)
        )

    def part(self, index: int, part: Part) -> None:
        """This part is whole."""
        self.content()
        self._changes.append(
            PartDone(number=self._number, index=index, part=part, at_ns=self.at_ns)
        )

    def content(self) -> None:
        """Something of the answer itself came, no mere frame around it."""
        self.first_ns = self.at_ns if self.first_ns is None else self.first_ns
        self.last_ns = self.at_ns

    def take(self) -> list[Change]:
        changes, self._changes = self._changes, []
        return changes


class Builder(Protocol):
    """
    Makes one answer of what the provider sent; total: what it cannot read becomes a note.

    A stream gives `event` for each of its events (SSE: with its name; NDJSON and JSON arrays: with
    an empty one), a plain answer gives `whole` once. A status of 400 or more gives `failed`.
    `answer` is asked at the end, and may be asked of a stream that was cut off anywhere.
    """

    @property
    def is_done(self) -> bool:
        """Whether the answer came to its end, as the wire format says it."""
        ...

    def event(self, name: str, data: str) -> None: ...

    def whole(self, body: bytes) -> None: ...

    def failed(self, status: int, body: bytes) -> None: ...

    def answer(self) -> Answer: ...


class Running:
    """One turn from its request to the end of its answer."""

    def __init__(
        self, number: int, wire: str, asked: Asked, builder: Builder, sink: Sink, notes: Notes
    ) -> None:
        self.number = number
        self.asked = asked
        self.builder = builder
        self.sink = sink
        self.notes = notes
        self._wire = wire
        self._asked_ns: int | None = None
        self._first_byte_ns: int | None = None
        self._latest_ns: int | None = None
        self._silence: tuple[int, int] | None = None  # length, where it began

    def begin(self, at_ns: int) -> list[Change]:
        """The request is whole."""
        self._asked_ns = at_ns
        return [TurnBegun(number=self.number, asked=self.asked, at_ns=at_ns)]

    def arrived(self, at_ns: int) -> None:
        """A frame of the answer came; to be called before it is read."""
        self.sink.at_ns = at_ns
        if self._first_byte_ns is None:
            self._first_byte_ns = at_ns
        if self._latest_ns is not None:
            silence_ns = at_ns - self._latest_ns
            if self._silence is None or silence_ns > self._silence[0]:
                self._silence = (silence_ns, self._latest_ns)
        self._latest_ns = at_ns

    def end(self, at_ns: int, *, is_complete: bool) -> list[Change]:
        """Nothing more of this answer will come."""
        answer = self.builder.answer()
        if not is_complete:
            self.notes.add("truncated-stream")
        timing = TurnTiming(
            asked_ns=self._asked_ns,
            first_byte_ns=self._first_byte_ns,
            first_content_ns=self.sink.first_ns,
            last_content_ns=self.sink.last_ns,
            ended_ns=at_ns,
            longest_silence_ns=self._silence[0] if self._silence else None,
            silence_from_ns=self._silence[1] if self._silence else None,
            silence_side="provider" if self._silence else None,
        )
        turn = Turn(
            number=self.number,
            wire=self._wire,
            asked=self.asked,
            answer=answer,
            is_complete=is_complete,
            timing=timing,
            notes=self.notes.all(),
        )
        return [*self.sink.take(), TurnEnded(turn=turn, at_ns=at_ns)]
