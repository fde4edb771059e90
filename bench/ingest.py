"""
From the spool into the tables: a session whose requests carry their growing history.

Ours reads and understands (bodies, turns, messages, search index); the rival only stores the raw
entries. Every turn and message is counted at the end.
"""

import argparse
import os
import random
import tempfile
import time
from pathlib import Path

from bench.report import Figure, show
from storage import sessions
from storage.datadir import DataDir
from tests.addons.project.house import (
    AGENT,
    ROOT,
    House,
    assistant,
    text,
    tool_result,
    tool_use,
    user,
)

_RESULT = 4_300  # bytes of a tool's output
_SYSTEM = 60_000


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench ingest", description=__doc__)
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args(arguments)
    os.umask(0o077)
    both, raw, rate = [], [], []
    for seed in range(asked.rounds):
        with tempfile.TemporaryDirectory() as folder:
            house, size = _recorded(Path(folder) / "data", asked.turns, seed)
            stored_s = _cpu(house.read)
            understood_s = _cpu(lambda house=house: _project(house))
            _check(house, asked.turns)
            house.db.close()
        raw.append(asked.turns / stored_s)
        both.append(asked.turns / (stored_s + understood_s))
        rate.append(size / 1e6 / (stored_s + understood_s))
    show(
        "ingest",
        [
            Figure(name=f"{asked.turns} turns, mean request {size / asked.turns / 1e3:.0f} KB",
                   unit="entries/s of CPU", ours=both, rival=raw),
            Figure(name="the same", unit="MB/s of CPU", ours=rate),
        ],
    )  # fmt: skip


def _recorded(folder: Path, turns: int, seed: int) -> tuple[House, int]:
    """A spool that holds a whole session; its size in request bytes."""
    house = House(DataDir(folder).prepare())
    house.session = sessions.create(house.db, name="bench", origin="run", is_recording=True).id
    source = Path(os.__file__).with_name("argparse.py").read_text()
    chance = random.Random(seed)
    system = [{"type": "text", "text": source[:_SYSTEM]}]
    messages = [user("please do the thing")]
    headers = (AGENT, (b"X-Claude-Code-Session-Id", ROOT.encode()))
    for number in range(turns):
        call = tool_use(f"toolu_{number}", command=f"cat file{number}")
        said = text(f"step {number}")
        house.call(list(messages), [said, call], headers=headers, body={"system": system})
        at = chance.randrange(len(source) - _RESULT)
        result = user(tool_result(f"toolu_{number}", source[at : at + _RESULT]))
        messages += [assistant(said, call), result]
        house.log.append()
    return house, house.request_bytes


def _project(house: House) -> None:
    while house.projection.step(house.db):
        pass


def _check(house: House, turns: int) -> None:
    assert house.one("select count(*) from turns") == turns
    assert house.one("select count(*) from messages") == 2 * turns
    assert house.one("select count(*) from notes") == 0


def _cpu(work) -> float:  # type: ignore[no-untyped-def]
    started = time.process_time()
    work()
    return time.process_time() - started
