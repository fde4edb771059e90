"""
What passes undecrypted, or is no HTTP: a layer that relays bytes and only counts them.

Imports mitmproxy, as a neighbour of recorder.py.
"""

import time
from collections.abc import Callable
from typing import Any

from mitmproxy import connection
from mitmproxy.addons.next_layer import NextLayer, stack_match
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import events, layer, layers
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.layers.http import HttpLayer, HttpStream

from addons.visits import Counts, Visitor

_REFUSED_BODY = "16m"  # as mitmproxy writes sizes


def count(counts: Counts, data: bytes, *, from_client: bool) -> None:
    counts.last_ns = time.monotonic_ns()
    if from_client:
        counts.from_client += len(data)
    else:
        counts.to_client += len(data)


def counting(counts: Counts, *, from_client: bool) -> Callable[[bytes], bytes]:
    """Stands in for the tee where plain HTTP is out of scope."""

    def stream(data: bytes) -> bytes:
        count(counts, data, from_client=from_client)
        return data

    return stream


class CountingLayer(layers.TCPLayer):
    """
    Relays without a hook per chunk, and one direction's end as just that.

    Below a CONNECT mitmproxy turns a half-close into a close (proxy/layers/http/__init__.py,
    `HttpStream.passthrough`), which would cut off the answer to whoever ends his upload so.
    """

    def __init__(
        self, context: Context, counts: Counts, half_close: Callable[[connection.Connection], None]
    ) -> None:
        super().__init__(context, ignore=True)
        self._counts = counts
        self._half_close = half_close

    def relay_messages(self, event: events.Event) -> layer.CommandGenerator[None]:
        client, server = self.context.client, self.context.server
        if isinstance(event, events.DataReceived):
            count(self._counts, event.data, from_client=event.connection == client)
        elif isinstance(event, events.ConnectionClosed):
            readable = connection.ConnectionState.CAN_READ
            if (client.state | server.state) & readable:
                self._half_close(server if event.connection == client else client)
                return
        yield from super().relay_messages(event)


class Layers(NextLayer):
    """mitmproxy's choice of the next layer, after ours."""

    name = "nextlayer"  # the proxy server asks for an addon of this name

    def __init__(
        self,
        visitor: Callable[[connection.Client], Visitor | None],
        pass_through: Callable[[Visitor, str], None],
        handlers: Callable[[], Any],
        *,
        http2: bool,
    ) -> None:
        self._visitor = visitor
        self._handlers = handlers
        self._pass_through = pass_through  # opens a tunnel entry with a mark
        self._http2 = http2

    def _next_layer(
        self, context: Context, data_client: bytes, data_server: bytes
    ) -> layer.Layer | None:
        visitor = self._visitor(context.client)
        if visitor is None or visitor.connect is None:
            return super()._next_layer(context, data_client, data_server)
        if visitor.tunnel is not None:
            return self._counted(context, visitor)
        if not self._http2 and self._offers_only_http2(context, data_client):
            self._pass_through(visitor, "only_http2")
            return self._counted(context, visitor)
        chosen = super()._next_layer(context, data_client, data_server)
        if type(chosen) is layers.TCPLayer:
            context.layers.remove(chosen)  # a layer enters the stack as it is made
            self._pass_through(visitor, "not_http")
            return self._counted(context, visitor)
        return chosen

    def _counted(self, context: Context, visitor: Visitor) -> CountingLayer:
        handler = self._handlers().get(context.client.id)

        def half_close(of: connection.Connection) -> None:
            if handler is not None and of in handler.transports:
                handler.close_connection(of, half_close=True)

        live = visitor.tunnel
        counts = live.counts if live and live.counts else Counts()
        return CountingLayer(context, counts, half_close)

    def _offers_only_http2(self, context: Context, data_client: bytes) -> bool:
        """Whether the hello after a CONNECT leaves no way to speak HTTP/1.1."""
        if not stack_match(context, [modes.HttpProxy, HttpLayer, HttpStream]):
            return False
        if not starts_like_tls_record(data_client):
            return False
        hello = self._get_client_hello(context, data_client)
        return hello is not None and hello.alpn_protocols == [b"h2"]


class Changed:
    """mitmproxy's options with some of them changed, for one stream."""

    def __init__(self, options: Any, **changes: object) -> None:
        self._options = options
        self.__dict__.update(changes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._options, name)

    def __contains__(self, name: str) -> bool:
        return name in self._options


def connect_at_once(handler: Any, flow: Any) -> None:
    """
    Have the CONNECT of `flow` answered by what its host answers: a dead one with 502.

    Lazily, a dead host would seem alive, and one that speaks first would never be heard.
    """
    _change(handler, flow, connection_strategy="eager")


def bound_body(handler: Any, flow: Any) -> None:
    """
    Answer `flow` with 413 when its body grows too long.

    mitmproxy gathers the body of a request that it answers itself, and any page in a browser can
    send it one without an end.
    """
    _change(handler, flow, body_size_limit=_REFUSED_BODY)


def _change(handler: Any, flow: Any, **changes: object) -> None:
    for each in handler.layer.context.layers:
        if isinstance(each, HttpLayer):
            for stream in each.streams.values():
                if getattr(stream, "flow", None) is flow:
                    options: Any = Changed(stream.context.options, **changes)
                    stream.context.options = options
