"""
`up` as a supervisor: starts proxy and server, starts again what dies, ends both in order.

The proxy ends first, so that open streams may finish while the server still reads what they spool.
"""

import asyncio
import contextlib
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable

import msgspec

from cli import running, supervised
from cli.errors import say
from cli.running import Running
from cli.settings import Settings
from storage.datadir import DataDir
from storage.errors import StoreError, WirescribeError

_DRAIN_S = 40.0  # how long open streams may take when `up` ends; the proxy ends them before that
_END_S = 15.0  # for the server, which has nothing to wait for
_HURRY_S = 3.0
_START_S = 30.0  # until a process that was started listens
_LOOK_S = 0.025  # between looks whether it does
_WATCH_S = 2.0  # between looks at what is degraded
_PAUSES_S = (0.2, 10.0)  # before a restart: the first, doubled each time up to the last
_STEADY_S = 60.0  # who lived this long begins again at the first pause
_COMMANDS = {"proxy": "proxy", "server": "serve"}

OnReady = Callable[[Running], Awaitable[None]]


class _Child:
    """One supervised process, through its restarts."""

    def __init__(self, role: str, datadir: DataDir) -> None:
        self.role = role
        self._datadir = datadir
        self.process: Process | None = None
        self.was_ready = False

    async def start(self, settings: Settings) -> Process:
        # -P: a folder named `cli` in the current directory is not us. A process group of its own:
        # ^C is for `up`, which ends its children in order.
        command = (sys.executable, "-P", "-m", "cli", _COMMANDS[self.role], "--supervised")
        process = await asyncio.create_subprocess_exec(
            *command, "--data-dir", str(self._datadir.root), stdin=PIPE, process_group=0
        )
        assert process.stdin
        with contextlib.suppress(ConnectionError):  # it died at once: `wait` will tell
            process.stdin.write(supervised.first_line(settings))
            await process.stdin.drain()
        self.process = process
        return process

    async def listens(self, process: Process) -> bool:
        """Waits until it does; False if it ended instead, or takes too long."""
        deadline = time.monotonic() + _START_S
        while process.returncode is None and time.monotonic() < deadline:
            if self._announced(process.pid):
                self.was_ready = True
                return True
            await asyncio.sleep(_LOOK_S)
        return False

    def _announced(self, pid: int) -> bool:
        found = running.look(self._datadir)
        process = found.proxy if self.role == "proxy" else found.server
        return process is not None and process.pid == pid

    async def end(self, patience_s: float, hurry: asyncio.Event) -> None:
        """SIGTERM; a second one, for at once, when the user is in a hurry; SIGKILL at last."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        waits = [asyncio.ensure_future(process.wait()), asyncio.ensure_future(hurry.wait())]
        await asyncio.wait(waits, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        if process.returncode is None and hurry.is_set():
            process.terminate()
            await asyncio.wait(waits[:1], timeout=_HURRY_S)
        for wait in waits:
            wait.cancel()
        if process.returncode is None:
            say(f"the {self.role} (process {process.pid}) still runs: killing it")
            process.kill()
            await process.wait()


class Supervisor:
    """Runs both until `end` is called, one of them cannot start at all or `on_ready` fails."""

    def __init__(self, datadir: DataDir, settings: Settings, on_ready: OnReady) -> None:
        self._datadir = datadir
        self._settings = settings
        self._on_ready = on_ready
        self._children = (_Child("server", datadir), _Child("proxy", datadir))
        self._ends = asyncio.Event()
        self._hurry = asyncio.Event()
        self._failure: str | None = None
        self._degraded: dict[str, tuple[str, ...]] = {}

    def end(self) -> None:
        """End in order; called again, at once."""
        if self._ends.is_set():
            self._hurry.set()
        else:
            say("ending; open streams may finish, once more ends them at once")
        self._ends.set()

    async def run(self) -> None:
        """Raises StoreError if it ended because something failed at its start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                loop.add_signal_handler(number, self.end)
        async with asyncio.TaskGroup() as group:
            for child in self._children:
                group.create_task(self._keep(child))
            group.create_task(self._watch())
            await self._ends.wait()
            for child, patience_s in zip(reversed(self._children), (_DRAIN_S, _END_S), strict=True):
                await child.end(patience_s, self._hurry)
        if self._failure:
            raise StoreError(self._failure)

    async def _keep(self, child: _Child) -> None:
        """Start `child`, and again whenever it has ended, until all is to end."""
        pause_s = _PAUSES_S[0]
        while not self._ends.is_set():
            started = time.monotonic()
            process = await child.start(self._settings)
            if await child.listens(process):
                self._remember_ports()
            elif not child.was_ready:
                await child.end(0, self._hurry)
                self._fail(f"the {child.role} could not start: {_ending(process)}")
                return
            await process.wait()
            if time.monotonic() - started > _STEADY_S:
                pause_s = _PAUSES_S[0]
            if not self._ends.is_set():
                say(f"the {child.role} ended ({_ending(process)}): starting it again")
                await self._pause(pause_s)
                pause_s = min(pause_s * 2, _PAUSES_S[1])

    def _fail(self, reason: str) -> None:
        if not self._ends.is_set():
            self._failure = reason
            self._ends.set()

    def _remember_ports(self) -> None:
        """A restarted process listens where its predecessor did: agents know that port."""
        found = running.look(self._datadir)
        if found.proxy and found.proxy.port:
            self._settings = msgspec.structs.replace(self._settings, proxy_port=found.proxy.port)
        if found.server and found.server.port:
            self._settings = msgspec.structs.replace(self._settings, port=found.server.port)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ends.wait(), seconds)

    async def _watch(self) -> None:
        """Say when all is ready, and then what is degraded and what no longer is."""
        while not self._ends.is_set() and not all(child.was_ready for child in self._children):
            await self._pause(_LOOK_S)
        if not self._ends.is_set():
            try:
                await self._on_ready(running.look(self._datadir))
            except WirescribeError as error:
                self._fail(str(error))
        while not self._ends.is_set():
            found = running.look(self._datadir)
            for process in (found.proxy, found.server):
                if process:
                    self._say_changes(process.role, process.degraded)
            await self._pause(_WATCH_S)

    def _say_changes(self, role: str, now: tuple[str, ...]) -> None:
        before = self._degraded.get(role, ())
        for reason in now:
            if reason not in before:
                say(f"degraded: {role}: {reason}")
        if before and not now:
            say(f"the {role} is sound again")
        self._degraded[role] = now


def _ending(process: Process) -> str:
    """How it ended, in words."""
    code = process.returncode
    if code is None:
        return f"process {process.pid} does not listen after {_START_S:.0f} s"
    if code < 0:
        return f"process {process.pid}, killed by {signal.Signals(-code).name}"
    return f"process {process.pid}, exit code {code}"
