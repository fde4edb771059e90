"""How an entry ended, from what the proxy knows at its end."""

import re

import msgspec

from storage.records import Outcome


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """The facts at the end of an entry that did not end as HTTP says it should."""

    error: str  # the proxy's own words
    client_left: bool  # the client's side of the connection is closed
    client_is_http2: bool = False
    silent_ns: int = 0  # since the last byte of the connection
    timeout_ns: int = 0
    draining: bool = False  # this proxy is shutting down
    tls_failed: bool = False  # between proxy and provider


_CLIENTS = ("Client disconnected.", "HTTP/1 protocol error: peer closed", "EOF")

# How Python shows bytes: `Invalid header line: b'Set-Cookie session=...'`.
_QUOTED = re.compile(r"""\bb(?:'.*'|".*")""", re.DOTALL)


def words(error: str) -> str:
    """The proxy's words for an error without what they quote from the wire: it may be secret."""
    return _QUOTED.sub("(bytes)", error)


def outcome(ending: Ending) -> Outcome:
    if ending.tls_failed:
        return "tls_failed"
    if "refusing to prevent request smuggling" in ending.error:
        return "refused"
    if ending.error == "Connection killed.":
        return "blocked"
    if ending.error.startswith("stream reset by client"):
        # The words are the same when the provider resets its HTTP/2 stream.
        return "client_aborted" if ending.client_is_http2 else "upstream_error"
    if not ending.client_left:
        return "upstream_error"
    if ending.error.startswith(_CLIENTS):
        return _gone(ending)
    # A request that the proxy answered with 400 and a closed connection.
    return "refused"


def socket_outcome(code: int | None, ending: Ending) -> Outcome:
    """Of a WebSocket; `client_left` tells who closed it. 1006: without a closing handshake."""
    if code is not None and code != 1006:
        return "complete"
    if not ending.client_left:
        return "upstream_error"
    return _gone(ending)


def _gone(ending: Ending) -> Outcome:
    """The client's connection is closed: by the client, or by us."""
    if ending.draining:
        return "proxy_killed"
    # The proxy's own cut of a silent connection has the words of a client that leaves.
    if ending.timeout_ns and ending.silent_ns >= ending.timeout_ns:
        return "idle_timeout"
    return "client_aborted"
