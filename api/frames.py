"""Frames of an entry as the API shows them: WebSocket messages, or the chunks of a body."""

import base64
import sqlite3
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from storage import bodies, traffic
from storage.errors import NotFound
from storage.records import Body, Entry, Frame, Side

_INLINE_BYTES = 256 << 10  # a longer message stands by its URL alone
_PAGE_BYTES = 4 << 20
_TEXT = 1  # RFC 6455 section 11.8

Direction = Literal["client-to-server", "server-to-client"]


class FrameBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """
    A message has its data as `text` or `base64`, or at `url` if it is long for a list.

    A chunk is the span of `size` bytes from `at` of its side's body.
    """

    number: int
    side: Side
    direction: Direction
    timestamp: Annotated[int, Meta(description="Unix milliseconds")]
    offset_us: Annotated[int, Meta(description="Monotonic, from the entry's start")]
    size: int
    opcode: Annotated[int | None, Meta(description="1 text, 2 binary; null of a chunk")]
    is_binary: bool | None
    text: str | None
    base64: str | None
    url: Annotated[str | None, Meta(description="The whole message, of any size")]
    at: Annotated[int | None, Meta(description="Where the chunk begins in its body")]


class FramePage(msgspec.Struct, frozen=True, kw_only=True):
    """`next` is the `after` of the next page; null: there is none now."""

    frames: list[FrameBody]
    next: int | None


def page(
    conn: sqlite3.Connection, entry: Entry, *, side: Side | None, after: int | None, limit: int
) -> FramePage:
    """At most `limit` frames, and fewer where their data is long."""
    found = traffic.frames(conn, entry.id, side=side, after=after, limit=limit + 1)
    shown: list[FrameBody] = []
    left = _PAGE_BYTES
    for frame in found[:limit]:
        if shown and frame.body and frame.size_bytes <= _INLINE_BYTES:
            left -= frame.size_bytes
            if left < 0:
                break
        shown.append(_frame(conn, entry, frame))
    more = len(shown) < len(found)
    return FramePage(frames=shown, next=shown[-1].number if more else None)


def message(conn: sqlite3.Connection, entry: Entry, number: int) -> Body | None:
    """The body of a WebSocket's message, None if it is empty. Raises NotFound."""
    if entry.kind == "websocket" and 0 <= number < entry.message_count:
        for frame in traffic.frames(conn, entry.id, after=number - 1, limit=1):
            if frame.number == number:
                return frame.body
    raise NotFound("Frame not found")


def _frame(conn: sqlite3.Connection, entry: Entry, frame: Frame) -> FrameBody:
    is_message = frame.opcode is not None
    data = _data(conn, frame) if is_message else None
    text = _text(data) if data is not None and frame.opcode == _TEXT else None
    return FrameBody(
        number=frame.number,
        side=frame.side,
        direction="client-to-server" if frame.side == "request" else "server-to-client",
        timestamp=(entry.started_ns + frame.offset_ns) // 1_000_000,
        offset_us=frame.offset_ns // 1000,
        size=frame.size_bytes,
        opcode=frame.opcode,
        is_binary=frame.opcode != _TEXT if is_message else None,
        text=text,
        base64=base64.b64encode(data).decode() if data is not None and text is None else None,
        url=f"/api/traffic/{entry.id}/frames/{frame.number}" if is_message else None,
        at=frame.at_bytes,
    )


def _data(conn: sqlite3.Connection, frame: Frame) -> bytes | None:
    if frame.body is None:
        return b""
    if frame.size_bytes > _INLINE_BYTES:
        return None
    return bodies.view(conn, frame.body.digest).read()


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None  # the peer broke RFC 6455; base64 shows what it sent
