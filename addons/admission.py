"""
Who may send what through the proxy: tags, own ports, base-URL mode, and the answers to all others.

Imports mitmproxy, as a neighbour of recorder.py.
"""

import msgspec
from mitmproxy import http

from addons import baseurl, mending
from addons.assignment import Rules, Tag, basic_tag
from addons.ownports import OwnPorts
from addons.scope import Scope
from addons.upstream import Upstream
from addons.visits import Visitor
from storage.control import ControlReader

OWN_PORT = "one of Wirescribe's own ports"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the hooks are told once, at the start."""

    scope: Scope
    upstreams: dict[str, Upstream]  # by host
    common_word: str  # of base-URL mode without a session
    demands_tag: bool  # the proxy listens beyond loopback
    timeout_ns: int  # silence after which mitmproxy cuts a connection

    def in_scope(self, request: http.Request) -> bool:
        if request.scheme == "http":
            return self.scope.matches_plain(request.host, request.data.path)
        return self.scope.matches(request.host)


class Admission:
    """Decides at the head of a request or CONNECT."""

    def __init__(self, policy: Policy, rules: Rules, control: ControlReader, own: OwnPorts) -> None:
        self.own = own
        self._policy = policy
        self._rules = rules
        self._control = control

    def take_tag(self, visitor: Visitor, request: http.Request) -> None:
        """The proxy's own headers end here."""
        value = request.headers.pop("Proxy-Authorization", None)
        request.headers.pop("Proxy-Connection", None)
        if value is not None:
            visitor.tag = basic_tag(value)

    def may_enter(self, visitor: Visitor) -> bool:
        if not self._policy.demands_tag:
            return True
        return visitor.tag is not None and self._proves(visitor.tag)

    def is_for_us(self, request: http.Request) -> bool:
        """Whether it was sent to the proxy's port as to a server's."""
        return mending.is_origin_form(request)

    def enter_by_url(self, visitor: Visitor, flow: http.HTTPFlow) -> bool:
        """Base-URL mode: turns the request into one for the provider; False if it is none."""
        try:
            return self._enter_by_url(visitor, flow)
        except ValueError:  # bytes that are no text, a Host or Origin that is none
            return False

    def _enter_by_url(self, visitor: Visitor, flow: http.HTTPFlow) -> bool:
        request = flow.request
        address = baseurl.parse(request.path)
        if address is None or flow.client_conn.tls or not self._proves(address.tag):
            return False
        if not baseurl.from_this_machine(request.host_header, request.headers.get("origin")):
            return False
        visitor.tag = address.tag if address.tag.session else None
        request.data.scheme = address.scheme.encode()
        request.data.host, request.data.port = address.host, address.port
        request.path = address.path
        request.headers["Host"] = address.host_header
        return True

    def _proves(self, tag: Tag) -> bool:
        if not tag.session:
            return tag.word == self._policy.common_word
        return self._rules.proves(tag, self._control.current())


def refusal() -> http.Response:
    text = f"Wirescribe does not forward to {OWN_PORT}.\n"
    return http.Response.make(403, text, {"Content-Type": "text/plain", "Connection": "close"})


def not_found() -> http.Response:
    return http.Response.make(404, b"", {"Connection": "close"})


def unauthorized() -> http.Response:
    text = "This proxy demands a session tag: take its address from `wirescribe env`.\n"
    return http.Response.make(
        407,
        text,
        {"Proxy-Authenticate": 'Basic realm="wirescribe"', "Content-Type": "text/plain"},
    )
