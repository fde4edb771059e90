"""
Small repairs of mitmproxy 12.2, applied once at start.

- Trailers after a chunked body crash the connection ("HTTP trailers are not implemented yet",
  proxy/layers/http/_http1.py, `Http1Connection.read_body`): both sides hang. Here the body ends
  as it should and the trailers are dropped, as an HTTP/1.1 intermediary may (RFC 9110, 6.5.1).
- After an informational answer (103 Early Hints, RFC 8297; also 102) the reader takes the final
  answer for the next one's and the client waits for ever (`Http1Client.read_headers`). Here
  informational answers are dropped, as a proxy may with those a client did not ask for.
- The form of a request's target is forgotten before the first hook. Here it is kept, because what
  was sent to the proxy's own port must not be taken for a proxy request.
- A connection that is to be closed while its handler waits for the lock of `server_event` is left
  open (proxy/server.py, `handle_connection` takes a cancellation in two other places only): the
  peer waits for an end that never comes. Here it is closed.

Each repair is behind a test that fails without it; see tests/addons/test_mending.py.
"""

import asyncio
import re
from collections.abc import Generator
from typing import Any

import h11
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from mitmproxy import http
from mitmproxy.connection import Connection, ConnectionState
from mitmproxy.net.http import http1
from mitmproxy.proxy import events, server
from mitmproxy.proxy.layers.http import _http1

_FORM = "wirescribe_target_form"


def apply() -> None:
    """Repair, once per process."""
    if getattr(_http1, "wirescribe_mended", False):
        return
    _http1.wirescribe_mended = True  # type: ignore[attr-defined]
    _mend_trailers()
    _mend_informational()
    _mend_target_form()
    _mend_closing()


def is_origin_form(request: http.Request) -> bool:
    """Whether the target came without scheme and host, as to a server and not to a proxy."""
    return getattr(request, _FORM, "") == "origin"


def _mend_trailers() -> None:
    original = _http1.make_body_reader

    def make_body_reader(expected_size: int | None) -> _http1.TBodyReader:
        return _ChunkedReader() if expected_size is None else original(expected_size)

    _http1.make_body_reader = make_body_reader


class _ChunkedReader(ChunkedReader):
    """Its end of message names no trailers."""

    def __call__(self, buf: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None:
        event = super().__call__(buf)
        if type(event) is h11.EndOfMessage and event.headers:
            return h11.EndOfMessage()
        return event


def _mend_informational() -> None:
    original = _http1.Http1Client.read_headers

    def read_headers(
        self: _http1.Http1Client, event: events.ConnectionEvent
    ) -> Generator[Any, Any, None]:
        if isinstance(event, events.DataReceived) and self.request:
            while _skip_informational(self.buf):
                pass
        yield from original(self, event)

    _http1.Http1Client.read_headers = read_headers  # type: ignore[method-assign]


_INFORMATIONAL = re.compile(rb"HTTP/1\.[01] 1(?!01)\d\d[ \r].*?\r?\n\r?\n", re.DOTALL)


def _skip_informational(buffer: ReceiveBuffer) -> bool:
    """Take one complete 1xx head, other than 101, off the front."""
    found = _INFORMATIONAL.match(bytes(buffer))
    if found is None:
        return False
    buffer.maybe_extract_at_most(found.end())
    return True


def _mend_target_form() -> None:
    original = http1.read_request_head

    def read_request_head(lines: list[bytes]) -> http.Request:
        request = original(lines)
        if not request.data.authority and request.data.method.upper() != b"CONNECT":
            setattr(request, _FORM, "origin")
        return request

    http1.read_request_head = read_request_head


def _mend_closing() -> None:
    original = server.ConnectionHandler.handle_connection

    async def handle_connection(self: server.ConnectionHandler, connection: Connection) -> None:
        try:
            await original(self, connection)
        except asyncio.CancelledError:
            try:
                if connection in self.transports:
                    connection.state = ConnectionState.CLOSED
                    await self.server_event(events.ConnectionClosed(connection))
            finally:
                left = self.transports.pop(connection, None)
                if left is not None and left.writer is not None:
                    left.writer.close()
            raise

    server.ConnectionHandler.handle_connection = handle_connection  # type: ignore[method-assign]
