"""
The mitmproxy addon: hooks -> entries. It only looks; what it changes is listed here.

- `Proxy-Authorization` and `Proxy-Connection` never leave the proxy, and are in no record.
- `--upstream` and base-URL mode change where a request goes.
- What is meant for Wirescribe's own ports, or is no proxy request at all, is refused.

Everything else streams in both directions through one tee. A failure in here leaves the traffic
as it is and a gap on record.
"""

import asyncio
import collections
import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from mitmproxy import connection, http, tcp, tls
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from addons import baseurl, endings, mending, tunnel
from addons.assignment import Tag, basic_tag
from addons.entries import Entries
from addons.entrylog import Closing
from addons.ownports import OwnPorts
from addons.scope import Scope
from addons.upstream import Upstream
from addons.visits import Connect, Counts, Live, Visitor, shown
from storage.records import EntryKind, EntryOpened, ResponseHead, Way

UNTRUSTED = (
    "the client did not accept the certificate: it does not trust Wirescribe's authority"
    " (start it with `wirescribe run`, or see `wirescribe env`)"
)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the recorder is told once, at the start."""

    scope: Scope
    upstreams: dict[str, Upstream]  # by host
    common_word: str  # of base-URL mode without a session
    demands_tag: bool  # the proxy listens beyond loopback
    timeout_ns: int  # silence after which mitmproxy cuts a connection


def total[D, R](
    hook: Callable[["Recorder", D], R],
) -> Callable[["Recorder", D], R | None]:
    """A hook that never raises: a failure becomes a gap."""

    @functools.wraps(hook)
    def guarded(self: "Recorder", data: D) -> R | None:
        try:
            return hook(self, data)
        except Exception as error:  # noqa: BLE001 - the traffic must go on
            self.failed(data, error)
            return None

    return guarded


class Recorder:
    """
    One per proxy process. `handlers` are mitmproxy's connection handlers by client id.

    `draining` is set when the proxy shuts down, so that its own cuts are told from the clients'.
    """

    def __init__(
        self, entries: Entries, policy: Policy, own: OwnPorts, handlers: Callable[[], Any]
    ) -> None:
        self.draining = False
        self._entries = entries
        self._policy = policy
        self._own = own
        self._handlers = handlers
        self._visitors: dict[str, Visitor] = {}

    def visitor(self, client: connection.Client) -> Visitor | None:
        return self._visitors.get(client.id)

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
            self._end(live, live.closing("complete" if live.response_done else "client_aborted"))
        if visitor.tunnel is not None:
            outcome = self._cut_outcome(visitor.tunnel)
            self._end(visitor.tunnel, visitor.tunnel.closing(outcome))

    def _cut_outcome(self, live: Live) -> Any:
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
        live = self._current(data.client)
        if live is not None:
            live.connected_ns = time.monotonic_ns()
            live.server = shown(data.server.peername)

    @total
    def tls_established_server(self, data: tls.TlsData) -> None:
        live = self._current(data.context.client)
        if live is not None:
            live.tls_ns = time.monotonic_ns()
            live.tls_version = data.conn.tls_version

    @total
    def tls_failed_server(self, data: tls.TlsData) -> None:
        live = self._current(data.context.client)
        if live is not None:
            live.tls_failed = True

    @total
    def tls_failed_client(self, data: tls.TlsData) -> None:
        visitor = self.visitor(data.context.client)
        if self.draining or visitor is None or visitor.connect is None or visitor.tunnel:
            return
        live = self._open_tunnel(visitor)
        self._end(live, live.closing("tls_failed", f"{UNTRUSTED}: {data.conn.error}"))
        visitor.tunnel = None

    def _current(self, client: connection.Client) -> Live | None:
        visitor = self.visitor(client)
        return None if visitor is None else visitor.current

    # --- CONNECT ---------------------------------------------------------------------------------

    @total
    def http_connect(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        visitor = self._visitors[flow.client_conn.id]
        self._take_tag(visitor, flow.request)
        host, port = flow.request.host, flow.request.port
        visitor.connect = Connect.now(host, port)
        if not self._may_enter(visitor):
            flow.response = _unauthorized()
            visitor.connect = None
            return None
        own = self._own.check(host, port)
        if own is None:
            return self._connect_looked_up(visitor, flow)
        self._connect(visitor, flow, own=own)
        return None

    async def _connect_looked_up(self, visitor: Visitor, flow: http.HTTPFlow) -> None:
        own = await self._own.look_up(flow.request.host, flow.request.port)
        self._connect(visitor, flow, own=own)

    def _connect(self, visitor: Visitor, flow: http.HTTPFlow, *, own: bool) -> None:
        if own:
            live = self._open_tunnel(visitor)
            live.refused = True
            flow.response = _refusal()
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
            self._end(live, live.closing("refused", "one of Wirescribe's own ports"))
        else:
            self._end(live, live.closing("upstream_error", flow.server_conn.error))

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

    # --- requests --------------------------------------------------------------------------------

    @total
    def requestheaders(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        flow.request.stream = True  # whatever fails below, nothing is buffered
        visitor = self._visitors[flow.client_conn.id]
        if visitor.connect is not None or flow.error:
            self._head(visitor, flow, "proxy")
            return None
        self._take_tag(visitor, flow.request)
        if mending.is_origin_form(flow.request):
            self._base_url(visitor, flow)
            return None
        if not self._may_enter(visitor):
            _answer(flow, _unauthorized())
            return None
        own = self._own.check(flow.request.host, flow.request.port)
        if own is None:
            return self._head_looked_up(visitor, flow)
        self._head(visitor, flow, "proxy", own=own)
        return None

    async def _head_looked_up(self, visitor: Visitor, flow: http.HTTPFlow) -> None:
        own = await self._own.look_up(flow.request.host, flow.request.port)
        self._head(visitor, flow, "proxy", own=own)

    def _base_url(self, visitor: Visitor, flow: http.HTTPFlow) -> None:
        """A request to the proxy's own port: base-URL mode, or nothing."""
        request = flow.request
        address = baseurl.parse(request.path)
        allowed = (
            address is not None
            and not flow.client_conn.tls
            and baseurl.from_this_machine(request.host_header, request.headers.get("origin"))
            and self._proves(address.tag)
        )
        if address is None or not allowed:
            _answer(flow, _not_found())
            return
        visitor.tag = address.tag if address.tag.session else None
        request.data.scheme = address.scheme.encode()
        request.data.host, request.data.port = address.host, address.port
        request.path = address.path
        request.headers["Host"] = address.host_header
        self._head(visitor, flow, "base-url", own=bool(self._own.check(address.host, address.port)))

    def _proves(self, tag: Tag) -> bool:
        if not tag.session:
            return tag.word == self._policy.common_word
        return self._entries.rules.proves(tag, self._entries.control)

    def _take_tag(self, visitor: Visitor, request: http.Request) -> None:
        value = request.headers.pop("Proxy-Authorization", None)
        request.headers.pop("Proxy-Connection", None)
        if value is not None:
            visitor.tag = basic_tag(value)

    def _may_enter(self, visitor: Visitor) -> bool:
        if not self._policy.demands_tag:
            return True
        return visitor.tag is not None and self._proves(visitor.tag)

    def _head(self, visitor: Visitor, flow: http.HTTPFlow, way: Way, *, own: bool = False) -> None:
        try:
            live = self._begun(visitor, flow, way, own=own)
            if not own and not flow.error:
                flow.request.stream = self._stream(live, "request")
        except Exception as error:  # noqa: BLE001 - the request must go where it should go
            self.failed(flow, error)
        if own:
            _answer(flow, _refusal())
        else:
            self._send_elsewhere(visitor, flow.request)

    def _begun(self, visitor: Visitor, flow: http.HTTPFlow, way: Way, *, own: bool) -> Live:
        """The entry of a request; outside of the scope one that only counts."""
        request = flow.request
        in_scope = own or self._in_scope(request)
        head = EntryOpened(
            kind=_kind(request) if in_scope else "tunnel",
            way=way,
            started_ns=time.time_ns(),
            session=None,
            client=visitor.address,
            method=request.method,
            scheme=request.scheme,
            host=request.host,
            port=request.port,
            target=request.data.path if in_scope else b"",
            http_version=request.http_version,
            headers=request.headers.fields if in_scope else (),
        )
        live = self._entries.begin(visitor, head, time.monotonic_ns(), visitor.tag)
        live.refused = own
        live.counts = None if in_scope else Counts()
        visitor.lives[flow.id] = live
        return live

    def _in_scope(self, request: http.Request) -> bool:
        if request.scheme == "http":
            return self._policy.scope.matches_plain(request.host, request.data.path)
        return self._policy.scope.matches(request.host)

    def _send_elsewhere(self, visitor: Visitor, request: http.Request) -> None:
        rule = self._policy.upstreams.get(request.host.lower().rstrip("."))
        visitor.upstream_name = None
        if rule is None:
            return
        if not rule.stands_in:
            request.headers["Host"] = rule.host_header
        elif rule.scheme == "https":
            visitor.upstream_name = request.host
        request.data.scheme = rule.scheme.encode()
        request.data.host, request.data.port = rule.to_host, rule.to_port
        request.data.path = rule.prefix.encode() + request.data.path

    def _stream(self, live: Live, side: Any) -> bool | Callable[[bytes], bytes]:
        if live.log is None:
            return True
        if live.counts is not None:
            return tunnel.counting(live.counts, from_client=side == "request")
        return self._entries.tee(live, side)

    # --- answers and ends ------------------------------------------------------------------------

    @total
    def request(self, flow: http.HTTPFlow) -> None:
        live = self._live(flow)
        if live is None:
            return
        live.request_done = True
        if live.counts is None and not live.refused:
            self._entries.body_ended(live, "request")
        if live.response_done:
            self._done(live, flow)

    @total
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        live = self._live(flow)
        if flow.response is None:
            return
        if live is None:
            flow.response.stream = True
            return
        self._answered(live, flow.response)
        if not live.refused:
            flow.response.stream = self._stream(live, "response")

    def _answered(self, live: Live, response: http.Response) -> None:
        if live.counts is None:
            head = ResponseHead(
                status=response.status_code,
                reason=response.data.reason,
                http_version=response.http_version,
                headers=response.headers.fields,
            )
            self._entries.answered(live, head)

    @total
    def response(self, flow: http.HTTPFlow) -> None:
        live = self._live(flow)
        if live is None or flow.websocket is not None:
            return
        live.response_done = True
        if flow.response is not None and flow.response.status_code == 101:
            self._entries.lost(live, "upgrade_not_recorded")
            live.counts = Counts()
            return
        if live.counts is None:
            self._entries.body_ended(live, "response")
        if live.request_done:
            self._done(live, flow)

    def _done(self, live: Live, flow: http.HTTPFlow) -> None:
        if live.refused:
            closing = live.closing("refused", "one of Wirescribe's own ports")
        else:
            self._know_server(live, flow)
            closing = live.closing("complete")
        self._end(live, closing, flow.id)

    @total
    def error(self, flow: http.HTTPFlow) -> None:
        live = self._live(flow)
        if live is None or flow.error is None:
            return
        if flow.response is not None and live.response is None:
            self._answered(live, flow.response)  # refused before `responseheaders`
        self._know_server(live, flow)
        ending = self._ending(live, flow, flow.error.msg)
        self._end(live, live.closing(endings.outcome(ending), flow.error.msg), flow.id)

    @total
    def websocket_message(self, flow: http.HTTPFlow) -> None:
        assert flow.websocket is not None
        message = flow.websocket.messages[-1]
        flow.websocket.messages.clear()  # mitmproxy would keep them as long as the socket lives
        live = self._live(flow)
        if live is not None and live.counts is None:
            self._entries.message(
                live,
                from_client=message.from_client,
                opcode=int(message.type),
                data=message.content,
            )

    @total
    def websocket_end(self, flow: http.HTTPFlow) -> None:
        live = self._live(flow)
        socket = flow.websocket
        if live is None or socket is None:
            return
        self._know_server(live, flow)
        ending = self._ending(live, flow, "", client_left=bool(socket.closed_by_client))
        closing = live.closing(endings.socket_outcome(socket.close_code, ending))
        closing = msgspec.structs.replace(
            closing, close_code=socket.close_code, close_reason=socket.close_reason or None
        )
        self._end(live, closing, flow.id)

    @total
    def tcp_message(self, flow: tcp.TCPFlow) -> None:
        """Only after a 101 to something else than WebSocket."""
        message = flow.messages[-1]
        flow.messages.clear()
        live = self._current(flow.client_conn)
        if live is not None and live.counts is not None:
            tunnel.count(live.counts, message.content, from_client=message.from_client)

    # --- their parts -----------------------------------------------------------------------------

    def _live(self, flow: http.HTTPFlow) -> Live | None:
        visitor = self.visitor(flow.client_conn)
        return None if visitor is None else visitor.lives.get(flow.id)

    def _end(self, live: Live, closing: Closing, flow_id: str | None = None) -> None:
        if flow_id is not None:
            live.visitor.lives.pop(flow_id, None)
        self._entries.end(live, closing)

    def _know_server(self, live: Live, flow: http.HTTPFlow) -> None:
        """What a connection made for an earlier entry tells."""
        live.server = live.server or shown(flow.server_conn.peername)
        live.tls_version = live.tls_version or flow.server_conn.tls_version

    def _ending(
        self, live: Live, flow: http.HTTPFlow, error: str, *, client_left: bool | None = None
    ) -> endings.Ending:
        if client_left is None:
            client_left = not flow.client_conn.state & connection.ConnectionState.CAN_READ
        return endings.Ending(
            error=error,
            client_left=client_left,
            client_is_http2=flow.client_conn.alpn == b"h2",
            silent_ns=time.monotonic_ns() - live.last_ns,
            timeout_ns=self._policy.timeout_ns,
            draining=self.draining,
            tls_failed=live.tls_failed,
        )


def _kind(request: http.Request) -> EntryKind:
    """`websocket` for whoever asks for one, granted or not."""
    return "websocket" if request.headers.get("upgrade", "").lower() == "websocket" else "http"


def _answer(flow: http.HTTPFlow, response: http.Response) -> None:
    """Answer in place of the provider; mitmproxy cannot do that and stream at once."""
    flow.request.stream = False
    flow.response = response


def _refusal() -> http.Response:
    text = "Wirescribe does not forward to its own ports.\n"
    return http.Response.make(403, text, {"Content-Type": "text/plain", "Connection": "close"})


def _not_found() -> http.Response:
    return http.Response.make(404, b"", {"Connection": "close"})


def _unauthorized() -> http.Response:
    text = "This proxy demands a session tag: take its address from `wirescribe env`.\n"
    return http.Response.make(
        407,
        text,
        {"Proxy-Authenticate": 'Basic realm="wirescribe"', "Content-Type": "text/plain"},
    )
