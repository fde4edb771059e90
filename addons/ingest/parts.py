"""The bodies and messages of one open entry while they grow, and what becomes of them."""

from collections.abc import Callable, Sequence

from sqlite_utils import Database

from addons.framing import codings
from storage import bodies
from storage.bodies import Part
from storage.errors import StoreError
from storage.records import Body, Gap


class Parts:
    """
    `is_new`: the entry has nothing in the tables yet.

    `gap` is told what was lost.
    """

    def __init__(
        self, db: Database, entry_id: str, gap: Callable[[Gap], None], *, is_new: bool
    ) -> None:
        self._db = db
        self._entry_id = entry_id
        self._gap = gap
        self._is_new = is_new
        self._growing: dict[Part, bodies.Growing] = {}
        self._unwritten: set[Part] = set()

    def append(self, part: Part, pieces: Sequence[bytes | memoryview]) -> None:
        self._of(part).extend(pieces)
        self._unwritten.add(part)

    def has(self, part: Part) -> bool:
        return self._of(part).size_bytes > 0

    def finish(self, part: Part) -> Body | None:
        """What came of it as a body; None if nothing did."""
        if self._is_new and part not in self._growing:
            return None
        body = self._of(part).finish(self._db)
        del self._growing[part]
        self._unwritten.discard(part)
        return body

    def rejoin(self, part: Part, digest: bytes, coding: bytes | None, until: int) -> None:
        """
        Put what the first `until` bytes of a coded body decode to in front of the text of `part`.

        Redaction offers text from the first hidden byte on; what came before is in the body.
        """
        rest = self.finish(part)
        assert rest is not None
        whole = self._growing[part] = bodies.Growing(self._entry_id, part)
        decoder = codings.Decoder(coding)
        bodies.flush(self._db)
        for piece in bodies.view(self._db.conn, digest).stream(0, until):
            whole.append(decoder.feed(piece))
            whole.flush(self._db)
        for piece in bodies.view(self._db.conn, rest.digest).stream():
            whole.append(piece)
            whole.flush(self._db)
        bodies.release(self._db, rest.digest)

    def write(self) -> None:
        """Put all that is new into the tables."""
        for part in self._unwritten:
            self._growing[part].flush(self._db)
        self._unwritten.clear()
        self._is_new = False

    def _of(self, part: Part) -> bodies.Growing:
        growing = self._growing.get(part)
        if growing is None:
            growing = self._growing[part] = self._begun(part)
        return growing

    def _begun(self, part: Part) -> bodies.Growing:
        if self._is_new:
            return bodies.Growing(self._entry_id, part)
        try:
            return bodies.Growing.resume(self._db, self._entry_id, part)
        except StoreError as error:
            # What is damaged cannot be proved any more; the rest of the log must not wait for it.
            bodies.discard(self._db, self._entry_id, part)
            self._gap(Gap(reason="pieces_damaged", detail=f"{part}: {error}"))
            return bodies.Growing(self._entry_id, part)
