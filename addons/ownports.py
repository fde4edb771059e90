"""
Wirescribe's own ports, which nobody reaches through the proxy.

A page that the agent's browser tool opened could otherwise ask the proxy for the API of this
machine, and would look like a local client (the path of CVE-2025-23217).
"""

import asyncio
import contextlib
import ipaddress
import socket

from storage import processes
from storage.datadir import DataDir

_NAMES = frozenset({"localhost", "ip6-localhost", "localhost.localdomain", "broadcasthost"})


class OwnPorts:
    """The ports of all processes of one data dir, as of the last `refresh`."""

    def __init__(self, datadir: DataDir) -> None:
        self._datadir = datadir
        self._ports: frozenset[int] = frozenset()
        node = socket.gethostname().lower()
        self._names = _NAMES | {node, node.partition(".")[0]}

    def refresh(self) -> None:
        """Look again who runs; takes some 100 us."""
        running = processes.running(self._datadir)
        self._ports = frozenset(process.port for process in running if process.port)

    def check(self, host: str, port: int) -> bool | None:
        """Whether this is ours; None: only a look-up of the name can tell."""
        if port not in self._ports:
            return False
        name = host.strip("[]").lower().rstrip(".")
        if name in self._names or name.endswith(".localhost"):
            return True
        address = literal(name)
        return None if address is None else _is_this_machine(address)

    async def look_up(self, host: str, port: int) -> bool:
        """As `check`, for a name that leads to one of our ports, by its addresses."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return False  # then nobody can connect to it either
        addresses = (literal(str(sockaddr[0])) for *_, sockaddr in found)
        return any(address and _is_this_machine(address) for address in addresses)


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def literal(host: str) -> Address | None:
    """The address that a literal stands for, also in the old forms: `127.1`, `0x7f000001`."""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host.partition("%")[0])
        return getattr(address, "ipv4_mapped", None) or address
    with contextlib.suppress(OSError):
        return ipaddress.IPv4Address(socket.inet_aton(host))
    return None


def _is_this_machine(address: Address) -> bool:
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    # Only an address of this machine can be bound.
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((str(address), 0))
        return True
    return False
