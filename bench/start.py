"""
Goal 9: what `wirescribe run` adds before an agent's first request, and at its end.

The agent is a small Python program that makes one request; the provider notes when it came. With
and without `wirescribe run` in turn, on a running `up`; then cold starts without one.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.report import Figure, parser_for, show
from storage import processes
from storage.datadir import DataDir

AGENT = """
import os, socket, sys, time, urllib.parse, base64
target = urllib.parse.urlsplit(sys.argv[1])
proxy = os.environ.get("http_proxy")
to, head = target, ""
path = target.path
if proxy:
    to = urllib.parse.urlsplit(proxy)
    tag = base64.b64encode(f"{to.username}:{to.password}".encode()).decode()
    path, head = sys.argv[1], f"Proxy-Authorization: Basic {tag}\\r\\n"
with socket.create_connection((to.hostname, to.port)) as wire:
    lines = f"GET {path} HTTP/1.1", f"Host: {target.netloc}", head + "Connection: close", "", ""
    wire.sendall("\\r\\n".join(lines).encode())
    while wire.recv(65536):
        pass
print(time.monotonic_ns())
"""


class _Noting(BaseHTTPRequestHandler):
    seen: list[int]

    def do_GET(self) -> None:
        self.seen.append(time.monotonic_ns())
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Silent: the terminal is the table's."""


def main(arguments: list[str]) -> None:
    parser = parser_for("start", __doc__)
    parser.add_argument("--rounds", type=int, default=9, help="each thing once a round, in turn")
    options = parser.parse_args(arguments)
    handler = type("Noting", (_Noting,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/first"
    with tempfile.TemporaryDirectory() as folder:
        agent = Path(folder) / "agent.py"
        agent.write_text(AGENT)
        bench = _Bench(Path(folder), [sys.executable, "-I", str(agent), url], handler.seen)
        figures = bench.warm(options.rounds) + bench.cold(min(options.rounds, 5))
    server.shutdown()
    show(f"start: {options.rounds} rounds", figures)


class _Bench:
    def __init__(self, folder: Path, agent: list[str], seen: list[int]) -> None:
        self._folder, self._agent, self._seen = folder, agent, seen

    def warm(self, rounds: int) -> list[Figure]:
        datadir = self._folder / "warm"
        up = subprocess.Popen(
            _wirescribe("up", "--port", "0", "--proxy-port", "0", "--data-dir", str(datadir)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for_both(datadir)
            run = _wirescribe("run", "--data-dir", str(datadir), "--", *self._agent)
            with_run, without = [], []
            for number in range(rounds + 1):
                pair = self._once(run), self._once(self._agent)
                if number:
                    with_run.append(pair[0])
                    without.append(pair[1])
        finally:
            up.terminate()
            up.wait()
        first = [a[0] - b[0] for a, b in zip(with_run, without, strict=True)]
        end = [a[1] - b[1] for a, b in zip(with_run, without, strict=True)]
        return [
            Figure(name="first request, added by `run`", unit="s", ours=first, goal=0.6),
            Figure(name="exit, added by `run`", unit="s", ours=end, goal=0.3),
        ]

    def cold(self, rounds: int) -> list[Figure]:
        took = []
        for number in range(rounds):
            datadir = self._folder / f"cold-{number}"
            run = _wirescribe("run", "--data-dir", str(datadir), "--", *self._agent)
            took.append(self._once(run)[0])
        return [Figure(name="first request, cold start", unit="s", ours=took, goal=3)]

    def _once(self, command: list[str]) -> tuple[float, float]:
        """Seconds from the start to the request on the wire, and from the agent's end to ours."""
        self._seen.clear()
        started = time.monotonic_ns()
        done = subprocess.run(command, capture_output=True, check=False, env=os.environ)
        ended = time.monotonic_ns()
        if done.returncode or not self._seen:
            raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr.decode()}")
        return (self._seen[0] - started) / 1e9, (ended - int(done.stdout)) / 1e9


def _wirescribe(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cli", *arguments]


def _wait_for_both(datadir: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        roles = {process.role for process in processes.running(DataDir(datadir))}
        if {"proxy", "server"} <= roles:
            return
        time.sleep(0.05)
    raise RuntimeError("`wirescribe up` did not start within 30 s")
