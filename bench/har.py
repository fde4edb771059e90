"""
Goal 8: a session of 10,000 entries as HAR, streamed out of a store.

The rival reads the same store by the same calls (storage.batches), builds the whole document and
writes it with the json module. A second one reads entry by entry, as one writes it at first. Each
runs in a process of its own, which says how much CPU it took and how far its memory grew. All files
must hold the same document.
"""

import argparse
import importlib.metadata
import inspect
import json
import multiprocessing
import os
import random
import tempfile
import time
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from addons.framing import sse
from api.exports import captured, har, har_heads, har_times
from bench.report import Figure, parser_for, show
from storage import batches, database, sessions, traffic
from storage.datadir import DataDir
from storage.records import Session
from tests.addons.project.house import House


def main(arguments: list[str]) -> None:
    parser = parser_for("har", __doc__)
    parser.add_argument("--entries", type=int, default=10_000, help="in the store")
    parser.add_argument("--asked", type=int, default=12_000, help="bytes of a request's body")
    parser.add_argument("--answered", type=int, default=5_000, help="bytes of an answer's body")
    parser.add_argument("--rounds", type=int, default=3, help="each thing once a round, in turn")
    options = parser.parse_args(arguments)
    os.umask(0o077)
    with tempfile.TemporaryDirectory() as folder:
        datadir = _recorded(Path(folder) / "data", options)
        runs: dict[str, list[tuple[float, float, float]]] = {way: [] for way in _WAYS}
        for _ in range(options.rounds):
            for way in random.sample(list(_WAYS), len(_WAYS)):
                runs[way].append(_run(datadir, way, Path(folder) / f"{way}.har"))
        _check(Path(folder), options.entries)
    show(f"har: {options.entries:,} entries, {options.rounds} rounds", _figures(runs))


def _figures(runs: dict[str, list[tuple[float, float, float]]]) -> list[Figure]:
    rate = {way: [size / seconds for size, seconds, _ in found] for way, found in runs.items()}
    grown = {way: [mb for *_, mb in found] for way, found in runs.items()}
    beyond = {
        way: [
            size / (seconds - reading)
            for (size, seconds, _), (_, reading, _) in zip(runs[way], runs["read"], strict=True)
        ]
        for way in ("streamed", "whole")
    }
    return [
        Figure(name="streamed from the store, against whole", unit="MB/s of CPU",
               ours=rate["streamed"], rival=rate["whole"], goal=3, goal_is_floor=True),
        Figure(name="the same, against whole, read entry by entry", unit="MB/s of CPU",
               ours=rate["streamed"], rival=rate["alone"], goal=3, goal_is_floor=True),
        Figure(name="the same, without reading the store", unit="MB/s of CPU",
               ours=beyond["streamed"], rival=beyond["whole"], goal=3, goal_is_floor=True),
        Figure(name="the same, credentials cut on the way out", unit="MB/s of CPU",
               ours=rate["cut"], rival=rate["whole"]),
        Figure(name="reading the store alone", unit="MB/s of CPU", ours=rate["read"]),
        Figure(name="memory grown, streamed", unit="MB", ours=grown["streamed"],
               rival=grown["whole"], goal=20, goal_is_absolute=True),
        Figure(name="memory grown, credentials cut", unit="MB", ours=grown["cut"], goal=20),
    ]  # fmt: skip


def _recorded(folder: Path, options: argparse.Namespace) -> DataDir:
    """A session of model calls of real text, brought in by ingest."""
    datadir = DataDir(folder).prepare()
    house = House(datadir)
    house.session = sessions.create(house.db, name="bench", origin="run", is_recording=True).id
    chance = random.Random(8)
    for number in range(options.entries):
        system, answer = _text(chance, options.asked), _text(chance, options.answered)
        event = b"event: message_start\ndata: %s\n\n" % msgspec.json.encode({"text": answer})
        house.call([], response=event, body={"system": system})
        if number % 200 == 0:
            house.read()
    house.read()
    house.log.end()
    database.truncate_log(house.db)
    house.db.close()
    datadir.hmac_key()
    return datadir


_SOURCE = "".join(inspect.getsource(module) for module in (argparse, typing, inspect, random))


def _text(chance: random.Random, size: int) -> str:
    at = chance.randrange(len(_SOURCE) - size)
    return _SOURCE[at : at + size]


def _run(datadir: DataDir, way: str, to: Path) -> tuple[float, float, float]:
    """MB written, seconds of CPU, MB by which the process grew at most."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe()
    process = context.Process(target=_export, args=(datadir.root, way, to, sender))
    process.start()
    sender.close()
    try:
        found: tuple[float, float, float] = receiver.recv()
    finally:
        process.join()
    return found


def _export(root: Path, way: str, to: Path, answer: Any) -> None:
    datadir = DataDir(root)
    conn = database.reader(datadir.database)
    (session,) = sessions.list_all(conn)
    make = _WAYS[way]
    first = (
        next(iter(make(datadir, conn, session))) if way not in ("whole", "alone") else b""
    )  # imports are done
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before_mb = _memory_mb("VmRSS")
    started = time.process_time()
    size = 0
    with to.open("wb") as file:
        for piece in make(datadir, conn, session):
            size += file.write(piece)
    seconds = time.process_time() - started
    grown_mb = _memory_mb("VmHWM") - before_mb
    assert first is not None
    answer.send((size / 1e6, seconds, grown_mb))


def _memory_mb(name: str) -> float:
    # Not of `resource`: its peak is handed down from the process that started this one.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"/proc/self/status has no {name}")


def _streamed(_: DataDir, conn: Any, session: Session) -> Iterator[bytes]:
    return har.export(conn, session)


def _cut(datadir: DataDir, conn: Any, session: Session) -> Iterator[bytes]:
    """What the API does unless it is asked to keep credentials that were recorded."""
    return har.export(conn, session, redactor=captured.redactor(datadir.hmac_key()))


def _whole(_: DataDir, conn: Any, session: Session) -> Iterator[bytes]:
    """All entries in a list, then `json.dumps`."""
    yield _dumped(session, list(_together(conn, session)))


def _alone(_: DataDir, conn: Any, session: Session) -> Iterator[bytes]:
    """The same of entries that are read one by one."""
    yield _dumped(session, [_one(conn, entry) for entry in traffic.each(conn, session.id)])


def _dumped(session: Session, entries: list[dict[str, Any]]) -> bytes:
    log = {
        "version": "1.2",
        "creator": {"name": "Wirescribe", "version": importlib.metadata.version("wirescribe")},
        "_session": {"id": session.id, "name": session.name},
        "pages": [],
        "entries": entries,
    }
    return json.dumps({"log": log}, ensure_ascii=False, separators=(",", ":")).encode()


def _together(conn: Any, session: Session) -> Iterator[dict[str, Any]]:
    for batch in batches.each(conn, session.id):
        for entry in batch.entries:
            asked = batch.bodies[entry.request_body.digest]
            answered = batch.bodies[entry.response_body.digest]
            yield _entry(entry, asked.decode(), answered, batch.clocks[entry.id] or [])


def _one(conn: Any, entry: Any) -> dict[str, Any]:
    asked = traffic.body(conn, entry, "request").read().decode()
    answered = traffic.body(conn, entry, "response").read()
    frames = traffic.frames(conn, entry.id)
    return _entry(entry, asked, answered, [(one.offset_ns, one.size_bytes) for one in frames])


def _entry(entry: Any, asked: str, answered: bytes, clock: list[tuple[int, int]]) -> dict[str, Any]:
    timings, total_ms = har_times.timings(entry)
    return {
        "startedDateTime": har_times.iso(entry.started_ns),
        "time": total_ms,
        "timings": timings,
        "cache": {},
        "_id": entry.id,
        "_kind": entry.kind,
        "_way": entry.way,
        "_outcome": entry.outcome,
        "_resourceType": har_heads.resource_type(entry),
        "request": har_heads.request(entry)
        | {"postData": {"mimeType": "application/json", "text": asked}},
        "response": har_heads.response(entry)
        | {
            "content": {
                "mimeType": har_heads.EVENT_STREAM,
                "size": len(answered),
                "text": answered.decode(),
            }
        },
        "_eventSourceMessages": _events(entry, answered, clock),
    }


def _events(entry: Any, answered: bytes, clock: list[tuple[int, int]]) -> list[dict[str, Any]]:
    decoder, at, found = sse.Decoder(), 0, []
    for offset_ns, size_bytes in clock:
        found += [
            {
                "time": har_times.unix_seconds(entry, offset_ns),
                "eventName": event.name,
                "eventId": event.id or "",
                "data": event.data,
            }
            for event in decoder.feed(answered[at : at + size_bytes])
        ]
        at += size_bytes
    return found


def _read(_: DataDir, conn: Any, session: Session) -> Iterator[bytes]:
    """The rows and bodies alone, as both ways have to."""
    for batch in batches.each(conn, session.id):
        yield from batch.bodies.values()


_WAYS = {"streamed": _streamed, "cut": _cut, "whole": _whole, "alone": _alone, "read": _read}
_DOCUMENTS = ("streamed", "cut", "whole", "alone")


def _check(folder: Path, entries: int) -> None:
    """All documents must be the same, and hold every entry."""
    whole = json.loads((folder / "whole.har").read_bytes())
    if len(whole["log"]["entries"]) != entries:
        raise ValueError(f"{len(whole['log']['entries'])} of {entries} entries were exported")
    for way in _DOCUMENTS:
        if json.loads((folder / f"{way}.har").read_bytes()) != whole:
            raise ValueError(f"{way}: another document than the one that was built whole")
