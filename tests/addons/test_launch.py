"""How a proxy starts, says where it is, and ends."""

import base64
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from websockets.sync.client import connect

from addons import launch
from storage import processes, spool
from storage.datadir import DataDir
from storage.errors import ConfigError
from tests.addons.running import PATIENCE_S, Running, read_spool, running
from tests.addons.test_recorder import HOST, Gate, client, tunnelled, until
from tests.guarded_tls import guarded


def test_announces_where_it_listens(tmp_path):
    with running(tmp_path) as proxy:
        (process,) = processes.running(proxy.datadir)
        assert (process.role, process.host, process.port) == ("proxy", "127.0.0.1", proxy.port)
        assert process.pid == os.getpid()
        assert process.scope == "agents"
        assert (proxy.datadir.spool / process.writer).is_dir()
        assert spool.SpoolReader(proxy.datadir.spool / process.writer).is_live()
    assert processes.running(proxy.datadir) == []
    assert not spool.SpoolReader(proxy.datadir.spool / process.writer).is_live()


def test_port_that_is_taken_is_said_so(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=str(port)):
            Running(DataDir(tmp_path / "data"), port=port).start()
    assert processes.running(DataDir(tmp_path / "data")) == []


def test_missing_ca_file_is_said_so(tmp_path):
    with pytest.raises(ConfigError, match=r"missing\.pem"):
        Running(DataDir(tmp_path / "data"), port=0, upstream_ca=tmp_path / "missing.pem").start()


def test_what_is_wrong_is_announced_and_taken_back(tmp_path):
    with running(tmp_path) as proxy:
        proxy.control(active=None)
        wait_for(lambda: processes.running(proxy.datadir)[0].degraded == ())
        proxy.datadir.control.write_text("not json")
        wait_for(lambda: "control" in "".join(processes.running(proxy.datadir)[0].degraded))
        proxy.control(active=None)
        wait_for(lambda: processes.running(proxy.datadir)[0].degraded == ())


def wait_for(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_no_file_can_be_read_by_others(tmp_path):
    with running(tmp_path) as proxy:
        modes = {}
        for path in proxy.datadir.root.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # replaced meanwhile
                modes[path] = path.stat().st_mode & 0o077
    assert proxy.datadir.root / "spool" in modes
    assert {path: mode for path, mode in modes.items() if mode} == {}


def test_beyond_loopback_a_tag_is_demanded(tmp_path, provider):
    with running(tmp_path, host="0.0.0.0", upstreams={HOST: provider.url}) as proxy:
        proxy.control(sessions={"one": (True, "w")})

        def head(tag):
            value = base64.b64encode((tag or "").encode()).decode()
            return f"Proxy-Authorization: Basic {value}\r\n" if tag else ""

        for tag, status in ((None, b"407"), ("one:wrong", b"407"), ("nobody:w", b"407"),
                            ("one:w", b"200")):  # fmt: skip
            with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as agent:
                agent.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\n{head(tag)}\r\n".encode())
                assert agent.recv(65536).split()[1] == status, tag
            with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as agent:
                agent.sendall(
                    f"GET http://{HOST}/raw/bytes?size=1 HTTP/1.1\r\nHost: x\r\n"
                    f"{head(tag)}\r\n".encode()
                )
                assert agent.recv(65536).split()[1] == status, tag
    assert len(provider.requests) == 1


# --- the end -------------------------------------------------------------------------------------


def streaming(provider):
    gate = Gate()

    async def handler(request, reply):
        await reply.head(200, [("content-type", "text/event-stream")])
        await reply.sse("one")
        await gate.passed()
        await reply.sse("two")
        await reply.end()

    provider.handle("/v1/messages", handler)
    return gate


def test_open_stream_comes_to_its_end(tmp_path, provider):
    gate = streaming(provider)
    with running(tmp_path, upstreams={HOST: provider.url}) as proxy:
        with client(proxy) as agent, agent.stream("POST", f"https://{HOST}/v1/messages") as answer:
            chunks = answer.iter_raw()
            next(chunks)
            proxy.ask_to_stop()
            wait_for(lambda: refused(proxy.port))
            gate.open()
            assert b"".join(chunks) == b"data: two\n\n"
        proxy.join()
    (entry,) = proxy.entries()
    assert entry.outcome == "complete"


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionError:
        return True
    return False


def test_stream_that_outlives_the_limit_is_cut_and_said_so(tmp_path, provider):
    gate = streaming(provider)
    with running(tmp_path, upstreams={HOST: provider.url}) as proxy:
        with client(proxy) as agent, agent.stream("POST", f"https://{HOST}/v1/messages") as answer:
            chunks = answer.iter_raw()
            next(chunks)
            proxy.stop()  # asks twice: at once
        gate.open()
    (entry,) = proxy.entries()
    assert entry.outcome == "proxy_killed"
    assert entry.body("response") == b"data: one\n\n"
    assert entry.closed.response_bytes == 11


def test_idle_socket_does_not_hold_up_the_end_and_ends_as_cut(tmp_path, provider, monkeypatch):
    monkeypatch.setattr(launch, "BUSY_S", 0.1)
    with (
        running(tmp_path, upstreams={HOST: provider.url}, drain_s=600) as proxy,
        connect(
            f"wss://{HOST}/raw/websocket",
            sock=tunnelled(proxy, tls=False),
            ssl=guarded(proxy.trust),
        ) as agent,
    ):
        agent.send("hello")
        agent.recv()
        proxy.ask_to_stop()
        proxy.join()  # is not as patient as the proxy would be with something busy
    (entry,) = proxy.entries()
    assert entry.outcome == "proxy_killed"
    assert entry.texts == [(True, "hello"), (False, "hello")]


def test_open_tunnel_is_closed_on_record(tmp_path):
    listener = socket.create_server(("127.0.0.1", 0))
    accepted = []
    thread = threading.Thread(target=lambda: accepted.append(listener.accept()[0]))
    thread.start()
    with running(tmp_path) as proxy:
        raw = socket.create_connection(("127.0.0.1", proxy.port), timeout=20)
        raw.sendall(f"CONNECT 127.0.0.1:{listener.getsockname()[1]} HTTP/1.1\r\n\r\n".encode())
        until(raw, b"\r\n\r\n")
        raw.sendall(b"12345")
        thread.join(20)
        assert accepted[0].recv(5) == b"12345"
        proxy.stop()
    (entry,) = proxy.entries()
    assert (entry.outcome, entry.closed.request_bytes) == ("proxy_killed", 5)
    for each in (raw, accepted[0], listener):
        each.close()


PROGRAM = """
import asyncio, sys
from pathlib import Path
from addons import launch, upstream
from addons.disk import DiskLimits
from storage.datadir import DataDir

datadir, url = sys.argv[1:]
rules = (upstream.to("api.anthropic.com", url),)
settings = launch.ProxySettings(
    datadir=DataDir(Path(datadir)), port=0, upstreams=rules, drain_s=20,
    limits=DiskLimits(min_free_bytes=0),
)
asyncio.run(launch.run(settings, started=lambda host, port: print(port, flush=True)))
"""


class Process:
    """The proxy as a process, to be killed."""

    def __init__(self, folder, url):
        self.datadir = DataDir(folder / "data")
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self.datadir.root), url], stdout=subprocess.PIPE
        )
        self.port = int(self._process.stdout.readline())

    ca = Running.ca
    trust = Running.trust
    url = Running.url

    def end(self, number):
        self._process.send_signal(number)
        code = self._process.wait(PATIENCE_S)
        self._process.stdout.close()
        return code


def test_sigterm_ends_a_process_with_all_on_record(tmp_path, provider):
    proxy = Process(tmp_path, provider.url)
    with client(proxy) as agent:
        for _ in range(20):
            agent.get(f"https://{HOST}/raw/bytes?size=50000")
        assert proxy.end(signal.SIGTERM) == 0
    entries = [entry for entry in read_spool(proxy.datadir) if entry.opened]
    assert [entry.outcome for entry in entries] == ["complete"] * 20
    assert all(len(entry.body("response")) == 50_000 for entry in entries)


def test_kill_9_leaves_what_the_client_had_a_second_before(tmp_path, provider):
    async def handler(request, reply):
        import asyncio

        await reply.head(200, [("content-type", "text/event-stream")])
        for number in range(1000):
            await reply.sse(f"event {number} s")
            await asyncio.sleep(0.005)
        await reply.end()

    provider.handle("/v1/messages", handler)
    proxy = Process(tmp_path, provider.url)
    received = []  # (time, bytes so far)

    def read():
        total = b""
        try:
            with client(proxy) as agent, agent.stream("POST", f"https://{HOST}/v1/messages") as got:
                for chunk in got.iter_raw():
                    total += chunk
                    received.append((time.monotonic(), total))
        except Exception:
            return

    thread = threading.Thread(target=read)
    thread.start()

    def had_before(moment):
        return max((data for at, data in received if at < moment), key=len, default=b"")

    wait_for(lambda: len(had_before(time.monotonic() - 1)) > 1000)
    killed = time.monotonic()
    assert proxy.end(signal.SIGKILL) == -signal.SIGKILL
    thread.join(PATIENCE_S)
    (entry,) = [entry for entry in read_spool(proxy.datadir) if entry.opened]
    had = had_before(killed - 1)
    assert entry.body("response").startswith(had)
    assert len(had) > 1000
    assert received[-1][1].startswith(entry.body("response")[: len(received[-1][1])])
    assert entry.closed is None
