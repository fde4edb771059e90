"""Anthropic Messages: POST /v1/messages (SSE and JSON) and /v1/messages/count_tokens."""

from collections.abc import Iterator

import msgspec

from . import deliver
from .model import Json, answered, compacts, listed, objects, planned, refused, side_call
from .plan import Ask, Call, Plan, Summary, Text, Thinking, Tool, own_words, pieces
from .records import Headers, Usage
from .reply import Reply
from .request import Request
from .scenarios import new_id

_ERRORS = {
    400: "invalid_request_error",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


async def messages(request: Request, reply: Reply) -> None:
    """One model call."""
    body = msgspec.json.decode(await request.read())
    ask = parse(body, len(request.exchange.body))
    plan = planned(request, ask)
    headers = _headers()
    request_id = headers[0][1]
    if plan.refusal:
        kind = _ERRORS.get(plan.refusal.status, "api_error")
        error = {"type": kind, "message": plan.refusal.message}
        value = {"type": "error", "error": error, "request_id": request_id}
        await refused(request, reply, plan.refusal, value, headers)
        return
    usage = request.scripts.usage(ask, plan)
    message_id = new_id("msg_01")
    blocks = list(_blocks(plan))
    calls = [(block["id"], block["name"]) for block in blocks if block["type"] == "tool_use"]
    answered(request, ask, plan, message_id, calls, usage)
    if ask.stream:
        headers = [("content-type", "text/event-stream; charset=utf-8"), *headers]
        events = [
            f"event: {event['type']}\ndata: {msgspec.json.encode(event).decode()}\n\n".encode()
            for event in _events(ask, blocks, message_id, usage)
        ]
        await deliver.stream(reply, plan, [*headers, ("cache-control", "no-cache")], events)
    else:
        message = _message(ask, message_id, usage)
        message |= {"content": blocks, "stop_reason": _stop(blocks), "usage": _usage(usage)}
        headers = [("content-type", "application/json"), *headers]
        await deliver.whole(reply, plan, headers, msgspec.json.encode(message))


async def count_tokens(request: Request, reply: Reply) -> None:
    """A count that grows with the request."""
    body = await request.read()
    await reply.json({"input_tokens": len(body) // 4 + 1})


def parse(body: Json, size: int = 0) -> Ask:
    """What a Messages request asks."""
    said = objects(body.get("messages"))
    at, prompt = _prompt(said)
    later = said[at + 1 :]
    schema = body.get("output_config", {}).get("format", {}).get("schema")
    return Ask(
        wire="anthropic",
        model=str(body.get("model", "")),
        stream=bool(body.get("stream")),
        prompt=prompt,
        steps=sum(_is_calling(message) for message in later),
        tools=[_tool(tool) for tool in objects(body.get("tools"))],
        schema=schema,
        aside=side_call(body.get("system")),
        compacts=bool(said) and compacts(said[-1].get("content")),
        request_bytes=size,
    )


def _prompt(said: list[Json]) -> tuple[int, str]:
    for at in range(len(said) - 1, -1, -1):
        if said[at].get("role") != "user":
            continue
        for block in reversed(listed(said[at].get("content"))):
            words = own_words(str(block.get("text", ""))) if block.get("type") == "text" else ""
            if words:
                return at, words
    return -1, ""


def _is_calling(message: Json) -> bool:
    return any(block.get("type") == "tool_use" for block in listed(message.get("content")))


def _tool(tool: Json) -> Tool:
    properties = (tool.get("input_schema") or {}).get("properties") or {}
    return Tool(name=str(tool.get("name", "")), properties=frozenset(properties))


def _blocks(plan: Plan) -> Iterator[Json]:
    for part in plan.parts:
        match part:
            case Thinking(text=text):
                signature = new_id("Er", 84)
                yield {"type": "thinking", "thinking": text, "signature": signature}
            case Text(text=text) | Summary(text=text):
                yield {"type": "text", "text": text}
            case Call(tool=tool, arguments=arguments):
                call = {"type": "tool_use", "id": new_id("toolu_01"), "name": tool.name}
                yield call | {"input": arguments}


def _message(ask: Ask, message_id: str, usage: Usage) -> Json:
    start = _usage(usage) | {"output_tokens": 1}
    head: Json = {"id": message_id, "type": "message", "role": "assistant", "model": ask.model}
    return head | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": start}


def _usage(usage: Usage) -> Json:
    return {
        "input_tokens": usage.input - usage.cached - usage.cache_write,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": usage.output,
        "service_tier": "standard",
    }


def _stop(blocks: list[Json]) -> str:
    return "tool_use" if any(block["type"] == "tool_use" for block in blocks) else "end_turn"


def _events(ask: Ask, blocks: list[Json], message_id: str, usage: Usage) -> Iterator[Json]:
    yield {"type": "message_start", "message": _message(ask, message_id, usage)}
    yield {"type": "ping"}
    for index, block in enumerate(blocks):
        empty, deltas = _deltas(block)
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": _stop(blocks), "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": _usage(usage)}
    yield {"type": "message_stop"}


def _deltas(block: Json) -> tuple[Json, list[Json]]:
    if block["type"] == "text":
        texts = pieces(block["text"])
        return block | {"text": ""}, [{"type": "text_delta", "text": text} for text in texts]
    if block["type"] == "thinking":
        thoughts = [{"type": "thinking_delta", "thinking": t} for t in pieces(block["thinking"])]
        signature = {"type": "signature_delta", "signature": block["signature"]}
        return block | {"thinking": "", "signature": ""}, [*thoughts, signature]
    source = msgspec.json.encode(block["input"]).decode()
    parts = [{"type": "input_json_delta", "partial_json": part} for part in ["", *pieces(source)]]
    return block | {"input": {}}, parts


def _headers() -> Headers:
    reset = "2030-01-01T00:00:00Z"
    return [
        ("request-id", new_id("req_011")),
        ("anthropic-organization-id", "00000000-0000-4000-8000-000000000000"),
        ("anthropic-ratelimit-requests-limit", "4000"),
        ("anthropic-ratelimit-requests-remaining", "3999"),
        ("anthropic-ratelimit-requests-reset", reset),
        ("anthropic-ratelimit-input-tokens-limit", "2000000"),
        ("anthropic-ratelimit-input-tokens-remaining", "1999000"),
        ("anthropic-ratelimit-input-tokens-reset", reset),
        ("anthropic-ratelimit-output-tokens-limit", "400000"),
        ("anthropic-ratelimit-output-tokens-remaining", "399000"),
        ("anthropic-ratelimit-output-tokens-reset", reset),
    ]
