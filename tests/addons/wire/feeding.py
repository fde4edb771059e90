"""
Drives a decoder with an exchange: whole, byte by byte, cut anywhere.

    turn = feeding.turn(DECODER, path="/v1/messages", request=b"{...}", response=sse_bytes)
"""

import itertools
from collections.abc import Iterable, Sequence

import msgspec

from addons.wire.contract import AnswerHead, Decoder, Frame, Head
from storage.decoded import Change, Turn, TurnEnded, TurnTiming


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What crossed, content codings included."""

    path: str
    request: bytes
    response: bytes
    content_type: str = "text/event-stream"
    status: int = 200
    query: str = ""
    host: str = "api.example.test"
    request_headers: tuple[tuple[bytes, bytes], ...] = ()
    response_headers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def head(self) -> Head:
        return Head(
            method="POST",
            host=self.host,
            path=self.path,
            query=self.query,
            headers=((b"content-type", b"application/json"), *self.request_headers),
        )

    @property
    def answer_head(self) -> AnswerHead:
        media = (b"Content-Type", self.content_type.encode())
        return AnswerHead(status=self.status, headers=(media, *self.response_headers))


def changes(
    decoder: Decoder,
    exchange: Exchange,
    chunks: Iterable[bytes] | None = None,
    *,
    cut: bool = False,
) -> list[Change]:
    """All changes, one millisecond between the chunks. `cut`: the body never came to its end."""
    assert decoder.matches(exchange.head)
    fold = decoder.open(exchange.head)
    found: list[Change] = []
    found += fold.feed(Frame(side="request", offset_ns=1_000, data=exchange.request))
    found += fold.ended("request", 2_000)
    found += fold.answered(exchange.answer_head, 1_000_000)
    at_ns = 2_000_000
    for chunk in [exchange.response] if chunks is None else chunks:
        found += fold.feed(Frame(side="response", offset_ns=at_ns, data=chunk))
        at_ns += 1_000_000
    if not cut:
        found += fold.ended("response", at_ns)
    found += fold.finish(at_ns)
    return found


def turn(
    decoder: Decoder,
    exchange: Exchange,
    chunks: Iterable[bytes] | None = None,
    *,
    cut: bool = False,
) -> Turn:
    """The one turn."""
    ended = [
        change
        for change in changes(decoder, exchange, chunks, cut=cut)
        if isinstance(change, TurnEnded)
    ]
    assert len(ended) == 1
    return ended[0].turn


def timeless(turn: Turn) -> Turn:
    """Without its clock, to compare what different chunkings gave."""
    return msgspec.structs.replace(turn, timing=TurnTiming())


def byte_by_byte(data: bytes) -> Sequence[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def split_at(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut at these places, in any order, doubles and places beyond the end included."""
    cuts = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(cuts)]
