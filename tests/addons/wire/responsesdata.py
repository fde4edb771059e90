"""Exchanges of OpenAI Responses, written by hand after the forms of the provider's types."""

import itertools
from collections.abc import Iterable, Iterator

import msgspec

from tests.addons.wire.feeding import Exchange

Json = dict[str, object]
MODEL = "gpt-6.1-sol"


def encoded(value: object) -> bytes:
    return msgspec.json.encode(value)


def asking(*items: object, **fields: object) -> Json:
    return {"model": MODEL, "stream": True, "input": list(items) or "Hello", **fields}


def said(role: str, *texts: str, **fields: object) -> Json:
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text} for text in texts]
    return {"type": "message", "role": role, "content": content, **fields}


def response(status: str, *output: Json, id: str = "resp_1", **fields: object) -> Json:
    return {
        "id": id,
        "object": "response",
        "created_at": 1795320120,
        "status": status,
        "model": "gpt-6.1-sol-2026-10-01",
        "output": list(output),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": counts() if status in ("completed", "incomplete") else None,
        **fields,
    }


def counts() -> Json:
    return {
        "input_tokens": 1000,
        "input_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 20},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 30},
        "total_tokens": 1050,
    }


REASONING: Json = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [
        {"type": "summary_text", "text": "First look."},
        {"type": "summary_text", "text": "Then leap."},
    ],
    "encrypted_content": "gAAAAopaque",
}
CITATION: Json = {
    "type": "url_citation",
    "start_index": 0,
    "end_index": 4,
    "title": "A page",
    "url": "https://example.test/a",
}
MESSAGE: Json = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "phase": "commentary",
    "content": [
        {
            "type": "output_text",
            "text": "Gr\u00fc\u00df dich \U0001f600",
            "annotations": [CITATION],
        },
        {"type": "refusal", "refusal": "Not that."},
    ],
}
CALL: Json = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "exec_command",
    "namespace": "functions",
    "arguments": '{"cmd": "ls -la"}',
}
SECOND_CALL: Json = CALL | {"id": "fc_2", "call_id": "call_2", "arguments": '{"cmd": "pwd"}'}
CUSTOM: Json = {
    "id": "ctc_1",
    "type": "custom_tool_call",
    "status": "completed",
    "call_id": "call_3",
    "name": "apply_patch",
    "input": "*** Begin Patch\n+hello\n*** End Patch\n",
}
SEARCH: Json = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "weather"},
}
TURN = (REASONING, MESSAGE, CALL, SECOND_CALL, CUSTOM, SEARCH)


def events(*items: Json, end: Json | None = None, id: str = "resp_1") -> list[Json]:
    """All events of an answer with these items."""
    began = response("in_progress", id=id)
    told: list[Json] = [
        {"type": "response.created", "response": began},
        {"type": "response.in_progress", "response": began},
    ]
    for index, item in enumerate(items):
        told += _item(index, item)
    last = end or response("completed", *items, id=id)
    told.append({"type": f"response.{last['status']}", "response": last})
    return [
        event | {"sequence_number": number}
        for number, event in zip(itertools.count(), told, strict=False)
    ]


def _item(index: int, item: Json) -> Iterator[Json]:
    place: Json = {"item_id": item["id"], "output_index": index}
    empty: Json = {"content": [], "summary": [], "arguments": "", "input": ""}
    begun = item | {name: value for name, value in empty.items() if name in item}
    begun |= {"status": "in_progress"} if "status" in item else {}
    yield {"type": "response.output_item.added", "output_index": index, "item": begun}
    yield from _STREAMS[str(item["type"])](place, item)
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _reasoning(place: Json, item: Json) -> Iterator[Json]:
    kind = "response.reasoning_summary"
    for at, part in enumerate(listed(item["summary"])):
        here = place | {"summary_index": at}
        yield {"type": f"{kind}_part.added", **here, "part": part | {"text": ""}}
        for piece in pieces(part["text"]):
            yield {"type": f"{kind}_text.delta", **here, "delta": piece, "obfuscation": "x"}
        yield {"type": f"{kind}_text.done", **here, "text": part["text"]}
        yield {"type": f"{kind}_part.done", **here, "part": part}


def _message(place: Json, item: Json) -> Iterator[Json]:
    for at, part in enumerate(listed(item["content"])):
        here = place | {"content_index": at}
        kind, name = ("refusal", "refusal") if "refusal" in part else ("output_text", "text")
        empty = part | {name: ""} | ({"annotations": []} if "annotations" in part else {})
        extra: Json = {} if name == "refusal" else {"logprobs": []}
        yield {"type": "response.content_part.added", **here, "part": empty}
        for piece in pieces(part[name]):
            yield {"type": f"response.{kind}.delta", **here, "delta": piece, **extra}
        for number, citation in enumerate(listed(part.get("annotations") or [])):
            added = {"annotation_index": number, "annotation": citation}
            yield {"type": "response.output_text.annotation.added", **here, **added}
        yield {"type": f"response.{kind}.done", **here, name: part[name], **extra}
        yield {"type": "response.content_part.done", **here, "part": part}


def _texts(name: str, field: str) -> object:
    def stream(place: Json, item: Json) -> Iterator[Json]:
        for piece in pieces(item[field]):
            yield {"type": f"response.{name}.delta", **place, "delta": piece}
        yield {"type": f"response.{name}.done", **place, field: item[field]}

    return stream


def _search(place: Json, item: Json) -> Iterator[Json]:
    for state in ("in_progress", "searching", "completed"):
        yield {"type": f"response.web_search_call.{state}", **place}


_STREAMS: dict = {
    "reasoning": _reasoning,
    "message": _message,
    "function_call": _texts("function_call_arguments", "arguments"),
    "custom_tool_call": _texts("custom_tool_call_input", "input"),
    "web_search_call": _search,
}


def listed(value: object) -> list[Json]:
    assert isinstance(value, list)
    return value


def pieces(text: object, size: int = 5) -> list[str]:
    text = str(text)
    return [text[at : at + size] for at in range(0, len(text), size)]


def sse(told: Iterable[Json]) -> bytes:
    return b"".join(
        b"event: " + str(event["type"]).encode() + b"\ndata: " + encoded(event) + b"\n\n"
        for event in told
    )


def streamed(told: Iterable[Json], request: Json | None = None) -> Exchange:
    return Exchange(path="/v1/responses", request=encoded(request or asking()), response=sse(told))


def plain(
    body: object, request: Json | None = None, *, status: int = 200, path: str = "/v1/responses"
) -> Exchange:
    return Exchange(
        path=path,
        request=encoded(request or asking(stream=False)),
        response=encoded(body),
        content_type="application/json",
        status=status,
    )
