"""What is known of a file before anything of it is written."""

from collections.abc import Iterable, Iterator

from addons.importing.exchange import Broken, Exchange, Item, Passed
from addons.redaction import Redactor
from storage.errors import Unreadable
from storage.imports import Skipped

ENTRIES = 10_000  # of one file
_SKIPPED = 100  # are told one by one


class Survey:
    """
    Counts of a file's entries, and where it breaks off.

    `named` has the start and number of entries by the ids that the file gives them.
    """

    def __init__(self) -> None:
        self.entries = 0
        self.total = 0
        self.skipped: list[Skipped] = []
        self.fault: str | None = None
        self.named: dict[str, tuple[int, int]] = {}

    def add(self, item: Item, redactor: Redactor) -> None:
        """Count it; its credentials are known from now on. Raises Unreadable beyond the limit."""
        if isinstance(item, Broken):
            self.fault = f"{item.reason}, at byte {item.at_bytes:,}"
            return
        self.total += 1
        if self.total > ENTRIES:
            raise Unreadable("the file holds too much", f"more than {ENTRIES:,} entries")
        if isinstance(item, Passed):
            if len(self.skipped) < _SKIPPED:
                self.skipped.append(Skipped(number=item.number, reason=item.reason))
            return
        self.entries += 1
        redactor.request_head(item.opened.target, item.opened.headers)
        if item.head is not None:
            redactor.response_head(item.head.headers)
        if item.id is not None:
            self.named.setdefault(item.id, (item.opened.started_ns, item.number))

    def check(self) -> None:
        """Raises Unreadable if there is nothing to import."""
        if self.entries:
            return
        reasons = [self.fault, *(f"entry {one.number + 1}: {one.reason}" for one in self.skipped)]
        raise Unreadable("nothing can be imported", next(filter(None, reasons), "no entries"))

    def exchanges(self, items: Iterable[Item]) -> Iterator[Exchange]:
        """Those that were counted, of a second reading."""
        found = (item for item in items if isinstance(item, Exchange))
        for exchange, _ in zip(found, range(self.entries), strict=False):
            yield exchange
