"""
Starts mitmproxy with the recorder, and ends it so that nothing is lost.

Only the addons that a proxy needs are loaded: each costs time in every hook.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import certifi
import msgspec
from mitmproxy import master, options
from mitmproxy.addons import block, core, proxyserver, tlsconfig

from addons import baseurl, mending, upstream
from addons.admission import Admission, Policy
from addons.connections import Connections
from addons.disk import DiskGuard, DiskLimits
from addons.entries import Entries
from addons.ownports import OwnPorts, literal
from addons.recorder import Recorder
from addons.redaction import Redactor
from addons.scope import Scope
from addons.scribe import QUEUE_BYTES, Scribe
from addons.tunnel import Layers
from certs import authority
from storage import files, spool
from storage.control import ControlReader
from storage.datadir import DataDir
from storage.errors import ConfigError, StoreError
from storage.processes import Announcement, Process

# Silence after which mitmproxy cuts a connection: a model may think for long, an idle socket stays.
TIMEOUT_S = 86_400
LOOK_S = 0.25
REFRESH_S = 1.0
CUT_S = 5.0
BUSY_S = 2.0  # a socket or tunnel that was silent for longer does not hold up the end
# How long the event loop may wait for the interpreter lock while the spool thread works.
SWITCH_INTERVAL_S = 0.0005


class ProxySettings(msgspec.Struct, frozen=True, kw_only=True):
    """All that a proxy is told. `port` 0 takes a free one."""

    datadir: DataDir
    host: str = "127.0.0.1"
    port: int = 8888
    everything: bool = False  # `--scope all`
    extra_hosts: tuple[str, ...] = ()
    upstreams: tuple[upstream.Upstream, ...] = ()
    upstream_ca: Path | None = None  # PEM, trusted beside the public roots
    http2: bool = False
    record_secrets: bool = False
    secret_headers: tuple[str, ...] = ()
    credential_endpoints: tuple[str, ...] = ()  # `host/path`, `*` for anything
    limits: DiskLimits = DiskLimits()
    queue_bytes: int = QUEUE_BYTES
    drain_s: float = 30.0

    @property
    def scope(self) -> Scope:
        hosts = (*self.extra_hosts, *(rule.host for rule in self.upstreams))
        return Scope(hosts, everything=self.everything)


class Stop:
    """Asks a running proxy to end; once more: at once. Belongs to the proxy's event loop."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()

    def __call__(self) -> None:
        if self.asked.is_set():
            self.at_once.set()
        self.asked.set()


async def run(
    settings: ProxySettings,
    *,
    stop: Stop | None = None,
    started: Callable[[str, int], None] | None = None,
) -> None:
    """
    Run a proxy until SIGTERM, SIGINT or `stop`.

    `started` is called with the real host and port. Raises ConfigError if the port cannot be had
    or the data dir cannot be used.
    """
    stop = stop or Stop()
    with _signals(stop):
        await _Proxy(settings).run(stop, started)


@contextlib.contextmanager
def _signals(stop: Stop) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    caught = []
    for number in (signal.SIGTERM, signal.SIGINT):
        # Outside of the main thread `stop` is the only way.
        with contextlib.suppress(ValueError, RuntimeError):
            loop.add_signal_handler(number, stop)
            caught.append(number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


class _Proxy:
    """The pieces of one proxy process and how they end."""

    def __init__(self, settings: ProxySettings) -> None:
        self._settings = settings
        datadir = settings.datadir.prepare()
        self._datadir = datadir
        names = settings.scope.certificate_names()
        self._authority = authority.ensure(datadir.ca, permitted=names)
        redactor = Redactor(
            datadir.hmac_key(),
            enabled=not settings.record_secrets,
            extra_headers=settings.secret_headers,
            extra_endpoints=settings.credential_endpoints,
        )
        self._writer = spool.SpoolWriter(datadir.spool)
        guard = DiskGuard(datadir.spool, settings.limits)
        self._scribe = Scribe(self._writer, redactor, guard, queue_bytes=settings.queue_bytes)
        self._control = ControlReader(datadir.control)
        self._own = OwnPorts(datadir)
        self._entries = Entries(self._scribe, self._control)
        self._server = proxyserver.Proxyserver()  # type: ignore[no-untyped-call]
        self._policy = self._told()
        admission = Admission(self._policy, self._entries.rules, self._control, self._own)
        self._connections = Connections(
            self._entries, admission, self._policy, lambda: self._server.connections
        )
        self._recorder = Recorder(self._entries, admission, self._policy, self._connections)

    def _told(self) -> Policy:
        settings = self._settings
        address = literal(settings.host)
        return Policy(
            scope=settings.scope,
            upstreams=upstream.table(settings.upstreams),
            common_word=baseurl.common_word(self._datadir.hmac_key()),
            demands_tag=address is None or not address.is_loopback,
            timeout_ns=TIMEOUT_S * 1_000_000_000,
        )

    async def run(self, stop: Stop, started: Callable[[str, int], None] | None) -> None:
        mending.apply()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._scribe.start()
        try:
            with self._upstream_roots() as roots:
                listens = asyncio.Event()
                await self._serve(self._master(roots, listens), listens, stop, started)
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            # Only now: `error` and `websocket_end` of cut streams come after mitmproxy's `done`.
            await asyncio.to_thread(self._scribe.stop)

    @contextlib.contextmanager
    def _upstream_roots(self) -> Iterator[Path | None]:
        """A file with the public roots and the user's; None: mitmproxy's own choice will do."""
        if self._settings.upstream_ca is None:
            yield None
            return
        try:
            own = self._settings.upstream_ca.read_bytes()
        except OSError as error:
            raise ConfigError(f"{self._settings.upstream_ca} cannot be read: {error}") from error
        path = self._datadir.run / f"upstream-{os.getpid()}.pem"
        files.replace(path, Path(certifi.where()).read_bytes() + b"\n" + own)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _master(self, roots: Path | None, listens: asyncio.Event) -> master.Master:
        settings = self._settings
        logging.getLogger("mitmproxy").setLevel(logging.CRITICAL)  # until it listens
        made = master.Master(options.Options(), with_termlog=False)
        layers = Layers(
            self._connections.visitor,
            self._connections.pass_through,
            lambda: self._server.connections,
            http2=settings.http2,
        )
        needed = (core.Core(), block.Block(), self._server, layers, tlsconfig.TlsConfig())
        made.addons.add(*needed, self._connections, self._recorder, _Listens(listens))  # type: ignore[no-untyped-call]
        made.options.update(  # type: ignore[no-untyped-call]
            listen_host=settings.host,
            listen_port=settings.port,
            confdir=str(self._datadir.ca),
            http2=settings.http2,
            connection_strategy="lazy",  # so that a request to a dead provider is on record
            upstream_cert=False,
            tcp_timeout=TIMEOUT_S,
            ssl_verify_upstream_trusted_ca=None if roots is None else str(roots),
        )
        return made

    async def _serve(
        self,
        made: master.Master,
        listens: asyncio.Event,
        stop: Stop,
        started: Callable[[str, int], None] | None,
    ) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(made.run(), name="mitmproxy")
            try:
                await listens.wait()
                host, port = self._address()
                with self._announced(host, port) as announcement:
                    logging.getLogger("mitmproxy").setLevel(logging.ERROR)
                    looking = tasks.create_task(self._look(), name="look")
                    telling = tasks.create_task(self._tell(announcement), name="tell")
                    if started is not None:
                        started(host, port)
                    await stop.asked.wait()
                    await self._drain(stop)
                    looking.cancel()
                    telling.cancel()
            finally:
                made.shutdown()  # type: ignore[no-untyped-call]
                await asyncio.wait([running])

    def _address(self) -> tuple[str, int]:
        """Where it really listens. Raises ConfigError if it does not."""
        for server in self._server.servers:
            if server.last_exception is not None or not server.listen_addrs:
                where = f"{self._settings.host}:{self._settings.port}"
                raise ConfigError(f"the proxy cannot listen on {where}: {server.last_exception}")
        return self._settings.host, self._server.listen_addrs()[0][1]

    @contextlib.contextmanager
    def _announced(self, host: str, port: int) -> Iterator[Announcement]:
        process = Process(
            role="proxy",
            pid=os.getpid(),
            started_ms=time.time_ns() // 1_000_000,
            version=metadata.version("wirescribe"),
            host=host,
            port=port,
            writer=self._writer.name,
            scope=self._settings.scope.name,
        )
        announcement = Announcement(self._datadir, process)
        try:
            self._own.refresh()
            yield announcement
        finally:
            announcement.withdraw()

    async def _look(self) -> None:
        """Look at the control file for as long as the proxy runs."""
        while True:
            try:
                self._entries.look_again()
                self._scribe.tick()
            except Exception as error:  # noqa: BLE001 - the proxy must outlive whatever it is
                self._entries.fault(None, error)
            await asyncio.sleep(LOOK_S)

    async def _tell(self, announcement: Announcement) -> None:
        """
        Say what is wrong, and look who runs beside us.

        Apart from `_look`, which must not wait for a disk, nor for a thread while all of them are
        busy with names that nobody resolves.
        """
        while True:
            await asyncio.to_thread(self._refresh, announcement)
            await asyncio.sleep(REFRESH_S)

    def _refresh(self, announcement: Announcement) -> None:
        troubles = self._scribe.troubles
        if self._control.degraded:
            troubles = (*troubles, self._control.degraded)
        with contextlib.suppress(OSError):
            self._own.refresh()
        # A full disk is one of the troubles that are to be announced, as soon as it takes it.
        with contextlib.suppress(StoreError, OSError, UnicodeError):  # the last: of a path
            announcement.update(degraded=troubles)

    async def _drain(self, stop: Stop) -> None:
        """Take no more connections, let what is open come to its end, cut the rest."""
        for server in self._server.servers:
            await server.stop()
        await self._until(lambda: not self._busy(), self._settings.drain_s, stop.at_once)
        self._connections.draining = True
        for handler in list(self._server.connections.values()):
            client = handler.transports.get(handler.client)
            if client is not None and client.handler is not None:
                client.handler.cancel("the proxy ends")
        await self._until(lambda: not self._server.connections, CUT_S, asyncio.Event())

    async def _until(
        self, done: Callable[[], bool], limit_s: float, given_up: asyncio.Event
    ) -> None:
        end = time.monotonic() + limit_s
        while not done() and time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(given_up.wait(), 0.02)
                return

    def _busy(self) -> bool:
        """Whether something is open that comes to an end by itself, or that was busy just now."""
        now_ns = time.monotonic_ns()
        for live in self._entries.open:
            if live.head.kind != "websocket" and live.head.method != "CONNECT":
                return True
            last_ns = max(live.last_ns, live.counts.last_ns if live.counts else 0)
            if now_ns - last_ns < BUSY_S * 1e9:
                return True
        return False


class _Listens:
    """Tells when mitmproxy has set up its servers."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    def running(self) -> None:
        self._event.set()
