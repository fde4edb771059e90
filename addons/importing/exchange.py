"""What a reader of files hands to the writer of records: one entry, its bodies in pieces."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import msgspec

from addons.entrylog import Closing
from storage.records import Cut, EntryOpened, Gap, ResponseHead

LONGEST_NS = 1 << 62


class Piece(NamedTuple):
    """Bytes of a body; `offset_ns` None: the file does not say when they crossed."""

    data: bytes
    offset_ns: int | None


class Half(msgspec.Struct, frozen=True, kw_only=True):
    """
    The body of one side, as it crossed.

    With `is_kept` its coded bytes are lost, and the pieces are the text that was kept beside them.
    """

    pieces: Iterable[Piece] = ()
    size_bytes: int | None = None  # as it crossed; None: as long as its pieces
    ended_ns: int | None = None  # offset; None: it never ended as HTTP says it should
    is_kept: bool = False


class Message(NamedTuple):
    """A WebSocket message."""

    offset_ns: int
    from_client: bool
    opcode: int
    data: bytes


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One entry. Offsets count from `opened.started_ns`; pieces and messages are read once."""

    number: int  # in the file, from 0
    at_bytes: int  # how far into the file it goes
    opened: EntryOpened
    request: Half = Half()
    answered_ns: int | None = None
    head: ResponseHead | None = None
    response: Half = Half()
    messages: Iterable[Message] = ()
    cuts: tuple[Cut, ...] = ()  # that were made when it was recorded
    gaps: tuple[Gap, ...] = ()
    closed_ns: int
    closing: Closing
    id: str | None = None  # that the file gives it
    continues: str | None = None  # the same, of another entry


def sound(exchange: Exchange) -> Exchange:
    """
    The exchange, if its records can be written: a file may hold numbers and types of any kind.

    Raises msgspec.ValidationError or OverflowError.
    """
    for one in (exchange.opened, exchange.head):
        if one is not None:
            msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=type(one))
    msgspec.msgpack.decode(msgspec.msgpack.encode(exchange.closing), type=Closing)
    for moment_ns in (exchange.opened.started_ns, exchange.closed_ns):
        if not 0 <= moment_ns < LONGEST_NS:
            raise OverflowError(f"a time is out of range ({moment_ns})")
    return exchange


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that cannot be imported."""

    number: int
    at_bytes: int
    reason: str


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """The file cannot be read on from here; nothing comes after it."""

    at_bytes: int
    reason: str


Item = Exchange | Passed | Broken


class Source(Protocol):
    """A file that can be read more than once. Raises Unreadable if it is of another kind."""

    def items(self) -> Iterator[Item]: ...
