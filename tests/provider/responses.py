"""OpenAI Responses: POST (SSE and JSON) and one WebSocket for many answers (Codex)."""

import asyncio
import time
from collections.abc import Iterator

import msgspec
import zstandard

from . import deliver
from .model import Json, answered, compacts, listed, objects, planned, refused, side_call
from .plan import Ask, Call, Plan, Refusal, Summary, Text, Thinking, Tool, own_words, pieces
from .records import Headers, Usage
from .reply import Reply
from .request import Request
from .scenarios import new_id
from .websocket import SocketClosed, WebSocket

_CALLS = ("function_call", "custom_tool_call")
_ERRORS = {400: "invalid_request_error", 429: "rate_limit_exceeded", 500: "server_error"}


async def responses(request: Request, reply: Reply) -> None:
    """One model call by POST, or a socket of them by GET."""
    if request.method == "GET":
        socket = await reply.websocket(headers())
        await _serve(request, socket)
        return
    body = msgspec.json.decode(_plain(request, await request.read()))
    ask = parse(body, objects(body.get("input")) or body.get("input"), len(request.exchange.body))
    plan = planned(request, ask)
    if plan.refusal:
        await refused(request, reply, plan.refusal, {"error": error(plan.refusal)}, headers())
        return
    answer = _Answer(body, ask, plan, request.scripts.usage(ask, plan))
    answered(request, ask, plan, answer.id, answer.calls, answer.usage)
    if ask.stream:
        head = [("content-type", "text/event-stream; charset=utf-8"), *headers()]
        events = [
            f"event: {event['type']}\ndata: {msgspec.json.encode(event).decode()}\n\n".encode()
            for event in answer.events()
        ]
        await deliver.stream(reply, plan, head, events)
    else:
        head = [("content-type", "application/json"), *headers()]
        body = msgspec.json.encode(answer.completed()["response"])
        await deliver.whole(reply, plan, head, body)


def _plain(request: Request, body: bytes) -> bytes:
    if request.header("content-encoding") == "zstd":  # Codex with a ChatGPT login
        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return body


async def _serve(request: Request, socket: WebSocket) -> None:
    """
    Answer every `response.create` on this socket, in order.

    A client sends only what is new and names the answer before it, so the history of each
    answer is kept here for as long as the socket lives.
    """
    histories: dict[str, list[Json]] = {}
    async for message in socket:
        body = msgspec.json.decode(message)
        if body.get("type") != "response.create":
            continue
        before = histories.get(body.get("previous_response_id") or "", [])
        history = [*before, *objects(body.get("input"))]
        if body.get("generate") is False:  # prewarm: no answer is wanted, only an id
            answer = _Answer(body, parse(body, history), Plan(), _NOTHING)
            for event in (answer.created("completed"), answer.completed()):
                await socket.send(_text_of(event))
        else:
            next_answer = await _turn(request, socket, body, history, len(message))
            if next_answer is None:
                continue
            answer = next_answer
        histories[answer.id] = [*history, *answer.items]


async def _turn(
    request: Request, socket: WebSocket, body: Json, history: list[Json], size: int
) -> "_Answer | None":
    ask = parse(body, history, size)
    plan = planned(request, ask)
    if plan.refusal:
        problem = {"type": "error", "status": plan.refusal.status, "error": error(plan.refusal)}
        await socket.send(_text_of(problem))
        return None
    answer = _Answer(body, ask, plan, request.scripts.usage(ask, plan))
    answered(request, ask, plan, answer.id, answer.calls, answer.usage)
    events = list(answer.events())
    for index, event in enumerate(events):
        if plan.fault and index == len(events) // 2:
            await (socket.reset() if plan.fault == "reset" else socket.cut())
            raise SocketClosed(1006, "scripted")
        if index and plan.pause_ms:
            await asyncio.sleep(plan.pause_ms / 1000)
        await socket.send(_text_of(event))
    return answer


def _text_of(value: object) -> str:
    return msgspec.json.encode(value).decode()


def parse(body: Json, history: object, size: int = 0) -> Ask:
    """What a request asks; `history` is its whole input, rebuilt where only the news came."""
    items = (
        objects(history)
        if isinstance(history, list)
        else [{"role": "user", "content": str(history or "")}]
    )
    at, prompt = _prompt(items)
    tools = [*objects(body.get("tools"))]
    for item in items:
        if item.get("type") == "additional_tools":  # "responses lite" of Codex
            tools += objects(item.get("tools"))
    return Ask(
        wire="responses",
        model=str(body.get("model", "")),
        stream=bool(body.get("stream")),
        prompt=prompt,
        steps=_rounds(items[at + 1 :]),
        tools=list(_tools(tools, None)),
        schema=(body.get("text") or {}).get("format", {}).get("schema"),
        aside=side_call(body.get("instructions")) or any(map(_aside, items)),
        compacts=_is_trigger(items) or (bool(items) and compacts(items[-1].get("content"))),
        request_bytes=size,
    )


def _is_trigger(items: list[Json]) -> bool:
    """Codex with OpenAI wants an item of its own; with other providers it asks for a text."""
    return bool(items) and items[-1].get("type") == "compaction_trigger"


def _aside(item: Json) -> bool:
    return item.get("role") in ("developer", "system") and side_call(item.get("content"))


def _prompt(items: list[Json]) -> tuple[int, str]:
    for at in range(len(items) - 1, -1, -1):
        item = items[at]
        spawned = item.get("type") == "agent_message"
        if not spawned and item.get("role") != "user":
            continue
        for block in reversed(listed(item.get("content"))):
            words = own_words(str(block.get("text") or block.get("encrypted_content") or ""))
            if words and (not spawned or "SCENARIO:" in words):
                return at, words
    return -1, ""


def _rounds(items: list[Json]) -> int:
    """How many runs of neighbouring calls there are."""
    calls = [item.get("type") in _CALLS for item in items]
    return sum(call and (at == 0 or not calls[at - 1]) for at, call in enumerate(calls))


def _tools(tools: list[Json], namespace: str | None) -> Iterator[Tool]:
    for tool in tools:
        name = str(tool.get("name") or tool.get("type") or "")
        if tool.get("type") == "namespace":
            yield from _tools(objects(tool.get("tools")), name)
            continue
        properties = (tool.get("parameters") or {}).get("properties") or {}
        yield Tool(
            name=name,
            namespace=namespace,
            properties=frozenset(properties),
            custom=tool.get("type") == "custom",
        )


_NOTHING = Usage(input=0, cached=0, cache_write=0, output=0, reasoning=0)


class _Answer:
    """One answer's ids, items and events."""

    def __init__(self, body: Json, ask: Ask, plan: Plan, usage: Usage) -> None:
        self.id = new_id("resp_", 32)
        self.usage = usage
        is_opaque = _is_trigger(objects(body.get("input")))
        parts = [
            Text(text=part.text) if isinstance(part, Summary) and not is_opaque else part
            for part in plan.parts
        ]
        self.items = [_item(part, bool(plan.calls)) for part in parts]
        self.calls = [(i["call_id"], i["name"]) for i in self.items if i["type"] in _CALLS]
        self._sequence = -1
        self._head: Json = {
            "id": self.id,
            "object": "response",
            "created_at": int(time.time()),
            "model": ask.model,
            "parallel_tool_calls": True,
            "previous_response_id": body.get("previous_response_id"),
            "prompt_cache_key": body.get("prompt_cache_key"),
            "store": False,
        }

    def created(self, status: str = "in_progress") -> Json:
        response = self._head | {"status": status, "output": [], "usage": None}
        return self._event("response.created", response=response)

    def completed(self) -> Json:
        """The last event; a plain JSON answer is its `response`."""
        counts = self.usage
        usage = {
            "input_tokens": counts.input,
            "input_tokens_details": {"cached_tokens": counts.cached},
            "output_tokens": counts.output,
            "output_tokens_details": {"reasoning_tokens": counts.reasoning},
            "total_tokens": counts.input + counts.output,
        }
        response = self._head | {"status": "completed", "output": self.items, "usage": usage}
        return self._event("response.completed", response=response)

    def events(self) -> Iterator[Json]:
        created = self.created()
        yield created
        yield self._event("response.in_progress", response=created["response"])
        for index, item in enumerate(self.items):
            yield from self._item_events(index, item)
        yield self.completed()

    def _event(self, kind: str, **fields: object) -> Json:
        self._sequence += 1
        return {"type": kind, "sequence_number": self._sequence, **fields}

    def _item_events(self, index: int, item: Json) -> Iterator[Json]:
        place = {"item_id": item["id"], "output_index": index}
        empty = {
            "status": "in_progress",
            "content": [],
            "summary": [],
            "arguments": "",
            "input": "",
        }
        started = item | {key: value for key, value in empty.items() if key in item}
        yield self._event("response.output_item.added", output_index=index, item=started)
        yield from {
            "reasoning": self._reasoning,
            "message": self._message,
            "function_call": self._function_call,
            "custom_tool_call": self._custom_call,
            "compaction": lambda place, item: iter(()),
        }[item["type"]](place, item)
        yield self._event("response.output_item.done", output_index=index, item=item)

    def _reasoning(self, place: Json, item: Json) -> Iterator[Json]:
        kind, place = "response.reasoning_summary", place | {"summary_index": 0}
        part = item["summary"][0]
        yield self._event(f"{kind}_part.added", **place, part=part | {"text": ""})
        for piece in pieces(part["text"]):
            yield self._event(f"{kind}_text.delta", **place, delta=piece)
        yield self._event(f"{kind}_text.done", **place, text=part["text"])
        yield self._event(f"{kind}_part.done", **place, part=part)

    def _message(self, place: Json, item: Json) -> Iterator[Json]:
        place, part = place | {"content_index": 0}, item["content"][0]
        yield self._event("response.content_part.added", **place, part=part | {"text": ""})
        for piece in pieces(part["text"]):
            yield self._event("response.output_text.delta", **place, delta=piece)
        yield self._event("response.output_text.done", **place, text=part["text"])
        yield self._event("response.content_part.done", **place, part=part)

    def _function_call(self, place: Json, item: Json) -> Iterator[Json]:
        kind = "response.function_call_arguments"
        for piece in pieces(item["arguments"]):
            yield self._event(f"{kind}.delta", **place, delta=piece)
        yield self._event(f"{kind}.done", **place, arguments=item["arguments"])

    def _custom_call(self, place: Json, item: Json) -> Iterator[Json]:
        kind = "response.custom_tool_call_input"
        for piece in pieces(item["input"]):
            yield self._event(f"{kind}.delta", **place, delta=piece)
        yield self._event(f"{kind}.done", **place, input=item["input"])


def _item(part: object, calling: bool) -> Json:
    match part:
        case Thinking(text=text):
            summary = [{"type": "summary_text", "text": text}]
            item: Json = {"id": new_id("rs_", 24), "type": "reasoning", "summary": summary}
            return item | {"encrypted_content": new_id("gAAAAABscripted", 200)}
        case Text(text=text):
            content = [{"type": "output_text", "text": text, "annotations": []}]
            item = {"id": new_id("msg_", 24), "type": "message", "role": "assistant"}
            phase = "commentary" if calling else "final_answer"
            return item | {"status": "completed", "phase": phase, "content": content}
        case Summary():  # opaque to the client, who sends it back as it came
            item = {"id": new_id("cmp_", 24), "type": "compaction"}
            return item | {"encrypted_content": new_id("gAAAAABscripted", 200)}
        case Call(tool=tool, arguments=arguments):
            return _call(tool, arguments)
    raise TypeError(f"no item for {part!r}")


def _call(tool: Tool, arguments: dict[str, object] | str) -> Json:
    item: Json = {"status": "completed", "call_id": new_id("call_", 24), "name": tool.name}
    if tool.namespace:
        item["namespace"] = tool.namespace
    if tool.custom:
        return {"id": new_id("ctc_", 24), "type": "custom_tool_call"} | item | {"input": arguments}
    source = msgspec.json.encode(arguments).decode()
    return {"id": new_id("fc_", 24), "type": "function_call"} | item | {"arguments": source}


def error(refusal: Refusal) -> Json:
    """The error object of OpenAI's APIs."""
    kind = _ERRORS.get(refusal.status, "server_error")
    return {"message": refusal.message, "type": kind, "code": kind, "param": None}


def headers() -> Headers:
    """Headers of OpenAI's answers."""
    return [
        ("x-request-id", new_id("req_", 32)),
        ("openai-processing-ms", "123"),
        ("openai-version", "2020-10-01"),
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("x-ratelimit-limit-tokens", "30000000"),
        ("x-ratelimit-remaining-tokens", "29999000"),
        ("x-ratelimit-reset-requests", "6ms"),
        ("x-ratelimit-reset-tokens", "2ms"),
    ]
