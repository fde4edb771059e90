"""
The official SDK as an oracle: its own accumulator must make the same of the same bytes.

The SDK reads over a real socket from a server that says what a test wrote.
"""

import contextlib
import http.server
import threading

import openai
import pytest

from addons.wire.chat import DECODER
from storage.decoded import RefusalPart, TextPart, ToolCallPart
from tests.addons.wire import feeding
from tests.addons.wire.chatting import HELLO, call, chunk, events, exchange
from tests.addons.wire.test_chat import COUNTS, STREAMS
from tests.addons.wire.test_chat_calls import WAYS

# The SDK's accumulator only knows the documented ways: numbered, ids and names said once, in order.
CASES = {
    **{name: STREAMS[name] for name in ("text", "two choices", "refusal", "openrouter")},
    "reasoning, text and calls": [*STREAMS["reasoning, text and calls"], chunk(usage=COUNTS)],
    **{
        f"calls {name}": [*(chunk({"tool_calls": each}) for each in WAYS[name]), chunk({}, "stop")]
        for name in ("numbered", "whole in one chunk", "side by side")
    },
    "signs of four bytes": [chunk({"content": "a\U0001f600\u2028b\r\n"}), chunk({}, "stop")],
    "length": [chunk({"content": "a"}), chunk({}, "length"), chunk(usage=COUNTS)],
    "three calls": [
        chunk({"role": "assistant", "content": None}),
        *(
            chunk({"tool_calls": [each]})
            for n in range(3)
            for each in (call(n, f"c{n}", f"f{n}", ""), call(n, arguments=f'{{"n":{n}}}'))
        ),
        chunk({}, "tool_calls"),
        chunk(usage=COUNTS),
    ],
}


@contextlib.contextmanager
def serving(stream: bytes):
    """A server on the loopback interface that gives this stream to each POST; yields its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Content-Length", str(len(stream)))
            self.end_headers()
            self.wfile.write(stream)

        def log_message(self, format, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()


def accumulated(stream: bytes):
    """What the SDK makes of it."""
    with (
        serving(stream) as url,
        openai.OpenAI(api_key="none", base_url=url, max_retries=0) as client,
        client.chat.completions.stream(
            model=HELLO["model"], messages=HELLO["messages"]
        ) as stream_of_events,
    ):
        try:
            return stream_of_events.get_final_completion()
        except openai.LengthFinishReasonError as refused:  # to parse it, not to have read it
            return refused.completion


def text_of(message, kind):
    return "".join(part.text for part in message.parts if isinstance(part, kind))


@pytest.mark.parametrize("chunks", CASES.values(), ids=CASES)
def test_the_sdk_makes_the_same_of_it(chunks):
    stream = b"".join(events(*chunks))
    theirs = accumulated(stream)
    ours = feeding.turn(DECODER, exchange(stream)).answer

    assert ours.id == theirs.id
    assert ours.model == theirs.model
    assert ours.stop_reason == theirs.choices[0].finish_reason
    assert len(ours.messages) == len(theirs.choices)
    for message, choice in zip(ours.messages, theirs.choices, strict=True):
        assert text_of(message, TextPart) == (choice.message.content or "")
        assert text_of(message, RefusalPart) == (choice.message.refusal or "")
        assert [
            (part.call_id, part.name, part.arguments)
            for part in message.parts
            if isinstance(part, ToolCallPart)
        ] == [
            (each.id, each.function.name, each.function.arguments)
            for each in choice.message.tool_calls or ()
        ]
    if theirs.usage is None:
        assert ours.usage is None
    else:
        assert (ours.usage.input_tokens, ours.usage.output_tokens, ours.usage.total_tokens) == (
            theirs.usage.prompt_tokens,
            theirs.usage.completion_tokens,
            theirs.usage.total_tokens,
        )
        details = theirs.usage.prompt_tokens_details
        assert ours.usage.cache_read_tokens == (details and details.cached_tokens)
