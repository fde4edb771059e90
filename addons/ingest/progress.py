"""How far ingest is in an open entry: what lies in the table `folds` between two steps."""

import msgspec

from storage import raw
from storage.records import Timing


class Flow(raw.Stored, kw_only=True, omit_defaults=True):
    """One direction of an entry, and how far ingest is in it."""

    chunks: int = 0
    stored_bytes: int | None = None  # of its body; None: none, or it has not ended
    ended: bool = False
    opcode: int | None = None  # of the message that is coming in pieces
    coding: bytes | None = None  # its Content-Encoding
    coded_until: int | None = None  # where a body that is cut_coded became `*`


class Progress(msgspec.Struct, kw_only=True, omit_defaults=True):
    """All that the next record needs to know of those before."""

    session: str
    started_ns: int
    number: int = 0  # of the next record
    offset_ns: int = 0  # of the latest one
    messages: int = 0
    is_import: bool = False  # of a file, which may know less than what crossed
    broken: bool = False  # something of it is missing
    answered: bool = False
    marks: tuple[str, ...] = ()
    timing: Timing = Timing()
    request: Flow = msgspec.field(default_factory=Flow)
    response: Flow = msgspec.field(default_factory=Flow)


DECODER = msgspec.msgpack.Decoder(Progress)
