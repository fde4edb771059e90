"""
A proxy and a server as a user starts them, on ports of their own and a data dir of the test.

    with Stack(tmp_path, upstreams={"api.anthropic.com": provider.url}) as stack:
        with stack.agent() as client:                       # an httpx client behind the proxy
            client.post("https://api.anthropic.com/v1/messages", json={...})
        stack.settle()                                      # all that was spooled is in the tables
        stack.api.get("/api/traffic").json()

Each process can be killed and started again by itself. Nothing of the tester's own settings is
seen: HOME and the environment are the test's.
"""

import contextlib
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from storage import processes
from storage.control import ControlReader
from storage.datadir import DataDir
from storage.processes import Process

PATIENCE_S = 60  # for whatever is waited for here: only a hang reaches it


class Stack:
    """`proxy` and `server` are running processes, or None."""

    def __init__(
        self,
        folder: Path,
        *,
        upstreams: Mapping[str, str] | None = None,
        scope: str = "agents",
        options: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
        config: str = "",
    ) -> None:
        self.home = folder / "home"
        self.home.mkdir(exist_ok=True)
        self.datadir = DataDir(folder / "data")
        self.datadir.root.mkdir(mode=0o700, exist_ok=True)
        if config:
            self.datadir.config.write_text(config)
            self.datadir.config.chmod(0o600)
        self.logs = folder / "logs"
        self.logs.mkdir(exist_ok=True)
        upstream = [f"--upstream={host}={url}" for host, url in (upstreams or {}).items()]
        self._proxy_options = [f"--scope={scope}", *upstream, *options]
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            **(environment or {}),
        }
        self.proxy: subprocess.Popen[bytes] | None = None
        self.server: subprocess.Popen[bytes] | None = None
        self.proxy_port = 0
        self.api_port = 0
        self._api: httpx.Client | None = None

    def __enter__(self) -> Self:
        self.start_server()
        self.start_proxy()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- processes ------------------------------------------------------------------------------

    def start_proxy(self, *more: str) -> None:
        """Starts it, on the port it had before if there was one, and waits until it listens."""
        port = f"--proxy-port={self.proxy_port}"
        self.proxy = self._spawn("proxy", port, *self._proxy_options, *more)
        self.proxy_port = self._announced("proxy", self.proxy).port or 0

    def start_server(self, *more: str) -> None:
        self.server = self._spawn("serve", f"--port={self.api_port}", *more)
        self.api_port = self._announced("server", self.server).port or 0

    def kill(self, *roles: str) -> None:
        """kill -9, all named at once: "proxy", "server"."""
        for role in roles:
            self._process(role).kill()
        for role in roles:
            self._process(role).wait()
            setattr(self, role, None)

    def end(self, role: str) -> int:
        """SIGTERM, and wait; the exit code."""
        process = self._process(role)
        process.send_signal(signal.SIGTERM)
        code = process.wait(PATIENCE_S)
        setattr(self, role, None)
        return code

    def stop(self) -> None:
        if self._api:
            self._api.close()
        for role in ("proxy", "server"):
            if getattr(self, role):
                self.end(role)

    def wirescribe(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """A `wirescribe` command on this data dir, its output as text."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "cli", *arguments],
            env={**self.environment, "WIRESCRIBE_DATA_DIR": str(self.datadir.root)},
            capture_output=True,
            text=True,
            check=False,
            **options,
        )

    def log(self, role: str) -> str:
        return (self.logs / f"{role}.log").read_text()

    # --- using it -------------------------------------------------------------------------------

    @property
    def api(self) -> httpx.Client:
        if self._api is None or self._api.base_url.port != self.api_port:
            self._api = httpx.Client(
                base_url=f"http://127.0.0.1:{self.api_port}", trust_env=False, timeout=PATIENCE_S
            )
        return self._api

    def trust(self) -> ssl.SSLContext:
        """A context that trusts the proxy's authority alone."""
        return ssl.create_default_context(cafile=str(self.datadir.ca / "mitmproxy-ca-cert.pem"))

    def proxy_url(self, tag: str | None = None) -> str:
        """`tag` is `<session>:<word>`."""
        return f"http://{tag + '@' if tag else ''}127.0.0.1:{self.proxy_port}"

    def agent(self, tag: str | None = None, **options: Any) -> httpx.Client:
        """An HTTP client behind the proxy that trusts its authority."""
        return httpx.Client(
            proxy=self.proxy_url(tag),
            verify=self.trust(),
            trust_env=False,
            timeout=PATIENCE_S,
            **options,
        )

    def tag(self, session_id: str) -> str:
        """The tag of a session, from the control file as the proxy reads it."""
        control = ControlReader(self.datadir.control).current()
        return f"{session_id}:{control.sessions[session_id].word}"

    def session(self, name: str = "test", *, active: bool = True) -> str:
        """A new session's id; active and recording unless told otherwise."""
        created = self.api.post("/api/sessions", json={"name": name}).raise_for_status().json()
        if active:
            self.api.post(f"/api/sessions/{created['id']}/activate").raise_for_status()
        return str(created["id"])

    def settle(self, *, open_entries: int = 0) -> dict[str, Any]:
        """
        Wait until the server read all that the proxies wrote and all but `open_entries` ended.

        Returns the last answer of `/api/health`.
        """
        deadline = time.monotonic() + PATIENCE_S
        calm = 0
        while time.monotonic() < deadline:
            health = self.api.get("/api/health").raise_for_status().json()
            lag = sum(health["spoolLagBytes"].values())
            is_calm = lag == 0 and health["openEntries"] <= open_entries and self._proxy_is_idle()
            calm = calm + 1 if is_calm else 0
            # The proxy gathers for some 25 ms before it writes: calm must last longer than that.
            if calm >= 4:
                return dict(health)
            time.sleep(0.05)
        raise AssertionError(f"not settled after {PATIENCE_S} s: {health}")

    def entries(self, session_id: str, **query: Any) -> list[dict[str, Any]]:
        """All entries of a session, oldest first."""
        found: list[dict[str, Any]] = []
        after = None
        while True:
            parameters = {"sessionId": session_id, "limit": 500, "order": "oldest", **query}
            if after:
                parameters["after"] = after
            page = self.api.get("/api/traffic", params=parameters).raise_for_status().json()
            found += page["entries"]
            after = page["next"]
            if not after:
                return found

    def body(self, entry_id: str, side: str = "response", **query: Any) -> bytes:
        """A stored body: `side` is "request" or "response"."""
        answer = self.api.get(f"/api/traffic/{entry_id}/{side}-body", params=query)
        return answer.raise_for_status().content

    def messages(self, entry_id: str) -> list[bytes]:
        """All messages of a stored WebSocket, both directions in order."""
        frames: list[dict[str, Any]] = []
        after = -1
        while True:
            path = f"/api/traffic/{entry_id}/frames"
            page = self.api.get(path, params={"after": after}).raise_for_status().json()
            frames += page["frames"]
            if page["next"] is None:
                return [self.api.get(one["url"]).raise_for_status().content for one in frames]
            after = page["next"]

    # --- inside ---------------------------------------------------------------------------------

    def _proxy_is_idle(self) -> bool:
        """
        Whether all of its threads sleep. On a loaded machine one may wait for a processor, or for
        the disk, for much longer than any calm lasts, with a record in its hands.
        """
        if self.proxy is None:
            return True
        for task in Path(f"/proc/{self.proxy.pid}/task").glob("*/stat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                if task.read_text().rpartition(")")[2].split()[0] in "RD":
                    return False
        return True

    def _spawn(self, command: str, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self.logs / f"{command}.log").open("ab")
        with log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "cli", command, *arguments],
                env={**self.environment, "WIRESCRIBE_DATA_DIR": str(self.datadir.root)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _announced(self, role: str, process: subprocess.Popen[bytes]) -> Process:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for found in processes.running(self.datadir):
                if found.role == role and found.pid == process.pid and found.port:
                    return found
            if process.poll() is not None:
                raise AssertionError(f"{role} ended with {process.returncode}: {self._tail()}")
            time.sleep(0.02)
        raise AssertionError(f"{role} did not announce itself: {self._tail()}")

    def _tail(self) -> str:
        return "\n".join(path.read_text()[-2000:] for path in self.logs.iterdir())

    def _process(self, role: str) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] | None = getattr(self, role)
        assert process is not None, f"the {role} does not run"
        return process
