"""OpenAI Chat Completions: POST /v1/chat/completions, SSE and JSON."""

import time
from collections.abc import Iterator

import msgspec

from . import deliver, responses
from .model import Json, answered, compacts, listed, objects, planned, refused, side_call
from .plan import Ask, Call, Plan, Summary, Text, Thinking, Tool, own_words, pieces
from .records import Usage
from .reply import Reply
from .request import Request
from .scenarios import new_id


async def completions(request: Request, reply: Reply) -> None:
    """One model call."""
    body = msgspec.json.decode(await request.read())
    ask = parse(body, len(request.exchange.body))
    plan = planned(request, ask)
    headers = responses.headers()
    if plan.refusal:
        error = {"error": responses.error(plan.refusal)}
        await refused(request, reply, plan.refusal, error, headers)
        return
    usage = request.scripts.usage(ask, plan)
    head: Json = {"id": new_id("chatcmpl-", 29), "created": int(time.time()), "model": ask.model}
    calls = [_call(index, call) for index, call in enumerate(plan.calls)]
    ids = [(call["id"], call["function"]["name"]) for call in calls]
    answered(request, ask, plan, head["id"], ids, usage)
    if ask.stream:
        counted = (body.get("stream_options") or {}).get("include_usage")
        chunks = _chunks(head, plan, calls, usage if counted else None)
        events = [b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks]
        headers = [("content-type", "text/event-stream; charset=utf-8"), *headers]
        await deliver.stream(reply, plan, headers, [*events, b"data: [DONE]\n\n"])
    else:
        headers = [("content-type", "application/json"), *headers]
        answer = _completion(head, plan, calls, usage)
        await deliver.whole(reply, plan, headers, msgspec.json.encode(answer))


def parse(body: Json, size: int = 0) -> Ask:
    """What a Chat Completions request asks."""
    said = objects(body.get("messages"))
    at, prompt = _prompt(said)
    wanted = (body.get("response_format") or {}).get("json_schema") or {}
    system = [m.get("content") for m in said if m.get("role") in ("system", "developer")]
    return Ask(
        wire="chat",
        model=str(body.get("model", "")),
        stream=bool(body.get("stream")),
        prompt=prompt,
        steps=sum(bool(message.get("tool_calls")) for message in said[at + 1 :]),
        tools=[tool(entry.get("function") or {}) for entry in objects(body.get("tools"))],
        schema=wanted.get("schema"),
        aside=any(side_call(content) for content in system),
        compacts=bool(said) and compacts(said[-1].get("content")),
        request_bytes=size,
    )


def _prompt(said: list[Json]) -> tuple[int, str]:
    for at in range(len(said) - 1, -1, -1):
        if said[at].get("role") != "user":
            continue
        for block in reversed(listed(said[at].get("content"))):
            if words := own_words(str(block.get("text", ""))):
                return at, words
    return -1, ""


def tool(function: Json) -> Tool:
    """A function as Chat Completions and Ollama declare it."""
    properties = (function.get("parameters") or {}).get("properties") or {}
    return Tool(name=str(function.get("name", "")), properties=frozenset(properties))


def _call(index: int, call: Call) -> Json:
    arguments = msgspec.json.encode(call.arguments).decode()
    function = {"name": call.tool.name, "arguments": arguments}
    head: Json = {"index": index, "id": new_id("call_", 24), "type": "function"}
    return head | {"function": function}


def _chunks(head: Json, plan: Plan, calls: list[Json], usage: Usage | None) -> Iterator[Json]:
    head = head | {"object": "chat.completion.chunk", "system_fingerprint": "fp_scripted"}

    def chunk(delta: Json, finish: str | None = None) -> Json:
        return head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    yield chunk({"role": "assistant", "content": ""})
    for part in plan.parts:
        if isinstance(part, Text | Summary | Thinking):
            key = "reasoning_content" if isinstance(part, Thinking) else "content"
            for piece in pieces(part.text):
                yield chunk({key: piece})
    for call in calls:
        opened = call | {"function": call["function"] | {"arguments": ""}}
        yield chunk({"tool_calls": [opened]})
        for piece in pieces(call["function"]["arguments"]):
            delta = {"index": call["index"], "function": {"arguments": piece}}
            yield chunk({"tool_calls": [delta]})
    yield chunk({}, "tool_calls" if calls else "stop")
    if usage:
        yield head | {"choices": [], "usage": _usage(usage)}


def _completion(head: Json, plan: Plan, calls: list[Json], usage: Usage) -> Json:
    message: Json = {"role": "assistant", "content": plan.text or None, "refusal": None}
    if calls:
        message["tool_calls"] = calls
    finish = "tool_calls" if calls else "stop"
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    return head | {"object": "chat.completion", "choices": [choice], "usage": _usage(usage)}


def _usage(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
