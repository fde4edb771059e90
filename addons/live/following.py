"""One open entry whose model calls are read while they run: its records into a fold's changes."""

import sqlite3
import time
from collections.abc import Iterable, Sequence

import msgspec

from addons.ingest.progress import Progress
from addons.project.reading import Gatherer
from addons.wire import driving
from addons.wire.contract import AnswerHead, Decoder, Frame, Side
from storage import replay
from storage.decoded import Change, Delta
from storage.records import Entry, ResponseHead
from storage.replay import Passed
from storage.spool import SpoolRecord

_SIDES: dict[str, Side] = {
    "request-chunk": "request",
    "response-chunk": "response",
    "request-end": "request",
    "response-end": "response",
}
_CHUNK = msgspec.msgpack.Decoder(tuple[int, bytes])
_MESSAGE = msgspec.msgpack.Decoder(tuple[bool, int, bool, bytes])
_ANSWER = msgspec.msgpack.Decoder(ResponseHead)


class Following:
    """`entry` is as the tables had it, with the answer's head as soon as that passed."""

    def __init__(self, entry: Entry, decoder: Decoder) -> None:
        self.entry = entry
        self.wire = decoder.name
        self.head = driving.head_of(entry)
        self.gatherer = Gatherer(self.head)
        self.is_finished = False
        self.seen_s = time.monotonic()
        self._fold = decoder.open(self.head)
        self._number = 0  # of the next record
        self._pieces: dict[Side, list[bytes]] = {"request": [], "response": []}

    def take(self, record: SpoolRecord) -> Sequence[Change]:
        """
        What a record of the entry changes; nothing if it was seen before.

        Raises msgspec.DecodeError for one that ingest puts into the quarantine.
        """
        if record.number < self._number:
            return ()
        self._number = record.number + 1
        self.seen_s = time.monotonic()
        at_ns = record.offset_ns
        match record.kind:
            case "request-chunk" | "response-chunk":
                _, data = _CHUNK.decode(record.content)
                return self._data(_SIDES[record.kind], at_ns, data) if data else ()
            case "request-end" | "response-end":
                return self._fold.ended(_SIDES[record.kind], at_ns)
            case "message":
                return self._message(record)
            case "response":
                answer = _ANSWER.decode(record.content)
                self.entry = msgspec.structs.replace(
                    self.entry, status=answer.status, response_headers=answer.headers
                )
                return self._answered(at_ns)
            case "close":
                return self.finish(at_ns)
        return ()

    def catch_up(
        self, conn: sqlite3.Connection, progress: Progress | None, from_ns: int
    ) -> tuple[list[Change], list[Change]]:
        """
        Read all that is in the tables: what passed before `from_ns`, and what since then.

        `progress` is how far ingest is; None: the entry has ended. Raises NotFound.
        """
        before: list[Change] = []
        since: list[Change] = []
        for one in replay.passed(conn, self.entry):
            (before if one.offset_ns < from_ns else since).extend(self._passed(one))
        if progress is None:
            since += self.finish(self.entry.timing.closed_ns or from_ns)
        else:
            self._number = progress.number
        return before, since

    def finish(self, at_ns: int) -> Sequence[Change]:
        """Nothing more will come."""
        self.is_finished = True
        return self._fold.finish(at_ns)

    def _message(self, record: SpoolRecord) -> Sequence[Change]:
        from_client, _, is_final, data = _MESSAGE.decode(record.content)
        side: Side = "request" if from_client else "response"
        self._pieces[side].append(data)
        if not is_final:
            return ()
        whole, self._pieces[side] = b"".join(self._pieces[side]), []
        return self._data(side, record.offset_ns, whole)

    def _passed(self, one: Passed) -> Sequence[Change]:
        if one.what == "data":
            return self._data(one.side, one.offset_ns, one.data)
        if one.what == "ended":
            return self._fold.ended(one.side, one.offset_ns)
        return self._answered(one.offset_ns)

    def _data(self, side: Side, at_ns: int, data: bytes) -> Sequence[Change]:
        return self._fold.feed(Frame(side=side, offset_ns=at_ns, data=data))

    def _answered(self, at_ns: int) -> Sequence[Change]:
        answer = driving.answer_of(self.entry)
        return self._fold.answered(answer or AnswerHead(status=0), at_ns)


def merged(changes: Iterable[Change]) -> list[Change]:
    """The same with texts that follow each other in one part joined."""
    found: list[Change] = []
    texts: list[str] = []
    for change in changes:
        before = found[-1] if found else None
        if isinstance(change, Delta) and isinstance(before, Delta) and _is_same(before, change):
            texts.append(change.text)
            continue
        _join(found, texts)
        found.append(change)
        texts = [change.text] if isinstance(change, Delta) else []
    _join(found, texts)
    return found


def _is_same(one: Delta, other: Delta) -> bool:
    return (one.number, one.index, one.kind) == (other.number, other.index, other.kind)


def _join(found: list[Change], texts: list[str]) -> None:
    if len(texts) > 1 and isinstance(found[-1], Delta):
        found[-1] = msgspec.structs.replace(found[-1], text="".join(texts))
