"""Ollama: POST /api/chat and /api/generate, NDJSON and JSON; /api/tags."""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from . import deliver
from .chat import tool
from .model import Json, answered, objects, planned, refused
from .plan import Ask, Call, Plan, Text, Thinking, own_words, pieces
from .records import Usage
from .reply import Reply
from .request import Request
from .scenarios import new_id


async def generate(request: Request, reply: Reply) -> None:
    """One model call, of either endpoint."""
    body = msgspec.json.decode(await request.read())
    chat = request.path.endswith("/chat")
    ask = parse(body, chat, len(request.exchange.body))
    plan = planned(request, ask)
    if plan.refusal:
        await refused(request, reply, plan.refusal, {"error": plan.refusal.message}, [])
        return
    usage = request.scripts.usage(ask, plan)
    # Ollama has no ids on the wire: this one is for the record alone.
    calls = [("", call.tool.name) for call in plan.calls]
    answered(request, ask, plan, new_id("ollama-"), calls, usage)
    created = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    head: Json = {"model": ask.model, "created_at": created}
    if ask.stream:
        lines = [msgspec.json.encode(line) + b"\n" for line in _lines(head, plan, usage, chat)]
        headers = [("content-type", "application/x-ndjson")]
        await deliver.stream(reply, plan, headers, lines)
    else:
        headers = [("content-type", "application/json; charset=utf-8")]
        whole = head | _said(plan, chat) | _done(usage)
        await deliver.whole(reply, plan, headers, msgspec.json.encode(whole))


async def tags(request: Request, reply: Reply) -> None:
    """The models that are there."""
    model = {"name": "scripted:latest", "model": "scripted:latest", "size": 1, "digest": "0" * 64}
    await reply.json({"models": [model]})


def parse(body: Json, chat: bool, size: int = 0) -> Ask:
    """What a request asks; streaming is the default of this API."""
    said = objects(body.get("messages")) if chat else [_as_message(body)]
    users = [at for at, message in enumerate(said) if message.get("role") == "user"]
    at = users[-1] if users else -1
    schema = body.get("format")
    return Ask(
        wire="ollama",
        model=str(body.get("model", "")),
        stream=body.get("stream") is not False,
        prompt=own_words(str(said[at].get("content", ""))) if users else "",
        steps=sum(bool(message.get("tool_calls")) for message in said[at + 1 :]),
        tools=[tool(entry.get("function") or {}) for entry in objects(body.get("tools"))],
        schema=schema if isinstance(schema, dict) else None,
        request_bytes=size,
    )


def _as_message(body: Json) -> Json:
    return {"role": "user", "content": body.get("prompt", "")}


def _lines(head: Json, plan: Plan, usage: Usage, chat: bool) -> Iterator[Json]:
    for part in plan.parts:
        if isinstance(part, Text | Thinking):
            key = "content" if isinstance(part, Text) else "thinking"
            for piece in pieces(part.text):
                yield head | _piece(key, piece, chat) | {"done": False}
        else:
            message = {"role": "assistant", "content": "", "tool_calls": [_call(part)]}
            yield head | {"message": message, "done": False}
    yield head | _piece("content", "", chat) | _done(usage)


def _piece(key: str, text: str, chat: bool) -> Json:
    if not chat:
        return {"response" if key == "content" else key: text}
    return {"message": {"role": "assistant", "content": "", key: text}}


def _said(plan: Plan, chat: bool) -> Json:
    if not chat:
        return {"response": plan.text}
    message: Json = {"role": "assistant", "content": plan.text}
    if plan.calls:
        message["tool_calls"] = [_call(call) for call in plan.calls]
    return {"message": message}


def _call(call: Call) -> Json:
    return {"function": {"name": call.tool.name, "arguments": call.arguments}}


def _done(usage: Usage) -> Json:
    return {
        "done": True,
        "done_reason": "stop",
        "total_duration": 123456789,
        "load_duration": 1234567,
        "prompt_eval_count": usage.input,
        "prompt_eval_duration": 23456789,
        "eval_count": usage.output,
        "eval_duration": 98765432,
    }
