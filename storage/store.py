"""
The one writer of a data dir: a thread with the only writing connection, and readers beside it.

Calls (the API's mutations) go first, each in a transaction of its own; between them runs the
background step, which ingests and sweeps.
"""

import contextlib
import logging
import os
import queue
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Concatenate

import msgspec
from sqlite_utils import Database

from storage import control, database, files, session_control, sessions
from storage.control import Control
from storage.datadir import DataDir
from storage.errors import Busy, StoreError, WirescribeError

if TYPE_CHECKING:
    from storage.feed import Feed

Background = Callable[[Database], float]

_PATIENCE_S = 30.0  # how long a call waits for another process that holds the database locked
_BACK_OFF_S = (0.25, 10.0)  # after a failed background step: first, and at most
_LOCKED_PAUSE_S = 0.05  # between tries, beside SQLite's own busy timeout
_CONTROL_PAUSE_S = 0.5  # between tries to write the control file
_PUT_OFF = 1.5  # times the usual length of the WAL, while calls wait for its checkpoint
_STARVED_S = 1.0  # a background step that is due for so long goes after each call

_log = logging.getLogger("wirescribe")

type _Mutation[**P, T] = Callable[Concatenate[Database, P], T]


class _Reader:
    """A thread's connection, closed when the thread ends."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self.conn = conn

    def __del__(self) -> None:
        self.conn.close()


class Store:
    """
    The store of a data dir; make it with `open` or `reading`.

    `degraded` holds the reason while the background step fails or the control file is behind the
    database; else None. `feed` is where the background step tells what it sees; one
    that only reads has none.
    """

    def __init__(self, datadir: DataDir) -> None:
        self.datadir = datadir
        self.feed: Feed
        self._local = threading.local()
        self._readers: weakref.WeakSet[_Reader] = weakref.WeakSet()
        self._thread: _WriterThread | None = None
        self._lock = -1  # descriptor of run/server.lock
        self._closed = False

    @classmethod
    def open(
        cls,
        datadir: DataDir,
        *,
        background: Background | None = None,
        automatic: bool = True,
        patience_s: float = _PATIENCE_S,
        feed: "Feed | None" = None,
    ) -> "Store":
        """
        Become the only writer of `datadir`, make its database if needed, renew the control file.

        `background(db)` runs in the writer thread whenever no call waits. It does one step of at
        most 50 ms, shorter if it sees that `is_awaited`, in transactions that it opens itself, and
        returns the seconds until it wants to be called again. `automatic` goes into the control
        file (rule 3 of architecture.md). A call fails after `patience_s` of waiting for a lock.
        Raises Busy if another process is the writer, StoreError if the database cannot be used.
        """
        try:
            lock = files.take(datadir.run / "server.lock")
        except Busy as error:
            raise Busy(
                f"another server runs on {datadir.root}: stop it first, or use its API"
            ) from error
        # Not at the top: it takes asyncio, which a command that only reads does not wait for.
        from storage.feed import Feed

        store = cls(datadir)
        store.feed = feed or Feed()
        thread = _WriterThread(datadir, background, automatic=automatic, patience_s=patience_s)
        try:
            thread.start()
        except BaseException:
            os.close(lock)
            raise
        store._thread, store._lock = thread, lock
        return store

    @classmethod
    def reading(cls, datadir: DataDir) -> "Store":
        """A store that only reads, beside a server or without one."""
        return cls(datadir)

    @property
    def degraded(self) -> str | None:
        return self._thread.degraded if self._thread else None

    def read(self) -> sqlite3.Connection:
        """
        The calling thread's read-only connection; every statement sees the newest commit.

        Raises StoreError if there is no database, or the store is closed.
        """
        if self._closed:
            raise StoreError(f"the store of {self.datadir.root} is closed")
        reader: _Reader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = _Reader(database.reader(self.datadir.database))
            self._local.reader = reader
            self._readers.add(reader)
        return reader.conn

    def call[**P, T](self, fn: _Mutation[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """
        Run `fn(db, *args, **kwargs)` in the writer thread as one transaction.

        The future resolves after the commit. It raises what `fn` raised, StoreError for what
        SQLite says. While the database is locked by another process `fn` is tried again, so it
        may have no effect but on `db`. Raises StoreError on a store that only reads or is closed.
        """
        return self._queue(fn, args, kwargs, changes_sessions=False)

    def change_sessions[**P, T](
        self, fn: _Mutation[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """
        As `call`; the control file is replaced as well before the future resolves.

        If that fails, the future raises StoreError although the change is committed; the file is
        then tried again until it succeeds, and meanwhile the store is degraded.
        """
        return self._queue(fn, args, kwargs, changes_sessions=True)

    def delete_traffic[**P, T](
        self, fn: _Mutation[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """
        As `change_sessions`, with a new generation of the control file in any case.

        It makes the proxies part with the segment that what is deleted may still lie in.
        """
        return self._queue(fn, args, kwargs, changes_sessions=True, parts_log=True)

    def is_awaited(self) -> bool:
        """Whether a call waits for the background step to end; one that is overdue goes on."""
        return self._thread is not None and self._thread.is_awaited()

    def close(self) -> None:
        """
        Finish the calls that wait, end the thread, close all connections, free the lock.

        No other thread may be reading.
        """
        self._closed = True
        for reader in list(self._readers):
            reader.conn.close()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()
            os.close(self._lock)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _queue(
        self,
        fn: Callable[..., Any],
        args: Any,
        kwargs: Any,
        *,
        changes_sessions: bool,
        parts_log: bool = False,
    ) -> Future[Any]:
        if self._thread is None:
            raise StoreError(f"{self.datadir.root} is open for reading only, or closed")
        call = _Call(lambda db: fn(db, *args, **kwargs), changes_sessions, parts_log)
        return self._thread.put(call)


class _Call:
    """A function that waits for its turn, and the future of its result."""

    def __init__(
        self, fn: Callable[[Database], Any], changes_sessions: bool, parts_log: bool
    ) -> None:
        self.fn = fn
        self.changes_sessions = changes_sessions
        self.parts_log = parts_log
        self.future: Future[Any] = Future()
        self.queued_at = time.monotonic()


class _WriterThread:
    """Owns the writing connection from its begin to its end; nothing else touches it."""

    def __init__(
        self, datadir: DataDir, background: Background | None, *, automatic: bool, patience_s: float
    ) -> None:
        self._datadir = datadir
        self._background = background
        self._automatic = automatic
        self._patience_s = patience_s
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()  # None: end
        self._gate = threading.Lock()  # nothing is queued behind the None
        self._ended = False
        self._is_overdue = False  # the background step was put off for long
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="storage-writer", daemon=True)
        self._control = control.ControlWriter(datadir.control)
        self._sessions: Control | None = None  # as the proxy is to know them; None: not read yet
        self._changed_sessions: set[str] = set()  # since then
        self._log_bytes = 0  # size of the WAL at the latest checkpoint
        self._step_failure: str | None = None
        self._failed_steps = 0
        self._control_failure: str | None = None

    @property
    def degraded(self) -> str | None:
        found = [reason for reason in (self._step_failure, self._control_failure) if reason]
        return "; ".join(found) or None

    def start(self) -> None:
        """Returns when the database is open and the control file written; raises why not."""
        self._thread.start()
        self._ready.result()

    def is_awaited(self) -> bool:
        return not self._is_overdue and not self._calls.empty()

    def put(self, call: _Call) -> Future[Any]:
        with self._gate:
            if self._ended:
                raise StoreError(f"the store of {self._datadir.root} is closed")
            self._calls.put(call)
        return call.future

    def stop(self) -> None:
        with self._gate:
            self._ended = True
            self._calls.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            db = self._patiently(
                lambda: database.create(self._datadir.database), since=time.monotonic()
            )
        except BaseException as error:  # noqa: BLE001 - `start` raises it
            self._ready.set_exception(error)
            return
        try:
            self._changed_sessions = sessions.watch(db, "store")
            self._renew_control(db)
            self._ready.set_result(None)
            self._serve(db)
        except sqlite3.Error as error:
            self._ready.set_exception(database.failure(self._datadir.database, error))
        except BaseException as error:  # noqa: BLE001 - only the control file of the start
            self._ready.set_exception(error)
        finally:
            with contextlib.suppress(sqlite3.Error):
                database.truncate_log(db)
            db.close()

    def _serve(self, db: Database) -> None:
        due = time.monotonic()
        while True:
            now = time.monotonic()
            try:
                call = self._calls.get(timeout=self._pause_s(due, now))
            except queue.Empty:
                due = self._step(db)
                continue
            if call is None:
                return
            self._answer(db, call)
            self._checkpoint(db)
            self._is_overdue = now - due > _STARVED_S
            if self._background and self._is_overdue:
                due = self._step(db)
                self._is_overdue = False

    def _pause_s(self, due: float, now: float) -> float | None:
        """How long to wait for a call before the next step; None: for ever."""
        pause_s = max(due - now, 0.0)
        if self._control_failure:
            return min(pause_s, _CONTROL_PAUSE_S)
        return pause_s if self._background else None

    def _answer(self, db: Database, call: _Call) -> None:
        if not call.future.set_running_or_notify_cancel():
            return
        try:
            result = self._patiently(lambda: _transact(db, call.fn), since=call.queued_at)
            if call.changes_sessions:
                self._renew_control(db, anew=call.parts_log)
        except BaseException as error:  # noqa: BLE001 - the caller's, not the thread's
            call.future.set_exception(error)
        else:
            call.future.set_result(result)

    def _patiently[T](self, fn: Callable[[], T], *, since: float) -> T:
        """Run `fn`, again and again while another process holds the database locked."""
        while True:
            try:
                return fn()
            except sqlite3.Error as error:
                is_over = time.monotonic() - since > self._patience_s
                if is_over or not database.is_busy(error):
                    raise database.failure(self._datadir.database, error) from error
                time.sleep(_LOCKED_PAUSE_S)

    def _renew_control(self, db: Database, *, anew: bool = False) -> None:
        """Have the control file tell what the tables say. Raises StoreError."""
        changed = frozenset(self._changed_sessions)
        if self._sessions is None:
            fresh = msgspec.structs.replace(
                session_control.read(db.conn), automatic=self._automatic
            )
        else:
            fresh = session_control.read_again(db.conn, self._sessions, changed)
        self._sessions = fresh
        self._changed_sessions -= changed
        try:
            self._control.tell(fresh, anew=anew)
        except StoreError as error:
            self._control_failure = f"the proxy does not know the newest sessions: {error}"
            raise
        self._control_failure = None

    def _step(self, db: Database) -> float:
        """Work between calls; returns when to do it again, on the monotonic clock."""
        if self._control_failure:
            with contextlib.suppress(StoreError, sqlite3.Error):
                self._renew_control(db)
        pause_s = _BACK_OFF_S[1]
        if self._background:
            try:
                db.rollback()  # see `_transact`
                pause_s = self._background(db)
                self._step_failure, self._failed_steps = None, 0
            except Exception as error:  # noqa: BLE001 - a fault in one step must not end ingest
                pause_s = self._step_failed(error)
            self._checkpoint(db)
        return time.monotonic() + pause_s

    def _checkpoint(self, db: Database) -> None:
        """Keep the WAL short, between transactions."""
        log_bytes = database.log_bytes(self._datadir.database)
        is_long = log_bytes > database.CHECKPOINT_BYTES * (_PUT_OFF if self.is_awaited() else 1)
        if is_long and log_bytes != self._log_bytes:
            with contextlib.suppress(sqlite3.Error):  # the next one does it
                database.checkpoint(db)
        self._log_bytes = log_bytes

    def _step_failed(self, error: Exception) -> float:
        said = error
        if isinstance(error, sqlite3.Error):
            said = database.failure(self._datadir.database, error)
        reason = f"recorded traffic waits to be read: {str(said) or type(said).__name__}"
        if reason != self._step_failure:
            known = database.is_busy(error) or isinstance(error, WirescribeError)
            _log.error("%s", reason, exc_info=None if known else error)
        self._step_failure = reason
        if database.is_busy(error):
            return _LOCKED_PAUSE_S
        self._failed_steps += 1
        return float(min(_BACK_OFF_S[0] * 2**self._failed_steps, _BACK_OFF_S[1]))


def _transact(db: Database, fn: Callable[[Database], Any]) -> Any:
    db.rollback()  # of what could not be rolled back before, and would take this in and keep it
    with database.write(db):
        return fn(db)
