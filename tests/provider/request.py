"""What a handler gets: a request to read, beside the Reply that it answers with."""

from collections.abc import AsyncIterator, Awaitable, Callable

from .records import Exchange
from .reply import Reply
from .scenarios import Scripts
from .wire import Connection

type Handler = Callable[["Request", Reply], Awaitable[None]]


class Request:
    """What a handler gets: the exchange's head, and its body to read."""

    def __init__(self, exchange: Exchange, connection: Connection, scripts: Scripts) -> None:
        self.exchange = exchange
        self.scripts = scripts
        self._connection = connection

    @property
    def method(self) -> str:
        return self.exchange.method

    @property
    def target(self) -> str:
        return self.exchange.target

    @property
    def path(self) -> str:
        return self.exchange.path

    @property
    def host(self) -> str:
        return self.exchange.host

    def header(self, name: str) -> str | None:
        return self.exchange.header(name)

    async def read(self) -> bytes:
        """The whole body (once read, it stays readable)."""
        async for _ in self._connection.body(self.exchange):
            pass
        return self.exchange.body

    def stream(self) -> AsyncIterator[bytes]:
        """The body piece by piece, as it arrives."""
        return self._connection.body(self.exchange)
