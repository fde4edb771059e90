"""
A stored body as something to send: as captured, or with its content coding undone.

Both know their size and give any span, so that one Range rule serves both.
"""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from addons.framing.codings import Decoder
from storage import bodies, traffic
from storage.records import Body, Entry, Side

_CAP_BYTES = 64 << 20  # of decoded output: a small body may claim to be a very long text

# How far the decoding came: `none` if there was nothing to decode.
Decoding = Literal["none", "whole", "truncated", "failed", "capped", "unknown-coding"]


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """`stream(conn, start, stop)` may be called on another connection, at any later time."""

    size_bytes: int
    digest: bytes | None  # None: still growing, empty, or decoded
    stream: Callable[[sqlite3.Connection, int, int], Iterator[bytes]]
    decoding: Decoding | None = None  # None: as captured


def captured(conn: sqlite3.Connection, entry: Entry, side: Side) -> Content:
    """The body as it crossed the wire, also while it grows."""
    view = traffic.body(conn, entry, side)
    return Content(
        size_bytes=view.size_bytes,
        digest=view.digest,
        stream=lambda conn, start, stop: traffic.body(conn, entry, side).stream(start, stop),
    )


def decoded(conn: sqlite3.Connection, entry: Entry, side: Side) -> Content:
    """
    The body without its content coding; what came before a fault where it has one.

    A coded body that held a secret is no longer decodable: then it is the text that was kept
    beside it, already decoded and cut.
    """
    kept = entry.request_decoded if side == "request" else entry.response_decoded
    if kept is not None:
        return stored(kept, decoding="whole")
    coding = _coding(entry, side)
    decoder = Decoder(coding, _CAP_BYTES)
    if not decoder.coded:
        as_is = captured(conn, entry, side)
        return msgspec.structs.replace(
            as_is, decoding="none" if decoder.known else "unknown-coding"
        )
    size_bytes = sum(map(len, _plain(decoder, traffic.body(conn, entry, side).stream())))
    return Content(
        size_bytes=size_bytes,
        digest=None,
        stream=lambda conn, start, stop: _span(
            _plain(Decoder(coding, _CAP_BYTES), traffic.body(conn, entry, side).stream()),
            start,
            stop,
        ),
        decoding=_state(decoder),
    )


def stored(body: Body, decoding: Decoding | None = None) -> Content:
    """A body of which only the reference is at hand: a message, a kept text."""
    return Content(
        size_bytes=body.size_bytes,
        digest=body.digest,
        stream=lambda conn, start, stop: bodies.view(conn, body.digest).stream(start, stop),
        decoding=decoding,
    )


EMPTY = Content(size_bytes=0, digest=None, stream=lambda conn, start, stop: iter(()))


def _coding(entry: Entry, side: Side) -> bytes:
    """Several Content-Encoding headers count as one list (RFC 9110, section 5.3)."""
    headers = entry.request_headers if side == "request" else entry.response_headers or ()
    return b",".join(value for name, value in headers if name.lower() == b"content-encoding")


def _plain(decoder: Decoder, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield decoder.feed(piece)
        if decoder.failed or decoder.capped:
            return
    decoder.finish()


def _state(decoder: Decoder) -> Decoding:
    if decoder.failed:
        return "failed"
    if decoder.capped:
        return "capped"
    return "truncated" if decoder.truncated else "whole"


def _span(pieces: Iterator[bytes], start: int, stop: int) -> Iterator[bytes]:
    at = 0
    for piece in pieces:
        wanted = piece[max(start - at, 0) : max(stop - at, 0)]
        at += len(piece)
        if wanted:
            yield wanted
        if at >= stop:
            return
