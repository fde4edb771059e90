"""OpenAI Responses over HTTP: whole turns, streamed and plain, and what goes wrong."""

import msgspec
import pytest

from addons.wire import DECODERS, by_name, decoder_of
from addons.wire.contract import Head
from addons.wire.responses import DECODER
from storage.decoded import (
    CompactionPart,
    Delta,
    Failure,
    Message,
    Note,
    Part,
    PartDone,
    RefusalPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    Turn,
    TurnEnded,
    Usage,
)
from tests.addons.wire import feeding
from tests.addons.wire.responsesdata import (
    CALL,
    CITATION,
    MESSAGE,
    REASONING,
    SEARCH,
    TURN,
    asking,
    counts,
    encoded,
    events,
    plain,
    response,
    said,
    sse,
    streamed,
)

CALL_PART = ToolCallPart(
    call_id="call_1",
    name="exec_command",
    namespace="functions",
    arguments='{"cmd": "ls -la"}',
)
TURN_PARTS: tuple[tuple[Part, ...], ...] = (
    (ThinkingPart(text="First look."), ThinkingPart(text="Then leap.")),
    (
        TextPart(
            text="Gr\u00fc\u00df dich \U0001f600",
            citations_json=msgspec.json.encode([CITATION]),
        ),
        RefusalPart(text="Not that."),
    ),
    (CALL_PART,),
    (msgspec.structs.replace(CALL_PART, call_id="call_2", arguments='{"cmd": "pwd"}'),),
    (
        ToolCallPart(
            call_id="call_3",
            name="apply_patch",
            arguments="*** Begin Patch\n+hello\n*** End Patch\n",
            is_custom=True,
        ),
    ),
    (
        ToolCallPart(
            call_id="ws_1",
            name="web_search",
            arguments='{"type":"search","query":"weather"}',
            on_server=True,
        ),
    ),
)


def parts_of(turn: Turn) -> tuple[tuple[Part, ...], ...]:
    return tuple(message.parts for message in turn.answer.messages)


def head(method: str, path: str, *, is_websocket: bool = False) -> Head:
    return Head(method=method, host="h.test", path=path, is_websocket=is_websocket)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/responses",
        "/responses",
        "/backend-api/codex/responses",
        "/openai/v1/responses/",
        "/v1/responses/compact",
        "/v1/responses/input_tokens",
    ],
)
def test_it_is_known_by_method_and_path(path: str) -> None:
    assert decoder_of(head("POST", path)) is DECODER
    assert decoder_of(head("GET", path)) is None
    assert by_name("openai.responses") is DECODER


def test_a_socket_is_known_by_its_upgrade() -> None:
    assert decoder_of(head("GET", "/v1/responses", is_websocket=True)) is DECODER
    assert decoder_of(head("GET", "/v1/responses/compact", is_websocket=True)) is None


@pytest.mark.parametrize(
    "path", ["/v1/responses/resp_1", "/v1/chat/completions", "/v1/responses/resp_1/cancel"]
)
def test_other_calls_are_none_of_it(path: str) -> None:
    assert not DECODER.matches(head("POST", path))
    assert sum(decoder.matches(head("POST", "/v1/responses")) for decoder in DECODERS) == 1


def test_a_stream_is_read() -> None:
    turn = feeding.turn(DECODER, streamed(events(*TURN)))

    assert turn.is_complete
    assert turn.notes == ()
    assert parts_of(turn) == TURN_PARTS
    assert turn.answer.id == "resp_1"
    assert turn.answer.model == "gpt-6.1-sol-2026-10-01"
    assert turn.answer.stop_reason == "completed"
    assert turn.answer.failure is None
    assert turn.answer.usage == Usage(
        input_tokens=1000,
        output_tokens=50,
        cache_read_tokens=600,
        cache_write_tokens=20,
        reasoning_tokens=30,
        total_tokens=1050,
        raw_json=encoded(counts()),
    )


def test_an_item_keeps_what_its_parts_do_not_hold() -> None:
    turn = feeding.turn(DECODER, streamed(events(*TURN)))
    thought, message, *_ = turn.answer.messages

    assert (thought.role, thought.id) == ("assistant", "rs_1")
    assert thought.extra_json == b'{"encrypted_content":"gAAAAopaque"}'
    assert (message.role, message.id) == ("assistant", "msg_1")
    assert msgspec.json.decode(message.extra_json or b"") == {
        "status": "completed",
        "phase": "commentary",
    }


def test_a_plain_answer_is_as_a_streamed_one() -> None:
    whole = feeding.turn(DECODER, plain(response("completed", *TURN)))

    assert whole.notes == ()
    assert whole.is_complete
    assert whole.answer == feeding.turn(DECODER, streamed(events(*TURN))).answer


def test_what_was_answered_is_as_what_is_sent_again() -> None:
    answered = feeding.turn(DECODER, streamed(events(*TURN))).answer.messages
    again = [
        {name: value for name, value in item.items() if name not in ("id", "status")}
        for item in (REASONING | {"content": None}, *TURN[1:])
    ]

    sent = feeding.turn(DECODER, streamed(events(), asking(*again))).asked.messages

    assert [m.parts for m in sent[:-1]] == [m.parts for m in answered[:-1]]
    assert [m.role for m in sent] == [m.role for m in answered]


def test_each_part_is_told_as_soon_as_it_is_whole() -> None:
    told = events(*TURN)
    changes = feeding.changes(DECODER, streamed(told), [sse([event]) for event in told])
    done = [change for change in changes if isinstance(change, PartDone)]
    deltas: dict[int, str] = {}
    for change in changes:
        if isinstance(change, Delta):
            deltas[change.index] = deltas.get(change.index, "") + change.text

    assert [change.part for change in done] == [part for parts in TURN_PARTS for part in parts]
    assert [change.index for change in done] == list(range(8))
    assert deltas == {
        0: "First look.",
        1: "Then leap.",
        2: "Gr\u00fc\u00df dich \U0001f600",
        3: "Not that.",
        4: '{"cmd": "ls -la"}',
        5: '{"cmd": "pwd"}',
        6: "*** Begin Patch\n+hello\n*** End Patch\n",
    }
    call = next(change for change in done if change.part == CALL_PART)
    kinds = [event["type"] for event in told]
    after = kinds.index("response.function_call_arguments.done") + 1
    assert call.at_ns == (2 + after) * 1_000_000
    assert isinstance(changes[-1], TurnEnded)


def test_parts_are_numbered_as_they_begin_also_when_items_mix() -> None:
    one, other = (
        {"id": f"msg_{n}", "type": "message", "role": "assistant", "content": []} for n in (1, 2)
    )
    delta = {"type": "response.output_text.delta", "content_index": 0}
    told = [
        {"type": "response.output_item.added", "output_index": 1, "item": other},
        {"type": "response.output_item.added", "output_index": 0, "item": one},
        delta | {"output_index": 1, "delta": "b"},
        delta | {"output_index": 0, "delta": "a"},
        delta | {"output_index": 1, "delta": "B"},
    ]
    changes = feeding.changes(DECODER, streamed(told))

    assert [(c.index, c.text) for c in changes if isinstance(c, Delta)] == [
        (0, "b"),
        (1, "a"),
        (0, "B"),
    ]
    ended = changes[-1]
    assert isinstance(ended, TurnEnded)
    assert parts_of(ended.turn) == ((TextPart(text="a"),), (TextPart(text="bB"),))


def test_an_answer_that_stops_short_says_why() -> None:
    end = response("incomplete", MESSAGE, incomplete_details={"reason": "max_output_tokens"})
    turn = feeding.turn(DECODER, streamed(events(MESSAGE, end=end)))

    assert turn.is_complete
    assert turn.answer.stop_reason == "max_output_tokens"
    assert turn.answer.usage is not None


def test_a_response_that_fails() -> None:
    error = {"code": "server_error", "message": "Something broke."}
    turn = feeding.turn(DECODER, streamed(events(end=response("failed", error=error))))

    assert turn.is_complete
    assert turn.answer.failure == Failure(type="server_error", message="Something broke.")
    assert turn.answer.stop_reason == "failed"
    assert turn.answer.usage is None


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            {
                "type": "error",
                "code": "rate_limit_exceeded",
                "message": "Slow down.",
                "param": None,
            },
            Failure(type="rate_limit_exceeded", message="Slow down."),
        ),
        (
            {
                "type": "error",
                "status": 429,
                "error": {"type": "usage_limit_reached", "message": "Enough.", "plan": "plus"},
                "headers": {"x-codex-plan": "plus"},
            },
            Failure(type="usage_limit_reached", message="Enough.", status=429),
        ),
        ({"error": {"message": "No."}}, Failure(type=None, message="No.")),
    ],
    ids=["flat", "nested", "untyped"],
)
def test_an_error_ends_a_stream(event: dict[str, object], expected: Failure) -> None:
    told = sse(events(MESSAGE)[:5]) + b"data: " + encoded(event) + b"\n\n"
    turn = feeding.turn(DECODER, msgspec.structs.replace(streamed([]), response=told))

    assert turn.is_complete
    assert turn.answer.failure == expected
    assert turn.answer.messages != ()
    assert turn.notes == ()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"error":{"message":"Bad key.","type":"invalid_request_error",'
            b'"code":"invalid_api_key","param":null}}',
            Failure(type="invalid_api_key", message="Bad key.", status=401),
        ),
        (b'{"detail":"Unauthorized"}', Failure(type=None, message="Unauthorized", status=401)),
        (b'{"error":"no"}', Failure(type=None, message="no", status=401)),
        (b"<html>no</html>", Failure(type=None, message="<html>no</html>", status=401)),
        (b"", Failure(type=None, message=None, status=401)),
    ],
    ids=["object", "detail", "text", "html", "empty"],
)
def test_a_refusal(body: bytes, expected: Failure) -> None:
    refused = msgspec.structs.replace(
        plain({}, status=401), response=body, content_type="application/json"
    )
    turn = feeding.turn(DECODER, refused)

    assert turn.answer.failure == expected
    assert turn.is_complete
    assert turn.answer.messages == ()


def test_what_the_stream_says_beside_the_answer_is_kept() -> None:
    limits = {"type": "codex.rate_limits", "rate_limits": {"primary": {"used_percent": 12}}}
    first, *rest = events(MESSAGE)
    idle = {"type": "keepalive", "sequence_number": 9}
    turn = feeding.turn(DECODER, streamed([first, limits, idle, *rest]))
    kept = msgspec.json.decode(turn.answer.fields_json or b"")

    assert kept["codex.rate_limits"] == limits
    assert kept["created_at"] == 1795320120
    assert "tools" not in kept
    assert "output" not in kept
    assert turn.notes == ()


def test_an_unknown_event_an_unknown_item_and_unknown_fields_are_kept_and_noted() -> None:
    news = {"type": "response.telepathy.delta", "delta": "~", "output_index": 0}
    item = {"id": "t_1", "type": "telepathy_call", "thought": "~"}
    part = {"type": "output_scent", "scent": "rose"}
    message = MESSAGE | {"content": [part], "mood": "good"}
    first, *rest = events(CALL)
    done = [
        {"type": "response.output_item.done", "output_index": 1, "item": item},
        {"type": "response.output_item.done", "output_index": 2, "item": message},
    ]
    rest[-1] = rest[-1] | {"response": response("completed", CALL, item, message, luck=7)}
    turn = feeding.turn(
        DECODER, streamed([first | {"weather": 1}, news, *rest[:-1], *done, rest[-1]])
    )

    assert set(turn.notes) == {
        Note(kind="unknown-field", detail="response.created: weather"),
        Note(kind="unknown-event", detail="response.telepathy.delta"),
        Note(kind="unknown-block", detail="telepathy_call"),
        Note(kind="unknown-block", detail="output_scent"),
        Note(kind="unknown-field", detail="mood"),
        Note(kind="unknown-field", detail="luck"),
    }
    _, other, scented = turn.answer.messages
    assert other.role == "assistant"
    assert getattr(other.parts[0], "json", None) == encoded(item)
    assert getattr(scented.parts[0], "json", None) == encoded(part)
    assert b'"mood":"good"' in (scented.extra_json or b"")
    fields = msgspec.json.decode(turn.answer.fields_json or b"")
    assert fields["luck"] == 7
    assert fields["response.telepathy.delta"] == news


def test_items_that_only_the_end_holds_are_read_from_it() -> None:
    turn = feeding.turn(DECODER, streamed([events()[0], events(*TURN)[-1]]))

    assert parts_of(turn) == TURN_PARTS


def test_what_was_streamed_whole_stands_and_the_end_completes_the_rest() -> None:
    told = events(MESSAGE, CALL)
    open_call = [event for event in told[:-1] if event["type"] != "response.output_item.done"]
    done = next(event for event in told if event["type"] == "response.output_item.done")
    late = MESSAGE | {"content": [], "phase": "final_answer"}
    end = told[-1] | {"response": response("completed", late, CALL)}
    changes = feeding.changes(DECODER, streamed([*open_call, done, end]))
    ended = changes[-1]

    assert isinstance(ended, TurnEnded)
    assert parts_of(ended.turn) == (TURN_PARTS[1], TURN_PARTS[2])
    assert sum(isinstance(change, PartDone) for change in changes) == 3


def test_items_of_the_end_are_known_by_their_ids() -> None:
    """Indices of a stream may have gaps, the output at its end has none."""
    gap = [
        event | {"output_index": 2} if event.get("output_index") == 1 else event
        for event in events(MESSAGE, CALL)
    ]
    turn = feeding.turn(DECODER, streamed([*gap[:-2], gap[-1]]))

    assert parts_of(turn) == (TURN_PARTS[1], TURN_PARTS[2])


def test_an_end_without_output_leaves_what_was_streamed() -> None:
    """The backend of chatgpt.com sends an empty output at the end."""
    turn = feeding.turn(DECODER, streamed(events(*TURN, end=response("completed"))))

    assert parts_of(turn) == TURN_PARTS


def test_an_answer_that_is_cut_off_gives_what_came() -> None:
    told = events(REASONING, CALL)
    at = next(
        index
        for index, event in enumerate(told)
        if event["type"] == "response.function_call_arguments.delta"
    )
    turn = feeding.turn(DECODER, streamed(told[: at + 2]), cut=True)

    assert not turn.is_complete
    assert turn.answer.stop_reason is None
    assert parts_of(turn)[1] == (msgspec.structs.replace(CALL_PART, arguments='{"cmd": "l'),)
    assert turn.notes == (Note(kind="truncated-stream"),)


def test_a_search_on_the_server_is_content() -> None:
    turn = feeding.turn(DECODER, streamed(events(SEARCH)))

    assert turn.timing.first_content_ns is not None


def test_compacting_gives_items() -> None:
    body = {
        "id": "resp_2",
        "object": "response.compaction",
        "created_at": 1,
        "output": [
            said("user", "Hello"),
            {"id": "cmp_1", "type": "compaction", "encrypted_content": "gAAAAopaque"},
        ],
        "usage": counts(),
    }
    turn = feeding.turn(
        DECODER, plain(body, asking(said("user", "Hello")), path="/v1/responses/compact")
    )

    assert turn.asked.operation == "compact"
    assert turn.asked.generates
    assert turn.answer.messages[1] == Message(
        role="assistant",
        parts=(CompactionPart(),),
        id="cmp_1",
        extra_json=b'{"encrypted_content":"gAAAAopaque"}',
    )
    assert turn.answer.usage is not None
    assert turn.notes == ()


def test_counting_gives_a_count() -> None:
    body = {"object": "response.input_tokens", "input_tokens": 77}
    turn = feeding.turn(DECODER, plain(body, path="/v1/responses/input_tokens"))

    assert turn.asked.operation == "count"
    assert not turn.asked.generates
    assert turn.answer.counted_tokens == 77
    assert turn.answer.usage is None
    assert turn.notes == ()


def test_an_answer_in_the_background_says_its_state() -> None:
    turn = feeding.turn(DECODER, plain(response("queued", background=True)))

    assert turn.answer.stop_reason == "queued"


def test_what_is_no_json_is_noted() -> None:
    broken = msgspec.structs.replace(plain({}), response=b'{"id": ')
    lines = msgspec.structs.replace(streamed([]), response=b"data: {oops\n\ndata: [DONE]\n\n")

    assert Note(kind="malformed-answer") in feeding.turn(DECODER, broken).notes
    assert feeding.turn(DECODER, lines).notes == (
        Note(kind="malformed-event", detail="message"),
        Note(kind="truncated-stream"),
    )
