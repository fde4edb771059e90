"""Events to the client: with pauses, content codings and scripted accidents."""

import asyncio
import zlib
from collections.abc import Callable, Iterable

import brotli
import zstandard

from .plan import Plan
from .records import Headers
from .reply import Reply

type Coder = Callable[[bytes], bytes]


async def stream(reply: Reply, plan: Plan, headers: Headers, events: list[bytes]) -> None:
    """A streamed answer, one flush per event."""
    headers = list(headers)
    code, last = _coder(plan.coding)
    if plan.coding:
        headers.append(("content-encoding", plan.coding))
    await reply.head(200, headers)
    fault_at = len(events) // 2 if plan.fault else None
    for index, event in enumerate(events):
        if index == fault_at:
            await (reply.reset() if plan.fault == "reset" else reply.cut())
            return
        if index and plan.pause_ms:
            await asyncio.sleep(plan.pause_ms / 1000)
        await reply.chunk(code(event))
    await reply.chunk(last())
    await reply.end()


async def whole(reply: Reply, plan: Plan, headers: Headers, body: bytes) -> None:
    """An answer in one piece; an accident happens at half of it."""
    code, last = _coder(plan.coding)
    body = code(body) + last()
    headers = [*headers, *([("content-encoding", plan.coding)] if plan.coding else [])]
    await reply.head(200, [*headers, ("content-length", str(len(body)))])
    if plan.fault:
        await reply.chunk(body[: len(body) // 2])
        await (reply.reset() if plan.fault == "reset" else reply.cut())
        return
    await reply.chunk(body)
    await reply.end()


def encode(data: bytes, coding: str | None) -> bytes:
    """A whole body in a content coding."""
    code, last = _coder(coding)
    return code(data) + last()


def encode_each(pieces: Iterable[bytes], coding: str | None) -> list[bytes]:
    """Pieces in one coded stream, each flushed; the stream's end is the last piece."""
    code, last = _coder(coding)
    return [*(code(piece) for piece in pieces), last()]


def _coder(coding: str | None) -> tuple[Coder, Callable[[], bytes]]:
    if coding == "gzip":
        packer = zlib.compressobj(wbits=31)
        return (lambda d: packer.compress(d) + packer.flush(zlib.Z_SYNC_FLUSH)), packer.flush
    if coding == "deflate":
        flat = zlib.compressobj()
        return (lambda d: flat.compress(d) + flat.flush(zlib.Z_SYNC_FLUSH)), flat.flush
    if coding == "br":
        br = brotli.Compressor(quality=4)
        return (lambda d: br.process(d) + br.flush()), br.finish
    if coding == "zstd":
        zstd = zstandard.ZstdCompressor().compressobj()
        block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        return (lambda d: zstd.compress(d) + zstd.flush(block)), zstd.flush
    if coding not in (None, "identity"):
        raise ValueError(f"unknown content coding {coding!r}")
    return (lambda d: d), (lambda: b"")
