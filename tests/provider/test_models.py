"""The five wire formats: what a stream says, put together again, is what the record says."""

import asyncio
import json
from itertools import pairwise

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from . import GREETING, SUBAGENT_GREETING, Answered, Ask, Plan, Provider, Text, running

SHELL = {"type": "object", "properties": {"command": {"type": "string"}}}
WIRES = ("anthropic", "responses", "chat", "gemini", "ollama")


@pytest.fixture(scope="module")
def provider():
    with running(Provider()) as provider:
        yield provider


@pytest.fixture(scope="module")
def client(provider):
    with httpx.Client(base_url=provider.url) as client:
        yield client


def request(wire: str, prompt: str, *, stream: bool, tools: bool = False) -> tuple[str, dict]:
    """Path and body of a small call."""
    said = [{"role": "user", "content": prompt}]
    function = {"name": "run_shell_command", "parameters": SHELL}
    if wire == "anthropic":
        body = {"messages": said, "tools": [{"name": "Bash", "input_schema": SHELL}] * tools}
        return "/v1/messages", {"model": "m", "stream": stream, **body}
    if wire == "responses":
        body = {"input": said, "tools": [{"type": "function", **function}] * tools}
        return "/v1/responses", {"model": "m", "stream": stream, **body}
    if wire == "gemini":
        declared = [{"functionDeclarations": [function]}] * tools
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        contents = [{"role": "user", "parts": [{"text": prompt}]}]
        return f"/v1beta/models/m:{method}", {"contents": contents, "tools": declared}
    path = {"chat": "/v1/chat/completions", "ollama": "/api/chat"}[wire]
    tools_ = [{"type": "function", "function": function}] * tools
    usage = {"stream_options": {"include_usage": True}}
    return path, {"model": "m", "stream": stream, "messages": said, "tools": tools_, **usage}


def events(text: str) -> list[dict]:
    """The JSON of SSE data lines, or of NDJSON lines."""
    lines = [line.removeprefix("data: ") for line in text.splitlines()]
    return [json.loads(line) for line in lines if line.startswith("{")]


def told(wire: str, said: list[dict]) -> tuple[str, int, list[str]]:
    """Text, output tokens and called tools of a streamed answer."""
    if wire == "anthropic":
        deltas = [event.get("delta", {}) for event in said]
        starts = [event["content_block"] for event in said if "content_block" in event]
        names = [block["name"] for block in starts if block["type"] == "tool_use"]
        usage = next(event["usage"] for event in said if event["type"] == "message_delta")
        return "".join(d.get("text", "") for d in deltas), usage["output_tokens"], names
    if wire == "responses":
        kinds = ("response.output_text.delta", "response.output_item.done")
        text = "".join(event["delta"] for event in said if event["type"] == kinds[0])
        items = [event["item"] for event in said if event["type"] == kinds[1]]
        names = [item["name"] for item in items if item["type"] == "function_call"]
        return text, said[-1]["response"]["usage"]["output_tokens"], names
    if wire == "chat":
        deltas = [choice["delta"] for event in said for choice in event["choices"]]
        calls = [call["function"] for delta in deltas for call in delta.get("tool_calls", [])]
        names = [call["name"] for call in calls if "name" in call]
        text = "".join(delta.get("content", "") for delta in deltas)
        return text, said[-1]["usage"]["completion_tokens"], names
    if wire == "gemini":
        parts = [p for event in said for p in event["candidates"][0]["content"]["parts"]]
        names = [part["functionCall"]["name"] for part in parts if "functionCall" in part]
        usage = said[-1]["usageMetadata"]
        count = usage["candidatesTokenCount"] + usage["thoughtsTokenCount"]
        return "".join(p.get("text", "") for p in parts if not p.get("thought")), count, names
    messages = [event["message"] for event in said]
    names = [c["function"]["name"] for m in messages for c in m.get("tool_calls", [])]
    return "".join(message["content"] for message in messages), said[-1]["eval_count"], names


def last(provider: Provider) -> Answered:
    return provider.calls()[-1].answers[-1]


@pytest.mark.parametrize("wire", WIRES)
def test_stream_says_what_the_record_says(client, provider, wire) -> None:
    path, body = request(wire, "hi", stream=True)
    response = client.post(path, json=body)
    text, tokens, names = told(wire, events(response.text))
    assert (text, tokens, names) == (GREETING, last(provider).usage.output, [])
    assert last(provider).wire == wire
    assert len(provider.calls()[-1].reply_chunks) >= 4
    assert provider.calls()[-1].reply_body == response.content


@pytest.mark.parametrize("wire", WIRES)
def test_tool_call_is_offered_by_the_request(client, provider, wire) -> None:
    path, body = request(wire, "SCENARIO:tool please", stream=True, tools=True)
    _, tokens, names = told(wire, events(client.post(path, json=body).text))
    assert names == [name for _, name in last(provider).tool_calls]
    assert names in (["Bash"], ["run_shell_command"])
    assert tokens == last(provider).usage.output


@pytest.mark.parametrize("wire", WIRES)
def test_plain_json_holds_the_text(client, wire) -> None:
    path, body = request(wire, "hi", stream=False)
    response = client.post(path, json=body)
    assert response.headers["content-type"].startswith("application/json")
    assert GREETING[-8:] in json.dumps(response.json())


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("scenario", ["error429", "error529", "reset", "cut"])
def test_accidents_happen_once(client, provider, wire, scenario) -> None:
    path, body = request(wire, f"SCENARIO:{scenario} x", stream=True)
    if scenario.startswith("error"):
        first = client.post(path, json=body)
        assert str(first.status_code) == scenario.removeprefix("error")
        assert first.headers["retry-after"] == "1"
        assert "error" in first.json()
    else:
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            client.post(path, json=body)
        assert provider.calls()[-1].outcome == scenario
    assert provider.calls()[-1].scenario == scenario
    text, _, _ = told(wire, events(client.post(path, json=body).text))
    assert text.endswith(GREETING)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("wire", WIRES)
def test_coded_stream(client, wire, coding) -> None:
    path, body = request(wire, f"SCENARIO:coded:{coding}", stream=True)
    response = client.post(path, json=body)
    assert response.headers["content-encoding"] == coding
    assert told(wire, events(response.text))[0] == GREETING


def test_coding_that_the_client_does_not_accept_is_not_used(client) -> None:
    path, body = request("chat", "SCENARIO:coded:br", stream=True)
    response = client.post(path, json=body, headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in response.headers
    assert told("chat", events(response.text))[0] == GREETING


def test_usage_and_ids_differ_from_answer_to_answer(client, provider) -> None:
    path, body = request("anthropic", "hi", stream=True)
    before = len(provider.calls())
    for _ in range(3):
        client.post(path, json=body)
    answers = [call.answers[0] for call in provider.calls()[before:]]
    assert len({answer.id for answer in answers}) == 3
    assert len({answer.usage.output for answer in answers}) == 3
    assert len({answer.usage.input for answer in answers}) == 3


def test_slow_stream_pauses_between_events(client, provider) -> None:
    path, body = request("anthropic", "SCENARIO:slow:20", stream=True)
    client.post(path, json=body)
    times = [chunk.at_ns for chunk in provider.calls()[-1].reply_chunks]
    assert all(b - a >= 19_000_000 for a, b in pairwise(times))


def test_turns_count_the_rounds_since_the_prompt(client, provider) -> None:
    path, body = request("anthropic", "SCENARIO:turns:2", stream=False, tools=True)
    for _ in range(3):
        answer = client.post(path, json=body).json()
        calls = [block for block in answer["content"] if block["type"] == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": c["id"], "content": "ok"} for c in calls]
        body["messages"].append({"role": "assistant", "content": answer["content"]})
        body["messages"].append({"role": "user", "content": results})
    assert [len(call.answers[0].tool_calls) for call in provider.calls()[-3:]] == [1, 1, 0]


def test_prompt_is_found_behind_what_agents_put_before_it(client, provider) -> None:
    path, body = request("anthropic", "", stream=False)
    reminder = "<system-reminder>\nSCENARIO:error400 is not asked for\n</system-reminder>"
    texts = [reminder, "SCENARIO:sub do it", "<system-reminder>more</system-reminder>"]
    content = [{"type": "text", "text": text} for text in texts]
    body["messages"] = [{"role": "user", "content": content}]
    assert client.post(path, json=body).json()["content"][0]["text"] == SUBAGENT_GREETING
    assert provider.calls()[-1].scenario == "sub"


def test_answer_follows_a_schema_that_is_asked_for(client, provider) -> None:
    path, body = request("gemini", "SCENARIO:error429", stream=False)
    schema = {"type": "OBJECT", "properties": {"complexity_score": {"type": "INTEGER"}}}
    body["generationConfig"] = {"responseJsonSchema": schema}
    parts = client.post(path, json=body).json()["candidates"][0]["content"]["parts"]
    assert json.loads("".join(part["text"] for part in parts)) == {"complexity_score": 50}
    assert provider.calls()[-1].scenario == "aside"


def test_script_of_a_test_comes_first(client, provider) -> None:
    def script(ask: Ask) -> Plan | None:
        return Plan(parts=[Text(text="mine")]) if ask.prompt == "special" else None

    provider.scripts.script = script
    try:
        for prompt, expected in (("special", "mine"), ("else", GREETING)):
            path, body = request("chat", prompt, stream=False)
            message = client.post(path, json=body).json()["choices"][0]["message"]
            assert message["content"] == expected
    finally:
        provider.scripts.script = None


def test_gemini_streams_a_json_array_without_alt_sse(client) -> None:
    path, body = request("gemini", "hi", stream=True)
    chunks = client.post(path.removesuffix("?alt=sse"), json=body).json()
    assert told("gemini", chunks)[0] == GREETING


def test_ollama_generate(client) -> None:
    response = client.post("/api/generate", json={"model": "m", "prompt": "hi"})
    assert "".join(line["response"] for line in events(response.text)) == GREETING


def test_socket_remembers_what_came_before(provider) -> None:
    async def test() -> None:
        async with connect(provider.websocket_url + "/v1/responses") as socket:

            async def ask(**fields: object) -> list[dict]:
                call = {"type": "response.create", "model": "m", "stream": True, **fields}
                await socket.send(json.dumps(call))
                said = [json.loads(await socket.recv())]
                while said[-1]["type"] != "response.completed":
                    said.append(json.loads(await socket.recv()))
                return said

            function = {"type": "function", "name": "exec_command"}
            tools = [function | {"parameters": {"properties": {"cmd": {}}}}]
            warm = await ask(input=[], generate=False)
            assert [event["type"] for event in warm] == ["response.created", "response.completed"]
            prompt = {"role": "user", "content": "SCENARIO:tool go"}
            before = warm[-1]["response"]["id"]
            called = await ask(input=[prompt], tools=tools, previous_response_id=before)
            assert told("responses", called)[2] == ["exec_command"]
            before = called[-1]["response"]["id"]
            output = {"type": "function_call_output", "call_id": "c", "output": "ok"}
            done = await ask(input=[output], tools=tools, previous_response_id=before)
            assert told("responses", done)[0].endswith(GREETING)

    asyncio.run(test())
    call = provider.calls()[-1]
    assert len(call.answers) == 2
    assert sum(message.from_client for message in call.messages) == 3


@pytest.mark.parametrize("scenario", ["reset", "cut"])
def test_socket_breaks_in_the_middle(provider, scenario) -> None:
    async def test() -> None:
        async with connect(provider.websocket_url + "/v1/responses") as socket:
            prompt = {"role": "user", "content": f"SCENARIO:{scenario} on a socket"}
            await socket.send(json.dumps({"type": "response.create", "input": [prompt]}))
            with pytest.raises(ConnectionClosedError):
                [await socket.recv() for _ in range(1000)]

    asyncio.run(test())
    assert provider.calls()[-1].outcome == scenario


def test_known_side_calls_are_answered(client, provider) -> None:
    copilot = {"host": "api.githubcopilot.com"}
    assert client.get("/models", headers=copilot).json()["data"][0]["vendor"] == "Anthropic"
    assert client.get("/copilot_internal/user").json()["chat_enabled"]
    assert client.post("/api/event_logging/v2/batch", json={}).json() == {}
    assert client.head("/api/hello").status_code == 200
    assert client.get("/api/claude_code/settings").status_code == 404
    assert [call.kind for call in provider.requests[-5:]] == ["side"] * 5
    assert client.get("/nobody/knows").status_code == 404
    assert provider.requests[-1].kind == "unknown"
