"""Gemini: POST /v1beta/models/X:generateContent and :streamGenerateContent (SSE or JSON array)."""

from collections.abc import Iterator

import msgspec

from . import deliver
from .model import Json, answered, compacts, objects, planned, refused
from .plan import Ask, Call, Part, Plan, Summary, Text, Thinking, Tool, own_words, pieces
from .records import Headers, Usage
from .reply import Reply
from .request import Request
from .scenarios import new_id

_ERRORS = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}


async def generate(request: Request, reply: Reply) -> None:
    """One model call; the target tells the model, and whether the answer is a stream."""
    model, _, method = request.path.rpartition("/")[2].partition(":")
    body = msgspec.json.decode(await request.read())
    if method == "countTokens":
        await reply.json({"totalTokens": len(request.exchange.body) // 4})
        return
    inner = body.get("request") if isinstance(body.get("request"), dict) else body  # Code Assist
    model = str(body.get("model") or model)
    ask = parse(inner, model, method.startswith("stream"), len(request.exchange.body))
    plan = planned(request, ask)
    if plan.refusal:
        status = plan.refusal.status
        kind = _ERRORS.get(status, "UNAVAILABLE")
        error = {"code": status, "message": plan.refusal.message, "status": kind}
        await refused(request, reply, plan.refusal, {"error": error}, _headers())
        return
    usage = request.scripts.usage(ask, plan)
    response_id = new_id("", 24)
    parts = list(_parts(plan, ask.stream))
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    ids = [(call["id"], call["name"]) for call in calls]
    answered(request, ask, plan, response_id, ids, usage)
    tail = {"usageMetadata": _usage(usage), "modelVersion": model, "responseId": response_id}
    wrap = inner is not body
    groups = [[part] for part in parts] if ask.stream else [parts]
    chunks = [{"response": chunk} if wrap else chunk for chunk in _chunks(groups, tail)]
    await _send(request, reply, plan, ask, chunks)


async def _send(request: Request, reply: Reply, plan: Plan, ask: Ask, chunks: list[Json]) -> None:
    encoded = [msgspec.json.encode(chunk) for chunk in chunks]
    json_type = ("content-type", "application/json; charset=UTF-8")
    if not ask.stream:
        await deliver.whole(reply, plan, [json_type, *_headers()], encoded[0])
    elif "alt=sse" in request.target:
        events = [b"data: " + chunk + b"\r\n\r\n" for chunk in encoded]
        sse_type = ("content-type", "text/event-stream")
        await deliver.stream(reply, plan, [sse_type, *_headers()], events)
    else:
        parts = [(b"[" if at == 0 else b",\r\n") + chunk for at, chunk in enumerate(encoded)]
        await deliver.stream(reply, plan, [json_type, *_headers()], [*parts, b"]"])


def parse(body: Json, model: str, stream: bool, size: int = 0) -> Ask:
    """What a generateContent request asks."""
    said = objects(body.get("contents"))
    at, prompt = _prompt(said)
    config = body.get("generationConfig") or {}
    declared = [
        function
        for group in objects(body.get("tools"))
        for function in objects(group.get("functionDeclarations"))
    ]
    return Ask(
        wire="gemini",
        model=model,
        stream=stream,
        prompt=prompt,
        steps=sum(_is_calling(content) for content in said[at + 1 :]),
        tools=[_tool(function) for function in declared],
        schema=config.get("responseJsonSchema") or config.get("responseSchema"),
        compacts=bool(said) and compacts(objects(said[-1].get("parts"))),
        request_bytes=size,
    )


def _prompt(said: list[Json]) -> tuple[int, str]:
    for at in range(len(said) - 1, -1, -1):
        if said[at].get("role", "user") != "user":
            continue
        for part in reversed(objects(said[at].get("parts"))):
            if words := own_words(str(part.get("text", ""))):
                return at, words
    return -1, ""


def _is_calling(content: Json) -> bool:
    return any("functionCall" in part for part in objects(content.get("parts")))


def _tool(function: Json) -> Tool:
    schema = function.get("parametersJsonSchema") or function.get("parameters") or {}
    properties = schema.get("properties") or {}
    return Tool(name=str(function.get("name", "")), properties=frozenset(properties))


def _parts(plan: Plan, stream: bool) -> Iterator[Json]:
    for part in plan.parts:
        yield from _split(part, stream)


def _split(part: Part, stream: bool) -> Iterator[Json]:
    match part:
        case Thinking(text=text):
            yield {"text": text, "thought": True}
        case Text(text=text) | Summary(text=text):
            for piece in pieces(text) if stream else [text]:
                yield {"text": piece}
        case Call(tool=tool, arguments=arguments):
            call = {"id": new_id("fc_", 12), "name": tool.name, "args": arguments}
            yield {"functionCall": call, "thoughtSignature": "c2NyaXB0ZWQ="}


def _chunks(groups: list[list[Json]], tail: Json) -> Iterator[Json]:
    """One answer object for each group of parts; the last one says that it is the last."""
    for index, parts in enumerate(groups):
        candidate: Json = {"content": {"role": "model", "parts": parts}, "index": 0}
        if index == len(groups) - 1:
            candidate["finishReason"] = "STOP"
        yield {"candidates": [candidate], **tail}


def _usage(usage: Usage) -> Json:
    return {
        "promptTokenCount": usage.input,
        "cachedContentTokenCount": usage.cached,
        "candidatesTokenCount": usage.output - usage.reasoning,
        "thoughtsTokenCount": usage.reasoning,
        "totalTokenCount": usage.input + usage.output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.input}],
    }


def _headers() -> Headers:
    return [
        ("vary", "Origin"),
        ("vary", "X-Origin"),
        ("vary", "Referer"),
        ("server-timing", "gfet4t7; dur=321"),
        ("x-content-type-options", "nosniff"),
    ]
