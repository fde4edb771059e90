"""One HTTP/1.1 connection of the provider: h11 reads requests, answers are written by hand."""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator

import h11

from .records import Chunk, Exchange, Headers, now_ns

_READ_BYTES = 65536


class ClientLeft(Exception):
    """The client closed or reset the connection before its request or our answer was whole."""


class Connection:
    """
    The socket with both directions.

    A fresh h11 parser reads each request, so that an answer may break every rule of HTTP
    without h11 having a say in it.
    """

    def __init__(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = number
        self._reader = reader
        self._writer = writer
        # drain() then waits until the kernel has every byte: one chunk, one flush.
        # (asyncio's TLS transport pauses at `>=` and would never wake from a limit of 0.)
        tls = writer.get_extra_info("ssl_object") is not None
        writer.transport.set_write_buffer_limits(high=1 if tls else 0, low=0)
        self._unread = b""
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)

    async def head(self) -> Exchange | None:
        """The next request's head, unnumbered; None if the client closed before it."""
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        if self._unread:
            self._h11.receive_data(self._unread)
            self._unread = b""
        event = await self._event()
        if not isinstance(event, h11.Request):
            return None
        return Exchange(
            number=0,
            connection=self.number,
            method=event.method.decode(),
            target=event.target.decode("latin-1"),
            headers=_text(event.headers.raw_items()),
            started_ns=now_ns(),
            started_at_ns=time.time_ns(),
        )

    async def body(self, exchange: Exchange) -> AsyncIterator[bytes]:
        """The request's body as it arrives, recorded on the way."""
        if exchange.body_ended_ns is not None:
            return
        if (exchange.header("expect") or "").lower() == "100-continue":
            await self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            exchange.interim.append(100)
        while True:
            event = await self._event()
            if isinstance(event, h11.Data):
                data = bytes(event.data)
                exchange.body_chunks.append(Chunk(at_ns=now_ns(), data=data))
                yield data
            elif isinstance(event, h11.EndOfMessage):
                exchange.body_ended_ns = now_ns()
                return

    async def _event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED] | None:
        while True:
            event = self._h11.next_event()
            if event is not h11.NEED_DATA:
                return event
            data = await self.read()
            if not data and self._h11.their_state is not h11.IDLE:
                raise ClientLeft("the client left in the middle of its request")
            self._h11.receive_data(data)

    async def read(self) -> bytes:
        """Some bytes from the socket; empty at the end of the client's side."""
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        try:
            return await self._reader.read(_READ_BYTES)
        except (ConnectionError, TimeoutError) as error:
            raise ClientLeft(str(error)) from error

    def take_over(self) -> bytes:
        """What was read beyond the request: of the next request, or of another protocol."""
        data = bytes(self._h11.trailing_data[0]) + self._unread
        self._unread = b""
        return data

    def keep_for_next(self) -> None:
        self._unread = self.take_over()

    async def write(self, data: bytes) -> None:
        """Bytes to the socket, returned from when the kernel has them."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except (ConnectionError, RuntimeError) as error:
            raise ClientLeft(str(error)) from error

    async def wait_gone(self) -> None:
        """Return when the client has closed its side (what it sends until then is kept)."""
        while True:
            try:
                data = await self._reader.read(_READ_BYTES)
            except (ConnectionError, TimeoutError):
                return
            if not data:
                return
            self._unread += data

    def reset(self) -> None:
        """An RST instead of a FIN: linger 0, then close with whatever is unsent thrown away."""
        sock = self._writer.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def abort(self) -> None:
        """Drop the connection from outside its task."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """A FIN after the last byte."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except (ConnectionError, TimeoutError, OSError):
            return  # a peer that went first is as closed as we want it


def _text(items: list[tuple[bytes, bytes]]) -> Headers:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in items]
