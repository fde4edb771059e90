"""
Goal 10: a request through Wirescribe, recorded, against LiteLLM's proxy.

Both stand between one client and one provider on plain HTTP, as a base URL. LiteLLM comes from PyPI
into an environment of its own in the cache folder; it also checks keys, translates and counts cost,
which Wirescribe's proxy leaves to its server. Each answer names what the provider was asked, so a
wrong one fails the run.
"""

import argparse
import asyncio
import hashlib
import multiprocessing
import random
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import platformdirs

from addons import baseurl
from bench import rivals
from bench.proxy import conversation
from bench.report import Figure, parser_for, show
from storage.datadir import DataDir

_LITELLM = "litellm[proxy]==1.106.2"
_START_S = 90  # LiteLLM imports for long on a busy machine
_CLIENTS = 8


def main(arguments: list[str]) -> None:
    parser = parser_for("peers", __doc__)
    parser.add_argument("--rounds", type=int, default=5, help="each thing once a round, in turn")
    parser.add_argument("--requests", type=int, default=100, help="of each kind per round")
    options = parser.parse_args(arguments)
    command = _litellm()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_run(Path(folder), command, options))


def _litellm() -> Path:
    """LiteLLM's own command, installed if it is missing."""
    folder = platformdirs.user_cache_path("wirescribe") / "bench" / _LITELLM.replace("/", "-")
    command = folder / "bin" / "litellm"
    if not command.exists():
        python = str(folder / "bin" / "python")
        for step in (
            ["uv", "venv", "-q", "--clear", "--python", sys.executable, str(folder)],
            ["uv", "pip", "install", "-q", "--python", python, _LITELLM],
        ):
            if subprocess.run(step, check=False).returncode:
                sys.exit(f"not measured: {_LITELLM} cannot be installed here ({' '.join(step)})")
    return command


# --- the provider --------------------------------------------------------------------------------


class _Message(msgspec.Struct):
    content: str


class _Asked(msgspec.Struct):
    messages: list[_Message]


_DECODE = msgspec.json.Decoder(_Asked)


def _provide(ready: Connection) -> None:
    asyncio.run(_provide_async(ready))


async def _provide_async(ready: Connection) -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, limit=1 << 20)
    ready.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A chat completion whose text is the SHA-256 of the last message."""
    try:
        while True:
            asked, body = await _read(reader)
            if not asked.startswith(b"post"):  # LiteLLM looks around at its start
                writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                continue
            digest = _digest(_DECODE.decode(body).messages[-1].content)
            message = {"role": "assistant", "content": digest}
            answer = msgspec.json.encode(
                {
                    "id": f"chatcmpl-{digest[:12]}",
                    "object": "chat.completion",
                    "created": 1_795_000_000,
                    "model": "bench",
                    "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
                }
            )
            head = f"content-type: application/json\r\ncontent-length: {len(answer)}"
            writer.write(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + answer)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """A head in lower case, and the body that its content-length promises."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
    return head, await reader.readexactly(size)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# --- the proxies ---------------------------------------------------------------------------------


class _Peer:
    """A running proxy, and how a client reaches the provider through it."""

    def __init__(self, rival: rivals.Rival, target: str, key: str) -> None:
        self.rival = rival
        self.name = rival.name
        self._head = (
            f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1:{rival.port}\r\n"
            f"authorization: Bearer {key}\r\ncontent-type: application/json\r\n"
        )

    async def times(self, body: bytes, digest: str, count: int) -> list[float]:
        """Milliseconds of each of so many requests, one after the other on one connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.rival.port)
        sent = f"{self._head}content-length: {len(body)}\r\n\r\n".encode() + body
        took = []
        for _ in range(count):
            started = time.perf_counter()
            writer.write(sent)
            head, answer = await _read(reader)
            took.append((time.perf_counter() - started) * 1000)
            if digest.encode() not in answer:
                raise ValueError(f"{self.name}: {head.decode()}{answer[:500].decode()}")
        writer.close()
        return took


def _ours(folder: Path, provider_port: int) -> _Peer:
    datadir = DataDir(folder).prepare()
    word = baseurl.common_word(datadir.hmac_key())
    port = rivals.free_port()
    command = [sys.executable, "-m", "cli", "proxy", "--data-dir", str(folder), "--scope", "all"]
    rival = rivals.Rival("wirescribe", [*command, "--proxy-port", str(port)], {})
    rival.port = port
    rival.wait_until_ready()
    target = f"/@:{word}/http:127.0.0.1:{provider_port}/v1/chat/completions"
    return _Peer(rival, target, "sk-invented-for-the-bench-0123456789")


def _theirs(folder: Path, litellm: Path, provider_port: int) -> _Peer:
    folder.mkdir()
    config = folder / "config.yaml"
    # JSON is YAML.
    model = {
        "model": "openai/bench",
        "api_base": f"http://127.0.0.1:{provider_port}/v1",
        "api_key": "sk-invented-for-the-bench-0123456789",
    }
    config.write_bytes(
        msgspec.json.encode({"model_list": [{"model_name": "m", "litellm_params": model}]})
    )
    port, key = rivals.free_port(), f"sk-{secrets.token_hex(16)}"
    command = [str(litellm), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    quiet = {"LITELLM_MASTER_KEY": key, "LITELLM_LOCAL_MODEL_COST_MAP": "True",
             "LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False"}  # fmt: skip
    rival = rivals.Rival("litellm", [*command, "--telemetry", "False"], quiet)
    rival.port = port
    try:
        rival.wait_until_ready(_START_S)
    except RuntimeError as error:
        rival.stop()
        sys.exit(f"not measured: LiteLLM does not start here ({error})")
    return _Peer(rival, "/v1/chat/completions", key)


# --- the rounds ----------------------------------------------------------------------------------


async def _run(folder: Path, litellm: Path, options: argparse.Namespace) -> None:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe()
    provider = context.Process(target=_provide, args=(sender,), daemon=True)
    provider.start()
    port = receiver.recv()
    peers: list[_Peer] = []
    try:
        peers.append(_ours(folder / "ours", port))
        peers.append(_theirs(folder / "theirs", litellm, port))
        seen = await _rounds(peers, options)
        memory = {peer.name: [peer.rival.rss_bytes() / 1e6] for peer in peers}
    finally:
        for peer in peers:
            peer.rival.stop()
        provider.terminate()
        provider.join()
    spooled = sum(path.stat().st_size for path in (folder / "ours").glob("spool/*/*.spool"))
    if spooled < options.rounds * options.requests * 120_000:
        raise ValueError(f"only {spooled} bytes were recorded")
    show(f"peers: {_LITELLM}, {options.rounds} rounds", _figures(seen, memory))


async def _rounds(
    peers: Sequence[_Peer], options: argparse.Namespace
) -> dict[str, dict[str, list[float]]]:
    seen: dict[str, dict[str, list[float]]] = {}
    for number in range(options.rounds + 1):
        for peer in random.sample(list(peers), len(peers)):
            found = await _round(peer, options.requests)
            if number:  # the first round warms both up
                for name, value in found.items():
                    seen.setdefault(name, {}).setdefault(peer.name, []).append(value)
    return seen


async def _round(peer: _Peer, requests: int) -> dict[str, float]:
    small, large = _body("hi"), conversation(120_000)
    large_digest = _digest(_DECODE.decode(large).messages[-1].content)
    one = await peer.times(small, _digest("hi"), requests)
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(_CLIENTS):
            group.create_task(peer.times(small, _digest("hi"), requests // 2))
    rate = _CLIENTS * (requests // 2) / (time.perf_counter() - started)
    cpu_s = peer.rival.cpu_seconds()
    big = await peer.times(large, large_digest, requests)
    cpu_ms = (peer.rival.cpu_seconds() - cpu_s) * 1000 / requests
    return {
        "small p50": statistics.median(one),
        "small, 8 clients": rate,
        "120 KB p50": statistics.median(big),
        "120 KB CPU": cpu_ms,
    }


def _body(text: str) -> bytes:
    asked: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": text}]}
    return msgspec.json.encode(asked)


def _figures(
    seen: dict[str, dict[str, list[float]]], memory: dict[str, list[float]]
) -> list[Figure]:
    goals = {
        "small p50": ("ms", 0.1, False),
        "small, 8 clients": ("1/s", 8, True),
        "120 KB p50": ("ms", 0.1, False),
        "120 KB CPU": ("ms", None, False),
    }
    return [
        *(
            Figure(name=name, unit=unit, ours=seen[name]["wirescribe"],
                   rival=seen[name]["litellm"], goal=goal, goal_is_floor=floor)
            for name, (unit, goal, floor) in goals.items()
        ),
        Figure(name="RSS at the end", unit="MB", ours=memory["wirescribe"],
               rival=memory["litellm"]),
    ]  # fmt: skip
