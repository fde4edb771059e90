"""How the data dir is: what `doctor`, the API and the viewer show. Cheap: it scans no bodies."""

import contextlib
import shutil
import sqlite3

import msgspec

from storage import processes, spool
from storage.datadir import DataDir
from storage.processes import Process
from storage.spool import Position


class GapCount(msgspec.Struct, frozen=True, kw_only=True):
    """Gaps of one reason."""

    reason: str
    count: int
    size_bytes: int | None  # together, as far as it is known; None: of none of them


class Health(msgspec.Struct, frozen=True, kw_only=True):
    sqlite_version: str
    sessions: int
    entries: int
    open_entries: int
    gaps: tuple[GapCount, ...]  # by reason, the most frequent first
    quarantined: int  # records that could not be digested
    unswept_sessions: int  # deleted, and something of them is still in the data dir
    spool_lag_bytes: dict[str, int]  # by writer: spooled, and not yet in the database
    database_bytes: int  # with its WAL
    free_bytes: int  # on the disk of the data dir
    processes: tuple[Process, ...]  # that run now


def report(conn: sqlite3.Connection, datadir: DataDir) -> Health:
    """The state of this moment."""
    sessions, entries = _row(conn, "select count(*), coalesce(sum(traffic_count), 0) from sessions")
    # Of writers, that it is read off the index of what is open: `*` goes through all entries.
    (open_entries,) = _row(conn, "select count(writer) from entries where outcome is null")
    (quarantined,) = _row(conn, "select count(*) from quarantine")
    (unswept,) = _row(conn, "select count(*) from tombstones where swept = 0")
    return Health(
        sqlite_version=sqlite3.sqlite_version,
        sessions=sessions,
        entries=entries,
        open_entries=open_entries,
        gaps=_gaps(conn),
        quarantined=quarantined,
        unswept_sessions=unswept,
        spool_lag_bytes=_lag(conn, datadir),
        database_bytes=_database_bytes(datadir),
        free_bytes=shutil.disk_usage(datadir.root).free,
        processes=tuple(processes.running(datadir)),
    )


def _row(conn: sqlite3.Connection, query: str) -> tuple[int, ...]:
    row: tuple[int, ...] = conn.execute(query).fetchone()
    return row


def _gaps(conn: sqlite3.Connection) -> tuple[GapCount, ...]:
    rows = conn.execute(
        """
        select reason, count(*), sum(size_bytes) from gaps
        group by reason order by count(*) desc, reason
        """
    )
    return tuple(
        GapCount(reason=reason, count=count, size_bytes=size_bytes)
        for reason, count, size_bytes in rows
    )


def _lag(conn: sqlite3.Connection, datadir: DataDir) -> dict[str, int]:
    positions = {
        writer: Position(segment, offset)
        for writer, segment, offset in conn.execute(
            "select writer, segment, position from spool_positions"
        )
    }
    return {
        folder.name: spool.SpoolReader(folder, positions.get(folder.name)).lag_bytes()
        for folder in spool.writers(datadir.spool)
    }


def _database_bytes(datadir: DataDir) -> int:
    total = 0
    for suffix in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            path = datadir.database.with_name(datadir.database.name + suffix)
            total += path.stat().st_size
    return total
