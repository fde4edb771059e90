"""
Who is at the other end of a loopback connection.

Linux lists every TCP socket with its owner in /proc/net/tcp and tcp6 (Linux, proc(5), and
net/ipv4/tcp_ipv4.c: local address, remote address, state, queues, timer, retransmits, uid,
timeout, inode). Elsewhere nothing is known, and loopback is as open to other users of the machine
as every local server is: `--auth token` closes it.
"""

import ipaddress
import os
import sys
from pathlib import Path

Address = tuple[str, int]

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
KNOWABLE = sys.platform == "linux" and os.access(_TABLES[0], os.R_OK)


def is_stranger(client: Address, server: Address) -> bool:
    """
    Whether the socket at `client` that speaks with ours at `server` is another user's.

    A socket that is not listed, or that nobody owns any more (its process closed it), counts as a
    stranger's: a client that wants an answer keeps it open. False where nothing can be known: on
    other systems, and for a connection that does not come over loopback.
    """
    if not KNOWABLE or not _is_loopback(client[0]):
        return False
    return owner(client, server) != os.getuid()


def owner(client: Address, server: Address) -> int | None:
    """The user id that the socket at `client` belongs to; None if it cannot be told."""
    pairs = _spellings(client[0], server[0])
    for table in _TABLES:
        try:
            listed = table.read_bytes()
        except OSError:
            continue  # a machine without IPv6 has no tcp6
        for local, remote in pairs:
            needle = f" {local}:{client[1]:04X} {remote}:{server[1]:04X} ".encode()
            if (at := listed.find(needle)) >= 0:
                return _owner_of(listed[at + len(needle) :].split(maxsplit=7))
    return None


def _owner_of(fields: list[bytes]) -> int | None:
    # state, queues, timer, retransmits, uid, timeout, inode; a closed socket has the inode 0
    return int(fields[4]) if len(fields) > 6 and fields[6] != b"0" else None


def _spellings(client: str, server: str) -> list[tuple[str, str]]:
    """A program may reach 127.0.0.1 through an IPv6 socket, which is listed in mapped form."""
    plain = (_hex(client), _hex(server))
    if ":" in client:
        return [plain]
    return [plain, (_hex(f"::ffff:{client}"), _hex(f"::ffff:{server}"))]


def _hex(address: str) -> str:
    """As the kernel prints it: words of 32 bits in the machine's byte order."""
    packed = ipaddress.ip_address(address).packed
    words = (packed[at : at + 4] for at in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
