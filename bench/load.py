"""
The provider and the client of the proxy benchmarks, each in a process of its own.

Small asyncio programs over TLS with keep-alive HTTP/1.1, made to cost as little as they can, for
they share two cores with what is measured. Every answer is checked: a wrong byte fails the run.
"""

import asyncio
import hashlib
import multiprocessing
import ssl
import time
from multiprocessing.connection import Connection
from pathlib import Path

import trustme


class Provider:
    """Answers `POST /echo` with the SHA-256 of what it got, `POST /sse` with timed events."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca = folder / "provider-ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        chain = folder / "provider.pem"
        authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            str(chain)
        )
        parent, child = multiprocessing.get_context("spawn").Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_provide, args=(str(chain), child), daemon=True
        )
        self._process.start()
        self.port: int = parent.recv()

    def stop(self) -> None:
        self._process.terminate()
        self._process.join()


def _provide(chain: str, ready: Connection) -> None:
    asyncio.run(_provide_async(chain, ready))


async def _provide_async(chain: str, ready: Connection) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=context, limit=1 << 20)
    ready.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(_value(head, b"content-length") or 0)
            body = await reader.readexactly(size)
            if head.startswith(b"POST /sse"):
                await _stream(writer, body)
            else:
                digest = hashlib.sha256(body).hexdigest().encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 64\r\n\r\n" + digest)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _stream(writer: asyncio.StreamWriter, order: bytes) -> None:
    """`order` is `count,milliseconds`; each event carries its number, times go to no clock."""
    count, pause_ms = (float(part) for part in order.split(b","))
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    for number in range(int(count)):
        # The provider's clock travels in the event: both run on one machine's monotonic clock.
        event = b"data: %019d %06d\n\n" % (time.monotonic_ns(), number)
        writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        if pause_ms:
            await writer.drain()
            await asyncio.sleep(pause_ms / 1000)
    writer.write(b"0\r\n\r\n")


def _value(head: bytes, name: bytes) -> bytes | None:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    return None


class Client:
    """One keep-alive connection to the provider: direct, or through a proxy by CONNECT."""

    def __init__(self, port: int, trusted: ssl.SSLContext, proxy_port: int | None) -> None:
        self._port, self._trusted, self._proxy_port = port, trusted, proxy_port

    async def open(self) -> "Client":
        if self._proxy_port is None:
            self._reader, self._writer = await asyncio.open_connection(
                "127.0.0.1", self._port, ssl=self._trusted, server_hostname="localhost"
            )
            return self
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._proxy_port)
        target = b"localhost:%d" % self._port
        self._writer.write(b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (target, target))
        answer = await self._reader.readuntil(b"\r\n\r\n")
        if b" 200" not in answer.split(b"\r\n")[0]:
            raise ConnectionError(answer.decode())
        await self._writer.start_tls(self._trusted, server_hostname="localhost")
        return self

    async def echo(self, body: bytes, digest: bytes) -> float:
        """Seconds of one POST; raises ValueError if the provider got other bytes."""
        started = time.perf_counter()
        self._writer.write(_head(b"/echo", len(body)) + body)
        await self._reader.readuntil(b"\r\n\r\n")
        answer = await self._reader.readexactly(64)
        took = time.perf_counter() - started
        if answer != digest:
            raise ValueError("the provider got other bytes than were sent")
        return took

    async def sse(self, count: int, pause_ms: float) -> tuple[float, list[float]]:
        """Seconds to the first event, and each event's delay in seconds from write to read."""
        order = b"%d,%g" % (count, pause_ms)
        started = time.perf_counter()
        self._writer.write(_head(b"/sse", len(order)) + order)
        await self._reader.readuntil(b"\r\n\r\n")
        first: float | None = None
        delays: list[float] = []
        pending = b""
        while True:
            size = int((await self._reader.readuntil(b"\r\n")).strip(), 16)
            chunk = await self._reader.readexactly(size + 2)
            now = time.monotonic_ns()
            if first is None:
                first = time.perf_counter() - started
            if not size:
                break
            # A proxy may join or split chunks: an event is whole at its empty line.
            *whole, pending = (pending + chunk[:-2]).split(b"\n\n")
            for line in whole:
                _, sent, number = line.split(b" ")
                if int(number) != len(delays):
                    raise ValueError("an event is missing or doubled")
                delays.append((now - int(sent)) / 1e9)
        if len(delays) != count:
            raise ValueError(f"{len(delays)} of {count} events arrived")
        return first, delays

    def close(self) -> None:
        self._writer.close()


def _head(path: bytes, size: int) -> bytes:
    return (
        b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\n"
        b"authorization: Bearer sk-ant-api03-bench-key-that-is-none-0123456789\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % size
    )


def trusting(*certificates: Path) -> ssl.SSLContext:
    """A context that trusts these files alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for certificate in certificates:
        context.load_verify_locations(certificate)
    return context
