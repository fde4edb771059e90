"""
How fast wire formats are read: the corpus of real calls, format by format.

The rival is the least that any reader must do: undo the framing and parse each JSON text once. The
first round meets every message for the first time; the later ones are as agents send, history
known from the turn before.
"""

import itertools
import statistics
import time
from collections.abc import Callable

import msgspec

from addons.framing import sse
from bench.report import Figure, parser_for, show
from tests.corpus import cases
from tests.corpus.cases import Case


def main(arguments: list[str]) -> None:
    parser = parser_for("decode", __doc__)
    parser.add_argument("--rounds", type=int, default=9, help="each thing once a round, in turn")
    rounds = parser.parse_args(arguments).rounds
    by_wire: dict[str, list[Case]] = {}
    for case in cases.iterate():
        by_wire.setdefault(case.decoder.name, []).append(case)
    figures = [figure for wire in sorted(by_wire) for figure in _wire(wire, by_wire[wire], rounds)]
    show("decode", figures)


def _wire(wire: str, found: list[Case], rounds: int) -> list[Figure]:
    size = sum(_size(case) for case in found)
    first = _rate(size, lambda: _decode(found))
    ours, rival = [], []
    for _ in range(rounds):
        ours.append(_rate(size, lambda: _decode(found)))
        rival.append(_rate(size, lambda: _parse(found)))
    print(
        f"{wire}: {len(found)} calls, {size / 1e6:.2f} MB, first round {first:.0f} MB/s, "
        f"then {statistics.median(ours):.0f} MB/s"
    )
    return [Figure(name=f"{wire}, decoded", unit="MB/s", ours=ours, rival=rival)]


def _rate(size: int, work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return size / 1e6 / (time.process_time() - started)


def _decode(found: list[Case]) -> None:
    for case in found:
        turns = cases.turns(cases.changes(case))
        assert turns, f"{case.name} gave no turn"


def _parse(found: list[Case]) -> None:
    for case in found:
        for text in _texts(case):
            msgspec.json.decode(text)


def _texts(case: Case) -> list[bytes | str]:
    """Every JSON text of a case that is whole."""
    if case.messages:
        return [message.text for message in case.messages]
    if case.facts.outcome != "complete" or _coded(case):
        return []
    decoder = sse.Decoder()
    if not _is_stream(case):
        return [case.request, case.response]
    events = itertools.chain(*(decoder.feed(data) for _, data in case.recorded()))
    return [case.request, *(event.data for event in events if event.data[:1] == "{")]


def _is_stream(case: Case) -> bool:
    answer = case.answer_head
    return answer is not None and "event-stream" in (answer.header("content-type") or "")


def _coded(case: Case) -> bool:
    answer = case.answer_head
    is_answer_coded = answer is not None and answer.header("content-encoding") is not None
    return is_answer_coded or case.head.header("content-encoding") is not None


def _size(case: Case) -> int:
    messages = sum(len(message.text.encode()) for message in case.messages)
    return messages + len(case.request) + len(case.response)
