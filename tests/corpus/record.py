"""
Runs real agents behind mitmproxy against the scripted provider, into a mitmproxy flow file.

    python -m tests.corpus.record OUT.mitm claude SCENARIO:parallel [SCENARIO:error529 ...]
    python -m tests.corpus.record OUT.mitm claude --again=-c SCENARIO:tool /compact

Each prompt is asked in an empty home of its own, or, with `--again`, all in one, the later ones
with these arguments more.

Nothing of Wirescribe takes part, so that the corpus does not rest on what it is to test. Each
flow's metadata says when its answer's chunks came (`chunk_times`: seconds, bytes) and who was asked
what (`label`: `<agent> <prompt>`). All hosts lead to the provider.
"""

import asyncio
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import BinaryIO

from mitmproxy import http, options
from mitmproxy.io import FlowWriter
from mitmproxy.tools.dump import DumpMaster

from certs.trust import VARIABLES
from tests.agents.runner import AGENTS, command, environment, prepare
from tests.provider import Provider, running

_RUN_S = 240


class Recording:
    """An addon: leads every request to the provider, notes chunks, writes ended flows."""

    def __init__(self, out: BinaryIO, provider_port: int) -> None:
        self._writer = FlowWriter(out)
        self._port = provider_port
        self._asked: dict[str, tuple[str, str, int]] = {}
        self._chunks: dict[str, list[bytes]] = {}
        self.label = ""
        self.ready = threading.Event()
        self.port = 0

    def running(self) -> None:
        self.ready.set()

    def request(self, flow: http.HTTPFlow) -> None:
        request = flow.request
        self._asked[flow.id] = (request.scheme, request.host, request.port)
        flow.metadata["label"] = self.label
        host = request.host_header
        request.scheme, request.host, request.port = "http", "127.0.0.1", self._port
        request.host_header = host

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        assert flow.response
        times: list[tuple[float, int]] = []
        chunks: list[bytes] = []
        flow.metadata["chunk_times"] = times
        self._chunks[flow.id] = chunks

        def tee(chunk: bytes) -> bytes:
            times.append((time.time(), len(chunk)))
            chunks.append(chunk)
            return chunk

        flow.response.stream = tee

    def response(self, flow: http.HTTPFlow) -> None:
        if flow.websocket is None:
            self._write(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self._write(flow)

    def websocket_end(self, flow: http.HTTPFlow) -> None:
        self._write(flow)

    def _write(self, flow: http.HTTPFlow) -> None:
        request = flow.request
        host = request.host_header
        request.scheme, request.host, request.port = self._asked.pop(flow.id)
        request.host_header = host
        chunks = self._chunks.pop(flow.id, [])
        if flow.response and flow.websocket is None:
            flow.response.raw_content = b"".join(chunks)
        self._writer.add(flow)


def record(out: Path, name: str, prompts: list[str], again: list[str], folder: Path) -> None:
    """One run of the agent for each prompt, all in one file."""
    agent = next(agent for agent in AGENTS if agent.name == name)
    with out.open("wb") as file, running(Provider()) as provider:
        recording = Recording(file, provider.port)
        master, thread = _proxied(recording, folder / "proxy")
        try:
            for number, prompt in enumerate(prompts):
                recording.label = f"{name} {prompt}"
                home = folder / f"{name}-{0 if again else number}"
                workdir = prepare(agent, home)
                env = {**environment(agent, home), **_proxy_environment(recording, folder)}
                more = again if number else []
                _run([*command(agent, prompt), *more], env, workdir)
        finally:
            master.shutdown()
            thread.join()


def _proxied(recording: Recording, folder: Path) -> tuple[DumpMaster, threading.Thread]:
    made: list[DumpMaster] = []

    async def serve() -> None:
        chosen = options.Options(
            listen_host="127.0.0.1",
            listen_port=0,
            confdir=str(folder),
        )
        master = DumpMaster(chosen, with_termlog=False, with_dumper=False)
        master.options.update(connection_strategy="lazy")
        master.addons.add(recording)
        made.append(master)
        await master.run()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    recording.ready.wait(30)
    server = made[0].addons.get("proxyserver")
    recording.port = server.listen_addrs()[0][1]
    return made[0], thread


def _proxy_environment(recording: Recording, folder: Path) -> dict[str, str]:
    url = f"http://127.0.0.1:{recording.port}"
    authority = str(folder / "proxy" / "mitmproxy-ca-cert.pem")
    proxies = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), url)
    return {**proxies, **{variable.name: authority for variable in VARIABLES}}


def _run(asked: list[str], env: dict[str, str], workdir: Path) -> None:
    done = subprocess.run(
        asked,
        env=env,
        cwd=workdir,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_RUN_S,
        check=False,
    )
    print(f"exit {done.returncode}: {done.stdout.strip()[-200:]!r} {done.stderr.strip()[-200:]!r}")


def main() -> None:
    again = [arg.removeprefix("--again=") for arg in sys.argv if arg.startswith("--again=")]
    out, agent, *prompts = [arg for arg in sys.argv[1:] if not arg.startswith("--again=")]
    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        record(Path(out), agent, prompts, again, Path(folder))


if __name__ == "__main__":
    main()
