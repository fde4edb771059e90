"""
The bodies, server-sent events and messages of a HAR entry.

HAR holds a body as text or base64 and without its content coding. The text is encoded as UTF-8,
or as the charset that a foreign writer names, and gets the coding that the heads name.
"""

import binascii
import codecs
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal
from urllib.parse import urlencode

import msgspec

from addons.framing import sse
from addons.importing import recoding
from addons.importing.document import Texts
from addons.importing.exchange import Half, Message, Piece
from storage.records import EntryOpened, Gap, Headers, Side

HIDING = ("coded", "unscanned")  # kinds of cuts behind which coded bytes are gone

# How our own export begins a comment on a body.
_AS_CAPTURED = "as captured"
_CUT_OFF = "the coded stream was cut off"
_KEPT = "its coded bytes were cut; this is the text that was kept"
_LEFT_OUT = ("left out:", "ends early:")

_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_NO_BASE64 = bytes(set(range(256)) - _BASE64)
_TEXT = 1  # opcode

Make = Callable[[], Iterator[bytes]]


class Param(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    value: str = ""


class PostData(msgspec.Struct, frozen=True, kw_only=True):
    mime_type: str | None = msgspec.field(default=None, name="mimeType")
    text: str | None = None
    encoding: str | None = None
    params: list[Param] | None = None
    comment: str | None = None


class Content(msgspec.Struct, frozen=True, kw_only=True):
    size: float | None = None
    mime_type: str | None = msgspec.field(default=None, name="mimeType")
    text: str | None = None
    encoding: str | None = None
    comment: str | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One of `_eventSourceMessages`."""

    time: float  # Unix seconds


class WireMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One of `_webSocketMessages`."""

    type: Literal["send", "receive"]
    time: float  # Unix seconds
    opcode: int
    data: str = ""


class Bodies:
    """Of one entry. `is_recoded` once a body got a coding again."""

    def __init__(
        self,
        texts: Texts,
        *,
        opened: EntryOpened,
        is_ours: bool,
        answered_ns: int,
        answer_headers: Headers,
        cut_kinds: Mapping[str, str],
    ) -> None:
        self.is_recoded = False
        self._texts = texts
        self._opened = opened
        self._is_ours = is_ours
        self._answered_ns = answered_ns
        self._headers: dict[Side, Headers] = {
            "request": opened.headers,
            "response": answer_headers,
        }
        self._cut_kinds = cut_kinds

    def request(
        self, data: PostData | None, size_bytes: int | None
    ) -> tuple[Half, tuple[Gap, ...]]:
        """`size_bytes` is what crossed. The body, and the gap that a missing one is."""
        if data is None:
            return Half(), ()
        if data.comment and data.comment.startswith(_LEFT_OUT):
            return self._missing("request", data.comment, size_bytes)
        text = data.text
        if text is None:
            form = [(param.name, param.value) for param in data.params or ()]
            text = urlencode(form)
        if not text:
            return Half(size_bytes=size_bytes), ()
        make = self._bytes(text, data.encoding, data.mime_type)
        return self._half("request", make, (), data.comment, size_bytes), ()

    def response(
        self, content: Content, size_bytes: int | None, events: Sequence[Event]
    ) -> tuple[Half, tuple[Gap, ...]]:
        if content.comment and content.comment.startswith(_LEFT_OUT):
            return self._missing("response", content.comment, size_bytes)
        if not content.text:
            if (content.size or 0) > 0 and content.text is None:
                return self._missing("response", None, size_bytes)
            return Half(size_bytes=size_bytes), ()
        make = self._bytes(content.text, content.encoding, content.mime_type)
        return self._half("response", make, events, content.comment, size_bytes), ()

    def _missing(
        self, side: Side, comment: str | None, size_bytes: int | None
    ) -> tuple[Half, tuple[Gap, ...]]:
        detail = comment or f"the {side}'s body is not in the file"
        gap = Gap(reason="not_in_file", size_bytes=size_bytes, detail=detail)
        return Half(size_bytes=size_bytes), (gap,)

    def _half(
        self,
        side: Side,
        make: Make,
        events: Sequence[Event],
        comment: str | None,
        size_bytes: int | None,
    ) -> Half:
        comment = comment or ""
        if comment.startswith(_KEPT) and self._cut_kinds.get(f"{side}-body") == "coded":
            text = (Piece(data, None) for data in make())
            return Half(pieces=text, size_bytes=size_bytes, is_kept=True)
        times = [offset(event.time, self._opened.started_ns) for event in events]
        clocked = clock(make, times, self._answered_ns)
        coding = _value(self._headers[side], b"content-encoding")
        if coding is None or not recoding.can(coding) or comment.startswith(_AS_CAPTURED):
            return Half(pieces=clocked, size_bytes=size_bytes if self._is_ours else None)
        self.is_recoded = True
        is_whole = not comment.startswith(_CUT_OFF)
        coded = recoding.recoded(clocked, coding, is_whole=is_whole)
        return Half(pieces=coded, size_bytes=size_bytes)

    def _bytes(self, text: str, encoding: str | None, mime_type: str | None) -> Make:
        """What makes the bytes of a text, as often as it is called."""
        if encoding == "base64":
            return lambda: _from_base64(self._texts.pieces(text))
        charset = "utf-8" if self._is_ours else _charset(mime_type)
        return lambda: (_encoded(piece, charset) for piece in self._texts.pieces(text))


# --- text and base64 -----------------------------------------------------------------------------


def _from_base64(pieces: Iterable[str]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        rest += piece.encode("ascii", "ignore").translate(None, _NO_BASE64)
        whole = len(rest) // 4 * 4
        yield binascii.a2b_base64(rest[:whole])
        rest = rest[whole:]
    if len(rest) > 1:
        yield binascii.a2b_base64(rest + b"==")


def _encoded(text: str, charset: str) -> bytes:
    try:
        return text.encode(charset)
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _charset(mime_type: str | None) -> str:
    """A charset of one byte a sign that the type names; else UTF-8."""
    _, found, value = (mime_type or "").lower().partition("charset=")
    try:
        name = codecs.lookup(value.partition(";")[0].strip(" \"'")).name if found else "utf-8"
    except LookupError:
        name = "utf-8"
    return name if name.startswith(("iso8859", "cp125")) else "utf-8"


def _value(headers: Headers, name: bytes) -> bytes | None:
    values = [value for key, value in headers if key.lower() == name]
    return b", ".join(values) if values else None


# --- times ---------------------------------------------------------------------------------------


def offset(unix_seconds: float, started_ns: int) -> int:
    """From the start of the entry in nanoseconds; HAR's times are good to a microsecond."""
    if not 0 <= unix_seconds < 1 << 32:
        return 0
    return max(round(unix_seconds * 1e6) * 1000 - started_ns, 0)


def clock(make: Make, times: list[int], answered_ns: int) -> Iterator[Piece]:
    """
    A body in the pieces in which its events came, each at its event's time.

    If there are not as many events as times, nobody knows when what came.
    """
    if not times or sum(1 for _, ends in _ends(make) if ends) != len(times):
        yield from (Piece(data, None) for data in make())
        return
    ahead, at_ns = iter(times), answered_ns
    held: list[bytes] = []  # up to the latest event
    tail: list[bytes] = []  # behind it
    for data, ends in _ends(make):
        tail.append(data)
        for _ in range(ends):
            before_ns, at_ns = at_ns, max(at_ns, next(ahead))
            if held and at_ns != before_ns:  # events of one moment came in one chunk
                yield Piece(b"".join(held), before_ns)
                held = []
            held += tail
            tail = []
    yield Piece(b"".join(held + tail), at_ns)


def _ends(make: Make) -> Iterator[tuple[bytes, int]]:
    """A body in lines, each with the number of events that end in it."""
    decoder = sse.Decoder()
    for piece in make():
        for line in piece.splitlines(keepends=True):
            yield line, len(decoder.feed(line))
    rest = len(decoder.finish())
    if rest:
        yield b"", rest


def messages(found: Sequence[WireMessage], texts: Texts, started_ns: int) -> Iterator[Message]:
    at_ns = 0
    for message in found:
        at_ns = max(at_ns, offset(message.time, started_ns))
        pieces = texts.pieces(message.data)
        is_text = message.opcode == _TEXT
        data = b"".join(
            (piece.encode("utf-8", "replace") for piece in pieces)
            if is_text
            else _from_base64(pieces)
        )
        opcode = message.opcode if 0 <= message.opcode <= 15 else 2
        yield Message(at_ns, message.type == "send", opcode, data)
