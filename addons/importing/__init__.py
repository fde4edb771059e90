"""
Files of other recorders, and our own exports, each into a session of its own.

A file is gone through twice. First nothing is written: its entries are counted, its limits are
checked, and the credentials of all its heads become known. Then its records go to a spool writer
of its own, through the redaction that live traffic goes through, and ingest reads them as any
others.

One file is one session (storage.imports): imported again, it adds nothing. What an interrupted
import left is deleted by the next one of the same file, which starts afresh.
"""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from addons.disk import DiskGuard, DiskLimits
from addons.entrylog import Buffers
from addons.harfile import NOT_HAR, HarFile
from addons.importing import files, writing
from addons.importing.exchange import Source
from addons.importing.survey import Survey
from addons.redaction import Redactor
from storage import ids, imports, sessions, spool
from storage.errors import Busy, NotFound, StoreError, Unreadable
from storage.imports import HarFacts, Imported
from storage.records import Session
from storage.store import Store

_BATCH_BYTES = 4 << 20
_PATIENCE_S = 60.0  # with an ingest that makes no way
_LOOK_S = 0.02
_NAME_SIGNS = 200

# The step ("reading", "writing", "storing"), how far it is, and how far it goes, in bytes.
Progress = Callable[[str, int, int], None]


class Importer:
    """One per store that is open for writing. `redactor` makes a fresh one for each file."""

    def __init__(
        self,
        store: Store,
        redactor: Callable[[], Redactor],
        limits: DiskLimits | None = None,
        *,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._store = store
        self._redactor = redactor
        self._guard = DiskGuard(store.datadir.spool, limits or DiskLimits())
        self._patience_s = patience_s
        self._one = threading.Lock()

    def import_file(
        self,
        path: Path,
        name: str,
        *,
        only_har: bool = False,
        progress: Progress = lambda *_: None,
    ) -> Imported:
        """
        Import one file into a session called `name`; returns when ingest has read it.

        Blocks. Raises Unreadable if nothing of it can be read or it is beyond a limit, Busy while
        another import runs, StoreError; then there is no session of it.
        """
        if not self._one.acquire(blocking=False):
            raise Busy("another file is being imported: try again when that is done")
        try:
            digest = files.digest(path)
            if before := imports.finished(self._store.read(), digest):
                return _again(before)
            with files.plain(path, self._store.datadir.run) as found:
                work = _Work(_source(found, only_har=only_har), found.stat().st_size, progress)
                return self._import(work, digest, _session_name(name))
        finally:
            self._one.release()

    def har_facts(self, path: Path) -> HarFacts:
        """What a HAR file says of itself. Raises Unreadable if it is none."""
        files.digest(path)
        with files.plain(path, self._store.datadir.run) as found:
            if files.kind(found) != "har":
                raise Unreadable(NOT_HAR)
            return HarFile(found).facts()

    def _import(self, work: "_Work", digest: str, name: str) -> Imported:
        redactor = self._redactor()
        survey = work.survey(redactor)
        self._check_disk()
        begun = self._store.change_sessions(imports.begin, digest, name).result()
        try:
            folder = self._write(work.records(survey, begun, redactor), digest, begun)
            self._store.call(imports.finish, begun.id, digest).result()
        except BaseException:
            self._forget(begun)
            raise
        self._wait_until_read(folder, work.progress)
        return Imported(
            session_id=begun.id,
            session_name=begun.name,
            imported=survey.entries,
            total=survey.total,
            skipped=tuple(survey.skipped),
            fault=survey.fault,
        )

    def _write(self, records: Iterator[Buffers], digest: str, begun: Session) -> Path:
        # A name is for one writer: an import that starts afresh has another session.
        name = f"import-{digest[:32]}-{begun.id[-12:]}"
        writer = spool.SpoolWriter(self._store.datadir.spool, name=name)
        try:
            batch: Buffers = []
            size_bytes = 0
            for some in records:
                batch += some
                size_bytes += sum(map(len, some))
                if size_bytes >= _BATCH_BYTES:
                    self._check_disk()
                    writer.append(batch)
                    batch, size_bytes = [], 0
            writer.append(batch)
        finally:
            writer.close()
        return writer.folder

    def _check_disk(self) -> None:
        if verdict := self._guard.verdict():
            raise StoreError(f"nothing is imported; {self._guard.sentence(verdict)}")

    def _forget(self, begun: Session) -> None:
        try:
            self._store.change_sessions(sessions.delete, begun.id).result()
        except (NotFound, StoreError):
            return  # deleted by somebody, or by the next import of this file

    def _wait_until_read(self, folder: Path, progress: Progress) -> None:
        """Ingest removes the folder at the end; what it does not reach now it reads later."""
        reader = spool.SpoolReader(folder)
        total = left = reader.lag_bytes()
        until_s = time.monotonic() + self._patience_s
        while folder.exists() and time.monotonic() < until_s:
            if (now := reader.lag_bytes()) < left:
                left, until_s = now, time.monotonic() + self._patience_s
            if total:  # 0: ingest was as quick as we
                progress("storing", total - left, total)
            time.sleep(_LOOK_S)


class _Work:
    """One file, and who wants to know how far it is."""

    def __init__(self, source: Source, size_bytes: int, progress: Progress) -> None:
        self.progress = progress
        self._source = source
        self._size_bytes = size_bytes

    def survey(self, redactor: Redactor) -> Survey:
        """Raises Unreadable."""
        survey = Survey()
        for item in self._source.items():
            survey.add(item, redactor)
            self.progress("reading", item.at_bytes, self._size_bytes)
        survey.check()
        return survey

    def records(self, survey: Survey, begun: Session, redactor: Redactor) -> Iterator[Buffers]:
        for exchange in survey.exchanges(self._source.items()):
            started_ns = exchange.opened.started_ns
            entry = ids.at(started_ns, exchange.number, begun.id)
            before = survey.named.get(exchange.continues or "")
            continues = None if before is None else ids.text(ids.at(*before, begun.id))
            yield from writing.records(exchange, redactor, begun.id, entry, continues)
            self.progress("writing", exchange.at_bytes, self._size_bytes)


def _source(path: Path, *, only_har: bool) -> Source:
    if files.kind(path) == "har":
        return HarFile(path)
    if only_har:
        raise Unreadable(NOT_HAR, "it is a flow file of mitmproxy")
    from addons.flowfile import FlowFile  # loads mitmproxy, for half a second

    return FlowFile(path)


def _session_name(name: str) -> str:
    """The last part of a path, of whatever system it comes from."""
    return PurePosixPath(name.replace("\\", "/")).name[:_NAME_SIGNS]


def _again(before: Session) -> Imported:
    return Imported(
        session_id=before.id,
        session_name=before.name,
        imported=0,
        total=before.traffic_count,
        is_repeated=True,
    )
