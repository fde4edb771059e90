"""Chat Completions by hand: chunks, streams and exchanges of the documented forms."""

import msgspec

from addons.wire.chat import DECODER
from storage.decoded import Turn
from tests.addons.wire import feeding

PATH = "/v1/chat/completions"
HELLO = {"model": "m-1", "messages": [{"role": "user", "content": "hello"}], "stream": True}


def chunk(delta=None, finish=None, *, index=0, **fields):
    """One chunk; `delta` None makes one without choices."""
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1795000000,
        "model": "m-1-2026",
        "choices": [] if delta is None else [choice],
        **fields,
    }


def call(index=None, call_id=None, name=None, arguments=None, **fields):
    """One entry of `tool_calls`; what is None is left out."""
    function = {"name": name, "arguments": arguments}
    whole = {"index": index, "id": call_id, "type": call_id and "function", **fields}
    return {key: value for key, value in whole.items() if value is not None} | {
        "function": {key: value for key, value in function.items() if value is not None}
    }


def events(*chunks, done=True) -> list[bytes]:
    """As SSE, one element each; bytes are taken as they are."""
    coded = [
        each if isinstance(each, bytes) else b"data: " + msgspec.json.encode(each) + b"\n\n"
        for each in chunks
    ]
    return [*coded, b"data: [DONE]\n\n"] if done else coded


def exchange(response=b"", request=HELLO, **fields) -> feeding.Exchange:
    coded = request if isinstance(request, bytes) else msgspec.json.encode(request)
    if not isinstance(response, bytes):
        fields.setdefault("content_type", "application/json")
        response = msgspec.json.encode(response)
    return feeding.Exchange(
        path=fields.pop("path", PATH), request=coded, response=response, **fields
    )


def streamed(*chunks, done=True, request=HELLO, cut=False) -> Turn:
    """The turn of a stream, the same whether it came whole or byte by byte."""
    stream = b"".join(events(*chunks, done=done))
    sent = exchange(stream, request)
    turn = feeding.turn(DECODER, sent, cut=cut)
    slowly = feeding.turn(DECODER, sent, feeding.byte_by_byte(stream), cut=cut)
    assert feeding.timeless(turn) == feeding.timeless(slowly)
    return turn


def asked(request) -> Turn:
    """The turn of a request that nobody answered."""
    return feeding.turn(DECODER, exchange(b"", request), [], cut=True)
