"""
What Google's own SDK makes of the same bytes, over a real socket.

The SDK hands out chunks and keeps them apart; what is compared is their sum: text and thinking in
runs, calls, finish reason, and the counts of the last chunk.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, ClassVar

import msgspec
import pytest

from addons.wire.gemini import DECODER
from storage.decoded import Answer, TextPart, ThinkingPart, ToolCallPart
from tests.addons.wire import feeding
from tests.addons.wire.feeding import Exchange
from tests.addons.wire.geminidata import CALL, MODEL, SECOND_CALL, TURN, chunk, plain, streamed

if TYPE_CHECKING:  # the SDK takes seconds to import: only where it is used
    from google import genai
    from google.genai import types


class _Handler(BaseHTTPRequestHandler):
    answer: ClassVar[Exchange]
    got: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.got.append((self.path, body))
        self.send_response(self.answer.status)
        self.send_header("content-type", self.answer.content_type)
        self.send_header("content-length", str(len(self.answer.response)))
        self.end_headers()
        self.wfile.write(self.answer.response)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def client() -> Iterator[genai.Client]:
    from google import genai
    from google.genai import types

    server = HTTPServer(("127.0.0.1", 0), _Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    client = genai.Client(
        api_key="invented",
        vertexai=False,
        http_options=types.HttpOptions(base_url=url, client_args={"trust_env": False}),
    )
    yield client
    client.close()
    server.shutdown()
    thread.join()
    server.server_close()


def theirs(responses: list[types.GenerateContentResponse]) -> list[tuple[str, object]]:
    """The first candidate's parts, texts of one kind that follow each other joined."""
    contents = [content for each in responses if (content := _candidate(each).content)]
    parts = [part for content in contents for part in content.parts or ()]
    told = [_told(part) for part in parts]
    found: list[tuple[str, object]] = []
    for kind, run in itertools.groupby(
        (each for each in told if each[1] != ""), lambda one: one[0]
    ):
        values = [value for _, value in run]
        if kind == "call":
            found += [(kind, value) for value in values]
        else:
            found.append((kind, "".join(map(str, values))))
    return found


def _candidate(response: types.GenerateContentResponse) -> types.Candidate:
    assert response.candidates
    return response.candidates[0]


def _told(part: types.Part) -> tuple[str, object]:
    if call := part.function_call:
        return "call", (call.id, call.name, call.args or {})
    return ("thinking" if part.thought else "text"), part.text or ""


def ours(answer: Answer) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for part in answer.messages[0].parts:
        if isinstance(part, ToolCallPart):
            arguments = msgspec.json.decode(part.arguments)
            found.append(("call", (part.call_id, part.name, arguments)))
        elif isinstance(part, TextPart | ThinkingPart):
            kind = "thinking" if isinstance(part, ThinkingPart) else "text"
            found.append((kind, part.text))
    return found


def assert_same(answer: Answer, responses: list[types.GenerateContentResponse]) -> None:
    last = responses[-1]
    usage, told = answer.usage, last.usage_metadata
    assert usage is not None
    assert told is not None
    assert ours(answer) == theirs(responses)
    reason = _candidate(last).finish_reason
    assert answer.stop_reason == (reason.value if reason else None)
    assert (answer.id, answer.model) == (last.response_id, last.model_version)
    assert usage.input_tokens == told.prompt_token_count
    assert usage.cache_read_tokens == told.cached_content_token_count
    assert usage.reasoning_tokens == told.thoughts_token_count
    assert usage.output_tokens == sum(
        [told.candidates_token_count or 0, told.thoughts_token_count or 0]
    )
    assert usage.total_tokens == told.total_token_count


STREAMS = {
    "turn": streamed(*TURN),
    "text": streamed(chunk({"text": "a"}), chunk({"text": "b\r\n“c”"}, finishReason="MAX_TOKENS")),
    "calls": streamed(chunk(CALL), chunk(SECOND_CALL, {"text": "x"}, CALL, finishReason="STOP")),
    "nothing": streamed(chunk(finishReason="SAFETY")),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream(client: genai.Client, name: str) -> None:
    _Handler.answer = STREAMS[name]

    responses = list(
        client.models.generate_content_stream(model="gemini-3.1-pro-preview", contents="Hello")
    )

    path, body = _Handler.got[-1]
    assert path == f"{MODEL}:streamGenerateContent?alt=sse"
    exchange = msgspec.structs.replace(STREAMS[name], request=body)
    turn = feeding.turn(DECODER, exchange)
    assert_same(turn.answer, responses)
    assert turn.asked.messages[0].parts == (TextPart(text="Hello"),)
    assert turn.notes == ()


def test_a_plain_answer_and_what_the_sdk_asks(client: genai.Client) -> None:
    from google.genai import types

    answer = plain(chunk({"text": "t", "thought": True}, {"text": "a"}, CALL, finishReason="STOP"))
    _Handler.answer = answer
    config = types.GenerateContentConfig(
        system_instruction="Be brief.",
        temperature=0.25,
        max_output_tokens=77,
        thinking_config=types.ThinkingConfig(thinking_level=types.ThinkingLevel.LOW),
        tools=[
            types.Tool(function_declarations=[types.FunctionDeclaration(name="read_file")]),
            types.Tool(google_search=types.GoogleSearch()),
        ],
    )
    contents = [
        types.Content(role="user", parts=[types.Part(text="Look")]),
        types.Content(
            role="model", parts=[types.Part.from_function_call(name="read_file", args={"p": "x"})]
        ),
        types.Part.from_function_response(name="read_file", response={"output": "fine"}),
        types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png"),
    ]

    response = client.models.generate_content(
        model="gemini-3.1-pro-preview", contents=contents, config=config
    )

    path, body = _Handler.got[-1]
    turn = feeding.turn(DECODER, msgspec.structs.replace(answer, request=body))
    assert path == f"{MODEL}:generateContent"
    assert_same(turn.answer, [response])
    asked = turn.asked
    assert asked.system == (TextPart(text="Be brief."),)
    assert {tool.name for tool in asked.tools} == {"read_file", "googleSearch"}
    assert (asked.temperature, asked.max_tokens, asked.effort) == (0.25, 77, "LOW")
    assert [message.role for message in asked.messages] == ["user", "assistant", "tool"]
    assert asked.messages[1].parts[0] == ToolCallPart(
        call_id=None, name="read_file", arguments='{"p": "x"}'
    )
    assert turn.notes == ()


def test_counts_and_errors(client: genai.Client) -> None:
    from google.genai import errors

    _Handler.answer = plain({"totalTokens": 31}, path=f"{MODEL}:countTokens")
    counted = client.models.count_tokens(model="gemini-3.1-pro-preview", contents="Hello")
    turn = feeding.turn(DECODER, _Handler.answer)
    assert turn.answer.counted_tokens == counted.total_tokens

    error = {"error": {"code": 400, "message": "Bad key.", "status": "INVALID_ARGUMENT"}}
    _Handler.answer = plain(error, status=400)
    with pytest.raises(errors.ClientError) as raised:
        client.models.generate_content(model="gemini-3.1-pro-preview", contents="Hello")
    failure = feeding.turn(DECODER, _Handler.answer).answer.failure
    assert failure is not None
    assert (failure.status, failure.type, failure.message) == (
        raised.value.code,
        raised.value.status,
        raised.value.message,
    )
