"""Gemini exchanges, written by hand after the forms of the provider's documentation."""

import msgspec

from tests.addons.wire.feeding import Exchange

MODEL = "/v1beta/models/gemini-3.1-pro-preview"
Json = dict[str, object]


def encoded(value: object) -> bytes:
    return msgspec.json.encode(value)


def asking(*contents: Json, **fields: object) -> Json:
    return {"contents": list(contents) or [said("user", {"text": "Hello"})], **fields}


def said(role: str, *parts: Json) -> Json:
    return {"role": role, "parts": list(parts)}


def chunk(*parts: Json, index: int | None = 0, usage: Json | None = None, **fields: object) -> Json:
    """One GenerateContentResponse; `fields` are the candidate's."""
    candidate: Json = {"content": {"role": "model", "parts": list(parts)}, **fields}
    if index is not None:
        candidate["index"] = index
    return {
        "candidates": [candidate],
        "usageMetadata": usage or counts(1),
        "modelVersion": "gemini-3.1-pro-preview",
        "responseId": "response-1",
    }


def counts(put_out: int) -> Json:
    return {
        "promptTokenCount": 1000,
        "cachedContentTokenCount": 600,
        "candidatesTokenCount": put_out,
        "thoughtsTokenCount": 7,
        "totalTokenCount": 1007 + put_out,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1000}],
    }


def sse(*chunks: object) -> bytes:
    return b"".join(b"data: " + encoded(each) + b"\r\n\r\n" for each in chunks)


def array(*chunks: object) -> bytes:
    return b"[" + b",\r\n".join(encoded(each) for each in chunks) + b"\n]"


def streamed(*chunks: object, request: Json | None = None) -> Exchange:
    return Exchange(
        path=f"{MODEL}:streamGenerateContent",
        query="alt=sse",
        request=encoded(request or asking()),
        response=sse(*chunks),
    )


def listed(*chunks: object, request: Json | None = None) -> Exchange:
    return Exchange(
        path=f"{MODEL}:streamGenerateContent",
        request=encoded(request or asking()),
        response=array(*chunks),
        content_type="application/json; charset=UTF-8",
    )


def plain(
    answer: object,
    request: object = None,
    *,
    path: str = f"{MODEL}:generateContent",
    status: int = 200,
) -> Exchange:
    return Exchange(
        path=path,
        request=encoded(request or asking()),
        response=encoded(answer),
        content_type="application/json; charset=UTF-8",
        status=status,
    )


CALL = {"functionCall": {"id": "c1", "name": "read_file", "args": {"path": "/tmp/a b.txt"}}}
SECOND_CALL = {"functionCall": {"id": "c2", "name": "glob", "args": {"pattern": "*.py", "n": 2}}}

# A turn with all that a stream usually has: thinking, text in pieces, two calls, an empty end.
TURN: tuple[Json, ...] = (
    chunk({"text": "**Looking", "thought": True}),
    chunk({"text": " around**", "thought": True}, {"text": "I will re"}, usage=counts(4)),
    chunk({"text": "ad the file: “ä”.", "thoughtSignature": "c2ln"}, usage=counts(9)),
    chunk({**CALL, "thoughtSignature": "c2lnMg=="}, SECOND_CALL, usage=counts(20)),
    chunk({"text": ""}, usage=counts(21), finishReason="STOP"),
)
