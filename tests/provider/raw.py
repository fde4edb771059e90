"""
`/raw/<case>?...`: answers of every shape, for tests of byte fidelity.

| case | parameters | answer |
|---|---|---|
| bytes | size, seed, chunk (65536), framing, coding, type, pause_ms | `seeded(size, seed)` |
| sse | events (10), size (40), seed, coding, pause_ms, crlf=1 | that many server-sent events |
| status | code | that status, without a body |
| headers | count (20) | odd, long, empty and repeated headers |
| hints | | 103 Early Hints, then 200 |
| echo | coding, framing | the request's own body |
| trailers | | a chunked body with trailers |
| half | size, seed, how=cut\\|reset, framing | half of the body, then the end |
| stall | size | a body, then silence until the client leaves |
| websocket | deflate=0 | a WebSocket that echoes; "close", "reset", "ping" as text do so |

framing: chunked, length or close. coding: gzip, deflate, br or zstd. pause_ms: after each chunk.
`seeded(size, seed)` gives the same bytes on both sides, so that a client in another process
can check them.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from . import deliver
from .records import Headers
from .reply import Reply
from .request import Request

type Query = dict[str, str]
type Case = Callable[[Request, Reply, Query], Awaitable[None]]


def seeded(size: int, seed: int | str = 0) -> bytes:
    """Bytes that look random and depend on the seed alone."""
    return random.Random(str(seed)).randbytes(size)


async def answer(request: Request, reply: Reply) -> None:
    """Answer a /raw/ request."""
    name = request.path.removeprefix("/raw/").partition("/")[0]
    query = dict(parse_qsl(request.target.partition("?")[2], keep_blank_values=True))
    case = CASES.get(name)
    if case is None:
        await reply.json({"error": "no such case", "cases": sorted(CASES)}, 404)
        return
    await case(request, reply, query)


async def _bytes(request: Request, reply: Reply, query: Query) -> None:
    await request.read()
    body = seeded(int(query.get("size", "1000")), query.get("seed", "0"))
    await _body(reply, query, _cut(body, int(query.get("chunk", "65536"))))


async def _sse(request: Request, reply: Reply, query: Query) -> None:
    await request.read()
    end = "\r\n" if query.get("crlf") else "\n"
    size, seed = int(query.get("size", "40")), query.get("seed", "0")
    events = [
        f"event: scripted{end}id: {n}{end}data: {seeded(size // 2, f'{seed}-{n}').hex()}{end}{end}"
        for n in range(int(query.get("events", "10")))
    ]
    query = {"type": "text/event-stream", **query}
    await _body(reply, query, [event.encode() for event in events])


async def _status(request: Request, reply: Reply, query: Query) -> None:
    await request.read()
    code = int(query.get("code", "204"))
    bodiless = code in (204, 304)
    await reply.head(code, [] if bodiless else [("content-length", "0")])
    await reply.end()


async def _headers(request: Request, reply: Reply, query: Query) -> None:
    await request.read()
    odd: Headers = [
        ("Set-Cookie", "a=1; Path=/"),
        ("set-cookie", "b=2; Path=/"),
        ("X-Empty", ""),
        ("x-MiXeD-CaSe", "Kept"),
        ("X-Latin", "caf\xe9"),
        ("X-Long", "v" * 6000),
        ("X-Quoted", '"a, b"; c="d;e"'),
        ("X-Inner-Space", "a  b\tc"),
    ]
    many = [(f"x-many-{n}", str(n)) for n in range(int(query.get("count", "20")))]
    await reply.whole(200, [*odd, *many, ("x-repeated", "one"), ("x-repeated", "two")], b"ok")


async def _hints(request: Request, reply: Reply, query: Query) -> None:
    await request.read()
    await reply.interim(103, [("link", "</style.css>; rel=preload")])
    await reply.whole(200, [], b"after the hints")


async def _echo(request: Request, reply: Reply, query: Query) -> None:
    body = await request.read()
    kind = request.header("content-type") or "application/octet-stream"
    await _body(reply, {"type": kind, **query}, _cut(body, 65536))


async def _trailers(request: Request, reply: Reply, query: Query) -> None:
    await request.read()
    await reply.head(200, [("trailer", "x-checksum")])
    await reply.chunk(b"a body with trailers")
    await reply.end([("x-checksum", "scripted")])


async def _half(request: Request, reply: Reply, query: Query) -> None:
    await request.read()
    body = seeded(int(query.get("size", "100000")), query.get("seed", "0"))
    length = [("content-length", str(len(body)))] if query.get("framing") == "length" else []
    await reply.head(200, [("content-type", "application/octet-stream"), *length])
    await reply.chunk(body[: len(body) // 2])
    await (reply.reset() if query.get("how") == "reset" else reply.cut())


async def _stall(request: Request, reply: Reply, query: Query) -> None:
    await request.read()
    await reply.head(200, [("content-type", "application/octet-stream")])
    await reply.chunk(seeded(int(query.get("size", "1000")), query.get("seed", "0")))
    await reply.client_gone()


async def _websocket(request: Request, reply: Reply, query: Query) -> None:
    socket = await reply.websocket(deflate=query.get("deflate") != "0")
    async for message in socket:
        if message == "close":
            await socket.close(1001, "scripted")
            return
        if message == "reset":
            await socket.reset()
            return
        if message == "ping":
            await socket.ping(b"scripted")
        await socket.send(message)


async def _body(reply: Reply, query: Query, parts: list[bytes]) -> None:
    """The parts with the framing and the content coding that the query asks for."""
    coding = query.get("coding") or None
    parts = deliver.encode_each(parts, coding)
    headers: Headers = [("content-type", query.get("type", "application/octet-stream"))]
    if coding:
        headers.append(("content-encoding", coding))
    framing = query.get("framing", "chunked")
    if framing == "length":
        headers.append(("content-length", str(sum(map(len, parts)))))
    elif framing == "close":
        headers.append(("connection", "close"))
    await reply.head(200, headers)
    for part in parts:
        await reply.chunk(part)
        if "pause_ms" in query:
            await asyncio.sleep(float(query["pause_ms"]) / 1000)
    await reply.end()


def _cut(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


CASES: dict[str, Case] = {
    "bytes": _bytes,
    "sse": _sse,
    "status": _status,
    "headers": _headers,
    "hints": _hints,
    "echo": _echo,
    "trailers": _trailers,
    "half": _half,
    "stall": _stall,
    "websocket": _websocket,
}
