"""
Cuts mitmproxy flow files into cases of the corpus.

    python -m tests.corpus.build FLOW_FILE...       adds what the corpus does not have yet
    python -m tests.corpus.build --expect [CASE...] writes expected.json anew from the decoders

A flow becomes a case when its agent has none of its name yet; the name says what the flow shows
(`_name`). Bodies go through `filling`, credentials are replaced, content codings are undone, except
in cases that are about them: those are coded again, so that the filled text has them.
What the decoders say is no proof: look at each new expected.json beside the raw bytes.
"""

import gzip
import itertools
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import brotli
import msgspec
import zstandard
from mitmproxy import http
from mitmproxy.io import FlowReader

from addons.framing import codings
from addons.wire import DECODERS
from tests.corpus import cases
from tests.corpus.cases import Case, Facts, Headers, Message, Origin
from tests.corpus.filling import json_filled, sse_filled

_CLIENTS = {
    "claude-cli": "claude-code",
    "codex_exec": "codex",
    "GeminiCLI": "gemini-cli",
    "QwenCode": "qwen-code",
    "opencode": "opencode",
    "copilot": "copilot-cli",
}
_SECRET = re.compile(r"(?i)^(.*authorization|.*api-key|(set-)?cookie|x-goog-api-key)$")
_SUBAGENT_HEADERS = (
    "x-claude-code-agent-id",
    "x-openai-subagent",
    "x-parent-session-id",
    "x-parent-agent-id",
)
_MAX_CODED_CHUNKS = 8
# The corpus is to stay small: failures are shown once for each wire format, not by each agent that
# speaks it, and what another case shows as well is left out.
_SPARED = re.compile(
    r"(copilot-cli|opencode)/.*(error-\d+|retry|cut|zstd)|codex/sse-(text|error-400)"
    r"|(gemini-cli|qwen-code)/error-400|(qwen-code|claude-code)/text"
    r"|(claude-code|copilot-cli|opencode|qwen-code)/.*tool-call-after-tools"
    r"|gemini-cli/subagent-tool-call-after-tools|(copilot-cli/messages|opencode/)-?text-after-tools"
)


def build(files: list[Path]) -> Iterator[str]:
    """The names of new cases."""
    failed: set[bytes] = set()
    side: set[tuple[str, str, str]] = set()
    for file in files:
        with file.open("rb") as stream:
            flows = [flow for flow in FlowReader(stream).stream() if _is_http(flow)]
        # A file has its flows in the order in which they ended.
        for flow in sorted(flows, key=lambda flow: flow.request.timestamp_start):
            case = case_of(flow)
            client = case.facts.origin.client
            if not any(decoder.matches(case.head) for decoder in DECODERS):
                side.add((client or "other", flow.request.method, _url(flow).partition("?")[0]))
                continue
            name = _name(case, flow, failed)
            if client and not _is_spared(name) and not (cases.FOLDER / name).exists():
                cases.save(_filled(msgspec.structs.replace(case, name=name)))
                yield name
    _keep_side_calls(side)


def _is_spared(name: str) -> bool:
    return _SPARED.fullmatch(name) is not None


def _is_http(flow: object) -> bool:
    return isinstance(flow, http.HTTPFlow)


def _client(flow: http.HTTPFlow) -> tuple[str | None, str]:
    agent = flow.request.headers.get("user-agent", "")
    name, _, rest = agent.partition("/")
    version = re.match(r"[\d.]+", rest)
    return _CLIENTS.get(name.removesuffix("-tui")), version[0] if version else ""


def _url(flow: http.HTTPFlow) -> str:
    return re.sub(r"([?&]key=)[^&]+", r"\1invented", flow.request.pretty_url)


# --- what crossed --------------------------------------------------------------------------------


def case_of(flow: http.HTTPFlow) -> Case:
    """The flow as it is, without a name."""
    request, response = flow.request, flow.response
    client, version = _client(flow)
    facts = Facts(
        kind="websocket" if flow.websocket else "http",
        outcome="complete" if flow.error is None else "upstream_error",
        origin=Origin(
            client=client or "",
            version=version,
            recorded=time.strftime("%Y-%m-%d", time.gmtime(request.timestamp_start)),
        ),
        method=request.method,
        url=_url(flow),
        request_headers=_headers(request),
        status=response.status_code if response else None,
        response_headers=_headers(response) if response else [],
    )
    if flow.websocket:
        return Case(name="", facts=facts, messages=list(_messages(flow)))
    body = (response.raw_content or b"") if response else b""
    return Case(
        name="",
        facts=facts,
        request=request.raw_content or b"",
        response=body,
        chunks=_chunks(flow, len(body)),
    )


def _headers(message: http.Message) -> Headers:
    pairs = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in message.headers.fields
    ]
    return [(name, "invented" if _SECRET.match(name) else value) for name, value in pairs]


def _chunks(flow: http.HTTPFlow, size: int) -> list[tuple[int, int]]:
    """When the answer's chunks came after the request began."""
    times = flow.metadata.get("chunk_times") or []
    start = flow.request.timestamp_start
    chunks = [(round((at - start) * 1e9), length) for at, length in times if length]
    return chunks if sum(length for _, length in chunks) == size else [(0, size)] if size else []


def _messages(flow: http.HTTPFlow) -> Iterator[Message]:
    assert flow.websocket
    for message in flow.websocket.messages:
        yield Message(
            side="request" if message.from_client else "response",
            offset_ns=round((message.timestamp - flow.request.timestamp_start) * 1e9),
            text=message.content.decode(),
        )


# --- what it is called ---------------------------------------------------------------------------


def _name(case: Case, flow: http.HTTPFlow, failed: set[bytes]) -> str:
    """
    `<agent>/<whose>-<what>-<how>`; `failed` are requests that were not answered, for their retries.
    """
    words = [*_whose(case), *_what(case, flow), *_how(case)]
    key = case.request
    if case.facts.kind == "http":
        if key in failed:
            words.append("retry")
        if (case.facts.status or 500) >= 400 or case.facts.outcome != "complete":
            failed.add(key)
    return f"{case.facts.origin.client}/{'-'.join(words)}"


def _whose(case: Case) -> Iterator[str]:
    headers = {name.lower(): value for name, value in case.facts.request_headers}
    body = _decoded(case, "request")
    if case.facts.kind == "websocket":
        yield "socket"
    elif case.facts.origin.client == "codex":
        yield "sse"
    if "messages" in case.head.path and case.facts.origin.client == "copilot-cli":
        yield "messages"
    qwen = re.search(rb'"prompt_cache_key":\s*"qwen-code:[^":]+:', body)
    if any(name in headers for name in _SUBAGENT_HEADERS) or qwen or b'"complete_task"' in body:
        yield "subagent"
    elif headers.get("x-claude-code-request-class") in ("auxiliary", "compaction"):
        yield headers["x-claude-code-request-class"]
    elif b"Task Routing AI" in body[:20000] or b"title generator" in body:
        yield "side"
    elif b"memory extraction subagent" in body:
        yield "memory"


def _what(case: Case, flow: http.HTTPFlow) -> Iterator[str]:
    if case.facts.kind == "websocket":
        label = str(flow.metadata.get("label", ""))
        scripted = re.search(r"SCENARIO:(\w+)", label)
        yield scripted[1] if scripted else label.removeprefix("codex-") or "session"
        return
    if case.facts.outcome != "complete":
        yield "cut"
        return
    if (case.facts.status or 0) >= 400:
        yield f"error-{case.facts.status}"
        return
    answer = _decoded(case, "response")
    calls = len(_CALLS.findall(answer))
    if calls > 1:
        yield "parallel"
        return
    yield "tool-call" if calls else "text"
    if _RESULTS.search(_decoded(case, "request")):
        yield "after-tools"


# One for each call, in the wire formats that the agents speak.
_CALLS = re.compile(
    rb'"type":\s*"tool_use",|"functionCall":'
    rb'|"type":\s*"response\.(?:function_call_arguments|custom_tool_call_input)\.done"'
    rb'|"function":\s*\{"name":\s*"[^"]+",\s*"arguments":'
)
_RESULTS = re.compile(rb'"tool_result"|"functionResponse"|"role":\s*"tool"|_call_output"')


def _how(case: Case) -> Iterator[str]:
    for side in ("request", "response"):
        if coding := _coding(case, side):
            yield coding


# --- what is kept of it --------------------------------------------------------------------------


def _coding(case: Case, side: str) -> str | None:
    headers = case.facts.request_headers if side == "request" else case.facts.response_headers
    return next((value for name, value in headers if name.lower() == "content-encoding"), None)


def _decoded(case: Case, side: str) -> bytes:
    body = case.request if side == "request" else case.response
    decoder = codings.Decoder((_coding(case, side) or "").encode())
    return decoder.feed(body)


def _filled(case: Case) -> Case:
    if case.facts.kind == "websocket":
        messages = [
            msgspec.structs.replace(
                each,
                text=json_filled(each.text.encode(), is_answer=each.side == "response").decode(),
            )
            for each in case.messages
        ]
        return msgspec.structs.replace(case, messages=messages)
    request, response = _body_filled(case, "request"), _body_filled(case, "response")
    return msgspec.structs.replace(
        case, request=request, response=response, chunks=_rechunked(case, len(response))
    )


def _body_filled(case: Case, side: str) -> bytes:
    """Coded again where it was coded."""
    plain = _decoded(case, side)
    is_json = plain[:1] in (b"{", b"[")
    filled = json_filled(plain, is_answer=side == "response") if is_json else sse_filled(plain)
    assert len(filled) == len(plain)
    return _CODERS[_coding(case, side)](filled)


_CODERS = {
    None: bytes,
    "gzip": lambda plain: gzip.compress(plain, mtime=0),
    "br": lambda plain: brotli.compress(plain, quality=5),
    "zstd": lambda plain: zstandard.ZstdCompressor(level=3).compress(plain),
}


def _rechunked(case: Case, size: int) -> list[tuple[int, int]]:
    """Coded again, an answer has other places to be cut at: it is cut evenly."""
    if not _coding(case, "response") or not case.chunks:
        return case.chunks
    count = min(_MAX_CODED_CHUNKS, len(case.chunks), size)
    ends = [size * number // count for number in range(count + 1)]
    sizes = [end - begin for begin, end in itertools.pairwise(ends)]
    offsets = [offset_ns for offset_ns, _ in case.chunks]
    return list(zip(offsets, sizes, strict=False))


def _keep_side_calls(found: set[tuple[str, str, str]]) -> None:
    known = msgspec.json.decode(cases.SIDE_CALLS.read_bytes()) if cases.SIDE_CALLS.exists() else []
    rows = sorted({*map(tuple, known), *found})
    cases.SIDE_CALLS.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=1) + b"\n")


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] == ["--expect"]:
        chosen = arguments[1:] or cases.names()
    else:
        chosen = list(build([Path(argument) for argument in arguments]))
    for name in chosen:
        cases.save_expected(cases.load(name))
        print(name)


if __name__ == "__main__":
    main()
