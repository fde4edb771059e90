"""
What a case says, read with nothing but `json`: a second opinion on expected.json.

Written without the decoders and on purpose simple: it knows the shapes that occur in the corpus,
adds up the deltas of a stream, and takes no care of anything that is broken.
"""

import gzip
import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

import brotli
import msgspec
import zstandard

from tests.corpus.cases import Case

Json = Any


class Said(msgspec.Struct, kw_only=True):
    """One turn. Calls are (id, name, arguments), arguments of functions as JSON values."""

    model: str
    tools: list[str] = []
    prompts: list[str] = []  # texts of the request that hold a scenario
    history_calls: list[tuple[str, str, Json]] = []
    results: list[str] = []  # the ids of the calls that they belong to
    id: str | None = None
    text: str = ""
    thinking: str = ""
    calls: list[tuple[str, str, Json]] = []
    stop_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    error: str | None = None


def said(case: Case) -> list[Said]:
    """The turns of a case."""
    if case.facts.kind == "websocket":
        return list(_socket(case))
    request = json.loads(_plain(case.request, case.facts.request_headers))
    body = _plain(case.response, case.facts.response_headers)
    path = case.head.path
    ask, answer = next(readers for part, readers in _WIRES.items() if part in path)
    turn = Said(model=request.get("model") or path.rpartition("/")[2].partition(":")[0])
    ask(request, turn)
    if case.facts.status != 200:
        turn.error = json.loads(body)["error"]["message"]
    else:
        answer(_events(body), turn)
    return [turn]


def _plain(body: bytes, headers: Iterable[tuple[str, str]]) -> bytes:
    coding = next((value for name, value in headers if name.lower() == "content-encoding"), None)
    if coding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    if coding == "br":
        return brotli.decompress(body)
    return gzip.decompress(body) if coding == "gzip" else body


def _events(body: bytes) -> list[Json]:
    """A plain answer is one event; of a stream that was cut the last line may be half."""
    if body[:1] == b"{":
        return [json.loads(body)]
    found = []
    for line in body.decode().replace("\r\n", "\n").split("\n"):
        if line.startswith("data: {"):
            try:
                found.append(json.loads(line[6:]))
            except ValueError:
                assert body.decode().endswith(line)
    return found


def _prompts(value: Json) -> Iterator[str]:
    texts = [text for text in _all_texts(value) if "SCENARIO:" in text]
    yield from texts


def _all_texts(value: Json) -> Iterator[str]:
    """Texts of messages: of `text`, `content` and `parts`, not of calls and their results."""
    if isinstance(value, list):
        for each in value:
            yield from _all_texts(each)
    elif isinstance(value, dict):
        if value.get("type") in ("tool_use", "tool_result") or value.get("role") == "tool":
            return
        for name in ("text", "content", "parts"):
            if isinstance(value.get(name), str):
                yield value[name]
            else:
                yield from _all_texts(value.get(name))


# --- Anthropic -----------------------------------------------------------------------------------


def _ask_anthropic(request: Json, turn: Said) -> None:
    turn.tools = [tool["name"] for tool in request.get("tools", [])]
    turn.prompts = list(_prompts(request["messages"]))
    for message in request["messages"]:
        for block in message["content"] if isinstance(message["content"], list) else []:
            if block["type"] == "tool_use":
                turn.history_calls.append((block["id"], block["name"], block["input"]))
            elif block["type"] == "tool_result":
                turn.results.append(block["tool_use_id"])


def _answer_anthropic(events: list[Json], turn: Said) -> None:
    arguments = ""
    for event in events:
        delta = event.get("delta", {})
        match event["type"]:
            case "message_start":
                turn.id = event["message"]["id"]
                usage = event["message"]["usage"]
                names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
                turn.input_tokens = sum(usage.get(name) or 0 for name in names)
                turn.output_tokens = usage["output_tokens"]
            case "content_block_start" if event["content_block"]["type"] == "tool_use":
                block = event["content_block"]
                turn.calls.append((block["id"], block["name"], {}))
                arguments = ""
            case "content_block_delta":
                turn.text += delta.get("text", "")
                turn.thinking += delta.get("thinking", "")
                arguments += delta.get("partial_json", "")
            case "content_block_stop" if arguments:
                turn.calls[-1] = (*turn.calls[-1][:2], json.loads(arguments))
                arguments = ""
            case "message_delta":
                turn.stop_reason = delta["stop_reason"]
                turn.output_tokens = event["usage"]["output_tokens"]


# --- chat ----------------------------------------------------------------------------------------


def _ask_chat(request: Json, turn: Said) -> None:
    turn.tools = [tool["function"]["name"] for tool in request.get("tools", [])]
    turn.prompts = list(_prompts(request["messages"]))
    for message in request["messages"]:
        for call in message.get("tool_calls") or []:
            function = call["function"]
            row = (call["id"], function["name"], json.loads(function["arguments"]))
            turn.history_calls.append(row)
        if message["role"] == "tool":
            turn.results.append(message["tool_call_id"])


def _answer_chat(events: list[Json], turn: Said) -> None:
    calls: dict[int, list[str]] = {}
    for event in events:
        turn.id = event["id"]
        for choice in event["choices"]:
            delta = choice["delta"]
            turn.text += delta.get("content") or ""
            turn.thinking += delta.get("reasoning_content") or ""
            turn.stop_reason = choice.get("finish_reason") or turn.stop_reason
            for call in delta.get("tool_calls") or []:
                known = calls.setdefault(call["index"], ["", "", ""])
                known[0] = call.get("id") or known[0]
                known[1] = call["function"].get("name") or known[1]
                known[2] += call["function"].get("arguments") or ""
        if event.get("usage"):
            turn.input_tokens = event["usage"]["prompt_tokens"]
            turn.output_tokens = event["usage"]["completion_tokens"]
    turn.calls = [(id, name, json.loads(text)) for id, name, text in calls.values()]


# --- Responses -----------------------------------------------------------------------------------


def _ask_responses(request: Json, turn: Said) -> None:
    turn.tools = list(_responses_tools(request.get("tools", [])))
    for item in request["input"]:
        match item.get("type", "message"):
            case "additional_tools":
                turn.tools += _responses_tools(item["tools"])
            case "function_call":
                arguments = json.loads(item["arguments"])
                turn.history_calls.append((item["call_id"], item["name"], arguments))
            case "custom_tool_call":
                turn.history_calls.append((item["call_id"], item["name"], item["input"]))
            case "function_call_output" | "custom_tool_call_output":
                turn.results.append(item["call_id"])
            case "message":
                turn.prompts += _prompts(item["content"])


def _responses_tools(tools: list[Json]) -> Iterator[str]:
    for tool in tools:
        if tool["type"] == "namespace":
            yield from _responses_tools(tool["tools"])
        else:
            yield tool.get("name") or tool["type"]


def _answer_responses(events: list[Json], turn: Said) -> None:
    for event in events:
        match event["type"]:
            case "response.created":
                turn.id = event["response"]["id"]
            case "response.output_text.delta":
                turn.text += event["delta"]
            case "response.reasoning_summary_text.delta":
                turn.thinking += event["delta"]
            case "response.output_item.done":
                item = event["item"]
                if item["type"] == "function_call":
                    row = (item["call_id"], item["name"], json.loads(item["arguments"]))
                    turn.calls.append(row)
                elif item["type"] == "custom_tool_call":
                    turn.calls.append((item["call_id"], item["name"], item["input"]))
            case "response.completed":
                turn.id = event["response"]["id"]
                turn.stop_reason = event["response"]["status"]
                usage = event["response"]["usage"]
                turn.input_tokens = usage["input_tokens"]
                turn.output_tokens = usage["output_tokens"]
            case "error":
                turn.error = event["error"]["message"]


def _socket(case: Case) -> Iterator[Said]:
    groups: list[tuple[Json, list[Json]]] = []
    for message in case.messages:
        event = json.loads(message.text)
        if message.side == "request":
            groups.append((event, []))
        else:
            groups[-1][1].append(event)
    for request, events in groups:
        turn = Said(model=request["model"])
        _ask_responses(request, turn)
        _answer_responses(events, turn)
        yield turn


# --- Gemini --------------------------------------------------------------------------------------


def _ask_gemini(request: Json, turn: Said) -> None:
    groups = [tool.get("functionDeclarations", []) for tool in request.get("tools", [])]
    turn.tools = [function["name"] for function in itertools.chain(*groups)]
    turn.prompts = list(_prompts(request["contents"]))
    for part in itertools.chain(*(content["parts"] for content in request["contents"])):
        if call := part.get("functionCall"):
            turn.history_calls.append((call["id"], call["name"], call["args"]))
        elif result := part.get("functionResponse"):
            turn.results.append(result["id"])


def _answer_gemini(events: list[Json], turn: Said) -> None:
    for event in events:
        turn.id = event["responseId"]
        usage = event["usageMetadata"]
        turn.input_tokens = usage["promptTokenCount"]
        turn.output_tokens = usage["candidatesTokenCount"] + usage["thoughtsTokenCount"]
        (candidate,) = event["candidates"]
        turn.stop_reason = candidate.get("finishReason") or turn.stop_reason
        for part in candidate["content"]["parts"]:
            if part.get("thought"):
                turn.thinking += part["text"]
            elif call := part.get("functionCall"):
                turn.calls.append((call["id"], call["name"], call["args"]))
            else:
                turn.text += part["text"]


_WIRES = {
    "/messages": (_ask_anthropic, _answer_anthropic),
    "/chat/completions": (_ask_chat, _answer_chat),
    "/responses": (_ask_responses, _answer_responses),
    "enerateContent": (_ask_gemini, _answer_gemini),
}
