"""
A real proxy in a thread of its own, and what it left in its spool.

    with running(tmp_path, upstreams=...) as proxy:
        ... proxy.port, proxy.url(tag), proxy.trust ...
    proxy.entries()
"""

import asyncio
import collections
import contextlib
import ssl
import threading
import time

import msgspec

from addons import launch, upstream
from addons.disk import DiskLimits
from storage import control, ids, spool
from storage.datadir import DataDir
from storage.records import (
    BodyEnd,
    Cut,
    EntryClosed,
    EntryOpened,
    Gap,
    ResponseHead,
)

PATIENCE_S = 60  # only a hang reaches it
_TYPES = {
    "open": EntryOpened,
    "response": ResponseHead,
    "request-end": BodyEnd,
    "response-end": BodyEnd,
    "cut": Cut,
    "gap": Gap,
    "close": EntryClosed,
}


class Spooled:
    """One entry as its records tell it."""

    def __init__(self, entry):
        self.id = ids.text(entry)
        self.records = []  # (kind, offset_ns, content)
        self.chunks = {"request": [], "response": []}  # (size_bytes, data, offset_ns)
        self.messages = []  # [from_client, opcode, data, offset_ns]
        self.cuts = []
        self.gaps = []
        self.opened = self.answered = self.closed = None
        self.ends = {}
        self.decoded = {"request": b"", "response": b""}

    def add(self, record):
        kind = record.kind
        if kind.endswith("-chunk"):
            size, data = msgspec.msgpack.decode(record.content)
            content = (size, data)
            self.chunks[kind.removesuffix("-chunk")].append((size, data, record.offset_ns))
        elif kind.endswith("-decoded"):
            content = msgspec.msgpack.decode(record.content)
            self.decoded[kind.removesuffix("-decoded")] += content
        elif kind == "message":
            content = from_client, opcode, final, data = msgspec.msgpack.decode(record.content)
            if self.messages and not self.messages[-1][4]:
                self.messages[-1][2] += data
                self.messages[-1][4] = final
            else:
                self.messages.append([from_client, opcode, data, record.offset_ns, final])
        else:
            content = msgspec.msgpack.decode(record.content, type=_TYPES[kind])
        if kind == "open":
            self.opened = content
        elif kind == "response":
            self.answered = content
        elif kind == "close":
            self.closed = content
        elif kind == "cut":
            self.cuts.append(content)
        elif kind == "gap":
            self.gaps.append(content)
        elif kind.endswith("-end"):
            self.ends[kind.removesuffix("-end")] = content
        self.records.append((kind, record.offset_ns, content, record.number))

    def body(self, side):
        return b"".join(data for _, data, _ in self.chunks[side])

    @property
    def texts(self):
        return [(from_client, data.decode()) for from_client, _, data, *_ in self.messages]

    @property
    def outcome(self):
        return self.closed.outcome if self.closed else None


def read_spool(datadir):
    """All entries of all writers, in order of their ids; the nil one only if it has records."""
    found = collections.defaultdict(list)
    for folder in spool.writers(datadir.spool):
        reader = spool.SpoolReader(folder)
        while records := reader.read():
            for record in records:
                assert isinstance(record, spool.SpoolRecord), record
                found[record.entry].append(record)
    entries = []
    for entry in sorted(found):
        entries.append(Spooled(entry))
        for record in found[entry]:
            entries[-1].add(record)
    return entries


class Running:
    def __init__(self, datadir, **settings):
        self.datadir = datadir
        self.settings = launch.ProxySettings(datadir=datadir, **settings)
        self.port = 0
        self.error = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="proxy")

    def start(self):
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)
        if self.error:
            raise self.error
        return self

    def _main(self):
        try:
            asyncio.run(self._run())
        except BaseException as error:
            self.error = error
            self._ready.set()

    async def _run(self):
        self._loop = asyncio.get_running_loop()
        self._stop = launch.Stop()
        await launch.run(self.settings, stop=self._stop, started=self._started)

    def _started(self, host, port):
        self.host, self.port = host, port
        self._ready.set()

    def ask_to_stop(self):
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop)

    def join(self):
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        if self.error:
            raise self.error

    def stop(self):
        self.ask_to_stop()
        self.ask_to_stop()
        self.join()

    @property
    def ca(self):
        return self.datadir.ca / "mitmproxy-ca-cert.pem"

    @property
    def trust(self):
        return ssl.create_default_context(cafile=str(self.ca))

    def url(self, tag=None):
        return f"http://{tag + '@' if tag else ''}127.0.0.1:{self.port}"

    def entries(self):
        return [entry for entry in read_spool(self.datadir) if entry.opened]

    def wait(self, condition, *, patience_s=PATIENCE_S):
        """The entries, once `condition` holds for them."""
        end = time.monotonic() + patience_s
        while True:
            entries = self.entries()
            if condition(entries):
                return entries
            assert time.monotonic() < end, [(e.opened, e.closed) for e in entries]
            time.sleep(0.03)

    def one(self):
        """The only entry, once it has ended."""
        (entry,) = self.wait(lambda entries: len(entries) == 1 and entries[0].closed)
        return entry

    def control(self, **state):
        """Put a control state in force; `sessions` maps ids to (recording, word)."""
        sessions = {
            name: control.SessionControl(recording=recording, word=word)
            for name, (recording, word) in state.pop("sessions", {}).items()
        }
        control.write(self.datadir.control, control.Control(sessions=sessions, **state))


@contextlib.contextmanager
def running(folder, *, upstreams=None, **settings):
    datadir = DataDir(folder / "data").prepare()
    rules = tuple(upstream.to(host, url) for host, url in (upstreams or {}).items())
    settings.setdefault("limits", DiskLimits(min_free_bytes=0, max_spool_bytes=0))
    settings.setdefault("drain_s", 20)
    proxy = Running(datadir, port=0, upstreams=rules, **settings).start()
    try:
        yield proxy
    finally:
        proxy.stop()
