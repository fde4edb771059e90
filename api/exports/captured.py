"""An entry as an export sees it: with its cuts, and with credentials cut if that was asked for."""

import functools
import itertools
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Protocol

import msgspec

from addons.redaction import Body, Head, Redactor
from storage import traffic
from storage.batches import Batch
from storage.records import Cut, Entry, Gap, Headers, Side

_HELD_BYTES = 1 << 20  # of a body
_LEARNT = 100  # heads whose cuts are read together


class Stored(Protocol):
    """The bytes of a body as the store has them."""

    size_bytes: int

    def stream(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]: ...


class Captured:
    """One entry of the store. `entry` has masked heads, `cuts` grows while bodies are masked."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        entry: Entry,
        mask: "Mask | None",
        batch: Batch | None = None,
    ) -> None:
        self.conn = conn
        self._batch = batch  # what was read of it by now
        self._stored = (
            traffic.cuts(conn, entry.id) if batch is None else batch.cuts.get(entry.id, [])
        )
        self.cuts = list(self._stored)
        self._original = entry  # its target says whether the bodies are credentials
        self._mask = mask
        self._bodies: dict[Side, Stored] = {}
        self.entry = mask.heads(entry, self.cuts) if mask else entry

    def body(self, side: Side) -> Stored:
        """
        The body as the store has it; one of up to 1 MB is read once and held.

        Raises StoreError or NotFound where the store cannot read it.
        """
        found = self._bodies.get(side)
        if found is None and (data := self._read(side)) is not None:
            found = self._bodies[side] = _Held(data)
        if found is None:
            view = traffic.body(self.conn, self._original, side)
            is_held = view.digest is not None and view.size_bytes <= _HELD_BYTES
            found = self._bodies[side] = _Held(view.read()) if is_held else view
        return found

    def gaps(self) -> list[Gap]:
        if self._batch is not None and self.entry.id not in self._batch.gapped:
            return []
        return traffic.gaps(self.conn, self.entry.id)

    def _read(self, side: Side) -> bytes | None:
        """A body that was read together with those of other entries."""
        entry = self._original
        known = entry.request_body if side == "request" else entry.response_body
        return self._batch.bodies.get(known.digest) if self._batch and known else None

    def masked(
        self,
        side: Side,
        pieces: Iterable[bytes],
        content_encoding: str | None = None,
        *,
        noting: bool = False,
    ) -> Iterator[bytes]:
        """
        A body's bytes without credentials; as many bytes come out as go in.

        A body is gone through more than once: `noting` adds what is cut to `cuts`.
        """
        if self._mask is None:
            return iter(pieces)
        body = self._mask.body(self._original, side, content_encoding, self._stored)
        return _scanned(body, pieces, self.cuts if noting else [])

    @property
    def is_masked(self) -> bool:
        return self._mask is not None

    def message(self, side: Side, number: int, data: bytes) -> bytes:
        """A WebSocket message without credentials."""
        return self._mask.message(side, number, data, self.cuts) if self._mask else data

    def event(self, data: str) -> str:
        """The data of a server-sent event without credentials; the body notes the cuts."""
        if self._mask is None:
            return data
        return self._mask.message("response", 0, data.encode(), []).decode(errors="replace")


class _Held:
    """A short body in memory."""

    def __init__(self, data: bytes) -> None:
        self.size_bytes = len(data)
        self._data = data

    def stream(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        yield self._data[start:stop]


def _scanned(body: Body, pieces: Iterable[bytes], cuts: list[Cut]) -> Iterator[bytes]:
    for piece in pieces:
        scanned = body.feed(piece)
        cuts += scanned.cuts
        yield scanned.data
    scanned = body.finish()
    cuts += scanned.cuts
    yield scanned.data


def redactor(key: bytes) -> Redactor:
    """One for one export; `key` is that of the data dir, so that same secrets have same hashes."""
    return Redactor(key)


class Mask:
    """
    Cuts credentials of one session's entries on their way out.

    What the proxy has cut stays as it is: its stars would count as secrets of their own.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._is_credential = functools.lru_cache(maxsize=256)(redactor.is_credential)

    def learn(self, conn: sqlite3.Connection, entries: Iterable[Entry]) -> None:
        """Know the secrets of all heads before the first body: it may hold what comes later."""
        for some in itertools.batched(entries, _LEARNT):
            cuts = traffic.cuts_of(conn, [entry.id for entry in some])
            for entry in some:
                self._heads(entry, cuts.get(entry.id, ()))

    def passes(self, entry: Entry, bodies: Iterable[bytes]) -> bool:
        """Whether nothing is to be cut in the bodies of an entry, which are not coded."""
        is_credential = self._is_credential(entry.host, entry.target.decode("latin-1"))
        return not is_credential and not any(map(self._redactor.finds, bodies))

    def heads(self, entry: Entry, cuts: list[Cut]) -> Entry:
        """The entry without credentials in its heads and words; adds to its `cuts`."""
        request, response, asked, answered = self._heads(entry, cuts)
        headers = entry.response_headers or ()
        cuts += request.cuts + response.cuts
        shown = _restored(headers, response.headers, answered)
        return msgspec.structs.replace(
            entry,
            target=request.target or entry.target,
            request_headers=_restored(entry.request_headers, request.headers, asked),
            response_headers=None if entry.response_headers is None else shown,
            reason=None if entry.reason is None else self._redactor.text(entry.reason).data,
            error=self._words(entry.error, cuts),
            close_reason=self._words(entry.close_reason, cuts),
        )

    def _heads(
        self, entry: Entry, cuts: Iterable[Cut]
    ) -> tuple[Head, Head, set[int | None], set[int | None]]:
        """Both heads as they are shown, and which of their values the proxy has cut."""
        asked, answered = _done("request-header", cuts), _done("response-header", cuts)
        target = b"" if _done("request-target", cuts) else entry.target
        headers = entry.response_headers or ()
        request = self._redactor.request_head(target, _without(entry.request_headers, asked))
        response = self._redactor.response_head(_without(headers, answered))
        return request, response, asked, answered

    def body(
        self, entry: Entry, side: Side, content_encoding: str | None, stored: Iterable[Cut]
    ) -> Body:
        """A scanner for one body; `stored` are the cuts that the proxy made in the entry."""
        headers = entry.request_headers if side == "request" else entry.response_headers or ()
        content_type = next((v for k, v in headers if k.lower() == b"content-type"), b"")
        target = entry.target.decode("latin-1")
        parts = (f"{side}-body", f"{side}-decoded")
        is_cut = any(cut.kind == "oauth-body" and cut.part in parts for cut in stored)
        return self._redactor.body(
            side,
            content_type=content_type.decode("latin-1"),
            content_encoding=content_encoding,
            is_credential=not is_cut and self._is_credential(entry.host, target),
        )

    def message(self, side: Side, number: int, data: bytes, cuts: list[Cut]) -> bytes:
        scanned = self._redactor.message(side, number, data)
        cuts += scanned.cuts
        return scanned.data

    def _words(self, words: str | None, cuts: list[Cut]) -> str | None:
        if words is None:
            return None
        scanned = self._redactor.text(words.encode("utf-8", "replace"))
        cuts += scanned.cuts
        return scanned.data.decode("utf-8", "replace")


def _done(part: str, cuts: Iterable[Cut]) -> set[int | None]:
    """Which values of a part the proxy has cut."""
    return {cut.index for cut in cuts if cut.part == part}


def _without(headers: Headers, done: set[int | None]) -> Headers:
    if not done:
        return headers
    pairs = enumerate(headers)
    return tuple((name, b"" if at in done else value) for at, (name, value) in pairs)


def _restored(before: Headers, after: Headers, done: set[int | None]) -> Headers:
    if not done:
        return after
    pairs = enumerate(zip(before, after, strict=True))
    return tuple(old if at in done else new for at, (old, new) in pairs)
