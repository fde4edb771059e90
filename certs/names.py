"""
Which hosts an authority may vouch for, as X.509 name constraints and back (RFC 5280 4.2.1.10).

A permitted DNS name stands for itself and everything below it: `openai.com` permits
`api.openai.com` too. An address or a network (`127.0.0.1`, `10.0.0.0/8`) permits addresses.
Constraints hold per kind of name: an authority with DNS names alone would be free to vouch for any
address, and the other way round. So a kind with nothing permitted is excluded as a whole.

Permitted addresses are of little use to clients on OpenSSL: it takes the common name of a leaf that
has no DNS name for a DNS name, and mitmproxy writes an IPv4 address there. Permitting that text as
a DNS name as well would please OpenSSL and make rustls refuse every leaf of the authority
("MalformedNameConstraint", webpki in uv 0.13.9), so it is not done.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from cryptography import x509

from certs.errors import HostError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_EVERY_ADDRESS = [
    x509.IPAddress(ipaddress.ip_network(network)) for network in ("0.0.0.0/0", "::/0")
]
_EVERY_NAME = [x509.DNSName("")]


def normal(hosts: Iterable[str]) -> tuple[str, ...]:
    """Hosts in lower case, without `*.` in front, sorted, once each. HostError names a bad one."""
    names = tuple(sorted({_normal(host) for host in hosts}))
    if not names:
        raise HostError("an authority that may vouch for no host is of no use: name one")
    return names


def _normal(host: str) -> str:
    if (network := _network(host)) is not None:
        single = network.prefixlen == network.max_prefixlen
        return str(network.network_address if single else network)
    name = host.strip().lower().removeprefix("*").removeprefix(".").removesuffix(".")
    try:
        name = name.encode("ascii" if name.isascii() else "idna").decode("ascii")
    except UnicodeError as error:
        raise HostError(f"{host!r} is no host name: {error}") from error
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise HostError(f"{host!r} is neither a host name nor an address or network")
    return name


def _network(host: str) -> Network | None:
    try:
        return ipaddress.ip_network(host.strip().strip("[]"))
    except ValueError:
        return None


def constraints(permitted: tuple[str, ...]) -> x509.NameConstraints:
    """The extension that permits these (normal) names and no others."""
    names: list[x509.GeneralName] = []
    addresses: list[x509.GeneralName] = []
    for host in permitted:
        if (network := _network(host)) is None:
            names.append(x509.DNSName(host))
        else:
            addresses.append(x509.IPAddress(network))
    excluded: list[x509.GeneralName] = []
    if not names:
        excluded.extend(_EVERY_NAME)
    if not addresses:
        excluded.extend(_EVERY_ADDRESS)
    return x509.NameConstraints(names + addresses, excluded or None)


def permitted_by(certificate: x509.Certificate) -> tuple[str, ...] | None:
    """The names that `certificate` is limited to; None when it has no limit."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    except x509.ExtensionNotFound:
        return None
    subtrees = extension.value.permitted_subtrees or []
    values = [
        str(name.value) for name in subtrees if isinstance(name, x509.DNSName | x509.IPAddress)
    ]
    return normal(values) if values else None


def covers(permitted: tuple[str, ...], wanted: Iterable[str]) -> bool:
    """Whether every wanted (normal) name is one of the permitted ones or lies below one."""
    return all(any(_within(name, limit) for limit in permitted) for name in wanted)


def _within(name: str, limit: str) -> bool:
    inner, outer = _network(name), _network(limit)
    if inner is None and outer is None:
        return name == limit or name.endswith("." + limit)
    if isinstance(inner, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network):
        return inner.subnet_of(outer)
    return False
