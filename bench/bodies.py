"""
Goals 3, 4, 5: what long sessions cost on the disk, and what writing and reading them takes.

Sessions are those of bench.dialogue, and what `--flows` names: mitmproxy's flow files of real
agents. Each body is read back and compared byte for byte, as first written and again when all is
packed anew. Times are of the processor, not of the clock: others may
work on the machine.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import zstandard
from sqlite_utils import Database

from addons.ingest import Ingest
from addons.project import Projection
from bench import dialogue, logged
from bench.report import Figure, parser_for, show
from storage import bodies, database, sessions, spool
from storage.chunks import packs
from storage.chunks.cutting import Cutter
from storage.datadir import DataDir
from storage.upkeep import Upkeep

Exchanges = list[tuple[bytes, bytes]]

# goal 4, of the requests' bound: as first written, packed anew
_FIRST, _LATER = 2.0, 1.5
_WINDOW_LOG = 27  # the whole of every session
_STARTED_NS = 1_795_348_800_000_000_000
_VERSION = (b"anthropic-version", b"2023-06-01")


def main(argv: list[str]) -> None:
    parser = parser_for("bodies", __doc__)
    parser.add_argument("--turns", type=int, default=200, help="of a session")
    parser.add_argument(
        "--flows",
        type=Path,
        nargs="*",
        default=[],
        metavar="FILE",
        help="mitmproxy's flow files of real agents, beside the synthetic sessions",
    )
    asked = parser.parse_args(argv)
    turns = asked.turns
    kinds: dict[str, Callable[[], Iterator[tuple[bytes, bytes]]]] = {
        "one agent": lambda: dialogue.session(turns),
        "two agents by turns": lambda: dialogue.interleaved(turns),
        "compaction, side calls": lambda: dialogue.compacted(turns, each=turns * 2 // 5),
        "ten sessions": lambda: dialogue.many(10, max(turns // 10, 1)),
    }
    figures = [_cutting(next(kinds["one agent"]()))]
    for name, make in kinds.items():
        figures += _store(name, [request for request, _ in make()])
    if asked.flows:
        from bench import captured  # it takes mitmproxy

    for path in asked.flows:
        figures += _store(path.stem, captured.sent(path))
    figures += _whole(list(kinds["one agent"]()))
    show(f"bodies: sessions of {turns} turns", figures)


# --- goals 4 and 5: the bodies alone -------------------------------------------------------------


def _cutting(exchange: tuple[bytes, bytes]) -> Figure:
    data = exchange[0] * (8_000_000 // len(exchange[0]))
    return Figure(
        name="cutting alone",
        unit="MB/s",
        ours=[len(data) / 1e6 / _cpu_s(lambda: _cut(data)) for _ in range(5)],
        goal=200,
        goal_is_floor=True,
    )


def _cut(data: bytes) -> None:
    cutter, at = Cutter(data), 0
    while at < len(data):
        at = cutter.end(at)


def _store(name: str, requests: list[bytes]) -> list[Figure]:
    bound = float(_bound(requests))
    with tempfile.TemporaryDirectory() as folder:
        db = database.create(Path(folder) / "wirescribe.db")
        put_ms, digests = [], []
        for request in requests:
            put_ms.append(_cpu_s(lambda request=request: digests.append(_put(db, request))) * 1e3)  # type: ignore[misc]
        _compare(db, requests, digests)
        first = _stored_bytes(db)
        _pack(db)
        _compare(db, requests, digests)
        later = _stored_bytes(db)
        longest = max(range(len(requests)), key=lambda index: len(requests[index]))
        cold_ms, warm_ms = _read(db, digests[longest], requests[longest])
        db.close()
    total = sum(map(len, requests)) / 1e6
    size = f"{len(requests[longest]) / 1e6:.2f} MB"
    return [
        Figure(name=f"{name}: first written", unit="bytes", ours=[first], rival=[bound],
               goal=_FIRST),
        Figure(name=f"{name}: packed anew", unit="bytes", ours=[later], rival=[bound],
               goal=_LATER),
        Figure(name=f"{name}: put", unit="CPU ms", ours=put_ms, goal=3),
        Figure(name=f"{name}: put", unit="MB/s", ours=[total / (sum(put_ms) / 1e3)], goal=100,
               goal_is_floor=True),
        Figure(name=f"{name}: read {size} again", unit="CPU ms", ours=warm_ms, goal=2),
        Figure(name=f"{name}: read {size}, nothing cached", unit="CPU ms", ours=cold_ms, goal=5),
    ]  # fmt: skip


def _pack(db: Database) -> None:
    """As the server does when nothing comes any more."""
    upkeep = Upkeep(rest_s=0)
    while upkeep.step(db):
        pass


def _put(db: Database, data: bytes) -> bytes:
    with database.write(db):
        body = bodies.put(db, data)
    assert body is not None
    return body.digest


def _bound(requests: list[bytes]) -> int:
    """zstd-19 --long over all of them, one behind the other."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        19, enable_ldm=True, window_log=_WINDOW_LOG
    )
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    return len(compressor.compress(b"".join(requests)))


def _stored_bytes(db: Database) -> float:
    """All that the store of bodies holds, indexes and keys and recipes included."""
    (packed,) = db.execute("select sum(length(data) + 8) from packed").fetchone()
    (places,) = db.execute("select sum(length(sizes) + length(uses) + 24) from packs").fetchone()
    (recipes,) = db.execute("select sum(length(recipe) + 2 * 32 + 20) from bodies").fetchone()
    (keys,) = db.execute("select count(*) * 12 from chunks").fetchone()
    return float(packed + places + recipes + keys)


def _compare(db: Database, requests: list[bytes], digests: list[bytes]) -> None:
    for request, digest in zip(requests, digests, strict=True):
        if bodies.view(db.conn, digest).read() != request:
            raise SystemExit(f"body {digest.hex()} came back with other bytes")


def _read(db: Database, digest: bytes, data: bytes) -> tuple[list[float], list[float]]:
    """CPU ms of reading it from the database, and from the packs in memory."""
    cold, warm = [], []
    for _ in range(21):
        packs.forget_all()
        for found in (cold, warm):
            found.append(_cpu_s(lambda: bodies.view(db.conn, digest).read()) * 1e3)
    assert bodies.view(db.conn, digest).read() == data
    return cold, warm


def _cpu_s(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


# --- goal 3: the whole file ----------------------------------------------------------------------


def _whole(exchanges: Exchanges) -> list[Figure]:
    """A session through spool, ingest and projection: everything on disk, in % of raw."""
    raw = sum(len(request) + len(answer) for request, answer in exchanges)
    with tempfile.TemporaryDirectory() as folder:
        datadir = DataDir(Path(folder) / "data").prepare()
        db = database.create(datadir.database)
        empty = _file_bytes(db, datadir)
        with database.write(db):
            session = sessions.create(db, name="bench", is_recording=True)
        _spool(datadir, session.id, exchanges)
        ingest_s = _cpu_s(lambda: _drain(Ingest(datadir), db))
        raw_bytes = _file_bytes(db, datadir)
        project_s = _cpu_s(lambda: _project(db))
        _pack(db)
        all_bytes = _file_bytes(db, datadir)
        (packs_bytes,) = db.execute("select sum(length(data)) from packed").fetchone()
        (search_bytes,) = db.execute("select sum(length(block)) from search_data").fetchone()
        archive_bytes = _bound([datadir.database.read_bytes()])
        _check(db, exchanges)
        db.close()
    percent = 100 / raw
    bound = _bound([data for exchange in exchanges for data in exchange])
    return [
        Figure(name="whole session: its bodies at once by zstd-19, for comparison",
               unit="% of raw", ours=[bound * percent]),
        Figure(name="whole session: an empty database", unit="% of raw", ours=[empty * percent]),
        Figure(name="whole session: raw tables beyond that", unit="% of raw",
               ours=[(raw_bytes - empty) * percent]),
        Figure(name="whole session: projected tables", unit="% of raw",
               ours=[(all_bytes - raw_bytes) * percent]),
        Figure(name="whole session: everything on disk", unit="% of raw",
               ours=[all_bytes * percent], goal=0.6),
        Figure(name="whole session: packs of that", unit="% of raw",
               ours=[packs_bytes * percent]),
        Figure(name="whole session: search index of that", unit="% of raw",
               ours=[search_bytes * percent]),
        Figure(name="whole session: the same file at once by zstd-19, for comparison",
               unit="% of raw", ours=[archive_bytes * percent]),
        Figure(name="whole session: ingest", unit="CPU ms per entry",
               ours=[ingest_s * 1e3 / len(exchanges)]),
        Figure(name="whole session: projection", unit="CPU ms per entry",
               ours=[project_s * 1e3 / len(exchanges)]),
    ]  # fmt: skip


def _spool(datadir: DataDir, session: str, exchanges: Exchanges) -> None:
    writer = spool.SpoolWriter(datadir.spool)
    for number, (request, answer) in enumerate(exchanges):
        started_ns = _STARTED_NS + number * 20_000_000_000
        logged.append(writer, session, request, answer, header=_VERSION, started_ns=started_ns)
    writer.close()


def _drain(ingest: Ingest, db: Database) -> None:
    while not ingest.step(db):
        _checkpoint(db)


def _project(db: Database) -> None:
    projection = Projection()
    while projection.step(db):
        _checkpoint(db)


def _checkpoint(db: Database) -> None:
    """Between transactions, as the server does: the index of the WAL keeps its greatest size."""
    if database.log_bytes(database.path_of(db)) > database.CHECKPOINT_BYTES:
        database.checkpoint(db)


def _file_bytes(db: Database, datadir: DataDir) -> int:
    """The whole data dir, after a checkpoint and with free pages given back."""
    while db.execute("pragma freelist_count").fetchone()[0]:
        db.execute("pragma incremental_vacuum").fetchall()
    database.truncate_log(db)
    return sum(
        (Path(folder) / name).stat().st_size
        for folder, _, names in os.walk(datadir.root)
        for name in names
    )


def _check(db: Database, exchanges: Exchanges) -> None:
    rows = db.execute("select request_digest, response_digest from entries order by id").fetchall()
    if len(rows) != len(exchanges):
        raise SystemExit(f"{len(rows)} entries of {len(exchanges)} are there")
    for row, exchange in zip(rows, exchanges, strict=True):
        for digest, data in zip(row, exchange, strict=True):
            if bodies.view(db.conn, digest).read() != data:
                raise SystemExit(f"body {digest.hex()} came back with other bytes")
    spread = list(bodies.verify(db.conn))
    if spread:
        raise SystemExit(f"{len(spread)} bodies are damaged")
