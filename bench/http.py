"""
Goal 7: pages of 50 entries over HTTP, against a bare ASGI app that asks the same query.

Both are uvicorn with uvloop and httptools, in a process each, over the same store; the bare one has
no router, no guards, no parameters: it reads, shapes and encodes what ours does. The answers must
be the same bytes.
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import socket
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from api.app import create_app
from api.entries import body_of
from api.routes.traffic import TrafficPage
from api.server import Server
from api.settings import ApiSettings
from bench import filled
from bench.report import Figure, parser_for, show
from storage import traffic
from storage.datadir import DataDir
from storage.store import Store

_PAGE = 50
_CLIENTS = 8
_TICK = os.sysconf("SC_CLK_TCK")


def main(arguments: list[str]) -> None:
    parser = parser_for("http", __doc__)
    parser.add_argument("--entries", type=int, default=10_000, help="in the store")
    parser.add_argument("--pages", type=int, default=1500, help="in a round, of each")
    parser.add_argument("--rounds", type=int, default=7, help="each thing once a round, in turn")
    options = parser.parse_args(arguments)
    datadir = filled.cached(options.entries)
    store = Store.reading(datadir)
    session_ids = [row[0] for row in store.read().execute("select id from sessions").fetchall()]
    store.close()
    servers = [_Server("ours", _ours, datadir), _Server("bare", _bare, datadir)]
    try:
        seen = asyncio.run(_rounds(servers, session_ids, options))
    finally:
        for server in servers:
            server.stop()
    rate, cpu = ({name: [one[at] for one in seen[name]] for name in seen} for at in (0, 1))
    show(
        f"http: {options.rounds} rounds of {options.pages} pages, {_CLIENTS} clients",
        [
            Figure(name="session page of 50", unit="1/s", ours=rate["ours"], rival=rate["bare"],
                   goal=0.7, goal_is_floor=True),
            Figure(name="the same", unit="ms of CPU", ours=cpu["ours"], rival=cpu["bare"]),
        ],
    )  # fmt: skip


async def _rounds(
    servers: list["_Server"], session_ids: list[str], options: argparse.Namespace
) -> dict[str, list[tuple[float, float]]]:
    """Pages a second, and CPU of the server for one, by server."""
    seen: dict[str, list[tuple[float, float]]] = {}
    for number in range(options.rounds + 1):
        chance = random.Random(number)
        asked = [chance.choice(session_ids) for _ in range(options.pages)]
        answers = {}
        for server in random.sample(servers, len(servers)):
            cpu_s, started = server.cpu_seconds(), time.perf_counter()
            answers[server.name] = await _ask(server.port, asked)
            elapsed_s, used_s = time.perf_counter() - started, server.cpu_seconds() - cpu_s
            if number:  # the first round warms both up
                one = (len(asked) / elapsed_s, used_s * 1000 / len(asked))
                seen.setdefault(server.name, []).append(one)
        if answers["ours"] != answers["bare"]:
            raise ValueError("the two servers gave different answers")
    return seen


async def _ask(port: int, session_ids: list[str]) -> dict[str, int]:
    """Answers by session, as hashes; some clients at once, each on one connection."""
    found: dict[str, int] = {}
    left = list(session_ids)

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while left:
            session_id = left.pop()
            target = f"/api/traffic?sessionId={session_id}&limit={_PAGE}"
            writer.write(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(size)
            if not head.startswith(b"http/1.1 200") or body.count(b'"requestHeaders"') != _PAGE:
                raise ValueError(f"{session_id}: {head.decode()}")
            found[session_id] = hash(body)
        writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(_CLIENTS):
            group.create_task(client())
    return found


class _Server:
    """A process that serves, and what the kernel says that it used."""

    def __init__(self, name: str, serve: Any, datadir: DataDir) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe()
        self._process = context.Process(target=serve, args=(datadir.root, sender), daemon=True)
        self._process.start()
        self.port: int = receiver.recv()

    def cpu_seconds(self) -> float:
        stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def stop(self) -> None:
        self._process.terminate()
        self._process.join()


def _ours(root: Path, ready: Connection) -> None:
    with Store.open(DataDir(root)) as store:
        settings = ApiSettings(port=0, version="bench")
        app = create_app(store, settings)
        Server(app, "127.0.0.1", 0, lambda _, port: ready.send(port)).run()


def _bare(root: Path, ready: Connection) -> None:
    store = Store.reading(DataDir(root))

    async def app(scope: Any, _: Any, send: Any) -> None:
        asked = dict(pair.split(b"=") for pair in scope["query_string"].split(b"&"))
        query = traffic.Query(session_id=asked[b"sessionId"].decode())
        found = traffic.page(store.read(), query, limit=int(asked[b"limit"]))
        page = TrafficPage(
            entries=[body_of(entry) for entry in found.entries], total=found.total, next=found.next
        )
        body = msgspec.json.encode(page)
        length = (b"content-length", b"%d" % len(body))
        headers = [(b"content-type", b"application/json"), length]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    listener = socket.create_server(("127.0.0.1", 0))
    ready.send(listener.getsockname()[1])
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", lifespan="off", log_config=None, access_log=False
    )
    uvicorn.Server(config).run(sockets=[listener])
