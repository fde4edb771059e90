"""
What a wire format must offer, and what it is fed.

A `Decoder` says by an entry's head whether it speaks that format, and opens a `Fold`. The same fold
is driven by the live feed, by the projection and by a rebuild: frames go in as they passed, changes
come out. Everything here is pure and total: a fold never raises on foreign input, what it cannot
read becomes a note of the turn.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from storage.decoded import Change, Message

Side = Literal["request", "response"]
Headers = tuple[tuple[bytes, bytes], ...]


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The request's head, without its body. `path` and `query` as they were sent."""

    method: str
    host: str
    path: str
    query: str = ""
    headers: Headers = ()
    is_websocket: bool = False

    def header(self, name: str) -> str | None:
        """The first value of that name (lower case), Latin-1."""
        return header(self.headers, name)


class AnswerHead(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    headers: Headers = ()

    def header(self, name: str) -> str | None:
        """The first value of that name (lower case), Latin-1."""
        return header(self.headers, name)


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk of a body with its content coding, or one whole WebSocket message."""

    side: Side
    offset_ns: int
    data: bytes


class Fold(Protocol):
    """
    One entry while it is read. The calls come in the order in which things passed.

    `ended` says that a body came whole; `finish` that nothing more will come, and is the last call.
    """

    def answered(self, head: AnswerHead, at_ns: int) -> Sequence[Change]: ...

    def feed(self, frame: Frame) -> Sequence[Change]: ...

    def ended(self, side: Side, at_ns: int) -> Sequence[Change]: ...

    def finish(self, at_ns: int) -> Sequence[Change]: ...


class Decoder(Protocol):
    """One wire format. `matches` sees no body; at most one decoder matches a head."""

    @property
    def name(self) -> str: ...

    @property
    def names_answers(self) -> bool:
        """Whether a request may name the answer that it goes on from, by the provider's id."""
        ...

    def matches(self, head: Head) -> bool: ...

    def open(self, head: Head) -> Fold: ...

    def message(self, raw: bytes) -> Message:
        """One message of a request from its JSON, for whoever kept that alone."""
        ...


def header(headers: Headers, name: str) -> str | None:
    """The first value of that name (lower case), Latin-1; None if there is none."""
    wanted = name.encode("latin-1")
    for key, value in headers:
        if key.lower() == wanted:
            return value.decode("latin-1")
    return None
