"""
The mitmproxy addon: hooks -> entries. It only looks; what it changes is listed here.

- `Proxy-Authorization` and `Proxy-Connection` never leave the proxy, and are in no record.
- `--upstream` and base-URL mode change where a request goes.
- What is meant for Wirescribe's own ports, or is no proxy request at all, is refused.

Everything else streams in both directions through one tee. A failure in here leaves the traffic
as it is and a gap on record.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from mitmproxy import connection, http, tcp

from addons import admission, endings, tunnel
from addons.admission import Admission, Policy
from addons.connections import Connections, total
from addons.entries import Entries
from addons.entrylog import Closing
from addons.visits import Counts, Live, Visitor, shown
from storage.records import EntryKind, EntryOpened, ResponseHead, Side, Way


class Recorder:
    """One per proxy process; `connections` goes before it in mitmproxy's chain."""

    def __init__(
        self,
        entries: Entries,
        admission: Admission,
        policy: Policy,
        connections: Connections,
    ) -> None:
        self._entries = entries
        self._admission = admission
        self._policy = policy
        self._connections = connections

    def failed(self, data: Any, error: BaseException) -> None:
        self._connections.failed(data, error)

    def _visitor(self, flow: http.HTTPFlow) -> Visitor:
        visitor = self._connections.visitor(flow.client_conn)
        assert visitor is not None, "a request without a client"
        return visitor

    # --- requests --------------------------------------------------------------------------------

    @total
    def requestheaders(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        flow.request.stream = True  # whatever fails below, nothing is buffered
        visitor = self._visitor(flow)
        if visitor.connect is not None:
            self._head(visitor, flow, "proxy")
            return None
        self._admission.take_tag(visitor, flow.request)
        way: Way = "proxy"
        if flow.error:  # answered by mitmproxy with 400
            if not self._admission.is_for_us(flow.request):
                self._head(visitor, flow, way)
            return None
        if self._admission.is_for_us(flow.request):
            if not self._admission.enter_by_url(visitor, flow):
                self._connections.answer(flow, admission.not_found())
                return None
            way = "base-url"
        elif not self._admission.may_enter(visitor):
            self._connections.answer(flow, admission.unauthorized())
            return None
        own = self._admission.own.check(flow.request.host, flow.request.port)
        if own is None:
            return self._head_looked_up(visitor, flow, way)
        self._head(visitor, flow, way, own=own)
        return None

    async def _head_looked_up(self, visitor: Visitor, flow: http.HTTPFlow, way: Way) -> None:
        own = await self._admission.own.look_up(flow.request.host, flow.request.port)
        self._head(visitor, flow, way, own=own)

    def _head(self, visitor: Visitor, flow: http.HTTPFlow, way: Way, *, own: bool = False) -> None:
        try:
            live = self._begun(visitor, flow, way, own=own)
            if not own and not flow.error:
                flow.request.stream = self._stream(live, "request")
        except Exception as error:  # noqa: BLE001 - the request must go where it should go
            self.failed(flow, error)
        if own:
            self._connections.answer(flow, admission.refusal())
        else:
            rule = self._policy.upstreams.get(flow.request.host.lower().rstrip("."))
            visitor.upstream_name = None if rule is None else rule.redirect(flow.request)

    def _begun(self, visitor: Visitor, flow: http.HTTPFlow, way: Way, *, own: bool) -> Live:
        """The entry of a request; outside of the scope one that only counts."""
        request = flow.request
        in_scope = own or self._policy.in_scope(request)
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

    def _stream(self, live: Live, side: Side) -> bool | Callable[[bytes], bytes]:
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
            closing = live.closing("refused", admission.OWN_PORT)
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
        if live.refused:  # and its body was too long
            self._end(live, live.closing("refused", admission.OWN_PORT), flow.id)
            return
        self._know_server(live, flow)
        ending = self._ending(live, flow, flow.error.msg)
        error = endings.words(flow.error.msg)
        self._end(live, live.closing(endings.outcome(ending), error), flow.id)

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
        live = self._connections.current(flow.client_conn)
        if live is not None and live.counts is not None:
            tunnel.count(live.counts, message.content, from_client=message.from_client)

    # --- their parts -----------------------------------------------------------------------------

    def _live(self, flow: http.HTTPFlow) -> Live | None:
        visitor = self._connections.visitor(flow.client_conn)
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
            draining=self._connections.draining,
            tls_failed=live.tls_failed,
        )


def _kind(request: http.Request) -> EntryKind:
    """`websocket` for whoever asks for one, granted or not."""
    return "websocket" if request.headers.get("upgrade", "").lower() == "websocket" else "http"
