"""What `doctor` finds out about what was recorded."""

import contextlib
import shutil
import sqlite3
import sys
from collections.abc import Iterator

import rich_click as click

from cli import units
from cli.findings import Finding, note, ok, wrong
from cli.running import Running
from cli.settings import Settings
from storage import database, health, notes, retention, versions
from storage.chunks import flaws, moving, proving, recoding
from storage.chunks.proving import Damage
from storage.datadir import DataDir
from storage.errors import Busy, StoreError
from storage.health import Health
from storage.store import Store
from storage.versions import Difference

# Before this one, two connections that write or checkpoint a WAL database at once can corrupt it.
_SQLITE_SOUND = (3, 51, 3)
_BEHIND_BYTES = 64 << 20  # a running server that has more to read does not keep up
_SHOWN = 5


def findings(
    datadir: DataDir, settings: Settings, found: Running, *, verifies: bool
) -> Iterator[Finding]:
    """`verifies`: also read every body and compare it with its hash."""
    yield _disk(datadir, settings)
    if not datadir.database.exists():
        yield note("database", "nothing was recorded yet", "wirescribe run -- claude")
        return
    version = Difference(newer=(), missing=())
    try:
        with Store.reading(datadir) as store:
            version = versions.difference(store.read())
            if not version.missing and not version.newer:
                database.check(store.read(), datadir.database)
            yield from _version(version)
            report = health.report(store.read(), datadir)
            yield from _of_report(datadir, settings, found, report)
            yield from _unmoved(store, found)
            yield from _kept(store, datadir, settings)
            yield from _notes(store)
            if verifies and not version.newer and not version.missing:
                yield from _damage(store, report)
    except Exception as error:  # noqa: BLE001 - whatever SQLite or the disk says of it
        # SQLite's word for tables that are still to come; what the disk says has codes of its own.
        if version.missing and getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
            return
        yield _unusable("database", error)


def _version(found: Difference) -> Iterator[Finding]:
    if found.newer:
        yield wrong(
            "database",
            f"a newer Wirescribe made it ({', '.join(found.newer)}): this one reads it at best",
            "update Wirescribe",
        )
    elif found.missing:
        yield note(
            "database",
            "an earlier version made it: not all of it can be read or verified yet",
            "start `wirescribe up` or `wirescribe serve`, which brings it up to date",
        )


def _of_report(
    datadir: DataDir, settings: Settings, found: Running, report: Health
) -> Iterator[Finding]:
    yield _sqlite(report.sqlite_version)
    yield ok(
        "database",
        f"{units.count(report.sessions, 'session', 'sessions')}, "
        f"{units.count(report.entries, 'entry', 'entries')} ({report.open_entries} open), "
        f"{units.size(report.database_bytes)}",
    )
    yield _spool(settings, found, sum(report.spool_lag_bytes.values()))
    yield from _missing(report)
    if report.unswept_sessions:
        yield note(
            "deletion",
            f"{units.count(report.unswept_sessions, 'deleted session', 'deleted sessions')} "
            "not yet swept from the disk",
            None if found.server else "start `wirescribe up` or `wirescribe serve`",
        )


def _notes(store: Store) -> Iterator[Finding]:
    """What decoders could not read, by decoder and kind; its bytes are there all the same."""
    counted = notes.counted(store.read())
    if not counted:
        yield ok("decoding", "whatever was recorded of model calls was understood")
    for one in counted:
        example = f", as {one.example!r}" if one.example else ""
        yield note(
            "decoding",
            f"{one.decoder}: {one.kind} {units.count(one.count, 'time', 'times')}{example}, "
            f"in {units.count(one.turns, 'model call', 'model calls')}",
        )


def _sqlite(version: str) -> Finding:
    if tuple(map(int, version.split("."))) >= _SQLITE_SOUND:
        return ok("sqlite", f"SQLite {version}")
    return note(
        "sqlite",
        f"SQLite {version}: before 3.51.3, two processes that write can corrupt a database",
        "Wirescribe writes from one process alone; let no other tool write into its database",
    )


def _spool(settings: Settings, found: Running, lag_bytes: int) -> Finding:
    lag = units.size(lag_bytes)
    if lag_bytes > settings.spool.max_gb * (1 << 30) > 0:
        return wrong("spool", f"{lag} wait, recording pauses", "start `wirescribe serve`")
    if found.server and lag_bytes > _BEHIND_BYTES:
        return wrong(
            "spool", f"{lag} wait: the server does not keep up", "see its log for a reason"
        )
    if lag_bytes and not found.server:
        return note(
            "spool", f"{lag} wait to be read", "start `wirescribe up` or `wirescribe serve`"
        )
    return ok("spool", f"{lag} wait to be read" if lag_bytes else "all of it is in the database")


def _missing(report: Health) -> Iterator[Finding]:
    """What was not recorded, or not understood."""
    for gap in report.gaps:
        size = "" if gap.size_bytes is None else f", {units.size(gap.size_bytes)}"
        yield wrong(
            "gaps",
            f"{units.count(gap.count, 'gap', 'gaps')}{size}: {gap.reason.replace('_', ' ')}",
            "that traffic passed unrecorded; deleting the sessions it belongs to forgets it",
        )
    if report.quarantined:
        yield wrong(
            "quarantine",
            f"{units.count(report.quarantined, 'record', 'records')} could not be digested",
            "please report it with the version; the records are kept in the table `quarantine`",
        )
    if not report.gaps and not report.quarantined:
        yield ok("gaps", "none, and nothing in quarantine")


def _disk(datadir: DataDir, settings: Settings) -> Finding:
    free_bytes = shutil.disk_usage(datadir.root).free
    free = f"{units.size(free_bytes)} free at {datadir.root}"
    if free_bytes < settings.disk.min_free_mb << 20:
        return wrong(
            "disk",
            f"{free}, less than disk.min_free_mb = {settings.disk.min_free_mb}: recording pauses",
            "make room, or delete sessions: `wirescribe sessions delete`",
        )
    return ok("disk", free)


def _unmoved(store: Store, found: Running) -> Iterator[Finding]:
    """Bodies that an earlier version stored in its own way."""
    try:
        progress = moving.progress(store.read())
    except sqlite3.OperationalError:  # a database of before, not opened since
        return
    if progress is None:
        return
    count = units.count(progress.bodies, "body", "bodies")
    if progress.damaged and progress.bodies:
        yield note("store", f"{count} of an earlier version cannot be read and stay as they are")
    elif progress.bodies and found.server:
        yield note("store", f"{count} of an earlier version are being moved to the present form")
    elif progress.bodies:
        yield note(
            "store",
            f"{count} of an earlier version are to be moved to the present form",
            "start `wirescribe up` or `wirescribe serve`; until then they are read as they are",
        )


def _kept(store: Store, datadir: DataDir, settings: Settings) -> Iterator[Finding]:
    """What retention dropped, and whether it can keep to its limit."""
    try:
        state = retention.state(store.read(), datadir)
    except sqlite3.OperationalError:  # a database of before, not opened since
        return
    max_gb = settings.retention.max_gb
    limits = [f"{settings.retention.days:g} days"] if settings.retention.days else []
    limits += [f"{max_gb:g} GB"] if max_gb else []
    kept = f"at most {' and '.join(limits)} are kept" if limits else "all is kept"
    dropped = units.count(state.dropped, "session", "sessions")
    if state.is_exceeded and max_gb:
        yield wrong(
            "retention",
            f"the database holds {units.size(state.live_bytes)}, more than retention.max_gb = "
            f"{max_gb:g} allows, and no session may go: those left are pinned or in use",
            "unpin or delete sessions, or raise the limit",
        )
    elif state.dropped:
        yield note("retention", f"{kept}; {dropped} dropped so far", "wirescribe sessions dropped")
    else:
        yield ok("retention", f"{kept}; nothing was dropped")


def mended(datadir: DataDir) -> Iterator[Finding]:
    """Mend what can be, as the only writer."""
    if not datadir.database.exists():
        return
    try:
        with Store.open(datadir) as store:
            done = store.call(flaws.repair).result()
    except Busy as error:
        yield wrong("repair", str(error), "end it, then ask the doctor again")
    except StoreError as error:
        yield _unusable("repair", error)
    else:
        for flaw in done:
            yield note("repair", f"mended: {_told(flaw)}")
        if not done:
            yield ok("repair", "there was nothing to mend")


def _unusable(subject: str, error: Exception) -> Finding:
    """What the error says to do stands beside it as the advice."""
    said = str(error)
    advice = database.ACCESS if said.endswith(database.ACCESS) else database.REMEDY
    return wrong(subject, said.removesuffix(f": {advice}"), advice)


def _damage(store: Store, report: Health) -> Iterator[Finding]:
    for fault in proving.file_faults(store.read(), _SHOWN):
        yield wrong("database", fault, database.REMEDY)
    for library, count in proving.foreign_codings(store.read()).items():
        yield note(
            "codings",
            f"{units.count(count, 'body', 'bodies')} of zstd-coded requests were stored with "
            f"{library}, this is {recoding.library()}",
            "those that it cannot give again are named as damaged: then install that version",
        )
    damages = _verified(store)
    flawed = list(flaws.find(store.read(), damages))
    for damage in damages:
        yield wrong(
            "bodies",
            f"{damage.digest.hex()[:16]}... of {_entries(damage.entry_ids)}: {damage.reason}",
            "the disk or a tool changed the database; put back a copy, or delete those entries",
        )
    for flaw in flawed:
        yield wrong("flaws", _told(flaw), "wirescribe doctor --repair, while no server runs")
    if not damages:
        yield ok("bodies", f"every body of {report.entries} entries is as it was recorded")


def _verified(store: Store) -> list[Damage]:
    """With a bar on stderr where somebody looks: it may take minutes."""
    total = 0
    with contextlib.suppress(sqlite3.DatabaseError):
        unmoved = moving.progress(store.read())
        total = proving.count(store.read()) + (unmoved.bodies if unmoved else 0)
    with click.progressbar(
        length=total,
        label="bodies read",
        show_pos=True,
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
    ) as bar:
        return list(proving.verify(store.read(), lambda: bar.update(1)))


def _told(flaw: flaws.Flaw) -> str:
    concerned = f", part of {_entries(flaw.entry_ids)}" if flaw.entry_ids else ""
    return f"{flaw.reason}{concerned}"


def _entries(entry_ids: tuple[str, ...]) -> str:
    more = f" and {len(entry_ids) - _SHOWN} more" if len(entry_ids) > _SHOWN else ""
    return (", ".join(entry_ids[:_SHOWN]) or "no entry") + more
