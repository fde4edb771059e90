"""One socket, many turns: which message belongs to which, and when a turn ends."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.wire.contract import AnswerHead, Fold, Frame, Head, Side
from addons.wire.responses import DECODER
from storage.decoded import (
    Change,
    Delta,
    Failure,
    Note,
    PartDone,
    TextPart,
    ToolCallPart,
    Turn,
    TurnBegun,
    TurnEnded,
)
from tests.addons.wire import feeding
from tests.addons.wire.responsesdata import (
    CALL,
    MESSAGE,
    TURN,
    Json,
    asking,
    encoded,
    events,
    response,
    said,
    streamed,
)

HEAD = Head(method="GET", host="api.openai.com", path="/v1/responses", is_websocket=True)
Passed = tuple[Side, Json]


def create(*items: object, **fields: object) -> Passed:
    return "request", {"type": "response.create", **asking(*items, **fields)}


def answers(told: list[Json], **fields: object) -> list[Passed]:
    return [("response", event | fields) for event in told]


def opened(status: int = 101) -> Fold:
    fold = DECODER.open(HEAD)
    assert fold.answered(AnswerHead(status=status), 0) == []
    return fold


def changes(passed: list[Passed], fold: Fold | None = None) -> list[Change]:
    """All of them; a millisecond between the messages."""
    fold = fold or opened()
    found: list[Change] = []
    for number, (side, message) in enumerate(passed):
        at_ns = (number + 1) * 1_000_000
        found += fold.feed(Frame(side=side, offset_ns=at_ns, data=encoded(message)))
    found += fold.ended("request", 10**12)
    found += fold.ended("response", 10**12)
    found += fold.finish(10**12)
    return found


def turns(passed: list[Passed]) -> list[Turn]:
    return [change.turn for change in changes(passed) if isinstance(change, TurnEnded)]


def texts(turn: Turn) -> list[str]:
    return [
        part.text
        for message in turn.answer.messages
        for part in message.parts
        if isinstance(part, TextPart)
    ]


def message(text: str, id: str) -> Json:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"id": id, "type": "message", "role": "assistant", "content": content}


def test_a_turn_over_a_socket_is_as_over_http() -> None:
    told = events(*TURN)
    (turn,) = turns([create(said("user", "Hello")), *answers(told)])
    over_http = feeding.turn(DECODER, streamed(told, asking(said("user", "Hello"))))

    assert turn.answer == over_http.answer
    assert turn.asked.messages == over_http.asked.messages
    assert turn.is_complete
    assert turn.notes == ()
    assert turn.wire == "openai.responses"
    assert turn.asked.is_stream


def test_a_session_of_codex() -> None:
    """Warming up, a prompt, then only what is new and the name of the answer before."""
    warm = response("completed", id="resp_0", usage=None)
    passed = [
        create(generate=False),
        *answers(
            [
                {"type": "response.created", "response": warm},
                {"type": "response.completed", "response": warm},
            ]
        ),
        create(said("user", "Hello"), previous_response_id="resp_0"),
        *answers(events(CALL, id="resp_1")),
        create(
            {"type": "function_call_output", "call_id": "call_1", "output": "x"},
            previous_response_id="resp_1",
        ),
        *answers(events(MESSAGE, id="resp_2")),
    ]
    found = changes(passed)
    done = [change.turn for change in found if isinstance(change, TurnEnded)]

    assert [turn.number for turn in done] == [0, 1, 2]
    assert [turn.asked.generates for turn in done] == [False, True, True]
    assert [turn.asked.previous_id for turn in done] == [None, "resp_0", "resp_1"]
    assert [turn.answer.id for turn in done] == ["resp_0", "resp_1", "resp_2"]
    assert all(turn.is_complete and turn.notes == () for turn in done)
    assert [len(turn.asked.messages) for turn in done] == [1, 1, 1]
    begun = [change for change in found if isinstance(change, TurnBegun)]
    assert [change.number for change in begun] == [0, 1, 2]
    assert begun[1].at_ns == 4_000_000


def test_parts_are_told_with_the_number_of_their_turn() -> None:
    passed = [create(), *answers(events(id="a")), create(), *answers(events(CALL, id="b"))]
    told = [change for change in changes(passed) if isinstance(change, PartDone | Delta)]

    assert {change.number for change in told} == {1}
    assert isinstance(told[-1], PartDone)
    assert isinstance(told[-1].part, ToolCallPart)


def test_the_clock_of_a_turn_begins_with_its_request() -> None:
    told = events(message("Hi", "m"))
    _, second = turns([create(), *answers(events(id="a")), create(), *answers(told)])
    asked_ns = (1 + 3 + 1) * 1_000_000

    assert second.timing.asked_ns == asked_ns
    assert second.timing.first_byte_ns == asked_ns + 1_000_000
    assert second.timing.first_content_ns == asked_ns + 5_000_000
    assert second.timing.ended_ns == asked_ns + len(told) * 1_000_000


def test_a_socket_that_breaks_leaves_what_came() -> None:
    told = events(message("Hello there", "m"))
    (turn,) = turns([create(), *answers(told[:6])])

    assert not turn.is_complete
    assert texts(turn) == ["Hello ther"]
    assert turn.notes == (Note(kind="truncated-stream"),)


def test_a_request_without_any_answer_is_a_turn() -> None:
    (turn,) = turns([create()])

    assert not turn.is_complete
    assert turn.answer.id is None


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed"])
def test_a_turn_ends_with_its_last_event(status: str) -> None:
    told = events(end=response(status))
    found = changes([create(), *answers(told), create()])
    kinds = [type(change).__name__ for change in found]

    assert kinds == ["TurnBegun", "TurnEnded", "TurnBegun", "TurnEnded"]


def test_an_error_ends_a_turn() -> None:
    error = {"type": "error", "status": 400, "error": {"code": "gone", "message": "No such."}}
    first, second = turns([create(), ("response", error), create(), *answers(events())])

    assert first.is_complete
    assert first.answer.failure == Failure(type="gone", message="No such.", status=400)
    assert second.is_complete
    assert second.answer.failure is None


def test_several_turns_at_once_go_by_their_ids() -> None:
    """The second is announced while the first still runs."""
    one, other = (
        events(message(text, f"msg_{text}"), id=f"resp_{text}") for text in ("one", "other")
    )
    mixed = [one[0], other[0], *one[1:], *other[1:]]
    found = changes([create(), create(), *answers(mixed)])
    first, second = (change.turn for change in found if isinstance(change, TurnEnded))

    assert (first.answer.id, texts(first)) == ("resp_one", ["one"])
    assert (second.answer.id, texts(second)) == ("resp_other", ["other"])
    assert first.notes == second.notes == ()
    deltas = [(change.number, change.text) for change in found if isinstance(change, Delta)]
    assert deltas == [(0, "one"), (1, "other")]


def test_an_error_that_names_nothing_is_of_the_turn_that_is_not_answered_yet() -> None:
    told = events(message("one", "m"))
    error = {"type": "error", "code": "gone", "message": "No such."}
    passed = [create(), *answers(told[:3]), create(), *answers([error, *told[3:]])]
    refused, answered = turns(passed)

    assert (refused.number, answered.number) == (1, 0)
    assert refused.answer.failure is not None
    assert texts(answered) == ["one"]


def test_the_end_of_an_answer_that_ended_is_not_taken_for_another() -> None:
    last = events(id="a")[-1:]
    passed = [create(), *answers(events(id="a")), create(), *answers(last + events(id="b"))]

    assert [turn.answer.id for turn in turns(passed)] == ["a", "b"]


def test_several_turns_at_once_go_by_their_lanes() -> None:
    """The later request is answered first, and its events name only the lane."""
    one = [event | {"stream_id": "1"} for event in events(message("one", "m"), id="resp_a")]
    other = [event | {"stream_id": "2"} for event in events(message("other", "m"), id="resp_b")]
    passed = [create(stream_id="1"), create(stream_id="2"), *answers(other), *answers(one)]
    ended = turns(passed)

    assert [(turn.number, texts(turn)) for turn in ended] == [(1, ["other"]), (0, ["one"])]


def test_requests_in_advance_are_answered_in_their_order() -> None:
    passed = [create(), create(), *answers(events(id="a")), *answers(events(id="b"))]

    assert [(turn.number, turn.answer.id) for turn in turns(passed)] == [(0, "a"), (1, "b")]


def test_what_nobody_asked_for_is_a_note_of_the_next_turn() -> None:
    passed = [
        *answers(events(MESSAGE, id="resp_x")[:2]),
        create(),
        *answers(events(id="a")),
        *answers(events(id="a")[-1:]),
        create(),
        *answers(events(id="b")),
    ]
    first, second = turns(passed)

    assert first.notes == (
        Note(kind="stray-event", detail="response.created"),
        Note(kind="stray-event", detail="response.in_progress"),
    )
    assert second.notes == (Note(kind="stray-event", detail="response.completed"),)
    assert first.answer.id == "a"


def test_events_of_another_response_are_not_taken() -> None:
    told = events(message("mine", "m"), id="mine")
    other = response("failed", id="other", error={"code": "c", "message": "m"})
    passed = [
        create(),
        *answers(told[:-1]),
        ("response", {"type": "response.failed", "response": other}),
        *answers(told[-1:]),
    ]
    (turn,) = turns(passed)

    assert turn.is_complete
    assert turn.answer.failure is None
    assert texts(turn) == ["mine"]


def test_what_is_said_of_the_connection_is_kept_with_the_next_turn() -> None:
    limits = {"type": "codex.rate_limits", "rate_limits": {"primary": {"used_percent": 12}}}
    passed = [("response", limits), create(), *answers(events()), create(), *answers(events())]
    first, second = turns(passed)

    assert first.notes == ()
    assert msgspec.json.decode(first.answer.fields_json or b"")["codex.rate_limits"] == limits
    assert b"codex" not in (second.answer.fields_json or b"")


def test_messages_that_ask_for_nothing_begin_no_turn() -> None:
    passed: list[Passed] = [
        ("request", {"type": "response.processed", "response_id": "r"}),
        ("request", {"type": "response.dream"}),
        create(),
    ]
    (turn,) = turns(passed)

    assert Note(kind="unknown-message", detail="response.dream") in turn.notes
    assert len(turn.notes) == 2  # the other: it was cut off


def test_input_into_a_running_answer_is_asked_of_the_next() -> None:
    """The server ends the answer and begins another one by itself."""
    steer = {
        "type": "response.steer",
        "previous_response_id": "a",
        "input": [{"role": "user", "content": "Rather this."}],
    }
    short = response("incomplete", id="a", incomplete_details={"reason": "steered"})
    told = events(message("Yes", "m"), id="b")
    told[0] = {
        "type": "response.created",
        "response": response("in_progress", id="b", previous_response_id="a"),
    }
    first_events = events(id="a", end=short)
    passed = [
        create(),
        *answers(first_events[:1]),
        ("request", steer),
        *answers(first_events[1:]),
        *answers(told),
    ]
    first, second = turns(passed)

    assert first.answer.stop_reason == "steered"
    assert second.asked.previous_id == "a"
    assert [m.parts for m in second.asked.messages] == [(TextPart(text="Rather this."),)]
    assert texts(second) == ["Yes"]
    assert second.notes == (Note(kind="unasked-response"),)


def test_input_that_waits_comes_with_the_next_request() -> None:
    steer = {"type": "response.steer", "previous_response_id": "a", "input": "Rather this."}
    passed = [
        create(),
        *answers(events(id="a")),
        ("request", steer),
        create(said("user", "And that."), previous_response_id="a"),
        *answers(events(id="b")),
        create(said("user", "Once more."), previous_response_id="a"),
    ]
    _, second, third = turns(passed)

    assert [m.parts for m in third.asked.messages] == [(TextPart(text="Once more."),)]

    assert [m.parts for m in second.asked.messages] == [
        (TextPart(text="Rather this."),),
        (TextPart(text="And that."),),
    ]


def test_a_refused_upgrade_holds_no_turn() -> None:
    fold = opened(426)

    assert fold.feed(Frame(side="response", offset_ns=1, data=b'{"detail":"no"}')) == []
    assert fold.finish(2) == []


def test_a_client_that_only_asks_is_bounded() -> None:
    found = changes([create() for _ in range(150)])
    ended = [index for index, change in enumerate(found) if isinstance(change, TurnEnded)]

    assert len(ended) == 150
    assert ended[0] < 250


# --- broken on purpose ---------------------------------------------------------------------------

_MESSAGES: list[tuple[Side, bytes]] = [
    (side, encoded(body))
    for side, body in [
        create(said("user", "Hello"), stream_id="s"),
        *answers(events(*TURN)),
        create(),
        ("request", {"type": "response.steer", "previous_response_id": "resp_1", "input": "x"}),
        *answers(events(MESSAGE, id="resp_2"), stream_id="s"),
        ("response", {"type": "error", "error": {"message": "m"}}),
        ("response", {"type": "codex.rate_limits"}),
        ("response", {"type": "response.created", "response": {"previous_response_id": "resp_1"}}),
    ]
]
_JUNK = st.sampled_from([b"", b"null", b"[]", b"\xff", b"{}", b'"', b"7", b"[" * 2000, b'{"a":1}'])


@st.composite
def conversation(draw: st.DrawFn) -> list[tuple[Side, bytes]]:
    """Sound messages in any order, left out and doubled, some of them broken."""
    chosen = draw(st.lists(st.sampled_from(_MESSAGES), max_size=12))
    if draw(st.booleans()):
        chosen = [*_MESSAGES]
    broken = []
    for side, data in chosen:
        if draw(st.integers(0, 9)) == 0:
            at = draw(st.integers(0, len(data)))
            data = data[:at] + draw(_JUNK) + data[at + draw(st.integers(0, 20)) :]
        broken.append((side, data))
    return broken


def _check(passed: list[tuple[Side, bytes]]) -> None:
    """Each turn begins once and ends once, and nothing is said of it outside."""
    fold = opened()
    running: set[int] = set()
    count = 0
    found: list[Change] = []
    for number, (side, data) in enumerate(passed):
        found += fold.feed(Frame(side=side, offset_ns=number, data=data))
    found += fold.finish(len(passed))
    for change in found:
        if isinstance(change, TurnBegun):
            assert change.number == count
            running.add(count)
            count += 1
        elif isinstance(change, TurnEnded):
            running.remove(change.turn.number)
            msgspec.json.encode(change.turn)
        else:
            assert change.number in running
    assert running == set()


@given(passed=conversation())
@settings(deadline=None)
def test_nothing_raises(passed: list[tuple[Side, bytes]]) -> None:
    _check(passed)


@pytest.mark.fuzz
@given(passed=conversation())
@settings(max_examples=10_000, deadline=None)
def test_nothing_raises_ever(passed: list[tuple[Side, bytes]]) -> None:
    _check(passed)
