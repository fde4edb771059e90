"""
The mitmproxy addon for connections: who is connected, since when, and what only passes through.

Imports mitmproxy, as a neighbour of recorder.py.
"""

import asyncio
import collections
import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from mitmproxy import connection, http, tls
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from addons import admission, tunnel
from addons.admission import Admission, Policy
from addons.entries import Entries
from addons.visits import Connect, Counts, Live, Visitor, shown
from storage.records import EntryOpened, Outcome

UNTRUSTED = (
    "the client did not accept the certificate: it does not trust Wirescribe's authority"
    " (start it with `wirescribe run`, or see `wirescribe env`)"
)


class Failing(Protocol):
    def failed(self, data: Any, error: BaseException) -> None: ...


def total[S: Failing, D, R](hook: Callable[[S, D], R]) -> Callable[[S, D], R | None]:
    """A hook that never raises: a failure becomes a gap."""

    @functools.wraps(hook)
    def guarded(self: S, data: D) -> R | None:
        try:
            return hook(self, data)
        except Exception as error:  # noqa: BLE001 - the traffic must go on
            self.failed(data, error)
            return None

    return guarded


class Connections:
    """
    One per proxy process. `handlers` gives mitmproxy's connection handlers by client id.

    `draining` is set when the proxy shuts down, so that its own cuts are told from the clients'.
    """

    def __init__(
        self,
        entries: Entries,
        admission: Admission,
        policy: Policy,
        handlers: Callable[[], Any],
    ) -> None:
        self.draining = False
        self._entries = entries
        self._admission = admission
        self._policy = policy
        self._handlers = handlers
        self._visitors: dict[str, Visitor] = {}

    def visitor(self, client: connection.Client) -> Visitor | None:
        return self._visitors.get(client.id)

    def current(self, client: connection.Client) -> Live | None:
        """The entry whose head came last."""
        visitor = self.visitor(client)
        return None if visitor is None else visitor.current

    def answer(self, flow: http.HTTPFlow, response: http.Response) -> None:
        """Answer in place of the provider; mitmproxy cannot do that and stream at once."""
        flow.request.stream = False
        flow.response = response
        handler = self._handlers().get(flow.client_conn.id)
        if handler is not None:
            tunnel.bound_body(handler, flow)

    def failed(self, data: Any, error: BaseException) -> None:
        flow_id = getattr(data, "id", "")
        found = (visitor.lives.get(flow_id) for visitor in self._visitors.values())
        self._entries.fault(next(filter(None, found), None), error)

    # --- connections -----------------------------------------------------------------------------

    @total
    def client_connected(self, client: connection.Client) -> None:
        self._visitors[client.id] = Visitor(client.id, shown(client.peername) or "")
        # By default a sixth connection to a provider waits for ever, and each is held as long as
        # the client's own: only HTTP/2 gets there, with as many streams as the client likes.
        handler = self._handlers().get(client.id)
        if handler is not None:
            handler.max_conns = collections.defaultdict(lambda: asyncio.Semaphore(1000))

    @total
    def client_disconnected(self, client: connection.Client) -> None:
        visitor = self._visitors.pop(client.id, None)
        if visitor is None:
            return
        for live in list(visitor.lives.values()):
            # No hook told its end: an answer was complete before its request, or an upgrade.
            self._entries.end(
                live, live.closing("complete" if live.response_done else "client_aborted")
            )
        if visitor.tunnel is not None:
            closing = visitor.tunnel.closing(self._cut_outcome(visitor.tunnel))
            self._entries.end(visitor.tunnel, closing)

    def _cut_outcome(self, live: Live) -> Outcome:
        """A tunnel's ends are not told apart, except for our own."""
        last_ns = max(live.started_ns, live.counts.last_ns if live.counts else 0)
        if self.draining:
            return "proxy_killed"
        silent_ns = time.monotonic_ns() - last_ns
        return "idle_timeout" if silent_ns >= self._policy.timeout_ns else "complete"

    @total
    def server_connect(self, data: ServerConnectionHookData) -> None:
        visitor = self.visitor(data.client)
        if visitor is None:
            return
        if visitor.upstream_name is not None:
            data.server.sni = visitor.upstream_name
        if visitor.current is not None:
            visitor.current.connect_ns = time.monotonic_ns()

    @total
    def server_connected(self, data: ServerConnectionHookData) -> None:
        live = self.current(data.client)
        if live is not None:
            live.connected_ns = time.monotonic_ns()
            live.server = shown(data.server.peername)

    @total
    def tls_established_server(self, data: tls.TlsData) -> None:
        live = self.current(data.context.client)
        if live is not None:
            live.tls_ns = time.monotonic_ns()
            live.tls_version = data.conn.tls_version

    @total
    def tls_failed_server(self, data: tls.TlsData) -> None:
        live = self.current(data.context.client)
        if live is not None:
            live.tls_failed = True

    @total
    def tls_failed_client(self, data: tls.TlsData) -> None:
        visitor = self.visitor(data.context.client)
        if self.draining or visitor is None or visitor.connect is None or visitor.tunnel:
            return
        live = self._open_tunnel(visitor)
        self._entries.end(live, live.closing("tls_failed", f"{UNTRUSTED}: {data.conn.error}"))
        visitor.tunnel = None

    # --- CONNECT ---------------------------------------------------------------------------------

    @total
    def http_connect(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        visitor = self._visitors[flow.client_conn.id]
        self._admission.take_tag(visitor, flow.request)
        host, port = flow.request.host, flow.request.port
        visitor.connect = Connect.now(host, port)
        if not self._admission.may_enter(visitor):
            flow.response = admission.unauthorized()
            visitor.connect = None
            return None
        own = self._admission.own.check(host, port)
        if own is None:
            return self._connect_looked_up(visitor, flow)
        self._connect(visitor, flow, own=own)
        return None

    async def _connect_looked_up(self, visitor: Visitor, flow: http.HTTPFlow) -> None:
        own = await self._admission.own.look_up(flow.request.host, flow.request.port)
        self._connect(visitor, flow, own=own)

    def _connect(self, visitor: Visitor, flow: http.HTTPFlow, *, own: bool) -> None:
        if own:
            live = self._open_tunnel(visitor)
            live.refused = True
            flow.response = admission.refusal()
        elif not self._policy.scope.matches(flow.request.host):
            self._open_tunnel(visitor)
            handler = self._handlers().get(flow.client_conn.id)
            if handler is not None:
                tunnel.connect_at_once(handler, flow)

    @total
    def http_connect_error(self, flow: http.HTTPFlow) -> None:
        visitor = self._visitors[flow.client_conn.id]
        live, visitor.tunnel, visitor.connect = visitor.tunnel, None, None
        if live is None:
            return
        if live.refused:
            self._entries.end(live, live.closing("refused", admission.OWN_PORT))
        else:
            self._entries.end(live, live.closing("upstream_error", flow.server_conn.error))

    def pass_through(self, visitor: Visitor, mark: str) -> None:
        """A connection to a host in scope that cannot be decrypted becomes a tunnel."""
        self._open_tunnel(visitor, mark)

    def _open_tunnel(self, visitor: Visitor, *marks: str) -> Live:
        connect = visitor.connect
        assert connect is not None
        head = EntryOpened(
            kind="tunnel",
            way="proxy",
            started_ns=connect.at_unix_ns,
            session=None,
            client=visitor.address,
            method="CONNECT",
            scheme="",
            host=connect.host,
            port=connect.port,
            marks=marks,
        )
        live = self._entries.begin(visitor, head, connect.at_ns, visitor.tag)
        live.counts = Counts()
        visitor.tunnel = live
        return live
