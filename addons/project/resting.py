"""Work on a set of tables that takes more than one transaction, and rests between them."""

from collections.abc import Callable, Iterator

from addons.project.reading import Decoded
from storage.projection import unfinished
from storage.projection.unfinished import Unfinished
from storage.projection.writing import Tables


class Work:
    """
    What is done for one entry. `handed`: its turn was handed over, and does not wait in the queue.

    Each `run` is in a transaction of its own, and one that fails is the last.
    """

    def __init__(
        self, entry_id: str, steps: Iterator[Unfinished], handed: Decoded | None = None
    ) -> None:
        self.entry_id = entry_id
        self.handed = handed
        self._steps = steps
        self._rest: Unfinished | None = None

    @property
    def has_rested(self) -> bool:
        return self._rest is not None

    def run(self, tables: Tables, until: Callable[[], bool]) -> bool:
        """False: it rests, because of `until()`; there is more to do."""
        for rest in self._steps:
            if until():
                unfinished.leave(tables, rest)
                self._rest = rest
                return False
        return True

    def may_go_on(self, tables: Tables) -> bool:
        """Whether all that it saw still holds; if so, `run` is to follow."""
        return self._rest is not None and unfinished.take_up(tables, self._rest)
