"""
A scripted model provider on loopback: real sockets, every byte and flush under control.

    async with Provider() as provider:          # port 0: any; provider.url, provider.port
        ...                                     # point a client at provider.url
        call = provider.calls("model")[0]       # what came and what went, see records.Exchange
        call.body, call.reply_body              # exact bytes (no chunk framing, coding kept)
        call.reply_chunks[0].at_ns              # time.monotonic_ns just before the write
        call.messages                           # WebSocket messages, both directions, in order
        call.answers[0].usage                   # what a decoder should find

    with running(Provider()) as provider:       # the same in a thread, where there is no loop
        subprocess.run(...)

https: `Provider(tls=tls.context(trustme.CA(), "api.anthropic.com"))`, or `tls.from_files(...)`.
By hand: `python -m tests.provider [--port 9000] [--host 127.0.0.1] [--slow MS]`.

**What it speaks**, on one port, whatever the Host header says: Anthropic Messages, OpenAI
Responses (POST and WebSocket) and Chat Completions, Gemini, Ollama, and the side calls of six
agent CLIs. Anything else is answered 404 and has kind "unknown" in `provider.requests`.

**What it answers** to a model call is chosen by a keyword in the user's last text,
`SCENARIO:keyword[:argument]` (module scenarios): hello (the default: `GREETING`), thinking,
tool, parallel, turns:N, subagent, tour (all that agents do with tools), slow:MS,
big:CHARACTERS, coded:gzip|br|zstd, error400, and error429, error500, error529, reset, cut,
heavy, which happen to the first call with that very prompt, while the next call with it succeeds
(so put a word of your own into prompts that run at once). A request for a summary gets one.
`ACCIDENT:error529:0` or `ACCIDENT:cut:2` beside a scenario happens once in that round of it.
`provider.scripts.script = function` is asked before them: `(Ask) -> Plan | None`.

**Anything else** is a handler of your own:

    async def handler(request: Request, reply: Reply) -> None:
        body = await request.read()             # or: async for piece in request.stream()
        await reply.head(200, [("content-type", "text/event-stream")])
        await reply.sse("one")                  # = reply.chunk(b"data: one\\n\\n")
        await client_has_it.wait()              # an asyncio.Event of the test: proves liveness
        await reply.chunk(b"data: two\\n\\n")
        await reply.end()                       # or reset(), cut(), client_gone()

    provider.handle("/v1/messages", handler)    # "/x/" with a slash at its end is a prefix

Every method of `Reply` returns when the kernel has the bytes. `head` frames the body: your
`content-length`, or chunked, or until the end with `("connection", "close")`; header names keep
case, order and repetition. Also: `interim(103)`, `whole(status, headers, body)`, `json(value)`,
`raw(bytes)` past all rules, `end(trailers)`. Sockets: `socket = await reply.websocket()`, then
`await socket.receive()`, `async for message in socket`, `send(text_or_bytes, fragments=3)`,
`ping()`, `close(code)`, `reset()`, `cut()`.

`/raw/<case>?...` has ready-made shapes (module raw): seeded bodies of any size, framing and
coding, SSE, odd headers, half bodies, trailers, stalls, an echoing WebSocket. They work from
another process too: `seeded(size, seed)` gives the same bytes there.

Everything runs on one event loop. Reading `requests` from other threads is safe.
"""

from .plan import Ask, Call, Plan, Refusal, Text, Thinking, Tool
from .raw import seeded
from .records import Answered, Chunk, Exchange, Headers, Message, Usage
from .reply import Reply
from .request import Handler, Request
from .scenarios import GREETING, SCENARIOS, SUBAGENT_GREETING, SUMMARY
from .server import Provider, running
from .websocket import SocketClosed, WebSocket
from .wire import ClientLeft

__all__ = [
    "GREETING",
    "SCENARIOS",
    "SUBAGENT_GREETING",
    "SUMMARY",
    "Answered",
    "Ask",
    "Call",
    "Chunk",
    "ClientLeft",
    "Exchange",
    "Handler",
    "Headers",
    "Message",
    "Plan",
    "Provider",
    "Refusal",
    "Reply",
    "Request",
    "SocketClosed",
    "Text",
    "Thinking",
    "Tool",
    "Usage",
    "WebSocket",
    "running",
    "seeded",
]
