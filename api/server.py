"""The API on a socket: uvicorn with uvloop and httptools, in the process that calls it."""

import contextlib
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import uvicorn
from litestar import Litestar
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.guards import CONNECTION, TARGET, Connection
from storage.errors import ConfigError

_BACKLOG = 2048
_LAST_ANSWERS_S = 5  # how long answers that run may go on after a stop

OnStarted = Callable[[str, int], None]
OnStopping = Callable[[], Awaitable[None]]


class Server:
    """
    Serves `app` until `stop`, or until SIGINT or SIGTERM where `run` is in the main thread.

    `on_started(host, port)` is called once it answers, with the real port if 0 was asked for.
    A stop accepts nothing new and lets the answers that run end, for a few seconds at most; those
    that never end are told by the app's `on_stopping` (in its state).
    """

    def __init__(
        self, app: Litestar, host: str, port: int, on_started: OnStarted = lambda *_: None
    ) -> None:
        self._address = (host, port)
        config = uvicorn.Config(
            cast("ASGI3Application", app),
            loop="uvloop",
            http=_Protocol,
            ws="websockets-sansio",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            # A header must not say who calls: the guards look at the socket.
            proxy_headers=False,
            timeout_graceful_shutdown=_LAST_ANSWERS_S,
        )
        self._uvicorn = _Uvicorn(config, on_started, app.state.on_stopping)

    def run(self) -> None:
        """Raises ConfigError if the port cannot be had."""
        with _listen(*self._address) as listener:
            self._uvicorn.run(sockets=[listener])

    def stop(self) -> None:
        """From any thread; returns at once, `run` returns when all is closed."""
        self._uvicorn.should_exit = True


def serve(app: Litestar, host: str, port: int, on_started: OnStarted = lambda *_: None) -> None:
    """`Server.run` for who needs no handle to stop it by."""
    Server(app, host, port, on_started).run()


class _Uvicorn(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, on_started: OnStarted, on_stopping: OnStopping
    ) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._on_stopping = on_stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            self._on_started(host, port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Before uvicorn closes WebSockets by itself, with a code that says less.
        await self._on_stopping()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but a signal that ended the server does not end the process too."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {
            name: signal.signal(name, self.handle_exit) for name in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for name, handler in former.items():
                signal.signal(name, handler)


class _Protocol(HttpToolsProtocol):
    """Tells the guards what an ASGI scope does not: the connection, and the target as it came."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # The ASGI specification leaves extensions to servers; uvicorn types them as theirs alone.
        self._extensions: dict[str, Any] = {CONNECTION: self._connection()}
        self.scope["extensions"] = self._extensions

    def on_headers_complete(self) -> None:
        self._extensions[TARGET] = self.url
        super().on_headers_complete()

    def _connection(self) -> Connection:
        if not hasattr(self, "_facts"):
            self._facts = Connection()
        return self._facts


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"{host}:{port} cannot be listened on ({error.strerror}): choose another port"
        ) from error
