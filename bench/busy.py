"""
Goal 11: how fast the API answers while everything else is going on.

A real server, first at rest. Then a spool that is never empty, a rebuild, and the removal of a
large session, all at once, while a client changes a session, lists all, reads pages of traffic and
of messages, and waits on `/ws` for what an agent of its own does. The proxy's 25 ms of gathering
are not in the delay of an event. With `--resumed` the load is another one: long conversations that
are seen for the first time, all of their messages in one request.
"""

import argparse
import http.client
import itertools
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
from websockets.sync.client import ClientConnection, connect

from bench.report import Figure, parser_for, show
from bench.told import Told, grown, headers_of, history, prose
from storage import database, ids, processes, sessions
from storage.datadir import DataDir
from tests.addons.ingest.spooling import Log
from tests.addons.project.house import House, text, tool_use, user

_BACKLOG_BYTES = 64 << 20
_OTHER_SESSIONS = 200
_RESUMED_EACH_S = 3.0
_GOAL_MS = 50
_PAGE = 50


def main(arguments: list[str]) -> None:
    parser = parser_for("busy", __doc__)
    parser.add_argument("--seconds", type=float, default=30, help="under load; a third at rest")
    parser.add_argument("--kept", type=int, default=1500, help="entries that a rebuild reads")
    parser.add_argument("--deleted", type=int, default=2000, help="entries of the large session")
    parser.add_argument("--resumed", type=int, default=0, help="messages of each request instead")
    options = parser.parse_args(arguments)
    os.umask(0o077)
    with tempfile.TemporaryDirectory() as folder:
        datadir = DataDir(Path(folder) / "data").prepare()
        kept, deleted = _prepare(datadir, options)
        server = subprocess.Popen(
            [sys.executable, "-m", "cli", "serve", "--data-dir", str(datadir.root), "--port", "0"],
            stderr=subprocess.DEVNULL,
        )
        try:
            client = _Client(_port(datadir), kept)
            rest = _Watch(datadir, client, options.seconds / 3).run()
            if options.resumed:
                load = _resume(datadir, client, options.resumed, options.seconds)
            else:
                load = _load(datadir, client, deleted, options.seconds)
        finally:
            server.terminate()
            server.wait()
        _check(datadir, kept, "" if options.resumed else deleted)
    kind = f"{options.resumed} messages at once" if options.resumed else "under load"
    show(f"busy: {options.seconds:g} s {kind}", _figures(rest, load))


# --- what is there before ------------------------------------------------------------------------


def _prepare(datadir: DataDir, options: argparse.Namespace) -> tuple[str, str]:
    """A session to keep and one to delete, read and understood; their ids."""
    house = House(datadir)
    made = [
        sessions.create(house.db, name=f"bench {number}", origin="run", is_recording=True).id
        for number in range(_OTHER_SESSIONS)
    ]
    kept, deleted = made[:2]
    chance = random.Random(11)
    for session, count in ((kept, options.kept), (deleted, options.deleted)):
        house.session = session
        for number in range(count):
            house.call([user(prose(chance, 20_000))], [text(prose(chance, 2_000))])
            if number % 200 == 199:
                house.read()
    house.session = kept
    for messages, blocks in grown(chance, "kept"):
        house.call(messages, blocks, headers=headers_of(kept))
    house.project()
    house.log.end()
    house.db.close()
    return kept, deleted


def _port(datadir: DataDir) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for process in processes.running(datadir):
            if process.port:
                return process.port
        time.sleep(0.05)
    raise RuntimeError("the server did not start within 60 s")


# --- the load ------------------------------------------------------------------------------------


def _load(datadir: DataDir, client: "_Client", deleted: str, seconds: float) -> "_Seen":
    context = multiprocessing.get_context("spawn")
    writer = context.Process(target=_write, args=(datadir.root,), daemon=True)
    writer.start()
    try:
        _wait_for_backlog(datadir)
        client.close()
        client.ask("POST", "/api/rebuild", {"force": True})
        client.ask("DELETE", f"/api/sessions/{deleted}", {})
        seen = _Watch(datadir, client, seconds).run()
        if _backlog_bytes(datadir) < _BACKLOG_BYTES // 4:
            raise RuntimeError("the spool ran dry: this was no full rate")
        return seen
    finally:
        writer.terminate()
        writer.join()


def _resume(datadir: DataDir, client: "_Client", count: int, seconds: float) -> "_Seen":
    names = [ids.new() for _ in range(max(int(seconds / _RESUMED_EACH_S), 1))]
    thread = threading.Thread(target=_write_resumed, args=(datadir, names, count))
    thread.start()
    client.close()
    seen = _Watch(datadir, client, seconds).run()
    thread.join()
    deadline = time.monotonic() + 10
    client.close()
    while not _all_there(client, names, count):
        if time.monotonic() > deadline:
            raise ValueError("a resumed conversation is missing")
        time.sleep(0.1)
    return seen


def _all_there(client: "_Client", names: list[str], count: int) -> bool:
    """Raises ValueError if one of them is there and not whole."""
    found = client.ask("GET", "/api/conversations?limit=100")["conversations"]
    counts = {one["id"]: one["messageCount"] for one in found if one["id"] in names}
    if any(number < count for number in counts.values()):
        raise ValueError("messages of a resumed conversation are missing")
    return len(counts) == len(names)


def _write_resumed(datadir: DataDir, names: list[str], count: int) -> None:
    """Each in one request, as an agent sends it whose conversation goes on."""
    log = Log(datadir)
    for number, name in enumerate(names):
        messages = history(random.Random(number), name, count)
        Told(log, headers_of(name), messages, [text("well")]).begin().end()
        time.sleep(_RESUMED_EACH_S)
    log.end()


def _write(root: Path) -> None:
    """Conversations that grow, as fast as they are read."""
    datadir = DataDir(root)
    log = Log(datadir)
    for number in itertools.count():
        chance = random.Random(number)
        conversation = ids.text(ids.at(number, number, "conversation"))
        for messages, blocks in grown(chance, str(number)):
            while _backlog_bytes(datadir) > _BACKLOG_BYTES:
                time.sleep(0.05)
            Told(log, headers_of(conversation), messages, blocks).begin().end()


def _backlog_bytes(datadir: DataDir) -> int:
    size = 0
    for path in datadir.spool.glob("*/*.spool"):
        try:
            size += path.stat().st_size
        except FileNotFoundError:  # read and removed this moment
            continue
    return size


def _wait_for_backlog(datadir: DataDir) -> None:
    while _backlog_bytes(datadir) < _BACKLOG_BYTES:
        time.sleep(0.1)


# --- the client ----------------------------------------------------------------------------------


class _Seen(msgspec.Struct, kw_only=True):
    """Milliseconds of each call and event, entries ingested per second."""

    patch: list[float] = []
    listing: list[float] = []
    traffic: list[float] = []
    messages: list[float] = []
    event: list[float] = []
    entries_per_s: float = 0.0


class _Client:
    def __init__(self, port: int, session: str) -> None:
        self.port, self.session = port, session
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._number = 0

    def close(self) -> None:
        """The server closes what is silent for 5 s; the next call connects again."""
        self._connection.close()

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        sent = None if body is None else msgspec.json.encode(body)
        self._connection.request(method, path, sent, {"content-type": "application/json"})
        answer = self._connection.getresponse()
        found = answer.read()
        if answer.status >= 300:
            raise ValueError(f"{method} {path}: {answer.status} {found.decode()}")
        return msgspec.json.decode(found)

    def patch(self) -> float:
        self._number += 1
        name = f"renamed {self._number}"
        took_ms, found = self._timed("PATCH", f"/api/sessions/{self.session}", {"name": name})
        if found["name"] != name:
            raise ValueError("the session has another name than it was given")
        return took_ms

    def listing(self) -> float:
        took_ms, found = self._timed("GET", "/api/sessions")
        names = {session["id"]: session["name"] for session in found["sessions"]}
        if names[self.session] != f"renamed {self._number}" or len(names) < _OTHER_SESSIONS - 1:
            raise ValueError("the list is not what was changed before")
        return took_ms

    def traffic(self) -> float:
        """The newest entries of the session."""
        took_ms, found = self._timed("GET", f"/api/traffic?sessionId={self.session}&limit={_PAGE}")
        if len(found["entries"]) != _PAGE:
            raise ValueError("entries are missing")
        return took_ms

    def messages(self) -> float:
        """The first ones of its long conversation, which has the id of the session."""
        target = f"/api/conversations/{self.session}/messages?limit={_PAGE}"
        took_ms, found = self._timed("GET", target)
        if len(found["messages"]) != _PAGE:
            raise ValueError("messages are missing")
        return took_ms

    def entry_count(self) -> int:
        return sum(one["trafficCount"] for one in self.ask("GET", "/api/sessions")["sessions"])

    def _timed(self, method: str, path: str, body: Any = None) -> tuple[float, Any]:
        started = time.perf_counter()
        found = self.ask(method, path, body)
        return (time.perf_counter() - started) * 1000, found


class _Watch:
    """Calls the API for some seconds while an agent of its own works and `/ws` tells of it."""

    def __init__(self, datadir: DataDir, client: _Client, seconds: float) -> None:
        self._datadir, self._client, self._seconds = datadir, client, seconds
        self._written: dict[str, int] = {}  # when a call's last chunk went into the log
        self._seen = _Seen()

    def run(self) -> _Seen:
        before, started = self._client.entry_count(), time.monotonic()
        with connect(f"ws://127.0.0.1:{self._client.port}/ws", max_size=None) as socket:
            threads = [
                threading.Thread(target=self._listen, args=(socket,)),
                threading.Thread(target=self._work),
            ]
            for thread in threads:
                thread.start()
            while time.monotonic() - started < self._seconds:
                self._seen.patch.append(self._client.patch())
                self._seen.listing.append(self._client.listing())
                self._seen.traffic.append(self._client.traffic())
                self._seen.messages.append(self._client.messages())
                time.sleep(0.01)
            elapsed = time.monotonic() - started
            self._seen.entries_per_s = (self._client.entry_count() - before) / elapsed
            threads[1].join()
            time.sleep(1)
        threads[0].join()
        return self._seen

    def _work(self) -> None:
        """Three tool calls a second."""
        log = Log(self._datadir)
        conversation = ids.new()
        headers = headers_of(conversation)
        end = time.monotonic() + self._seconds
        while time.monotonic() < end:
            call_id = f"toolu_{ids.new()}"
            told = Told(log, headers, [user("go on")], [tool_use(call_id, command="true")])
            self._written[call_id] = time.monotonic_ns()
            told.begin()
            time.sleep(0.3)
            told.end()
        log.end()

    def _listen(self, socket: ClientConnection) -> None:
        for message in socket:
            event = msgspec.json.decode(message)
            call_id = event.get("tool_use_id")
            # The same call comes again with its result.
            if call_id in self._written:
                written_ns = self._written.pop(call_id)
                self._seen.event.append((time.monotonic_ns() - written_ns) / 1e6)


def _check(datadir: DataDir, kept: str, deleted: str) -> None:
    conn = database.reader(datadir.database)
    known = {session.id: session for session in sessions.list_all(conn)}
    conn.close()
    if deleted in known or not known[kept].name.startswith("renamed"):
        raise ValueError("the deletion or the change of a session was lost")


def _percentiles(values: list[float]) -> list[float]:
    """Inclusive: of few values, no p99 is beyond the worst of them."""
    return statistics.quantiles(values, n=100, method="inclusive")


def _figures(rest: _Seen, load: _Seen) -> list[Figure]:
    found = []
    kinds = (
        ("PATCH session", "patch"),
        ("sessions list", "listing"),
        (f"page of {_PAGE} entries", "traffic"),
        (f"page of {_PAGE} messages", "messages"),
    )
    for name, field in kinds:
        busy, calm = getattr(load, field), getattr(rest, field)
        for word, place in (("median", 49), ("p99", 98)):
            found.append(
                Figure(name=f"{name}, {word} of {len(busy)}", unit="ms",
                       ours=[_percentiles(busy)[place]],
                       rival=[_percentiles(calm)[place]],
                       goal=_GOAL_MS if word == "p99" else None, goal_is_absolute=True)
            )  # fmt: skip
        found.append(Figure(name=f"{name}, worst", unit="ms", ours=[max(busy)], rival=[max(calm)]))
    if not rest.event or not load.event:
        raise ValueError("no event came over /ws")
    for word, choose in (("median", statistics.median), ("worst", max)):
        found.append(
            Figure(name=f"/ws event, {word} of {len(load.event)}", unit="ms",
                   ours=[choose(load.event)], rival=[choose(rest.event)],
                   goal=250, goal_is_absolute=True)
        )  # fmt: skip
    found.append(Figure(name="ingested meanwhile", unit="entries/s", ours=[load.entries_per_s]))
    return found
