"""Nobody reaches Wirescribe's own ports through the proxy (trust.md T7)."""

import socket
import time

import httpx
import pytest

from addons import ownports
from storage.processes import Announcement, Process
from tests.addons.running import PATIENCE_S, running


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("0", "0.0.0.0"),
        ("localhost", None),
        ("example.com", None),
    ],
)
def test_literal(host, expected):
    found = ownports.literal(host)
    assert (found and str(found)) == expected


@pytest.fixture
def server():
    """Stands for the API: whoever gets through is answered."""
    listener = socket.create_server(("127.0.0.1", 0))
    yield listener.getsockname()[1]
    listener.close()


@pytest.fixture
def proxy(tmp_path, server):
    with running(tmp_path, everything=True) as proxy:
        process = Process(
            role="server", pid=1, started_ms=0, version="0", host="127.0.0.1", port=server
        )
        announcement = Announcement(proxy.datadir, process)
        yield proxy
        announcement.withdraw()


ALIASES = (
    "127.0.0.1", "localhost", "127.0.0.2", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]",
    "127.1", "0x7f000001", "x.localhost", socket.gethostname(),
)  # fmt: skip


def asked(proxy, head):
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as agent:
        agent.sendall(head.encode())
        return agent.recv(65536)


def ports_known(proxy, server):
    """The proxy looks once a second who runs beside it."""
    probe = f"CONNECT 127.0.0.1:{server} HTTP/1.1\r\n\r\n"
    end = time.monotonic() + PATIENCE_S
    while b" 403 " not in asked(proxy, probe):
        assert time.monotonic() < end, "the port is not refused"
        time.sleep(0.05)


def test_every_alias_is_refused(proxy, server):
    ports_known(proxy, server)
    for port in (server, proxy.port):
        for host in ALIASES:
            connect = asked(proxy, f"CONNECT {host}:{port} HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connect.startswith(b"HTTP/1.1 403"), (host, connect)
            absolute = asked(proxy, f"GET http://{host}:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n")
            assert absolute.startswith(b"HTTP/1.1 403"), (host, absolute)


def test_name_that_leads_here_is_refused(proxy, server, monkeypatch):
    """By its addresses, whatever it is called."""
    ports_known(proxy, server)
    real = socket.getaddrinfo

    def resolve(host, *arguments, **more):
        return real("127.0.0.1" if host == "alias.example" else host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    head = f"GET http://alias.example:{server}/ HTTP/1.1\r\nHost: x\r\n\r\n"
    assert asked(proxy, head).startswith(b"HTTP/1.1 403")
    head = f"CONNECT alias.example:{server} HTTP/1.1\r\n\r\n"
    assert asked(proxy, head).startswith(b"HTTP/1.1 403")


def test_refusal_is_on_record(proxy, server):
    ports_known(proxy, server)
    asked(proxy, f"GET http://127.0.0.1:{server}/api HTTP/1.1\r\nHost: x\r\n\r\n")

    def of_get(entries):
        return [one for one in entries if one.opened.method == "GET" and one.closed]

    (entry,) = of_get(proxy.wait(of_get))
    assert entry.outcome == "refused"
    assert entry.answered.status == 403


def test_other_ports_of_this_machine_stay_reachable(proxy, provider):
    with httpx.Client(proxy=proxy.url(), trust_env=False) as agent:
        assert agent.get(f"{provider.url}/raw/bytes?size=10").status_code == 200
