"""How handlers reach the store: on the loop for what is quick, in threads for what is not."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from storage import database
from storage.errors import Busy
from storage.imports import HarFacts, Imported
from storage.store import Store

_THREADS = 4


class Importer(Protocol):
    """
    What imports files. The API knows no wire format, so whoever makes the app hands it in.

    Both block, and raise Unreadable; an import also Busy and StoreError.
    """

    def import_file(self, path: Path, name: str, *, only_har: bool = False) -> Imported: ...

    def har_facts(self, path: Path) -> HarFacts: ...


class Access:
    """
    The store, with a small pool of threads beside the loop.

    `read()` is for short indexed queries on the loop's own thread (5 ms at most); everything that
    reads bodies or walks a session goes through `in_thread` or `stream`.
    """

    def __init__(self, store: Store, importer: Importer | None = None) -> None:
        self.store = store
        self._importer = importer
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="api")

    def read(self) -> sqlite3.Connection:
        """The calling thread's read-only connection."""
        return self.store.read()

    def importer(self) -> Importer:
        """Raises Busy if this server was given none."""
        if self._importer is None:
            raise Busy("this server does not import files")
        return self._importer

    async def committed[T](self, mutation: Future[T]) -> T:
        """
        The result of a `Store.call`, once it is durable.

        A client that goes away does not take its mutation back.
        """
        return await asyncio.shield(asyncio.wrap_future(mutation))

    async def in_thread[T](self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Run `fn` with a read-only connection of its thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: fn(self.store.read()))

    def stream(self, make: Callable[[sqlite3.Connection], Iterator[bytes]]) -> AsyncIterator[bytes]:
        """The pieces that `make(conn)` yields; a client that reads slowly holds no thread."""
        return _pieces(_Puller(make, self.store.datadir.database), self._threads)

    def close(self) -> None:
        self._threads.shutdown(wait=True)


# The type by which handlers ask for it.
Reach = NamedDependency[SkipValidation[Access]]


class _Puller:
    """
    An iterator with the connection that it reads from, pulled by one thread at a time.

    A connection of its own, because the iterator wanders between threads; opened by the first
    pull, because an answer may never be begun.
    """

    def __init__(
        self, make: Callable[[sqlite3.Connection], Iterator[bytes]], database_path: Path
    ) -> None:
        self._make = make
        self._path = database_path
        self._lock = threading.Lock()
        self._opened = contextlib.ExitStack()
        self._pieces: Iterator[bytes] | None = None

    def next(self) -> bytes | None:
        with self._lock:
            if self._pieces is None:
                conn = self._opened.enter_context(contextlib.closing(database.reader(self._path)))
                self._pieces = self._make(conn)
                if isinstance(self._pieces, Generator):
                    self._opened.enter_context(contextlib.closing(self._pieces))
            return next(self._pieces, None)

    def close(self) -> None:
        with self._lock:
            self._opened.close()


async def _pieces(puller: _Puller, threads: ThreadPoolExecutor) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    try:
        while (piece := await loop.run_in_executor(threads, puller.next)) is not None:
            yield piece
    finally:
        # Not awaited: after a disconnect the last pull may still run, and the close waits for it.
        try:
            threads.submit(puller.close)
        except RuntimeError:  # the pool was shut down, and waited for its last pull
            puller.close()
