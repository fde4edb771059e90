"""Gemini calls as their documentation describes them: streams, plain answers, counts, errors."""

import msgspec
import pytest

from addons.wire.contract import Head
from addons.wire.fields import read_object
from addons.wire.gemini import DECODER
from storage.decoded import (
    Asked,
    Delta,
    Failure,
    Note,
    PartDone,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    Turn,
    TurnBegun,
    TurnEnded,
)
from tests.addons.wire import feeding
from tests.addons.wire.feeding import Exchange
from tests.addons.wire.geminidata import (
    CALL,
    MODEL,
    TURN,
    asking,
    chunk,
    counts,
    encoded,
    listed,
    plain,
    said,
    streamed,
)

VERTEX = "/v1/projects/p-1/locations/global/publishers/google/models/gemini-2.5-pro"
PARTS = (
    ThinkingPart(text="**Looking around**"),
    TextPart(text="I will read the file: “ä”.", extra_json=b'{"thoughtSignature":"c2ln"}'),
    ToolCallPart(
        call_id="c1",
        name="read_file",
        arguments='{"path":"/tmp/a b.txt"}',
        extra_json=b'{"thoughtSignature":"c2lnMg=="}',
    ),
    ToolCallPart(call_id="c2", name="glob", arguments='{"pattern":"*.py","n":2}'),
)


def decoded(exchange: Exchange, *, cut: bool = False) -> Turn:
    return feeding.turn(DECODER, exchange, cut=cut)


@pytest.mark.parametrize(
    ("path", "model"),
    [
        (f"{MODEL}:generateContent", "gemini-3.1-pro-preview"),
        (f"{MODEL}:streamGenerateContent", "gemini-3.1-pro-preview"),
        (f"{MODEL}:countTokens", "gemini-3.1-pro-preview"),
        ("/v1/models/gemini-2.5-flash:generateContent", "gemini-2.5-flash"),
        ("/v1alpha/models/gemini-2.5-flash%3AgenerateContent", "gemini-2.5-flash"),
        ("/gateway/gemini/v1beta/models/x:generateContent", "x"),
        ("/v1beta/tunedModels/mine-1:generateContent", "mine-1"),
        (f"{VERTEX}:streamGenerateContent", "gemini-2.5-pro"),
        ("/v1beta1/projects/p/locations/l/endpoints/123:generateContent", "123"),
        ("/v1internal:generateContent", None),
        ("/v1internal:countTokens", None),
    ],
)
def test_a_call_is_known_by_its_path_which_names_the_model(path: str, model: str | None) -> None:
    turn = decoded(plain(chunk({"text": "a"}), path=path))

    assert turn.asked.model == model


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{MODEL}:generateContent"),
        ("POST", MODEL),
        ("POST", f"{MODEL}:embedContent"),
        ("POST", f"{MODEL}:generateContent/more"),
        ("POST", f"{MODEL}:generateContents"),
        ("POST", "/v1internal:retrieveUserQuota"),
        ("POST", "/v1internal:loadCodeAssist"),
        ("POST", "/v1beta/openai/chat/completions"),
        ("POST", "/v1beta/models/:generateContent"),
        ("POST", "/v1/projects/p/locations/l/publishers/anthropic/models/c:streamRawPredict"),
    ],
)
def test_other_calls_are_not(method: str, path: str) -> None:
    assert not DECODER.matches(Head(method=method, host="example.test", path=path))


@pytest.mark.parametrize("exchange", [streamed(*TURN), listed(*TURN)], ids=["sse", "array"])
def test_a_stream_joins_pieces_and_its_last_counts_hold(exchange: Exchange) -> None:
    turn = decoded(exchange)

    (message,) = turn.answer.messages
    assert message.parts == PARTS
    assert message.role == "assistant"
    assert turn.answer.stop_reason == "STOP"
    assert (turn.answer.id, turn.answer.model) == ("response-1", "gemini-3.1-pro-preview")
    usage = turn.answer.usage
    assert usage is not None
    assert (usage.input_tokens, usage.cache_read_tokens) == (1000, 600)
    assert (usage.output_tokens, usage.reasoning_tokens, usage.total_tokens) == (28, 7, 1028)
    assert usage.raw_json is not None
    assert msgspec.json.decode(usage.raw_json) == counts(21)
    assert turn.is_complete
    assert turn.notes == ()
    assert turn.asked.is_stream


def test_changes_come_as_parts_end_and_pieces_make_the_parts() -> None:
    exchange = streamed(*TURN)
    chunks = [line + b"\r\n\r\n" for line in exchange.response.split(b"\r\n\r\n") if line]

    changes = feeding.changes(DECODER, exchange, chunks)

    assert isinstance(changes[0], TurnBegun)
    assert isinstance(changes[-1], TurnEnded)
    done = {change.index: change for change in changes if isinstance(change, PartDone)}
    assert tuple(done[index].part for index in range(4)) == PARTS
    # Thinking and text end where the next kind begins, calls with their own chunk.
    assert [done[index].at_ns // 1_000_000 for index in range(4)] == [3, 5, 5, 5]
    pieces: dict[int, str] = {}
    for change in changes:
        if isinstance(change, Delta):
            pieces[change.index] = pieces.get(change.index, "") + change.text
    assert [pieces[0], pieces[1]] == ["**Looking around**", "I will read the file: “ä”."]
    assert pieces[2] == '{"path":"/tmp/a b.txt"}'


@pytest.mark.parametrize("kind", ["sse", "array"])
def test_a_stream_that_is_cut_gives_what_it_held(kind: str) -> None:
    exchange = streamed(*TURN) if kind == "sse" else listed(*TURN)
    at = exchange.response.index(b"ad the file")
    held = msgspec.structs.replace(exchange, response=exchange.response[:at])

    turn = decoded(held, cut=True)

    assert not turn.is_complete
    assert turn.answer.messages[0].parts == (PARTS[0], TextPart(text="I will re"))
    assert turn.answer.stop_reason is None
    assert [note.kind for note in turn.notes] == ["malformed-event", "truncated-stream"]


def test_a_plain_answer_keeps_its_parts_apart() -> None:
    turn = decoded(plain(chunk({"text": "a"}, {"text": "b"}, CALL, finishReason="MAX_TOKENS")))

    parts = turn.answer.messages[0].parts
    assert parts[:2] == (TextPart(text="a"), TextPart(text="b"))
    assert isinstance(parts[2], ToolCallPart)
    assert turn.answer.stop_reason == "MAX_TOKENS"
    assert turn.asked.is_stream is False
    assert turn.is_complete


def test_candidates_are_messages_whatever_order_their_pieces_come_in() -> None:
    pieces = [
        chunk({"text": "on"}, index=None),  # an index of 0 is left out
        chunk({"text": "tw"}, index=1),
        chunk({"text": "e"}, index=0, finishReason="STOP"),
        chunk({"text": "o"}, index=1, finishReason="SAFETY"),
    ]

    turn = decoded(streamed(*pieces))

    first, second = turn.answer.messages
    assert first.parts == (TextPart(text="one"),)
    assert second.parts == (TextPart(text="two"),)
    assert turn.answer.stop_reason == "STOP"
    assert second.extra_json == b'{"finishReason":"SAFETY"}'
    assert turn.is_complete
    assert not decoded(streamed(*pieces[:3]), cut=True).is_complete


def test_a_blocked_prompt_ends_the_call() -> None:
    feedback = {"blockReason": "PROHIBITED_CONTENT"}

    turn = decoded(streamed({"promptFeedback": feedback, "usageMetadata": counts(0)}), cut=True)

    assert turn.is_complete
    assert turn.answer.messages == ()
    assert turn.answer.stop_reason == "PROHIBITED_CONTENT"
    kept = read_object(turn.answer.fields_json) or {}
    assert msgspec.json.decode(kept["promptFeedback"]) == feedback


def test_what_is_said_beside_the_content_is_kept() -> None:
    grounding = {"webSearchQueries": ["x"], "groundingChunks": [{"web": {"uri": "https://a"}}]}
    cited = [{"citationSources": [{"startIndex": at, "uri": "u"}]} for at in (0, 9)]

    turn = decoded(
        streamed(
            chunk({"text": "a"}, citationMetadata=cited[0]),
            chunk({"text": "b"}, citationMetadata=cited[1], groundingMetadata=grounding),
            chunk(finishReason="STOP"),
        )
    )

    extra = turn.answer.messages[0].extra_json
    assert extra is not None
    assert msgspec.json.decode(extra) == {"groundingMetadata": grounding, "citationMetadata": cited}
    assert turn.notes == ()


ERROR = {"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}}
FAILURE = Failure(type="RESOURCE_EXHAUSTED", message="Slow down.", status=429)


@pytest.mark.parametrize("body", [ERROR, [ERROR]], ids=["object", "array"])
def test_an_error_is_a_failure(body: object) -> None:
    turn = decoded(plain(body, status=429))

    assert turn.answer.failure == FAILURE
    assert turn.answer.fields_json == encoded(ERROR)
    assert turn.notes == ()


@pytest.mark.parametrize("exchange", [streamed(TURN[0], ERROR), listed(TURN[0], ERROR)])
def test_an_error_in_a_stream_ends_it(exchange: Exchange) -> None:
    turn = decoded(exchange, cut=True)

    assert turn.answer.failure == FAILURE
    assert turn.answer.messages[0].parts == (ThinkingPart(text="**Looking"),)
    assert turn.is_complete


@pytest.mark.parametrize(
    ("body", "message"),
    [(b"", None), (b"<html>bad gateway</html>", "<html>bad gateway</html>"), (b"[]", "[]")],
    ids=["empty", "html", "list"],
)
def test_an_error_that_is_no_json_keeps_its_text(body: bytes, message: str | None) -> None:
    exchange = msgspec.structs.replace(plain({}, status=502), response=body)

    failure = decoded(exchange).answer.failure

    assert failure == Failure(type=None, message=message, status=502)


def test_an_error_may_be_a_mere_text() -> None:
    failure = decoded(plain({"error": "no such model"}, status=404)).answer.failure

    assert failure == Failure(type=None, message="no such model", status=404)


def test_counting() -> None:
    request = {"generateContentRequest": {"model": "models/x", **asking()}}
    answer = {"totalTokens": 31, "cachedContentTokenCount": 4}

    turn = decoded(plain(answer, request, path=f"{MODEL}:countTokens"))

    assert turn.answer.counted_tokens == 31
    assert turn.answer.fields_json == b'{"cachedContentTokenCount":4}'
    assert (turn.asked.operation, turn.asked.generates) == ("count", False)
    assert turn.asked.is_stream is None
    assert len(turn.asked.messages) == 1
    assert turn.notes == ()
    refused = decoded(plain(ERROR, request, path=f"{MODEL}:countTokens", status=429))
    assert refused.answer.failure == FAILURE


# --- Code Assist ---------------------------------------------------------------------------------


def envelope(**fields: object) -> dict[str, object]:
    inner = {**asking(generationConfig={"temperature": 1}), "session_id": "s-1"}
    return {
        "model": "gemini-3.1-pro-preview",
        "project": "p-1",
        "user_prompt_id": "s-1",
        "request": inner,
        **fields,
    }


def test_code_assist_wraps_requests_and_answers() -> None:
    wrapped = [{"response": each, "traceId": "t-1"} for each in TURN]
    exchange = msgspec.structs.replace(
        streamed(*wrapped, request=envelope()),
        path="/v1internal:streamGenerateContent",
        host="cloudcode-pa.googleapis.com",
    )

    turn = decoded(exchange)

    assert turn.asked.model == "gemini-3.1-pro-preview"
    assert msgspec.json.decode(turn.asked.fields_json) == {
        "project": "p-1",
        "user_prompt_id": "s-1",
        "session_id": "s-1",
        "generationConfig": {"temperature": 1},
    }
    assert turn.asked.messages[0].parts == (TextPart(text="Hello"),)
    assert turn.answer.messages[0].parts == PARTS
    assert turn.answer.fields_json == b'{"traceId":"t-1"}'
    assert turn.answer.id == "response-1"
    assert turn.notes == ()


def test_code_assist_counts() -> None:
    request = {"request": {"model": "models/gemini-x", **asking()}}

    turn = decoded(plain({"totalTokens": 9}, request, path="/v1internal:countTokens"))

    assert turn.asked.model == "gemini-x"
    assert turn.answer.counted_tokens == 9


def test_code_assist_names_an_answer_by_its_trace_where_it_has_no_other_name() -> None:
    answer = {"response": {"candidates": []}, "traceId": "t-1"}

    assert decoded(plain(answer, envelope())).answer.id == "t-1"


# --- what cannot be read -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "notes"),
    [
        (b"", (Note(kind="malformed-request"),)),
        (b"[]", (Note(kind="malformed-request"),)),
        (b'{"contents": {}}', ()),
        (b'{"contents": [1]}', (Note(kind="malformed-block", detail="malformed"),)),
        (b'{"contents": [{"parts": 1}]}', (Note(kind="malformed-block", detail="malformed"),)),
        (b'{"contents": null, "tools": 3}', (Note(kind="malformed-tools"),)),
        (b'{"contents": [], "newField": 3}', (Note(kind="unknown-field", detail="newField"),)),
    ],
    ids=["empty", "array", "object", "number", "parts", "tools", "field"],
)
def test_a_request_that_cannot_be_read_is_noted(body: bytes, notes: tuple[Note, ...]) -> None:
    exchange = msgspec.structs.replace(plain(chunk({"text": "a"})), request=body)

    assert decoded(exchange).notes == notes


def test_an_answer_that_cannot_be_read_is_noted() -> None:
    whole = msgspec.structs.replace(plain({}), response=b"oops")
    stream = msgspec.structs.replace(streamed(), response=b"data: oops\n\ndata: [DONE]\n\n")

    assert [note.kind for note in decoded(whole).notes] == ["malformed-answer"]
    assert [note.kind for note in decoded(stream).notes] == ["malformed-event", "truncated-stream"]


def test_new_fields_of_an_answer_are_kept_and_noted() -> None:
    answer = {**chunk({"text": "a", "newField": 1}, candidateField=2), "chunkField": 3}

    turn = decoded(plain(answer))

    assert {note.detail for note in turn.notes} == {
        "newField",
        "candidate.candidateField",
        "chunkField",
    }
    assert turn.answer.fields_json == b'{"chunkField":3}'
    assert turn.answer.messages[0].extra_json == b'{"candidateField":2}'
    assert turn.answer.messages[0].parts == (TextPart(text="a", extra_json=b'{"newField":1}'),)


def test_a_message_alone_reads_as_in_its_request() -> None:
    content = said("model", {"text": "Hi"}, CALL)
    asked: Asked = decoded(plain(chunk(), asking(content))).asked

    assert asked.messages == (DECODER.message(encoded(content)),)


# --- what gateways do otherwise ------------------------------------------------------------------


def test_candidates_without_an_index_count_by_their_place() -> None:
    first, second = chunk({"text": "a"}, index=None), chunk({"text": "b"}, index=None)
    both = {**first, "candidates": [*first["candidates"], *second["candidates"]]}  # type: ignore[misc]

    messages = decoded(plain(both)).answer.messages

    assert [message.parts for message in messages] == [(TextPart(text="a"),), (TextPart(text="b"),)]


def test_a_mark_of_the_end_is_no_event() -> None:
    exchange = streamed(*TURN)
    ended = msgspec.structs.replace(exchange, response=exchange.response + b"data: [DONE]\n\n")

    assert decoded(ended).notes == ()


def test_tokens_of_the_tools_prompts_went_in_too() -> None:
    usage = decoded(
        plain(chunk(usage={"promptTokenCount": 10, "toolUsePromptTokenCount": 5}))
    ).answer.usage

    assert usage is not None
    assert usage.input_tokens == 15
    assert (usage.output_tokens, usage.cache_read_tokens) == (None, None)


def test_contents_may_be_one_content() -> None:
    turn = decoded(plain(chunk(), {"contents": said("user", {"text": "Hello"})}))

    assert [message.parts for message in turn.asked.messages] == [(TextPart(text="Hello"),)]


def test_a_plain_answer_has_no_pieces() -> None:
    changes = feeding.changes(DECODER, plain(chunk({"text": "a"}, CALL)))

    assert not any(isinstance(change, Delta) for change in changes)
    assert len([change for change in changes if isinstance(change, PartDone)]) == 2
