"""
Real traffic of every shape, exported as HAR, beside what the provider itself recorded of it.

Provider, proxy and server are real; each reader's view of the HAR becomes a list of `View`, and so
does the provider's record. `differences` compares the two.
"""

import asyncio
import gzip
import json
import ssl
import threading
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import brotli
import httpx
import msgspec
import trustme
import zstandard
from websockets.sync.client import connect

from tests.e2e.stack import Stack
from tests.guarded_tls import guarded
from tests.provider import Exchange, Provider, Reply, Request, running, seeded, tls

HOST = "api.anthropic.com"
URL = f"https://{HOST}"
MS = 1_000_000
TOLERANCE_MS = 1.0
JSON = {"content-type": "application/json"}
OCTETS = {"content-type": "application/octet-stream"}
UTF8 = "grüße, 世界 😀\n"
HTML = b"<!doctype html><title>served</title>"


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A frame as somebody saw it; `at_ms` counts from the start of its entry."""

    from_client: bool
    data: str | bytes
    at_ms: float | None = None


class View(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as somebody saw it. None: this one cannot see it."""

    method: str
    url: str
    status: int
    mime_type: str | None = None
    request: bytes | None = None  # without content coding; b"" if there is none
    response: bytes | None = None
    frames: list[Span] | None = None  # WebSocket messages, or server-sent events
    headers: list[tuple[str, str]] | None = None  # of the answer
    started_ms: float | None = None  # Unix time
    duration_ms: float | None = None
    ttfb_ms: float | None = None  # to the answer's head


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What came out, what should, and the provider's own clock of the paced stream."""

    document: bytes
    expected: list[View]
    paced: Exchange
    paced_index: int
    folder: Path

    def altered(self, change: Callable[[dict[str, Any]], None]) -> bytes:
        """The document with one entry changed in place by `change`, which gets the HAR."""
        har = json.loads(self.document)
        change(har)
        return json.dumps(har).encode()

    def without(self, part: str) -> "Served":
        """The same without one entry."""
        at = self.index(part)
        assert at < self.paced_index
        expected = [view for number, view in enumerate(self.expected) if number != at]
        document = self.altered(lambda har: har["log"]["entries"].pop(at))
        return msgspec.structs.replace(
            self, document=document, expected=expected, paced_index=self.paced_index - 1
        )

    def index(self, part: str) -> int:
        """Which entry has this in its URL."""
        found = [at for at, view in enumerate(self.expected) if part in view.url]
        assert len(found) == 1, f"{part} is in {len(found)} URLs"
        return found[0]


# --- comparing -----------------------------------------------------------------------------------

_EXACT = ("method", "url", "status", "mime_type", "request", "response", "headers")
_TIMES = ("started_ms", "duration_ms", "ttfb_ms")


def differences(expected: list[View], seen: list[View]) -> list[str]:
    """Where the two disagree, in words; what one of them cannot see is not compared."""
    if len(expected) != len(seen):
        return [f"{len(seen)} entries instead of {len(expected)}"]
    found = []
    for wanted, got in zip(expected, seen, strict=True):
        name = f"{wanted.method} {wanted.url}"
        for field in _EXACT:
            one, other = getattr(wanted, field), getattr(got, field)
            if None not in (one, other) and one != other:
                found.append(f"{name}: {field} is {_short(other)} instead of {_short(one)}")
        for field in _TIMES:
            one, other = getattr(wanted, field), getattr(got, field)
            if None not in (one, other) and abs(one - other) > TOLERANCE_MS:
                found.append(f"{name}: {field} is {other} instead of {one}")
        if wanted.frames is not None and got.frames is not None:
            found += [f"{name}: {fault}" for fault in _frame_faults(wanted.frames, got.frames)]
    return found


def _frame_faults(wanted: list[Span], got: list[Span]) -> list[str]:
    if len(wanted) != len(got):
        return [f"{len(got)} frames instead of {len(wanted)}"]
    faults = []
    for number, (one, other) in enumerate(zip(wanted, got, strict=True)):
        if (one.from_client, one.data) != (other.from_client, other.data):
            faults.append(f"frame {number} is {_short(other.data)} instead of {_short(one.data)}")
        if one.at_ms is not None and abs(one.at_ms - (other.at_ms or 0)) > TOLERANCE_MS:
            faults.append(f"frame {number} came at {other.at_ms} instead of {one.at_ms}")
    return faults


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 100 else f"{text[:60]}... ({len(text)})"


# --- serving -------------------------------------------------------------------------------------


def serve(folder: Path) -> Served:
    """Run the traffic through a stack of its own."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    with ExitStack() as stack:
        context = tls.context(authority, HOST, "127.0.0.1", "localhost")
        provider = stack.enter_context(running(Provider(tls=context)))
        pace = _routes(provider)
        wirescribe = stack.enter_context(
            Stack(
                folder,
                upstreams={HOST: f"https://127.0.0.1:{provider.port}"},
                options=(f"--upstream-ca={folder / 'ca.pem'}",),
            )
        )
        session = wirescribe.session("served")
        with wirescribe.agent() as client:
            _exchanges(client, pace)
        _socket(wirescribe)
        _tunnel(wirescribe, provider, folder / "ca.pem")
        wirescribe.settle()
        answer = wirescribe.api.get(f"/api/har/export/{session}").raise_for_status()
        return _served(wirescribe, session, provider, answer.content, folder)


class _Pace:
    """Lets the provider send an event only after the client had the one before."""

    def __init__(self) -> None:
        self._had = threading.Semaphore(0)

    def had_one(self) -> None:
        self._had.release()

    async def wait(self) -> None:
        assert await asyncio.to_thread(self._had.acquire, timeout=60)


def _routes(provider: Provider) -> _Pace:
    pace = _Pace()
    text = [("content-type", "text/plain; charset=utf-8")]

    async def split(request: Request, reply: Reply) -> None:
        await reply.head(200, text)
        for byte in UTF8.encode():
            await reply.chunk(bytes((byte,)))

    async def latin(request: Request, reply: Reply) -> None:
        kind = [("content-type", "text/plain; charset=iso-8859-1")]
        await reply.whole(200, kind, UTF8[:6].encode("latin-1"))

    async def page(request: Request, reply: Reply) -> None:
        await reply.whole(200, [("content-type", "text/html; charset=utf-8")], HTML)

    async def redirect(request: Request, reply: Reply) -> None:
        await reply.whole(302, [("location", "/page?redirected=1")], b"")

    async def bare(request: Request, reply: Reply) -> None:
        await reply.head(204)
        await reply.end()

    async def paced(request: Request, reply: Reply) -> None:
        await reply.head(200, [("content-type", "text/event-stream")])
        for number in range(5):
            await asyncio.sleep(0.02)
            await reply.sse(f'{{"n":{number}}}', event="paced")
            await pace.wait()
        await reply.end()

    for handler in (split, latin, page, redirect, bare, paced):
        provider.handle(f"/{handler.__name__}", handler)
    return pace


def _exchanges(client: httpx.Client, pace: _Pace) -> None:
    def post(target: str, body: bytes, headers: dict[str, str], status: int = 200) -> None:
        assert client.post(URL + target, content=body, headers=headers).status_code == status

    def get(target: str, status: int = 200, **headers: str) -> None:
        assert client.get(URL + target, headers=headers).status_code == status

    get("/page?first=1")
    post("/v1/messages?beta=true", _ask("hello", stream=False), JSON)
    post("/v1/messages?stream=plain", _ask("thinking"), JSON)
    for coding in ("gzip", "br", "zstd"):
        post(f"/v1/messages?stream={coding}", _ask(f"coded:{coding}"), JSON)
        get(f"/raw/bytes?size=20000&seed={coding}&coding={coding}")
        post(f"/raw/echo?coding={coding}", UTF8.encode() * 200, JSON)
    zipped = gzip.compress(UTF8.encode() * 50)
    post("/raw/echo?zipped=1", zipped, {**JSON, "content-encoding": "gzip"})
    post("/raw/echo?binary=1", seeded(70_000, "up"), OCTETS)
    post("/raw/echo?binary=2", seeded(70_000, "down"), OCTETS)
    get("/raw/bytes?size=0")
    get("/bare", 204)
    get("/latin")
    get("/split")
    get("/redirect", 302)
    get("/page?redirected=1")
    get("/raw/headers?count=3", Cookie="theme=dark; lang=en")
    get("/raw/headers?q=a%20b&empty=&flag&q=%E4%B8%96")
    post("/raw/echo?large=1", (UTF8 * 250_000).encode(), JSON)
    get("/nowhere", 404)
    post("/v1/messages?fails=400", _ask("error400"), JSON, 400)
    post("/v1/messages?fails=529", _ask("error529"), JSON, 529)
    with client.stream("GET", f"{URL}/paced") as answer:
        for piece in answer.iter_raw():
            for _ in range(piece.count(b"\n\n")):
                pace.had_one()
    for how in ("reset", "cut"):
        _broken(client, f"/raw/half?size=60000&framing=length&how={how}")
    _left(client, "/raw/stall?size=3000")


def _ask(scenario: str, *, stream: bool = True) -> bytes:
    ask = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 100,
        "stream": stream,
        "messages": [{"role": "user", "content": f"SCENARIO:{scenario} für 世界"}],
    }
    return json.dumps(ask, ensure_ascii=False).encode()


def _broken(client: httpx.Client, target: str) -> None:
    try:
        client.get(URL + target)
    except httpx.HTTPError:
        return
    raise AssertionError("the provider should have broken off")


def _left(client: httpx.Client, target: str) -> None:
    """Read the head and a part, then leave."""
    with client.stream("GET", URL + target) as answer:
        next(answer.iter_raw())


def _socket(wirescribe: Stack) -> None:
    with connect(
        f"wss://{HOST}/raw/websocket?socket=1",
        proxy=wirescribe.proxy_url(),
        ssl=guarded(wirescribe.trust()),
        max_size=None,
    ) as socket:
        for message in (UTF8, b"\x00\xff", "", seeded(100_000, "ws").hex(), seeded(50_000, "ws")):
            socket.send(message)
            assert socket.recv() == message


def _tunnel(wirescribe: Stack, provider: Provider, authority: Path) -> None:
    """The provider under a name that is nobody's model: not decrypted."""
    trusted = ssl.create_default_context(cafile=str(authority))
    proxy = wirescribe.proxy_url()
    with httpx.Client(proxy=proxy, verify=trusted, trust_env=False) as client:
        url = f"https://localhost:{provider.port}/raw/bytes?size=5000"
        assert len(client.get(url).content) == 5000


# --- what the provider knows ---------------------------------------------------------------------


def _served(
    wirescribe: Stack, session: str, provider: Provider, document: bytes, folder: Path
) -> Served:
    entries = wirescribe.entries(session)
    exchanges = list(provider.requests)
    assert len(entries) == len(exchanges)
    views = []
    for entry, exchange in zip(entries, exchanges, strict=True):
        clocks = _clocks(wirescribe, entry)
        views.append(_view(entry, exchange, clocks))
    paced = next(at for at, one in enumerate(exchanges) if one.target == "/paced")
    return Served(
        document=document,
        expected=views,
        paced=exchanges[paced],
        paced_index=paced,
        folder=folder,
    )


class _Clocks(msgspec.Struct, frozen=True, kw_only=True):
    """The stored clocks of an entry."""

    timing: dict[str, Any]
    frames: list[dict[str, Any]]


def _clocks(wirescribe: Stack, entry: dict[str, Any]) -> _Clocks:
    path = f"/api/traffic/{entry['id']}"
    frames: list[dict[str, Any]] = []
    after = -1
    while after is not None:
        page = wirescribe.api.get(f"{path}/frames", params={"after": after, "limit": 1000}).json()
        frames += page["frames"]
        after = page["next"]
    timing = wirescribe.api.get(f"{path}/timing").raise_for_status().json()
    return _Clocks(timing=timing, frames=frames)


def _view(entry: dict[str, Any], exchange: Exchange, clocks: _Clocks) -> View:
    timing = clocks.timing
    head_us = timing["responseHeadUs"]
    common = {
        "started_ms": timing["startedUs"] / 1000,
        "duration_ms": timing["closedUs"] / 1000,
        "ttfb_ms": None if head_us is None else head_us / 1000,
    }
    if entry["kind"] == "tunnel":
        port = exchange.host.rpartition(":")[2]
        url = f"https://localhost:{port}/"
        return View(method="CONNECT", url=url, status=0, request=b"", response=b"", **common)
    scheme = "wss" if exchange.messages else "https"
    return View(
        method=exchange.method,
        url=f"{scheme}://{HOST}{exchange.target}",
        status=exchange.status or 0,
        mime_type=_mime_type(exchange),
        request=_plain(exchange.body, exchange.header("content-encoding")),
        response=_plain(exchange.reply_body, _value(exchange.reply_headers, "content-encoding")),
        frames=_frames(exchange, clocks.frames),
        headers=_shown(exchange.reply_headers),
        **common,
    )


def _shown(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Cookies are cut by default: as many `*`."""
    shown = []
    for name, value in headers:
        if name.lower() == "set-cookie":
            pair, _, rest = value.partition(";")
            key, _, secret = pair.partition("=")
            value = f"{key}={'*' * len(secret)};{rest}"
        shown.append((name, value))
    return shown


def _mime_type(exchange: Exchange) -> str | None:
    """As DevTools show it: that of an event stream has no charset, for it has no choice."""
    value = _value(exchange.reply_headers, "content-type")
    return "text/event-stream" if value and value.startswith("text/event-stream") else value


def _value(headers: list[tuple[str, str]], wanted: str) -> str | None:
    return next((value for name, value in headers if name.lower() == wanted), None)


def _plain(body: bytes, coding: str | None) -> bytes:
    """Undone by the libraries themselves."""
    match coding:
        case "gzip":
            return zlib.decompressobj(31).decompress(body)
        case "br":
            return bytes(brotli.decompress(body))
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return body


def _frames(exchange: Exchange, stored: list[dict[str, Any]]) -> list[Span] | None:
    """Messages, or events, with the stored moment of the frame that ended each."""
    if exchange.messages:
        return [
            Span(from_client=one.from_client, data=one.data, at_ms=frame["offsetUs"] / 1000)
            for one, frame in zip(exchange.messages, stored, strict=True)
        ]
    kind = _value(exchange.reply_headers, "content-type") or ""
    if not kind.startswith("text/event-stream"):
        return None
    coding = _value(exchange.reply_headers, "content-encoding")
    return _events(exchange, coding, stored)


def _events(exchange: Exchange, coding: str | None, stored: list[dict[str, Any]]) -> list[Span]:
    found: list[Span] = []
    body = exchange.reply_body
    for frame in stored:
        text = _plain_so_far(body[: frame["at"] + frame["size"]], coding).decode(errors="ignore")
        blocks = text.split("\n\n")[:-1]
        found += [
            Span(from_client=False, data=_data(block), at_ms=frame["offsetUs"] / 1000)
            for block in blocks[len(found) :]
        ]
    return found


def _data(block: str) -> str:
    lines = [line[5:].removeprefix(" ") for line in block.split("\n") if line.startswith("data:")]
    return "\n".join(lines)


def _plain_so_far(coded: bytes, coding: str | None) -> bytes:
    if coding == "br":
        decoder = brotli.Decompressor()
        return bytes(decoder.process(coded))
    return _plain(coded, coding)
