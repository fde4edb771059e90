"""
The SQLite file: how it is made, opened for reading, and written in transactions.

Only one connection may write and checkpoint: a linked SQLite older than 3.51.3 can corrupt a WAL
database when two do it at once (https://www.sqlite.org/wal.html#walreset). It belongs to the
writer thread of `storage.store`; all others are `reader`s.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlite_utils import Database

from storage import versions
from storage.errors import StoreError, WirescribeError
from storage.projection import keeping, tables
from storage.schema import migrations

CHECKPOINT_BYTES = 4 << 20

PAGE_BYTES = 2048  # of new databases; others keep theirs
_LOG_BYTES = 64 << 20  # of the automatic checkpoint

REMEDY = "put back a copy of the data dir, or move it away"
ACCESS = "see whether its folder can be written, and whether the disk is sound"

# What the disk or the system says, whatever is in the file.
_OUTSIDE = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
)

# Of `pragma synchronous`: who switched it off means it; with FULL each commit waits for the disk.
_OFF, _NORMAL, _FULL = range(3)

_WRITER_WAIT_S = 1.0  # per try; the store tries again
_READER_WAIT_S = 5.0

# Page size and auto_vacuum count only before the first table. There are about a hundred trees, most
# of them short, and entries and turns of 500 to 900 bytes: pages of 1 KB waste a third of these,
# with pages of 4 KB an empty database is twice as long (a session of 200 turns with real heads took
# 1.74, 1.67 and 1.84 % of its bytes with 1, 2 and 4 KB). Reading and writing take as long with
# each. secure_delete is ON, not FAST: FAST leaves the pages of long rows as they are on the
# freelist, from where they come back as the slack of others. temp_store keeps what SQLite sorts out
# of files that nobody sweeps. A checkpoint inside a commit would make that transaction several
# times as long: `checkpoint` is called between them, and the automatic one is a safety net at 64
# MB. With the size limit the WAL's size tells its content.
_WRITER_PRAGMAS = (
    f"pragma page_size = {PAGE_BYTES}",
    "pragma auto_vacuum = incremental",
    "pragma secure_delete = on",
    "pragma temp_store = memory",
    "pragma journal_mode = wal",
    "pragma journal_size_limit = 0",
    "pragma synchronous = full",
)
_READER_PRAGMAS = (
    "pragma query_only = on",
    "pragma wal_autocheckpoint = 0",
    "pragma temp_store = memory",
)


def create(path: Path) -> Database:
    """
    Open the database for writing, make it if it is missing, and bring its tables up to date.

    Raises StoreError if the file is no database of ours, a damaged one or of a newer Wirescribe,
    and sqlite3.OperationalError (see `is_busy`) if another process keeps it locked.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    conn = sqlite3.connect(path, timeout=_WRITER_WAIT_S)
    try:
        for pragma in _WRITER_PRAGMAS:
            conn.execute(pragma).fetchall()
        (page_bytes,) = conn.execute("pragma page_size").fetchone()
        conn.execute(f"pragma wal_autocheckpoint = {_LOG_BYTES // page_bytes}").fetchall()
        db = Database(conn, execute_plugins=False)
        _migrate(db, path)
    except sqlite3.DatabaseError as error:
        conn.close()
        if is_busy(error):
            raise
        raise (failure if _code(error) in _OUTSIDE else unsound)(path, error) from error
    except (UnicodeDecodeError, KeyError) as error:  # a schema that is not as sqlite-utils left it
        conn.close()
        raise unsound(path, error) from error
    except BaseException:
        conn.close()
        raise
    return db


def reader(path: Path) -> sqlite3.Connection:
    """
    A connection that can neither write nor checkpoint; every statement sees what is committed.

    It is used by one thread at a time, and may be closed by another one. Raises StoreError if
    there is no database, or its schema cannot be read.
    """
    if not path.exists():
        raise StoreError(f"there is no database at {path}: nothing was recorded here yet")
    uri = f"{path.absolute().as_uri()}?mode=ro"
    conn = sqlite3.connect(
        uri, uri=True, timeout=_READER_WAIT_S, isolation_level=None, check_same_thread=False
    )
    try:
        for pragma in _READER_PRAGMAS:
            conn.execute(pragma).fetchall()
        conn.execute("select 1 from sqlite_master limit 1").fetchall()
    except sqlite3.Error as error:
        conn.close()
        raise failure(path, error) from error
    except UnicodeDecodeError as error:
        conn.close()
        raise unsound(path, error) from error
    return conn


def check(conn: sqlite3.Connection, path: Path) -> None:
    """
    Look, as a reader, for all tables and columns of a database that had our migrations.

    Raises StoreError or sqlite3.DatabaseError.
    """
    conn.execute("select name, type from pragma_table_info('_sqlite_migrations')").fetchall()
    conn.execute("select name, applied_at from _sqlite_migrations").fetchall()
    with Database(memory=True, execute_plugins=False) as made:
        migrations.apply(made)
        known = keeping.state(conn)
        if known is not None and known.version == tables.VERSION:
            keeping.ensure(made)
        missing = _columns(made.conn) - _columns(conn)
    if missing:
        raise unsound(path, sqlite3.DatabaseError(f"no such column: {min(missing)}"))


def _columns(conn: sqlite3.Connection) -> set[str]:
    rows = conn.execute(
        """
        select lower(t.name || '.' || c.name) from sqlite_master t, pragma_table_info(t.name) c
        where t.type = 'table'
        """
    )
    return {name for (name,) in rows}


@contextlib.contextmanager
def write(db: Database, *, is_durable: bool = True) -> Iterator[Database]:
    """
    One transaction, rolled back on any exception; inside another one, a savepoint of it.

    If it is not to be durable it waits for no disk: a power cut may take it back, with all that
    came later and nothing that came before, until a durable one follows that changes something. No
    death of this process does. That is for what can be made again, or read again from the log.

    The lock is taken at its begin: a transaction that reads first and then writes would fail with
    `database is locked` at once, whatever the busy timeout.
    """
    if db.conn.in_transaction:
        with db.atomic():
            yield db
        return
    _await_disk(db.conn, is_durable=is_durable)
    db.conn.execute("begin immediate")
    try:
        yield db
        db.conn.execute("commit")
    except BaseException:
        db.rollback()
        raise


def _await_disk(conn: sqlite3.Connection, *, is_durable: bool) -> None:
    """
    Whether the next commit waits for the disk.

    Said before each transaction: none that ended badly can leave it wrong for another one.
    """
    (level,) = conn.execute("pragma synchronous").fetchone()
    if level not in (_OFF, _FULL if is_durable else _NORMAL):
        conn.execute(f"pragma synchronous = {'full' if is_durable else 'normal'}")


@contextlib.contextmanager
def snapshot(conn: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Several reads of one state. Keep it short: the WAL cannot shrink meanwhile."""
    if conn.in_transaction:
        yield conn
        return
    conn.execute("begin")
    try:
        yield conn
    finally:
        conn.execute("rollback")


def path_of(db: Database) -> Path:
    """The file of a writing connection."""
    return Path(db.conn.execute("pragma database_list").fetchone()[2])


def log_bytes(path: Path) -> int:
    """Size of the WAL of the database at `path`."""
    try:
        return path.with_name(path.name + "-wal").stat().st_size
    except FileNotFoundError:
        return 0


def checkpoint(db: Database) -> None:
    """Move what no reader needs from the WAL into the database. Not inside a transaction."""
    db.conn.execute("pragma wal_checkpoint(passive)").fetchall()


def truncate_log(db: Database) -> bool:
    """
    Move the whole WAL into the database and cut it to nothing, so that no deleted byte is in it.

    False if a reader still needs it: try again later. Not inside a transaction.
    """
    db.conn.execute("pragma busy_timeout = 0").fetchall()
    try:
        (blocked, _, _) = db.conn.execute("pragma wal_checkpoint(truncate)").fetchone()
    except sqlite3.OperationalError as error:
        if not is_busy(error):
            raise
        blocked = 1
    finally:
        db.conn.execute(f"pragma busy_timeout = {int(_WRITER_WAIT_S * 1000)}").fetchall()
    return not blocked


def is_busy(error: BaseException) -> bool:
    """Whether this is SQLite's way to say that another connection holds a lock."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _code(error: BaseException) -> int:
    """SQLite's own, the primary one; 0 if the error has none."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def failure(path: Path, error: sqlite3.Error) -> StoreError:
    """What SQLite says of the file at `path`, for the user."""
    if is_busy(error):
        return StoreError(f"{path} is kept locked by another process: end it")
    if _code(error) == sqlite3.SQLITE_FULL:
        return StoreError(f"{path} cannot be written ({error}): make room on the disk")
    if _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return unsound(path, error)
    advice = ACCESS if _code(error) in _OUTSIDE else "`wirescribe doctor` says more"
    return StoreError(f"{path} cannot be used ({error}): {advice}")


def unsound(path: Path, error: Exception) -> StoreError:
    """Whatever went wrong with the file at `path`, for the user: it is not as we left it."""
    said: object = error
    if isinstance(error, UnicodeDecodeError):
        # SQLite quotes a schema that is no text any more: Python could not raise what it said.
        said = error.object.decode(errors="replace")
    elif isinstance(error, KeyError):
        said = f"no such column: {error.args[0]}"
    return StoreError(f"{path} is no sound database ({said}): {REMEDY}")


def is_fault(error: BaseException) -> bool:
    """Whether the fault is the disk's or the database's, not that of what was to be written."""
    if isinstance(error, OSError | WirescribeError | sqlite3.OperationalError):
        return True
    # The class itself stands for a damaged file; its other subclasses for values it cannot take.
    return type(error) is sqlite3.DatabaseError


def _migrate(db: Database, path: Path) -> None:
    # The set reads what is pending before its own transaction: two processes would race.
    with write(db):
        migrations.ensure_migrations_table(db)
        newer = versions.difference(db.conn).newer
        if newer:
            raise StoreError(
                f"{path} was made by a newer Wirescribe ({', '.join(newer)}): update this one"
            )
        migrations.apply(db)
        keeping.ensure(db)
