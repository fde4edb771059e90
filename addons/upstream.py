"""
`--upstream HOST=URL`: the traffic of a host goes somewhere else.

The entry still belongs to HOST: its head is recorded as the client sent it. What the URL names by
`http:` or by an address stands in for HOST, so it gets HOST's own `Host` header and, with TLS, must
show a certificate for HOST. What it names by `https:` and a host name is a gateway of its own: it
gets its own name in `Host`, and that name is verified.
"""

import ipaddress
from collections.abc import Iterable, MutableMapping
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from storage.errors import ConfigError


class RequestData(Protocol):
    scheme: bytes
    host: str
    port: int
    path: bytes


class Request(Protocol):
    """What is needed of mitmproxy's request."""

    @property
    def data(self) -> RequestData: ...

    @property
    def headers(self) -> MutableMapping[str, str]: ...


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """Where the traffic of `host` goes. `prefix` is put before each path; "" for none."""

    host: str
    scheme: str
    to_host: str
    to_port: int
    prefix: str = ""

    @property
    def stands_in(self) -> bool:
        """Whether it plays HOST; else it is a gateway under its own name."""
        return self.scheme == "http" or _is_address(self.to_host)

    @property
    def host_header(self) -> str:
        """Of a gateway."""
        default = 443 if self.scheme == "https" else 80
        return self.to_host if self.to_port == default else f"{self.to_host}:{self.to_port}"

    def redirect(self, request: Request) -> str | None:
        """Send a request there; returns the name to be verified if it is not the address's own."""
        name = None
        if not self.stands_in:
            request.headers["Host"] = self.host_header
        elif self.scheme == "https":
            name = request.data.host
        # Not by the setters of mitmproxy's request: they change the Host header as well.
        request.data.scheme = self.scheme.encode()
        request.data.host, request.data.port = self.to_host, self.to_port
        request.data.path = self.prefix.encode() + request.data.path
        return name


def parse(argument: str) -> Upstream:
    """`HOST=URL` as given on the command line. Raises ConfigError."""
    host, equals, url = argument.partition("=")
    if not equals or not host.strip():
        raise ConfigError(f"--upstream {argument}: expected HOST=URL")
    return to(host.strip(), url.strip())


def to(host: str, url: str) -> Upstream:
    """The rule that sends `host` to `url`. Raises ConfigError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"--upstream {host}={url}: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"--upstream {host}={url}: expected http://... or https://...")
    if parts.query or parts.fragment or parts.username:
        raise ConfigError(f"--upstream {host}={url}: no user, query or fragment belongs here")
    return Upstream(
        host=host.strip("[]").lower().rstrip("."),
        scheme=parts.scheme,
        to_host=parts.hostname,
        to_port=port or (443 if parts.scheme == "https" else 80),
        prefix=parts.path.rstrip("/"),
    )


def table(rules: Iterable[Upstream]) -> dict[str, Upstream]:
    """By host; the last rule of a host wins."""
    return {rule.host: rule for rule in rules}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
