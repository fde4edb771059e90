"""
Whether bringing an entry in costs the same in a store of any size.

The same new sessions go, round by round in random order, into copies of stores of 1,000 entries and
more (bench.filled: built once and kept; a million take some 12 GB while this runs). Processor time
of this process alone, from the spool to the raw tables and from there to turns, messages and search
index. Each body is read back and compared.
"""

import argparse
import os
import random
import shutil
import tempfile
from pathlib import Path

from sqlite_utils import Database

from addons.ingest import Ingest
from addons.project import Projection
from bench import dialogue, filled, ingest
from bench.report import Figure, parser_for, show
from storage import database
from storage.datadir import DataDir

_SIZES = (1_000, 10_000, 100_000, 1_000_000)

type Took = dict[int, list[float]]  # CPU ms an entry by the size of the store, of all rounds


def main(arguments: list[str]) -> None:
    parser = parser_for("growth", __doc__)
    parser.add_argument("--entries", type=int, default=100_000, help="of the largest store")
    parser.add_argument("--sessions", type=int, default=20, help="new ones in a round")
    parser.add_argument("--turns", type=int, default=6, help="of each of them")
    parser.add_argument("--rounds", type=int, default=7, help="each thing once a round, in turn")
    options = parser.parse_args(arguments)
    os.umask(0o077)
    sizes = [size for size in _SIZES if size < options.entries] + [options.entries]
    with tempfile.TemporaryDirectory(dir=filled.cached(sizes[0]).root.parent) as folder:
        stores = [_Store(size, Path(folder) / str(size)) for size in sizes]
        raw, understood = _rounds(stores, options)
    figures = []
    for name, took in (("raw", raw), ("understood", understood)):
        figures += [
            Figure(name=f"{name}, into {size:,} entries", unit="CPU ms an entry",
                   ours=took[size], rival=took[sizes[0]])
            for size in sizes
        ]  # fmt: skip
    title = f"growth: {options.rounds} rounds of {options.sessions} sessions of {options.turns}"
    show(f"{title} turns, against the smallest store", figures)


class _Store:
    """A copy of a store, open for writing."""

    def __init__(self, entries: int, folder: Path) -> None:
        self.entries = entries
        self.datadir = DataDir(folder).prepare()
        shutil.copyfile(filled.cached(entries).database, self.datadir.database)
        self.db: Database = database.create(self.datadir.database)

    def take(self, made: ingest.Exchanges) -> tuple[float, float]:
        """CPU seconds of bringing these sessions in, and of understanding them."""
        reading, projection = Ingest(self.datadir), Projection()
        ingest.append_all(self.datadir, self.db, made)
        raw_s = ingest.cpu_s(lambda: ingest.drain(reading, self.db, self.datadir))
        understood_s = ingest.cpu_s(lambda: ingest.project(projection, self.db))
        ingest.check(self.db, made)
        return raw_s, understood_s


def _rounds(stores: list[_Store], options: argparse.Namespace) -> tuple[Took, Took]:
    raw: Took = {store.entries: [] for store in stores}
    understood: Took = {store.entries: [] for store in stores}
    count = options.sessions * options.turns
    for number in range(options.rounds + 1):
        seeds = range(number * options.sessions, (number + 1) * options.sessions)
        made = [list(dialogue.session(options.turns, 1 + seed)) for seed in seeds]
        for store in random.sample(stores, len(stores)):
            raw_s, understood_s = store.take(made)
            if number:  # the first round warms the caches
                raw[store.entries].append(raw_s / count * 1e3)
                understood[store.entries].append(understood_s / count * 1e3)
    return raw, understood
