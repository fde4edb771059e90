"""
Finds in the bodies of an entry what its rows say once more, and quotes it.

A text is looked for as JSON writes it. New messages stand at the end of a request, so it is looked
for from there; nothing is known of wire formats, and whatever is found serves, for a quote is only
as good as it is short. What is not found stays in the row.
"""

import re
import sqlite3
import struct
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from storage import quotes
from storage.chunks import views
from storage.chunks.recipes import Stretch
from storage.errors import WirescribeError
from storage.quotes import Said
from storage.records import Entry, Side

_MOST_SAID = 16  # texts of one message: the longest
_MAX_BYTES = 16 << 20  # of a body that is looked into
_TAIL_BYTES = 64 << 10  # that are read first
_NEAR_BYTES = 16 << 10  # behind what was found last
_MOST_MISSES = 4  # in one body: each is a look at all of it
_BEFORE_BYTES, _BEHIND_BYTES = 128, 64  # that are quoted beside: names, ids, the next text
_GAP_BYTES = 512  # what lies nearer is one stretch
_MOST_STRETCHES = 8
_MESSAGE_BYTES = 256  # shorter messages of a socket are not looked into
_MOST_MESSAGES = 16

# A piece of text that every client writes as it is.
_ANCHOR = re.compile(r"[ !#$%'-.0-;=?-\[\]-~]{24,96}")
_NOT_ASCII = re.compile("[^\x00-\x7f]+")


class Source:
    """A quotes.Source: the request and the answer of one turn, read when they are needed."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        entry: Entry,
        from_ns: int | None,
        until_ns: int | None,
        views: "Mapping[Side, views.BodyView] | None" = None,
    ) -> None:
        """
        The moments bound the messages of a socket that belong to the turn; `views` are bodies of
        the entry that were looked at already.
        """
        self._conn = conn
        self._entry = entry
        self._from_ns = from_ns
        self._until_ns = until_ns
        self._views = views or {}
        self._bodies: dict[Side, list[_Body]] = {}

    def quote(self, data: bytes, said: Sequence[Said], side: Side) -> bytes | None:
        """Content of `data`, which says these texts; None: nothing of it was found."""
        try:
            longest = _longest(said)
            for body in self._of(side):
                stretches = body.stretches(longest)
                if stretches:
                    return quotes.quote(data, stretches)
        except WirescribeError:
            pass  # the body is damaged, or goes: then it is not quoted
        return None

    def _of(self, side: Side) -> "list[_Body]":
        found = self._bodies.get(side)
        if found is None:
            is_socket = self._entry.kind == "websocket"
            seen = self._messages(side) if is_socket else self._body(side)
            found = [_Body(view.plain) for view in seen if view.plain.size_bytes <= _MAX_BYTES]
            self._bodies[side] = found
        return found

    def _body(self, side: Side) -> "list[views.BodyView]":
        view = self._views.get(side)
        if view is not None and view.digest is not None:
            return [view]
        entry = self._entry
        text = entry.request_decoded if side == "request" else entry.response_decoded
        body = text or (entry.request_body if side == "request" else entry.response_body)
        return [views.view(self._conn, body.digest)] if body else []

    def _messages(self, side: Side) -> "list[views.BodyView]":
        """The longest ones that passed in the turn's time."""
        if self._from_ns is None:
            return []
        rows = self._conn.execute(
            "select number, offset_ns, side, size_bytes, digest from frames "
            "where entry_id = ? and number >= ? order by number",
            [self._entry.id, self._first()],
        )
        found: list[tuple[int, bytes]] = []
        for _, offset_ns, its_side, size_bytes, digest in rows:
            if self._until_ns is not None and offset_ns > self._until_ns:
                break
            if its_side == side and size_bytes >= _MESSAGE_BYTES:
                found.append((size_bytes, digest))
        rows.close()
        longest = sorted(found, reverse=True)[:_MOST_MESSAGES]
        return [views.view(self._conn, digest) for _, digest in longest]

    def _first(self) -> int:
        """Number of the first message at or behind the turn's beginning."""
        entry_id = self._entry.id
        (count,) = self._conn.execute(
            "select coalesce(max(number) + 1, 0) from frames where entry_id = ?", [entry_id]
        ).fetchone()

        def offset_ns(number: int) -> int:
            row = self._conn.execute(
                "select offset_ns from frames where entry_id = ? and number = ?",
                [entry_id, number],
            ).fetchone()
            return row[0] if row else 0

        assert self._from_ns is not None
        return bisect_left(range(count), self._from_ns, key=offset_ns)


class _Body:
    """A body's bytes, as many as were needed up to now, from its end."""

    def __init__(self, view: "views.BodyView") -> None:
        self._view = view
        self._base = view.size_bytes  # where `_data` begins
        self._data = b""
        self._behind = 0  # what was found last, in `_data`
        self._misses = 0
        self._is_json_first = True

    def stretches(self, said: Sequence[Said]) -> list[tuple[Stretch, bytes]]:
        """Where these texts stand, and the bytes there."""
        spans = []
        for one in said:
            if self._misses >= _MOST_MISSES:
                break
            span = self._find(one)
            if span is None:
                self._misses += 1
            else:
                spans.append(span)
        found = []
        for start, stop in _joined(spans):
            if start - _BEFORE_BYTES < self._base:
                self._read_all()
            start, stop = self._widened(start, stop)
            stretch = self._view.stretch(start, stop)
            if stretch is None:
                return []
            found.append((stretch, self._data[start - self._base : stop - self._base]))
        return found

    def _widened(self, start: int, stop: int) -> tuple[int, int]:
        """With what stands beside, from one quotation mark to another: no escape is cut."""
        low, high = start - self._base, stop - self._base
        before = self._data.find(b'"', max(low - _BEFORE_BYTES, 0), low)
        behind = self._data.rfind(b'"', high, high + _BEHIND_BYTES)
        return (
            start if before < 0 else self._base + before,
            stop if behind < 0 else self._base + behind + 1,
        )

    def _find(self, said: Said) -> tuple[int, int] | None:
        """Start and stop in the body."""
        for form, is_json in self._forms(said):
            at = self._search(form)
            if at is not None:
                if said.is_json:
                    self._is_json_first = is_json
                return at, at + len(form)
        return self._about(said.text)

    def _forms(self, said: Said) -> Iterator[tuple[bytes, bool]]:
        """The text as a client may have written it, and whether that is without escapes."""
        escaped = _escaped(said.text)
        plain = said.text.encode() if said.is_json else escaped
        if plain != escaped and self._is_json_first:
            yield plain, True
        yield escaped, False
        if plain != escaped and not self._is_json_first:
            yield plain, True
        if not escaped.isascii():
            yield _ascii(escaped), False

    def _about(self, text: str) -> tuple[int, int] | None:
        """By the longest piece of it that every client writes as it is."""
        anchor = max(_ANCHOR.finditer(text), key=lambda found: len(found[0]), default=None)
        at = self._search(anchor[0].encode()) if anchor else None
        if anchor is None or at is None:
            return None
        before = len(_escaped(text[: anchor.start()]))
        start = max(at - before, 0)
        return start, min(start + len(_escaped(text)), self._view.size_bytes)

    def _search(self, form: bytes) -> int | None:
        """Mostly texts follow each other; else the last place is the best guess."""
        if not self._data:
            self._read(max(self._view.size_bytes - _TAIL_BYTES, 0))
        at = self._data.find(form, self._behind, self._behind + len(form) + _NEAR_BYTES)
        if at < 0:
            at = self._data.rfind(form)
        if at < 0 and self._base:
            self._read_all()
            at = self._data.rfind(form)
        if at < 0:
            return None
        self._behind = at + len(form)
        return self._base + at

    def _read_all(self) -> None:
        self._behind += self._base
        self._read(0)

    def _read(self, start: int) -> None:
        self._data = self._view.read(start, self._base) + self._data
        self._base = start


def _longest(said: Sequence[Said]) -> list[Said]:
    """In their order."""
    if len(said) <= _MOST_SAID:
        return list(said)
    least = sorted(len(one.text) for one in said)[-_MOST_SAID]
    return [one for one in said if len(one.text) >= least][:_MOST_SAID]


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Neighbours as one, and only the longest ones if there are many; ascending."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if found and start - found[-1][1] < _GAP_BYTES:
            found[-1] = found[-1][0], max(found[-1][1], stop)
        else:
            found.append((start, stop))
    longest = sorted(found, key=lambda span: span[0] - span[1])[:_MOST_STRETCHES]
    return sorted(longest)


def _escaped(text: str) -> bytes:
    return msgspec.json.encode(text)[1:-1]


def _ascii(escaped: bytes) -> bytes:
    """As clients write it that send ASCII alone."""
    return _NOT_ASCII.sub(_units, escaped.decode()).encode()


def _units(signs: re.Match[str]) -> str:
    data = signs[0].encode("utf-16-be")
    return "".join(f"\\u{unit:04x}" for unit in struct.unpack(f">{len(data) // 2}H", data))
