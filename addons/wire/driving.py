"""
Drives a fold with a recorded entry: what live reading, ingest, rebuild and pages have in common.

Entries and what passed are known by their shape alone (`storage.records.Entry`,
`storage.replay.Passed`), for wire formats know nothing of the store.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, Protocol

from addons.wire.contract import AnswerHead, Fold, Frame, Head, Headers, Side
from storage.decoded import Change


class Recorded(Protocol):
    """The heads of an entry."""

    @property
    def kind(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def target(self) -> bytes: ...
    @property
    def request_headers(self) -> Headers: ...
    @property
    def status(self) -> int | None: ...
    @property
    def response_headers(self) -> Headers | None: ...


class Passed(Protocol):
    """One thing that passed: bytes, the answer's head, or the end of a body."""

    @property
    def what(self) -> Literal["data", "answered", "ended"]: ...
    @property
    def side(self) -> Side: ...
    @property
    def offset_ns(self) -> int: ...
    @property
    def data(self) -> bytes: ...


def head_of(entry: Recorded) -> Head:
    """The request's head; of a socket that of its upgrade."""
    path, _, query = entry.target.decode("latin-1").partition("?")
    return Head(
        method=entry.method,
        host=entry.host,
        path=path,
        query=query,
        headers=entry.request_headers,
        is_websocket=entry.kind == "websocket",
    )


def answer_of(entry: Recorded) -> AnswerHead | None:
    """None: there was no answer (yet)."""
    if entry.status is None:
        return None
    return AnswerHead(status=entry.status, headers=entry.response_headers or ())


def drive(
    fold: Fold, answer: AnswerHead | None, passed: Iterable[Passed], ended_ns: int | None = None
) -> Iterator[Change]:
    """
    All changes of an entry, from its first byte to `finish`.

    `ended_ns` is when the entry ended; None: it is open, and what is there is taken for all.
    """
    latest_ns = 0
    for one in passed:
        latest_ns = max(latest_ns, one.offset_ns)
        if one.what == "data":
            yield from fold.feed(Frame(side=one.side, offset_ns=one.offset_ns, data=one.data))
        elif one.what == "ended":
            yield from fold.ended(one.side, one.offset_ns)
        elif answer is not None:
            yield from fold.answered(answer, one.offset_ns)
    yield from fold.finish(latest_ns if ended_ns is None else ended_ns)
