"""The corpus: real calls of the agent CLIs, each decoded whole, in pieces, and cut off."""

import itertools
import random

import msgspec
import pytest

from addons.wire import DECODERS
from addons.wire.contract import Head
from storage.decoded import TextPart, ThinkingPart, ToolCallPart, Turn
from tests.corpus import cases
from tests.corpus.cases import Case

_MAX_SLOW_BYTES = 64_000  # of an answer that is fed byte by byte
_MAX_CUTS = 40

NAMES = cases.names()


def decoded(case: Case, chunks=None, *, cut=False) -> list[Turn]:
    return cases.turns(cases.changes(case, chunks, cut=cut))


@pytest.fixture(scope="module", params=NAMES)
def case(request):
    return cases.load(request.param)


def test_there_are_cases() -> None:
    agents = {name.partition("/")[0] for name in NAMES}

    assert agents >= {"claude-code", "codex", "copilot-cli", "gemini-cli", "opencode", "qwen-code"}


def test_exactly_one_decoder_matches(case: Case) -> None:
    assert [decoder.name for decoder in DECODERS if decoder.matches(case.head)] == [
        case.decoder.name
    ]


def test_it_gives_the_expected_turns(case: Case) -> None:
    assert cases.condensed(decoded(case)) == cases.expected(case.name)


def test_nothing_of_it_is_unknown(case: Case) -> None:
    notes = {note.kind for turn in decoded(case) for note in turn.notes}

    assert notes <= {"truncated-stream", "malformed-event"}
    if not case.name.endswith("cut"):
        assert notes == set()


@pytest.mark.parametrize("name", [name for name in NAMES if "/socket-" not in name])
def test_chunking_changes_nothing(name: str) -> None:
    case = cases.load(name)
    whole = decoded(case)
    if len(case.response) <= _MAX_SLOW_BYTES:
        single = [(0, case.response[at : at + 1]) for at in range(len(case.response))]
        assert decoded(case, single) == whole
    else:
        choice = random.Random(case.name)
        for _ in range(5):
            places = sorted(choice.sample(range(1, len(case.response)), 50))
            edges = itertools.pairwise([0, *places, len(case.response)])
            assert decoded(case, [(0, case.response[a:b]) for a, b in edges]) == whole


def test_an_answer_that_is_cut_is_the_beginning_of_the_whole(case: Case) -> None:
    whole = said(decoded(case))
    for chunks in cuts(case):
        assert_begins(whole, said(decoded(case, chunks, cut=True)))


def cuts(case: Case) -> list[list]:
    """What had come at the end of each event (of many: of some), and in the middle of some."""
    if case.facts.kind == "websocket":
        count = len(case.messages)
        return [case.messages[:end] for end in some(range(count))]
    body = case.response
    ends = [at + 1 for at in range(len(body)) if body[at : at + 1] == b"\n"]
    middles = [end + (following - end) // 2 for end, following in itertools.pairwise(ends)]
    return [[(0, body[:end])] for end in some(sorted({0, *ends, *middles}))]


def some(places) -> list[int]:
    places = list(places)
    return places[:: max(1, len(places) // _MAX_CUTS)]


def said(turns: list[Turn]) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Of each turn: its text, its thinking, its calls with their arguments."""
    return [
        (_text(turn, TextPart), _text(turn, ThinkingPart), _calls(turn))
        for turn in turns
        if turn.answer.failure is None
    ]


def _parts(turn: Turn):
    return [part for message in turn.answer.messages for part in message.parts]


def _text(turn: Turn, kind) -> str:
    return "".join(part.text for part in _parts(turn) if isinstance(part, kind))


def _calls(turn: Turn) -> list[tuple[str, str]]:
    return [(p.name, p.arguments) for p in _parts(turn) if isinstance(p, ToolCallPart)]


def assert_begins(whole, cut) -> None:
    for (text, thinking, calls), (cut_text, cut_thinking, cut_calls) in zip(
        whole, cut, strict=False
    ):
        assert text.startswith(cut_text)
        assert thinking.startswith(cut_thinking)
        assert cut_calls[:-1] == calls[: len(cut_calls[:-1])]
        if cut_calls:
            name, arguments = calls[len(cut_calls) - 1]
            assert cut_calls[-1][0] == name
            # A call that only began has no arguments, or the empty ones.
            assert arguments.startswith(cut_calls[-1][1]) or cut_calls[-1][1] == "{}"


def test_no_decoder_matches_the_calls_beside() -> None:
    rows = msgspec.json.decode(cases.SIDE_CALLS.read_bytes(), type=list[tuple[str, str, str]])
    for _, method, url in rows:
        host, _, path = url.partition("://")[2].partition("/")
        head = Head(method=method, host=host, path=f"/{path}")
        assert not any(decoder.matches(head) for decoder in DECODERS), url
    assert len(rows) > 15


def test_no_credential_is_in_it() -> None:
    for name in NAMES:
        for path in (cases.FOLDER / name).iterdir():
            content = path.read_bytes()
            assert not any(word in content for word in (b"sk-ant-", b"sk-proj-", b"AIza", b"ghp_"))
            assert b"github_pat_" not in content
