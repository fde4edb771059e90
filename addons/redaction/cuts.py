"""
What a cut is made of: where, why, and the keyed hash that tells same from other.

A cut puts as many `*` in its place as bytes were there, so offsets, Content-Length and the chunk
clock stay true. Its hash is the first 16 bytes of an HMAC-SHA256 under the key of the data dir:
the same secret has the same hash wherever it shows up (plain, base64, in a header, in a body),
and without the key a guess cannot be checked.
"""

import hmac
import struct
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

import msgspec

from storage.records import Cut

Part = Literal[
    "request-target",
    "request-header",
    "request-body",
    "request-decoded",  # offset in the decoded text beside a body that is cut_coded
    "response-header",
    "response-body",
    "response-decoded",
    "client-message",
    "server-message",
    "error",  # the proxy's own words, a close reason, a reason phrase
]
Kind = Literal[
    "authorization",
    "api-key",  # any other secret header, whole
    "cookie",
    "websocket-protocol",
    "query",
    "url-userinfo",
    "known-value",  # seen in a secret place before, found anywhere
    "oauth-body",
    "coded",  # content-coded bytes from the first secret on
    "unscanned",  # could not be looked into, so it is not kept
]

STAR: Final = b"*"
_SPAN = struct.Struct(">QQ")


class Span(NamedTuple):
    """A secret found at `start:end` of some bytes; `secret` is its plain value, for the hash."""

    start: int
    end: int
    kind: Kind
    secret: bytes


class Scanned(msgspec.Struct, frozen=True):
    """
    What a body or message lets go by now.

    `data` may be written as it is; all of them together are as long as what was fed. `decoded` is
    the next piece of decoded text that belongs beside a body once it is cut_coded.
    """

    data: bytes = b""
    cuts: tuple[Cut, ...] = ()
    decoded: bytes = b""


class Place(msgspec.Struct, frozen=True):
    """Which bytes a span is counted in."""

    part: Part
    name: str | None = None
    index: int | None = None


class Fingerprint:
    """Keyed hashes. Without state, so one serves all threads."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, secret: bytes) -> str:
        """32 hex digits for one secret."""
        return hmac.digest(self._key, secret, "sha256")[:16].hex()

    def running(self, data: bytes = b"") -> "Hidden":
        """A hash to go on with, of `data` so far."""
        hidden = Hidden(self._key)
        hidden.update(data)
        return hidden

    def cut(self, place: Place, span: Span, offset: int = 0) -> Cut:
        """The record of `span`, whose bytes begin at `offset` of the value, body or message."""
        return Cut(
            part=place.part,
            name=place.name,
            index=place.index,
            offset_bytes=offset + span.start,
            length_bytes=span.end - span.start,
            kind=span.kind,
            hmac=self.of(span.secret),
        )


class Hidden:
    """
    A running keyed hash over all that was cut out of one body: (offset, length, bytes) each.

    Together with the digest of what is stored it pins down what crossed the wire, and costs
    nothing for a body without a cut.
    """

    __slots__ = ("_key", "_mac")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._mac: hmac.HMAC | None = None

    def add(self, offset: int, data: bytes) -> None:
        self.update(_SPAN.pack(offset, len(data)) + data)

    def update(self, data: bytes) -> None:
        """The next bytes of one hidden range that goes on to the end of its body."""
        if data:
            self._mac = self._mac or hmac.new(self._key, digestmod="sha256")
            self._mac.update(data)

    def hex(self) -> str | None:
        """64 hex digits; None if nothing was cut."""
        return self._mac.hexdigest() if self._mac else None


def outermost(spans: Iterable[Span]) -> list[Span]:
    """The spans in order, without those that lie inside another one."""
    kept: list[Span] = []
    end = -1
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if span.end > end:
            kept.append(span)
            end = span.end
    return kept


def starred(data: bytes, spans: Iterable[Span]) -> bytes:
    """`data` with `*` in place of every byte of `spans`."""
    out = bytearray(data)
    for span in spans:
        out[span.start : span.end] = STAR * (span.end - span.start)
    return bytes(out)
