"""
The full captures of real CLIs, decoded: every model call, with nothing unexpected.

They lie beside the checkout (../shared/wire/flows) and hold the vendors' prompts, so they are in no
repository; what is cut from them is the corpus (tests/corpus).
"""

import warnings
from pathlib import Path

import pytest

from addons.wire import DECODERS
from storage.decoded import ToolCallPart, ToolResultPart
from tests.corpus import cases
from tests.corpus.cases import Case
from tests.corpus.plainreading import said

with warnings.catch_warnings():
    # mitmproxy uses names that pyparsing has deprecated; nothing of ours does.
    warnings.simplefilter("ignore", DeprecationWarning)
    from mitmproxy import http
    from mitmproxy.io import FlowReader

    from tests.corpus import build

FLOWS = Path(__file__).parents[3] / "shared" / "wire" / "flows"

pytestmark = [pytest.mark.agents, pytest.mark.timeout(240)]


def model_calls(file: Path) -> list[Case]:
    with file.open("rb") as stream:
        flows = [flow for flow in FlowReader(stream).stream() if isinstance(flow, http.HTTPFlow)]
    found = [build.case_of(flow) for flow in flows]
    return [case for case in found if any(decoder.matches(case.head) for decoder in DECODERS)]


@pytest.fixture(scope="module", params=[file.stem for file in sorted(FLOWS.glob("*.mitm"))])
def calls(request):
    return model_calls(FLOWS / f"{request.param}.mitm")


def test_the_captures_are_there() -> None:
    assert len(list(FLOWS.glob("*.mitm"))) >= 9


def test_every_call_is_read_without_a_note(calls: list[Case]) -> None:
    turns = [turn for case in calls for turn in cases.turns(cases.changes(case))]

    assert turns
    for turn in turns:
        assert turn.notes == ()
        assert turn.is_complete
        assert turn.answer.failure is None
        assert turn.answer.usage is not None
        assert turn.answer.messages or not turn.asked.generates


def test_calls_and_counts_are_those_of_the_bytes(calls: list[Case]) -> None:
    """Against a plain reader that shares no code with the decoders."""
    for case in calls:
        turns = cases.turns(cases.changes(case))
        for turn, told in zip(turns, said(case), strict=True):
            answered = [part for message in turn.answer.messages for part in message.parts]
            asked = [part for message in turn.asked.messages for part in message.parts]
            usage = turn.answer.usage
            assert usage is not None
            assert (usage.input_tokens, usage.output_tokens) == (
                told.input_tokens,
                told.output_tokens,
            )
            assert [part.call_id for part in answered if isinstance(part, ToolCallPart)] == [
                call_id for call_id, _, _ in told.calls
            ]
            assert [part.call_id for part in asked if isinstance(part, ToolResultPart)] == (
                told.results
            )


def test_what_was_answered_comes_back_as_the_same_call(calls: list[Case]) -> None:
    """A call in a history is one that an answer before it held."""
    answered: set[tuple[str | None, str]] = set()
    asked: set[tuple[str | None, str]] = set()
    for case in calls:
        for turn in cases.turns(cases.changes(case)):
            answered |= {
                key(part) for m in turn.answer.messages for part in m.parts if called(part)
            }
            asked |= {key(part) for m in turn.asked.messages for part in m.parts if called(part)}

    assert answered
    assert asked <= answered


def called(part: object) -> bool:
    return isinstance(part, ToolCallPart)


def key(part: ToolCallPart) -> tuple[str | None, str]:
    return part.call_id, part.name
