"""The proxies that are compared, each started as a user would start it, on a port of its own."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from storage import processes
from storage.datadir import DataDir

_TICK = os.sysconf("SC_CLK_TCK")
_BOTH = ("http2=false", "connection_strategy=lazy", "upstream_cert=false")


class Rival:
    """A running proxy: its port, and what the kernel says that it used."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL
        )
        self.pid = self._process.pid
        self.port = 0
        self.ca = Path()

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def rss_bytes(self) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError(f"{self.name} has ended")

    def wait_until_ready(self, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self._process.returncode}")
            if self.ca.exists() and self._listens():
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} did not listen within {seconds} s")

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def bare(folder: Path, provider_ca: Path) -> Rival:
    """mitmdump with a streaming tee and our transport options, nothing else."""
    port = free_port()
    options = (*_BOTH, f"confdir={folder}", f"ssl_verify_upstream_trusted_ca={provider_ca}")
    sets = [part for option in options for part in ("--set", option)]
    tee = str(Path(__file__).with_name("bare_tee.py"))
    script = str(Path(sys.executable).with_name("mitmdump"))
    command = [script, "-q", "-s", tee, "-p", str(port), "--listen-host", "127.0.0.1", *sets]
    rival = Rival("bare tee", command, {})
    rival.port, rival.ca = port, folder / "mitmproxy-ca-cert.pem"
    rival.wait_until_ready()
    return rival


def ours(folder: Path, provider_ca: Path) -> Rival:
    """`wirescribe proxy`, recording into a spool that nobody reads."""
    port = free_port()
    command = [sys.executable, "-m", "cli", "proxy", "--data-dir", str(folder), "--scope", "all"]
    command += ["--proxy-port", str(port), "--upstream-ca", str(provider_ca)]
    rival = Rival("wirescribe", command, {})
    rival.port, rival.ca = port, folder / "ca" / "mitmproxy-ca-cert.pem"
    rival.wait_until_ready()
    while not processes.running(DataDir(folder)):  # it listens before it says so
        time.sleep(0.01)
    return rival


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
