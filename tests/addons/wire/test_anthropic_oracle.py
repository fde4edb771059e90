"""
The official SDK's accumulator against ours, over the same bytes from a real loopback server.

What it makes of a stream is what a client of the API sees, and none of it is our code.
"""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import msgspec
import pytest

from addons.wire.anthropic import DECODER
from storage.decoded import (
    Answer,
    CompactionPart,
    OtherPart,
    Part,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
)
from tests.addons.wire import feeding
from tests.addons.wire.anthropic_streams import BETA_STREAMS, STREAMS, exchange

CASES = {**STREAMS, **BETA_STREAMS}


class _Provider(HTTPServer):
    """Answers every call with `body`."""

    body = b""


class _Handler(BaseHTTPRequestHandler):
    server: _Provider

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def provider() -> Iterator[_Provider]:
    with _Provider(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def client(provider: _Provider) -> Iterator[Any]:
    import anthropic  # takes seconds: only where it is used

    url = f"http://127.0.0.1:{provider.server_port}"
    with anthropic.Anthropic(api_key="key", base_url=url, max_retries=0) as client:
        yield client


def sdk_message(client: Any, provider: _Provider, name: str, body: bytes) -> Any:
    provider.body = body
    messages = client.beta.messages if name in BETA_STREAMS else client.messages
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    with messages.stream(**asked) as stream:
        return stream.get_final_message()


def our_answer(body: bytes) -> Answer:
    return feeding.turn(DECODER, exchange(body)).answer


@pytest.mark.parametrize("name", CASES)
def test_whole_streams_give_the_same_message(client: Any, provider: _Provider, name: str) -> None:
    theirs = sdk_message(client, provider, name, CASES[name])
    assert_same(our_answer(CASES[name]), theirs)


@pytest.mark.parametrize("name", ["tools", "cited", "search", "interleaved"])
def test_streams_cut_after_each_event_give_the_same_message(
    client: Any, provider: _Provider, name: str
) -> None:
    events = CASES[name].split(b"\n\n")[:-1]
    for count in range(1, len(events) + 1):
        body = b"".join(event + b"\n\n" for event in events[:count])
        assert_same(our_answer(body), sdk_message(client, provider, name, body))


def assert_same(ours: Answer, theirs: Any) -> None:
    (message,) = ours.messages
    assert [_part(part) for part in message.parts] == [_block(block) for block in theirs.content]
    assert (ours.id, ours.model, ours.stop_reason) == (theirs.id, theirs.model, theirs.stop_reason)
    assert ours.usage
    assert_same_usage(ours.usage, theirs.usage)


def assert_same_usage(ours: Usage, theirs: Any) -> None:
    parts = (
        theirs.input_tokens,
        theirs.cache_creation_input_tokens,
        theirs.cache_read_input_tokens,
    )
    assert ours.input_tokens == sum(parts)
    assert (ours.cache_write_tokens, ours.cache_read_tokens) == parts[1:]
    assert ours.output_tokens == theirs.output_tokens
    assert ours.cache_write_5m_tokens == theirs.cache_creation.ephemeral_5m_input_tokens
    assert ours.cache_write_1h_tokens == theirs.cache_creation.ephemeral_1h_input_tokens
    assert ours.service_tier == theirs.service_tier
    tools, details = theirs.server_tool_use, theirs.output_tokens_details
    assert ours.web_search_requests == (tools and tools.web_search_requests)
    assert ours.web_fetch_requests == (tools and tools.web_fetch_requests)
    assert ours.reasoning_tokens == (details and details.thinking_tokens)


def _part(part: Part) -> Any:
    """Our part in the SDK's form, without its type."""
    match part:
        case TextPart(text=text, citations_json=citations):
            return {"text": text, "citations": msgspec.json.decode(citations or b"null")}
        case ThinkingPart(text=text, is_redacted=is_redacted):
            return _extra(part) | ({} if is_redacted else {"thinking": text})
        case ToolCallPart(call_id=call_id, name=name, arguments=arguments, namespace=server):
            return {"id": call_id, "name": name, "input": _input(arguments), "server": server}
        case ToolResultPart(call_id=call_id, is_error=is_error):
            return _extra(part) | {"tool_use_id": call_id, "is_error": is_error}
        case CompactionPart(text=text):
            return _extra(part) | {"content": text}
        case OtherPart(json=raw):
            return msgspec.json.decode(raw)
    raise AssertionError(part)


def _extra(part: ThinkingPart | ToolResultPart | CompactionPart) -> dict[str, Any]:
    return msgspec.json.decode(part.extra_json or b"{}", type=dict[str, Any])


def _block(block: Any) -> Any:
    fields = block.to_dict()
    type_ = fields["type"]
    if type_ in ("container_upload", "fallback"):
        return fields
    del fields["type"]
    if type_ == "text":
        return {"text": fields["text"], "citations": fields.get("citations") or None}
    if type_ in ("tool_use", "server_tool_use", "mcp_tool_use"):
        server = fields.pop("server_name", None)
        return fields | {"server": server}
    if type_.endswith("_tool_result"):
        return fields | {"is_error": fields.get("is_error")}
    return fields


def _input(arguments: str) -> Any:
    """Arguments as the SDK reads them: what is complete in what came."""
    import jiter

    return jiter.from_json(arguments.encode(), partial_mode=True) if arguments else {}
