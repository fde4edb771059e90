"""Exchanges as the wire formats have them: not one byte changes but the secrets."""

import base64
import json
import random

import pytest

from tests.addons.redaction.canary import drive, pieces, redactor

KEY = b"sk-ant-api03-aB3_dE9xYz-7mK0pQrStUv_aB3dE9xYz7mK0pQrStUv"
SEEDS = range(40)
PROSE = """the token budget is max_tokens and the secret of a good password is entropy; Bearer of
news, key=value pairs, cookie jars, api_key rotation, stop_token, tokenizer, undefined, session=3
sk-ant-api03- is how keys begin, so is sk-ant- and "Authorization: Bearer <token>" """


def text(seed: random.Random, size: int) -> str:
    return " ".join(seed.choices(PROSE.split(), k=size))


def blob(seed: random.Random, size: int) -> str:
    return base64.b64encode(seed.randbytes(size)).decode()


def sse(events: list[dict], named: bool) -> bytes:
    lines = []
    for event in events:
        name = f"event: {event['type']}\n" if named else ""
        lines.append(f"{name}data: {json.dumps(event)}\n\n")
    return "".join(lines).encode()


USAGE = {"input_tokens": 12, "cache_read_input_tokens": 300, "output_tokens": 7, "token_count": 3}


def anthropic(seed):
    block = {"type": "thinking", "thinking": text(seed, 20), "signature": blob(seed, 300)}
    image = {"type": "image", "source": {"type": "base64", "data": blob(seed, 3000)}}
    ask = {
        "model": "claude-sonnet-5",
        "max_tokens": 32000,
        "metadata": {"user_id": json.dumps({"device_id": seed.randbytes(32).hex()})},
        "messages": [
            {"role": "user", "content": [image, {"type": "text", "text": text(seed, 99)}]}
        ],
        "stream": True,
    }
    events = [
        {"type": "message_start", "message": {"id": "msg_01", "usage": USAGE}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text(seed, 9)}},
        {"type": "message_delta", "usage": USAGE, "delta": {"stop_reason": "tool_use"}},
    ]
    headers = ((b"x-api-key", KEY), (b"anthropic-version", b"2023-06-01"))
    return b"/v1/messages?beta=true", headers, json.dumps(ask).encode(), sse(events, named=True)


def responses(seed):
    ask = {
        "model": "gpt-6.1-sol",
        "input": [{"type": "reasoning", "encrypted_content": blob(seed, 2000)}],
        "prompt_cache_key": "0192-aB3",
        "max_output_tokens": 9,
    }
    events = [
        {"type": "response.output_text.delta", "delta": text(seed, 5), "obfuscation": "aB3dE9x"},
        {"type": "response.completed", "response": {"id": "resp_1", "usage": USAGE}},
    ]
    headers = ((b"Authorization", b"Bearer " + KEY), (b"session-id", b"0192f-aB3"))
    return b"/v1/responses", headers, json.dumps(ask).encode(), sse(events, named=True)


def chat(seed):
    ask = {
        "model": "qwen3",
        "messages": [{"role": "system", "content": text(seed, 200)}],
        "stream_options": {"include_usage": True},
        "max_tokens": 5,
        "logprobs": True,
    }
    events = [{"choices": [{"delta": {"content": t}}]} for t in text(seed, 9).split()]
    body = sse([{"type": "", **event} for event in events], named=False) + b"data: [DONE]\n\n"
    headers = ((b"authorization", b"Bearer " + KEY), (b"x-stainless-retry-count", b"0"))
    return b"/v1/chat/completions", headers, json.dumps(ask).encode(), body


def gemini(seed):
    ask = {"contents": [{"parts": [{"text": text(seed, 50), "thoughtSignature": blob(seed, 90)}]}]}
    answer = {"candidates": [], "usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 9}}
    body = f"data: {json.dumps(answer)}\r\n\r\n".encode() * 5
    target = b"/v1beta/models/gemini-3:streamGenerateContent?alt=sse"
    return target, ((b"x-goog-api-key", KEY),), json.dumps(ask).encode(), body


def ollama(seed):
    ask = {"model": "llama4", "prompt": text(seed, 80), "context": [1, 2, 3]}
    lines = [{"response": t, "done": False, "eval_count": 1} for t in text(seed, 9).split()]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return b"/api/generate", ((b"Authorization", b"Bearer " + KEY),), json.dumps(ask).encode(), body


@pytest.mark.parametrize("wire", [anthropic, responses, chat, gemini, ollama])
@pytest.mark.parametrize("number", SEEDS)
def test_nothing_but_the_secret_changes(wire, number):
    seed = random.Random(number)
    target, secret, ask, answer = wire(seed)
    plain = (
        (b"Host", b"api.test"),
        (b"User-Agent", b"claude-cli/2.1.330 (external, cli)"),
        (b"X-Claude-Code-Session-Id", b"01234567-89ab-cdef-0123-456789abcdef"),
        (b"Content-Length", b"%d" % len(ask)),
    )
    redact = redactor()
    head = redact.request_head(target, (*secret, *plain))
    assert head.target == target
    assert head.headers[1:] == (*secret[1:], *plain)
    assert head.headers[0][1] == secret[0][1].replace(KEY, b"*" * len(KEY))
    for side, body in (("request", ask), ("response", answer)):
        size = seed.randint(1, 3000)
        done = drive(redact.body(side), pieces(body, size))
        assert (done.data, done.cuts) == (body, ())
        where = seed.randint(0, len(body))
        with_key = body[:where] + KEY + body[where:]
        done = drive(redact.body(side), pieces(with_key, size))
        assert done.data == body[:where] + b"*" * len(KEY) + body[where:]
        assert [(cut.offset_bytes, cut.length_bytes) for cut in done.cuts] == [(where, len(KEY))]
    for number, line in enumerate(answer.splitlines()):
        assert redact.message("response", number, line).data == line


def test_answers_with_limits_ids_and_counters_pass():
    headers = (
        (b"anthropic-ratelimit-input-tokens-remaining", b"1990000"),
        (b"anthropic-ratelimit-tokens-reset", b"2026-11-22T06:00:00Z"),
        (b"x-ratelimit-remaining-tokens", b"149984"),
        (b"request-id", b"req_011CTabcdefghijklmnop"),
        (b"anthropic-organization-id", b"01234567-89ab-cdef-0123-456789abcdef"),
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"www-authenticate", b'Bearer realm="api", error="invalid_token"'),
        (b"access-control-allow-headers", b"authorization, x-api-key"),
        (b"location", b"/v1/files?page=2&state=open&next_page_token=abc"),
        (b"sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    )
    head = redactor().response_head(headers)
    assert (head.headers, head.cuts) == (headers, ())
