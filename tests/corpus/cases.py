"""
The corpus: one folder a case, cut from real traffic by `tests.corpus.build`.

    case.json      what crossed beside the bodies, and where it comes from
    request.bin, response.bin, chunks.json    HTTP; chunks are [offset in ns, size in bytes]
    messages.jsonl                            WebSocket: one message a line
    expected.json  the turns that decoding must give, without their timing

In `expected.json` a text of more than 200 signs stands as its length and its digest.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from addons.wire import DECODERS
from addons.wire.contract import AnswerHead, Decoder, Frame, Head
from storage.decoded import Change, Turn, TurnEnded, TurnTiming

FOLDER = Path(__file__).parent / "cases"
SIDE_CALLS = FOLDER.parent / "side_calls.json"  # agent, method, URL of what is no model call
_LONG_SIGNS = 200

Headers = list[tuple[str, str]]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    client: str
    version: str
    recorded: str  # the day


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """case.json"""

    kind: Literal["http", "websocket"]
    outcome: str
    origin: Origin
    method: str
    url: str
    request_headers: Headers
    status: int | None
    response_headers: Headers


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A line of messages.jsonl."""

    side: Literal["request", "response"]
    offset_ns: int
    text: str


class Case(msgspec.Struct, frozen=True, kw_only=True):
    name: str  # "<agent>/<case>"
    facts: Facts
    request: bytes = b""
    response: bytes = b""
    chunks: list[tuple[int, int]] = []
    messages: list[Message] = []

    @property
    def head(self) -> Head:
        _, _, rest = self.facts.url.partition("://")
        host, slash, target = rest.partition("/")
        path, _, query = (slash + target).partition("?")
        return Head(
            method=self.facts.method,
            host=host.partition(":")[0],
            path=path,
            query=query,
            headers=_coded(self.facts.request_headers),
            is_websocket=self.facts.kind == "websocket",
        )

    @property
    def answer_head(self) -> AnswerHead | None:
        if self.facts.status is None:
            return None
        return AnswerHead(status=self.facts.status, headers=_coded(self.facts.response_headers))

    @property
    def decoder(self) -> Decoder:
        """The one that matches."""
        (decoder,) = [decoder for decoder in DECODERS if decoder.matches(self.head)]
        return decoder

    def recorded(self) -> list[tuple[int, bytes]]:
        """The answer in the chunks that it came in."""
        ends = itertools.accumulate(size for _, size in self.chunks)
        return [
            (offset_ns, self.response[end - size : end])
            for (offset_ns, size), end in zip(self.chunks, ends, strict=True)
        ]


def _coded(headers: Headers) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)


# --- on disk -------------------------------------------------------------------------------------


def names() -> list[str]:
    return sorted(
        f"{path.parent.parent.name}/{path.parent.name}" for path in FOLDER.glob("*/*/case.json")
    )


def load(name: str) -> Case:
    folder = FOLDER / name
    facts = msgspec.json.decode((folder / "case.json").read_bytes(), type=Facts)
    if facts.kind == "websocket":
        lines = (folder / "messages.jsonl").read_bytes().splitlines()
        messages = [msgspec.json.decode(line, type=Message) for line in lines]
        return Case(name=name, facts=facts, messages=messages)
    chunks = msgspec.json.decode((folder / "chunks.json").read_bytes(), type=list[tuple[int, int]])
    return Case(
        name=name,
        facts=facts,
        request=(folder / "request.bin").read_bytes(),
        response=(folder / "response.bin").read_bytes(),
        chunks=chunks,
    )


def save(case: Case) -> None:
    folder = FOLDER / case.name
    folder.mkdir(parents=True, exist_ok=True)
    _pretty(folder / "case.json", case.facts)
    if case.facts.kind == "websocket":
        lines = [msgspec.json.encode(message) + b"\n" for message in case.messages]
        (folder / "messages.jsonl").write_bytes(b"".join(lines))
    else:
        (folder / "request.bin").write_bytes(case.request)
        (folder / "response.bin").write_bytes(case.response)
        (folder / "chunks.json").write_bytes(msgspec.json.encode(case.chunks) + b"\n")


def save_expected(case: Case) -> None:
    _pretty(FOLDER / case.name / "expected.json", condensed(turns(changes(case))))


def expected(name: str) -> object:
    return msgspec.json.decode((FOLDER / name / "expected.json").read_bytes())


def _pretty(path: Path, value: object) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")


# --- decoding ------------------------------------------------------------------------------------


def changes(
    case: Case, chunks: Iterable[tuple[int, bytes]] | None = None, *, cut: bool = False
) -> list[Change]:
    """All changes; of HTTP with the answer in these chunks. `cut`: it never came to its end."""
    fold = case.decoder.open(case.head)
    found = list(itertools.chain(*_fed(case, fold, chunks, cut=cut)))
    return [*found, *fold.finish(10**12)]


def _fed(case, fold, chunks, *, cut):  # type: ignore[no-untyped-def]
    if case.facts.kind == "websocket":
        yield fold.answered(case.answer_head, 0)
        for message in case.messages if chunks is None else chunks:
            yield fold.feed(
                Frame(side=message.side, offset_ns=message.offset_ns, data=message.text.encode())
            )
        return
    yield fold.feed(Frame(side="request", offset_ns=0, data=case.request))
    yield fold.ended("request", 0)
    if case.answer_head is None:
        return
    yield fold.answered(case.answer_head, 0)
    for offset_ns, data in case.recorded() if chunks is None else chunks:
        yield fold.feed(Frame(side="response", offset_ns=offset_ns, data=data))
    if not cut and case.facts.outcome == "complete":
        yield fold.ended("response", 10**12)


def turns(found: Iterable[Change]) -> list[Turn]:
    """The turns, without their clock."""
    ended = [change.turn for change in found if isinstance(change, TurnEnded)]
    return [msgspec.structs.replace(turn, timing=TurnTiming()) for turn in ended]


def condensed(found: Iterable[Turn]) -> object:
    """As in expected.json."""
    return [condensed_value(msgspec.to_builtins(turn)) for turn in found]


def condensed_value(value: object) -> object:
    """JSON in which long texts stand as their length and digest."""
    if isinstance(value, dict):
        return {name: condensed_value(child) for name, child in value.items()}
    if isinstance(value, list | tuple):
        return [condensed_value(child) for child in value]
    if isinstance(value, str) and len(value) > _LONG_SIGNS:
        digest = hashlib.sha256(value.encode()).hexdigest()[:32]
        return f"{value[:60]}... {len(value)} signs, sha256 {digest}"
    return value


def iterate() -> Iterator[Case]:
    return (load(name) for name in names())
