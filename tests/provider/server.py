"""The provider itself: accepts connections, records exchanges, finds who answers."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator

import h11
import msgspec

from . import routes
from .records import Exchange
from .reply import Reply, finish
from .request import Handler, Request
from .scenarios import Scripts
from .websocket import SocketClosed
from .wire import ClientLeft, Connection

type Observer = Callable[[Exchange], None]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A handler of a test. `path` ending in "/" is a prefix, otherwise it is the whole path."""

    path: str
    handler: Handler
    method: str | None
    host: str | None

    def takes(self, exchange: Exchange) -> bool:
        if self.method not in (None, exchange.method):
            return False
        if self.host is not None and exchange.host.partition(":")[0] != self.host:
            return False
        if self.path.endswith("/"):
            return exchange.path.startswith(self.path)
        return exchange.path == self.path


class Provider:
    """
    A scripted model provider on one port; `async with` starts and stops it.

    `requests` holds every exchange in order of arrival, those still open included.
    `observe` is called with each exchange when it has ended. What a handler raises resets its
    connection and is raised again at the end of the `with` block.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        slow_ms: float = 0,
        observe: Observer | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.requests: list[Exchange] = []
        self.errors: list[Exception] = []  # raised by handlers, or malformed requests
        self.scripts = Scripts(slow_ms=slow_ms)
        self._tls = tls
        self._observe = observe
        self._routes: list[Route] = []
        self._server: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[None], Connection] = {}
        self._connections = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"

    @property
    def websocket_url(self) -> str:
        return f"{'wss' if self._tls else 'ws'}://{self.host}:{self.port}"

    def handle(
        self, path: str, handler: Handler, *, method: str | None = None, host: str | None = None
    ) -> None:
        """Let `handler` answer a path (a prefix if it ends in "/"). The last one given wins."""
        self._routes.insert(0, Route(path=path, handler=handler, method=method, host=host))

    def calls(self, kind: str = "model") -> list[Exchange]:
        """The exchanges of one kind: model, side, raw, handler or unknown."""
        return [exchange for exchange in list(self.requests) if exchange.kind == kind]

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._accept, self.host, self.port, ssl=self._tls, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and every connection; open exchanges end as "failed"."""
        if self._server is None:
            return
        self._server.close()
        if self._tls is not None:
            # A handshake that the client broke off is no task yet. What came of it is read first,
            # in the few turns that this takes: asyncio would leave its connection open.
            for _ in range(10):
                await asyncio.sleep(0)
        tasks = dict(self._tasks)
        for task, connection in tasks.items():
            connection.abort()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> "Provider":
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        await self.stop()
        if kind is None:
            self.check()

    def check(self) -> None:
        """Raise what handlers raised, assertions of a test included."""
        if self.errors:
            raise ExceptionGroup("handlers of the provider failed", self.errors)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        connection = Connection(self._connections, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = connection
        try:
            while await self._one(connection):
                connection.keep_for_next()
        except (ClientLeft, asyncio.CancelledError):
            pass  # the exchange says so; a cancelled task is stop() at work
        except h11.RemoteProtocolError as error:
            self.errors.append(error)
        finally:
            del self._tasks[task]
            await connection.close()

    async def _one(self, connection: Connection) -> bool:
        """Answer one request; True if the connection can carry another."""
        exchange = await connection.head()
        if exchange is None:
            return False
        exchange.number = len(self.requests) + 1
        self.requests.append(exchange)
        reply = Reply(connection, exchange)
        try:
            await self._answer(Request(exchange, connection, self.scripts), reply)
        except ClientLeft:
            finish(exchange, "client_left")
            return False
        except SocketClosed:
            return False  # how it ended is on record already
        except Exception as error:
            self.errors.append(error)
            connection.reset()
            return False
        finally:
            finish(exchange, "failed")
            if self._observe:
                self._observe(exchange)
        return reply.keep_alive and exchange.outcome == "complete"

    async def _answer(self, request: Request, reply: Reply) -> None:
        handler = self._handler(request.exchange)
        await handler(request, reply)
        if reply.started and not reply.ended and request.exchange.outcome is None:
            await reply.end()
        if reply.keep_alive:
            await request.read()  # what the handler left unread is before the next request

    def _handler(self, exchange: Exchange) -> Handler:
        for route in self._routes:
            if route.takes(exchange):
                exchange.kind = "handler"
                return route.handler
        return routes.find(exchange)


@contextlib.contextmanager
def running(provider: Provider) -> Iterator[Provider]:
    """The provider in a thread with a loop of its own, for tests that have no loop."""
    started, done = threading.Event(), []

    async def serve() -> None:
        await provider.start()
        stop = asyncio.Event()
        done.append((asyncio.get_running_loop(), stop))
        started.set()
        await stop.wait()
        await provider.stop()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="provider")
    thread.start()
    assert started.wait(60)
    try:
        yield provider
    finally:
        loop, stop = done[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
    provider.check()
