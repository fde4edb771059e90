"""The chunk clock of one direction of an open entry: its newest run, and when that is written."""

from collections.abc import Sequence

from sqlite_utils import Database

from storage import clocks, raw
from storage.records import Side


class Clock:
    """Its memory may be thrown away at any commit: a run that has begun is in the table."""

    def __init__(self, db: Database, entry_id: str, side: Side) -> None:
        self._db = db
        self._entry_id = entry_id
        self._side: Side = side
        self._run: clocks.Run | None = None
        self._is_unwritten = False

    def tick(
        self, rows: raw.Rows, chunks: Sequence[tuple[int, int]], number: int, at_bytes: int
    ) -> None:
        """Moment and size of chunks; the first of them has this `number` and begins `at_bytes`."""
        while chunks:
            run = self._run
            if run is None or run.is_full:
                run = self._run = self._begun(number, at_bytes)
            room = clocks.RUN_CHUNKS - run.count
            some, chunks = chunks[:room], chunks[room:]
            run.extend(some)
            self._is_unwritten = True
            if run.is_full:
                self.write(rows)
                number += len(some)
                at_bytes += sum(size_bytes for _, size_bytes in some)

    def write(self, rows: raw.Rows) -> None:
        """Put what is new into the rows of this transaction."""
        run = self._run
        if self._is_unwritten and run is not None:
            data = bytes(run.data)
            rows.clock(self._entry_id, self._side, run.first, run.count, run.at_bytes, data)
            self._is_unwritten = False

    def _begun(self, number: int, at_bytes: int) -> clocks.Run:
        first = number - number % clocks.RUN_CHUNKS
        begun = raw.run(self._db, self._entry_id, self._side, first) if first < number else None
        return clocks.Run.resume(first, *begun) if begun else clocks.Run(first, at_bytes)
