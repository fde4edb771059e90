"""
Goal 5: from the spool into the tables, and how long what was appended waits for that.

Sessions are those of bench.dialogue: each request carries its grown history. A request comes in
chunks of 64 KB, an answer in chunks of some events. The first figures are of the raw tables alone,
the next of what is made of them too (turns, messages, search index). Processor time, this process
alone; each body is read back and compared. What is packed better when nothing comes for a while is
told apart.

Lag is wall time, from the append of an entry's last record (in a process of its own) to the moment
at which its rows are committed, in a store as the server runs it.
"""

import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
from sqlite_utils import Database

from addons.background import Background
from addons.ingest import Ingest
from addons.project import Projection
from bench import dialogue, logged
from bench.logged import ANSWERED_BYTES
from bench.report import Figure, parser_for, show
from storage import bodies, database, sessions, spool
from storage.datadir import DataDir
from storage.spool import SpoolRecord
from storage.store import Store

Exchanges = list[list[tuple[bytes, bytes]]]  # by session

_EVENT_BYTES = 140  # one event


def main(arguments: list[str]) -> None:
    parser = parser_for("ingest", __doc__)
    parser.add_argument("--sessions", type=int, default=40, help="in a round")
    parser.add_argument("--turns", type=int, default=6, help="of each session")
    parser.add_argument("--rounds", type=int, default=5, help="each thing once a round, in turn")
    parser.add_argument("--seconds", type=float, default=15, help="of each watch of the lag")
    options = parser.parse_args(arguments)
    os.umask(0o077)
    made = [list(dialogue.session(options.turns, 1 + n)) for n in range(options.sessions)]
    figures = _rates(made, options.rounds)
    figures += _long(options.rounds)
    figures += _lags(options.seconds)
    show(f"ingest: {options.sessions} sessions of {options.turns} turns", figures)


# --- how much at once ----------------------------------------------------------------------------


class Run(msgspec.Struct, kw_only=True):
    """CPU seconds of bringing everything in, of packing it better at rest, of understanding it."""

    raw_s: float
    packed_s: float
    understood_s: float


def _rates(made: Exchanges, rounds: int) -> list[Figure]:
    count, size = _count(made), _size(made)
    runs = [_run(made, ANSWERED_BYTES) for _ in range(rounds)]
    fine = [_run(made, _EVENT_BYTES) for _ in range(rounds)]
    name = f"{size / count / 1e3:.0f} KB an entry"
    both = [run.raw_s + run.understood_s for run in runs]
    return [
        Figure(name=f"{name}: raw", unit="entries/s of CPU",
               ours=[count / run.raw_s for run in runs], goal=1000, goal_is_floor=True),
        Figure(name=f"{name}: raw", unit="MB/s of CPU",
               ours=[size / 1e6 / run.raw_s for run in runs], goal=100, goal_is_floor=True),
        Figure(name=f"{name}, each event alone: raw", unit="entries/s of CPU",
               ours=[count / run.raw_s for run in fine]),
        Figure(name=f"{name}: packed anew, at rest", unit="CPU ms an entry",
               ours=[run.packed_s / count * 1e3 for run in runs]),
        Figure(name=f"{name}: raw and understood", unit="entries/s of CPU",
               ours=[count / s for s in both]),
        Figure(name=f"{name}: raw and understood", unit="MB/s of CPU",
               ours=[size / 1e6 / s for s in both]),
    ]  # fmt: skip


def _long(rounds: int) -> list[Figure]:
    """One session of 200 turns."""
    made = [list(dialogue.session(200))]
    count, size = _count(made), _size(made)
    runs = [_run(made, ANSWERED_BYTES) for _ in range(rounds)]
    name = f"{size / count / 1e3:.0f} KB an entry"
    both = [run.raw_s + run.understood_s for run in runs]
    return [
        Figure(name=f"{name}: raw", unit="CPU ms an entry",
               ours=[run.raw_s / count * 1e3 for run in runs], goal=3),
        Figure(name=f"{name}: raw", unit="MB/s of CPU",
               ours=[size / 1e6 / run.raw_s for run in runs], goal=100, goal_is_floor=True),
        Figure(name=f"{name}: raw and understood", unit="MB/s of CPU",
               ours=[size / 1e6 / s for s in both]),
    ]  # fmt: skip


def _run(made: Exchanges, answered_bytes: int) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        datadir = DataDir(Path(folder) / "data").prepare()
        db = database.create(datadir.database)
        append_all(datadir, db, made, answered_bytes)
        ingest, projection = Ingest(datadir), Projection()
        raw_s = cpu_s(lambda: drain(ingest, db, datadir))
        packed_s = cpu_s(lambda: _rest(ingest, db))
        understood_s = cpu_s(lambda: project(projection, db))
        check(db, made)
        db.close()
    return Run(raw_s=raw_s, packed_s=packed_s, understood_s=understood_s)


def append_all(
    datadir: DataDir, db: Database, made: Exchanges, answered_bytes: int = ANSWERED_BYTES
) -> None:
    writer = spool.SpoolWriter(datadir.spool)
    for number, turns in enumerate(made):
        with database.write(db):
            session = sessions.create(db, name=f"bench {number}", is_recording=True)
        for request, answer in turns:
            _append(writer, session.id, request, answer, answered_bytes)
    writer.close()


def _append(
    writer: spool.SpoolWriter,
    session: str,
    request: bytes,
    answer: bytes,
    answered_bytes: int = ANSWERED_BYTES,
) -> bytes:
    header = (b"X-Claude-Code-Session-Id", session.encode())
    return logged.append(
        writer, session, request, answer, header=header, answered_bytes=answered_bytes
    )


def drain(ingest: Ingest, db: Database, datadir: DataDir) -> None:
    """Until the log is in the tables; the WAL is kept short meanwhile, as the server does it."""
    while any(spool.writers(datadir.spool)):
        ingest.step(db)
        if database.log_bytes(datadir.database) > database.CHECKPOINT_BYTES:
            database.checkpoint(db)


def _rest(ingest: Ingest, db: Database) -> None:
    while not ingest.step(db):
        pass


def project(projection: Projection, db: Database) -> None:
    while projection.step(db):
        pass


def check(db: Database, made: Exchanges) -> None:
    """Whether the newest entries are these, and understood."""
    expected = [exchange for turns in made for exchange in turns]
    _check_bodies(db, expected)
    (turns,) = db.execute(
        "select count(*) from turns where id in "
        "(select id || '.00000' from entries order by rowid desc limit ?)",
        [len(expected)],
    ).fetchone()
    if turns != len(expected):
        raise SystemExit(f"{turns} turns of {len(expected)} were understood")


def _check_bodies(db: Database, expected: Sequence[tuple[bytes, bytes]]) -> None:
    rows = db.execute(
        "select request_digest, response_digest from entries order by rowid desc limit ?",
        [len(expected)],
    ).fetchall()
    if len(rows) != len(expected):
        raise SystemExit(f"{len(rows)} entries of {len(expected)} are there")
    for row, exchange in zip(reversed(rows), expected, strict=True):
        for digest, data in zip(row, exchange, strict=True):
            if bodies.view(db.conn, digest).read() != data:
                raise SystemExit(f"body {digest.hex()} came back with other bytes")


def _count(made: Exchanges) -> int:
    return sum(len(turns) for turns in made)


def _size(made: Exchanges) -> int:
    return sum(len(request) + len(answer) for turns in made for request, answer in turns)


def cpu_s(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


# --- the lag -------------------------------------------------------------------------------------


def _lags(seconds: float) -> list[Figure]:
    long = [turn for turn in dialogue.session(100) if len(turn[0]) + len(turn[1]) > 400_000]
    rest = _lag_ms([next(dialogue.session(1))], 3.7, seconds)
    busy = _lag_ms(long, 20, seconds)
    mean_kb = sum(len(a) + len(b) for a, b in long) / len(long) / 1e3
    return [
        Figure(name="lag at rest, p50", unit="ms", ours=[_quantile(rest, 50)]),
        Figure(name="lag at rest, p99", unit="ms", ours=[_quantile(rest, 99)]),
        Figure(name=f"lag under 20 entries/s of {mean_kb:.0f} KB, p50", unit="ms",
               ours=[_quantile(busy, 50)]),
        Figure(name=f"lag under 20 entries/s of {mean_kb:.0f} KB, p99", unit="ms",
               ours=[_quantile(busy, 99)]),
    ]  # fmt: skip


class _Watched(Background):
    """What the server does between its calls; notes when each entry's end was committed."""

    def __init__(self, datadir: DataDir) -> None:
        super().__init__(datadir)
        self.committed: dict[bytes, float] = {}
        self._ingest = Ingest(datadir, self._took, lambda: self.is_awaited())

    def _took(self, writer: str, records: Sequence[SpoolRecord]) -> None:
        now_s = time.monotonic()
        self.committed |= {one.entry: now_s for one in records if one.kind == "close"}
        self.live.took(writer, records)


def _lag_ms(turns: list[tuple[bytes, bytes]], each_s: float, seconds: float) -> list[float]:
    """Of every entry, in a store that reads, tells and understands as the server does."""
    with tempfile.TemporaryDirectory() as folder:
        datadir = DataDir(Path(folder) / "data").prepare()
        watched = _Watched(datadir)
        with Store.open(datadir, background=watched.step) as store:
            watched.is_awaited = store.is_awaited
            session = store.change_sessions(sessions.create, name="bench", is_recording=True)
            work = (datadir.root, session.result().id, turns, each_s, seconds)
            appended = _elsewhere(work)
            deadline_s = time.monotonic() + 60
            while appended.keys() - watched.committed.keys() and time.monotonic() < deadline_s:
                time.sleep(0.05)
        db = database.create(datadir.database)
        _check_bodies(db, [turns[number % len(turns)] for number in range(len(appended))])
        db.close()
    return [(watched.committed[entry] - at_s) * 1e3 for entry, at_s in appended.items()]


def _elsewhere(work: tuple[Any, ...]) -> dict[bytes, float]:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe()
    process = context.Process(target=_write, args=(*work, sender))
    process.start()
    sender.close()
    try:
        found: dict[bytes, float] = receiver.recv()
    finally:
        process.join()
    return found


def _write(
    root: Path, session: str, turns: list[tuple[bytes, bytes]], each_s: float, seconds: float,
    answer: Connection,
) -> None:  # fmt: skip
    """When the last record of each entry was appended, by its id."""
    writer = spool.SpoolWriter(DataDir(root).spool)
    begun_s = time.monotonic()
    appended: dict[bytes, float] = {}
    for number in range(int(each_s * seconds)):
        time.sleep(max(begun_s + number / each_s - time.monotonic(), 0))
        entry = _append(writer, session, *turns[number % len(turns)])
        appended[entry] = time.monotonic()
    writer.close()
    answer.send(appended)


def _quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
