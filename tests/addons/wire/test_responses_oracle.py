"""
What OpenAI's own SDK makes of the same bytes, over a real socket, and what its types know.
"""

import typing
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import ClassVar

import httpx
import msgspec
import openai
import pytest
from openai.types.responses import (
    Response,
    ResponseInputItem,
    ResponseOutputItem,
    ResponsesServerEvent,
    ResponseStreamEvent,
)
from openai.types.responses.response_create_params import ResponseCreateParamsBase
from pydantic import BaseModel, TypeAdapter

from addons.wire.responses import DECODER
from addons.wire.responses_names import IDLE, KEPT, REQUEST_FIELDS, RESPONSE_FIELDS
from storage.decoded import (
    Message,
    RefusalPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    TurnEnded,
)
from tests.addons.wire import feeding
from tests.addons.wire.feeding import Exchange
from tests.addons.wire.responsesdata import (
    CALL,
    CUSTOM,
    MESSAGE,
    MODEL,
    REASONING,
    TURN,
    Json,
    encoded,
    events,
    plain,
    response,
    sse,
    streamed,
)
from tests.addons.wire.test_responses_items import ITEMS, WHOLE


class _Handler(BaseHTTPRequestHandler):
    answer: ClassVar[Exchange]
    got: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.got.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(self.answer.status)
        self.send_header("content-type", self.answer.content_type)
        self.send_header("content-length", str(len(self.answer.response)))
        self.end_headers()
        self.wfile.write(self.answer.response)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    with openai.OpenAI(
        api_key="invented",
        base_url=f"http://127.0.0.1:{server.server_port}/v1",
        max_retries=0,
        http_client=httpx.Client(trust_env=False),
    ) as client:
        yield client
    server.shutdown()
    thread.join()
    server.server_close()


def ours(messages: tuple[Message, ...]) -> list[tuple[object, ...]]:
    return [_ours(part) for message in messages for part in message.parts]


def _ours(part: object) -> tuple[object, ...]:
    match part:
        case TextPart(text=text, citations_json=citations):
            return ("text", text, msgspec.json.decode(citations or b"[]"))
        case RefusalPart(text=text):
            return ("refusal", text)
        case ThinkingPart(text=text):
            return ("thinking", text)
        case ToolCallPart(on_server=True, name=name):
            return ("server", name)
        case ToolCallPart():
            return ("call", part.call_id, part.namespace, part.name, part.arguments)
    raise TypeError(part)


def theirs(output: list[typing.Any]) -> list[tuple[object, ...]]:
    return [told for item in output for told in _theirs(item)]


def _theirs(item: typing.Any) -> Iterator[tuple[object, ...]]:
    match item.type:
        case "message":
            for part in item.content:
                if part.type == "refusal":
                    yield ("refusal", part.refusal)
                else:
                    citations = [one.to_dict() for one in part.annotations]
                    yield ("text", part.text, citations)
        case "reasoning":
            yield from (("thinking", part.text) for part in item.summary)
        case "function_call":
            yield ("call", item.call_id, item.namespace, item.name, item.arguments)
        case "custom_tool_call":
            yield ("call", item.call_id, item.namespace, item.name, item.input)
        case _:
            yield ("server", item.type.removesuffix("_call"))


@pytest.mark.parametrize(
    "told",
    [
        events(*TURN),
        events(MESSAGE),
        events(REASONING, CALL, CUSTOM),
        events(*TURN, end={**response("completed"), "output": None}),
    ],
    ids=["all", "text", "calls", "an end without output"],
)
def test_a_stream_is_read_as_by_the_sdk(client: openai.OpenAI, told: list[Json]) -> None:
    _Handler.answer = streamed(told)
    with client.responses.stream(model=MODEL, input="Hello") as stream:
        final = stream.get_final_response()
    exchange = msgspec.structs.replace(_Handler.answer, request=_Handler.got[-1])

    turn = feeding.turn(DECODER, exchange)

    assert ours(turn.answer.messages) == theirs(final.output)
    assert [message.id for message in turn.answer.messages] == [item.id for item in final.output]
    assert turn.answer.id == final.id
    assert turn.answer.model == final.model
    assert turn.answer.stop_reason == final.status
    usage = turn.answer.usage
    assert usage is not None
    assert final.usage is not None
    assert usage.input_tokens == final.usage.input_tokens
    assert usage.cache_read_tokens == final.usage.input_tokens_details.cached_tokens
    assert usage.cache_write_tokens == final.usage.input_tokens_details.cache_write_tokens
    assert usage.output_tokens == final.usage.output_tokens
    assert usage.reasoning_tokens == final.usage.output_tokens_details.reasoning_tokens
    assert usage.total_tokens == final.usage.total_tokens
    assert turn.notes == ()


def test_wherever_it_is_cut_the_texts_are_as_far_as_the_sdk_has_them(client: openai.OpenAI) -> None:
    told = events(MESSAGE, CALL)
    _Handler.answer = streamed(told)
    with client.responses.stream(model=MODEL, input="Hello") as stream:
        snapshots = [getattr(event, "snapshot", None) for event in stream]
    checked = 0
    for at, snapshot in enumerate(snapshots):
        if isinstance(snapshot, str):
            chunks = [sse(told[: at + 1])]
            ended = feeding.changes(DECODER, streamed(told), chunks, cut=True)[-1]
            assert isinstance(ended, TurnEnded)
            texts = [part for message in ended.turn.answer.messages for part in message.parts]
            assert snapshot in [getattr(part, "text", None) for part in texts] + [
                getattr(part, "arguments", None) for part in texts
            ]
            checked += 1
    assert checked > 5


def test_a_plain_answer_is_read_as_by_the_sdk(client: openai.OpenAI) -> None:
    _Handler.answer = plain(response("completed", *TURN))
    final = client.responses.create(model=MODEL, input="Hello")

    turn = feeding.turn(DECODER, _Handler.answer)

    assert ours(turn.answer.messages) == theirs(final.output)
    assert turn.answer.stop_reason == final.status


def test_a_refusal_is_read_as_by_the_sdk(client: openai.OpenAI) -> None:
    error = {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}
    _Handler.answer = plain({"error": error}, status=429)
    with pytest.raises(openai.RateLimitError) as raised:
        client.responses.create(model=MODEL, input="Hello")

    failure = feeding.turn(DECODER, _Handler.answer).answer.failure

    assert failure is not None
    assert failure.status == raised.value.status_code
    assert failure.type == raised.value.code
    assert isinstance(raised.value.body, dict)
    assert failure.message == raised.value.body["message"]


# --- the types of the SDK ------------------------------------------------------------------------

_INPUT = TypeAdapter[object](ResponseInputItem)
_OUTPUT = TypeAdapter[object](ResponseOutputItem)


@pytest.mark.parametrize("name", [*ITEMS, *WHOLE])
def test_our_items_are_items(name: str) -> None:
    item = ITEMS[name][0] if name in ITEMS else WHOLE[name][0]

    read = _INPUT.validate_python(item)

    assert isinstance(read, BaseModel)
    assert not read.model_extra


def test_our_events_are_events() -> None:
    over_http, over_a_socket = (
        TypeAdapter[object](union) for union in (ResponseStreamEvent, ResponsesServerEvent)
    )
    for event in events(*TURN):
        event = event | {"response": _full(event)} if "response" in event else event
        over_http.validate_python(event)
        over_a_socket.validate_python(event | {"stream_id": "s"})
    for item in TURN:
        _OUTPUT.validate_python(item)


def _full(event: Json) -> object:
    return msgspec.json.decode(encoded(event["response"]))


def names_of(union: object) -> set[str]:
    """The values of `type` in a union of models."""
    if isinstance(union, type) and issubclass(union, BaseModel):
        kind = union.model_fields.get("type")
        return set(_literals(kind.annotation)) if kind else set()
    return {name for member in typing.get_args(union) for name in names_of(member)}


def _literals(annotation: object) -> Iterator[str]:
    for one in typing.get_args(annotation):
        if isinstance(one, str):
            yield one
        else:
            yield from _literals(one)


@pytest.mark.parametrize("kind", sorted(names_of(ResponseStreamEvent)))
def test_every_event_of_the_sdk_is_known(kind: str) -> None:
    turn = feeding.turn(DECODER, streamed([{"type": kind, "response": {}}]))

    assert not [note for note in turn.notes if note.kind == "unknown-event"]


@pytest.mark.parametrize("kind", sorted(names_of(ResponseInputItem) | names_of(ResponseOutputItem)))
def test_every_item_of_the_sdk_is_known(kind: str) -> None:
    turn = feeding.turn(DECODER, plain(response("completed"), {"input": [{"type": kind}]}))

    assert not [note for note in turn.notes if note.kind == "unknown-block"]


def test_every_event_of_a_socket_is_known() -> None:
    known = names_of(ResponseStreamEvent) | KEPT | IDLE

    assert names_of(ResponsesServerEvent) <= known


def test_every_field_of_the_sdk_is_known() -> None:
    assert set(ResponseCreateParamsBase.__annotations__) <= REQUEST_FIELDS
    assert set(Response.model_fields) <= RESPONSE_FIELDS | {"input_tokens"}
