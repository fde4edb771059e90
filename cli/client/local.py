"""
The client of a data dir: reads its database, beside a server or without one.

What changes something is asked of the server that runs, for only one process may write; where none
does, this one becomes it for a moment.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from addons.background import Background
from api import content, entries, imported, rebuilding, retained
from api.answers import figures
from api.exports import captured, har
from cli import client, importing, running
from cli.client.http import HttpClient
from cli.client.matching import MOST_DROPS, entry_prefix, session_of
from cli.client.shapes import (
    Drops,
    EntryBody,
    ImportBody,
    Progress,
    Rebuild,
    Session,
    TrafficFilter,
    TrafficPage,
)
from cli.client.understood_local import LocalUnderstood
from cli.settings import load
from storage import drops, health, records, sessions, traffic, understanding
from storage.datadir import DataDir
from storage.errors import NotFound
from storage.projection import keeping
from storage.records import Origin, Side
from storage.store import Store
from storage.traffic import Query
from storage.understanding import Understanding

_SWEEP_S = 20.0
_LOOK_S = 0.05
_EMPTY = TrafficPage(entries=[], total=0, next=None)


class LocalClient:
    """See `cli.client.Client`."""

    def __init__(self, datadir: DataDir) -> None:
        self._datadir = datadir
        self._store = Store.reading(datadir)
        self.understood = LocalUnderstood(self._store)

    def list_sessions(self) -> list[Session]:
        if not self._has_database():
            return []
        conn = self._store.read()
        known = understanding.of_sessions(conn)
        return [_shape(session, known.get(session.id)) for session in sessions.list_all(conn)]

    def find_session(self, text: str) -> Session:
        return session_of(
            self.list_sessions(), text, lambda: self.dropped_sessions(limit=MOST_DROPS)
        )

    def create_session(
        self, name: str | None, *, origin: Origin = "user", is_recording: bool = False
    ) -> Session:
        if server := self._server():
            return server.create_session(name, origin=origin, is_recording=is_recording)
        return self._changed(
            lambda store: store.change_sessions(
                sessions.create, name=name, origin=origin, is_recording=is_recording
            ).result()
        )

    def change_session(
        self,
        session_id: str,
        *,
        name: str | None = None,
        is_recording: bool | None = None,
        is_pinned: bool | None = None,
    ) -> Session:
        if server := self._server():
            return server.change_session(
                session_id, name=name, is_recording=is_recording, is_pinned=is_pinned
            )
        return self._changed(
            lambda store: store.change_sessions(
                sessions.update,
                session_id,
                name=name,
                is_recording=is_recording,
                is_pinned=is_pinned,
            ).result()
        )

    def activate_session(self, session_id: str) -> Session:
        if server := self._server():
            return server.activate_session(session_id)
        return self._changed(
            lambda store: store.change_sessions(sessions.activate, session_id).result()
        )

    def delete_session(self, session_id: str) -> bool:
        if server := self._server():
            return server.delete_session(session_id)
        with self._server_for_now() as store:
            store.change_sessions(sessions.delete, session_id).result()
            return self._is_swept(store)

    def dropped_sessions(self, *, limit: int) -> Drops:
        if not self._has_database():
            return Drops(drops=[], total=0)
        page = drops.page(self._store.read(), limit=limit)
        return Drops(drops=[retained.body_of(drop) for drop in page.drops], total=page.total)

    def clear_drops(self) -> int:
        if server := self._server():
            return server.clear_drops()
        with self._server_for_now() as store:
            cleared = store.call(drops.clear).result()
            self._is_swept(store)
        return cleared

    def page_traffic(
        self, asked: TrafficFilter, *, after: str | None = None, limit: int = 100
    ) -> TrafficPage:
        if not self._has_database():
            return _EMPTY
        found = traffic.page(self._store.read(), _query(asked), after=after, limit=limit)
        return TrafficPage(
            entries=[entries.body_of(entry) for entry in found.entries],
            total=found.total,
            next=found.next,
        )

    def find_entry(self, text: str) -> EntryBody:
        return entries.body_of(self._entry(text))

    def body(self, entry_id: str, side: Side, *, is_decoded: bool = False) -> Iterator[bytes]:
        entry = self._entry(entry_id)
        if entry.kind != "http":
            raise NotFound("This entry has no body")
        make = content.decoded if is_decoded else content.captured
        found = make(self._store.read(), entry, side)
        return found.stream(self._store.read(), 0, found.size_bytes)

    def har(self, session_id: str, *, keep_secrets: bool = False) -> Iterator[bytes]:
        conn = self._store.read()
        redactor = None if keep_secrets else captured.redactor(self._datadir.hmac_key())
        return har.export(conn, sessions.get(conn, session_id), redactor=redactor)

    def import_file(self, path: Path, progress: Progress, *, only_har: bool = False) -> ImportBody:
        if server := self._server():
            return server.import_file(path, progress, only_har=only_har)
        settings = load(self._datadir.prepare(), {}, os.environ)
        with self._server_for_now() as store:
            importer = importing.importer(store, settings)
            found = importer.import_file(path, path.name, only_har=only_har, progress=progress)
            for _ in self._until_projected(store):
                pass
        return imported.body_of(found)

    def rebuild(self, session_id: str | None, *, is_forced: bool) -> Iterator[Rebuild]:
        if server := self._server():
            yield from server.rebuild(session_id, is_forced=is_forced)
            return
        with self._server_for_now() as store:
            if session_id is None:
                store.call(keeping.begin, is_forced=is_forced).result()
            else:
                store.call(keeping.requeue_session, session_id).result()
            yield from self._until_projected(store)

    def close(self) -> None:
        self._store.close()

    def _server_for_now(self) -> Store:
        """This process as the one that writes, with all that a server does between calls."""
        self._datadir.prepare()
        return Store.open(self._datadir, background=Background(self._datadir).step)

    def _until_projected(self, store: Store) -> Iterator[Rebuild]:
        """Until everything that was recorded is understood."""
        while (now := rebuilding.of_state(store.read())).left or now.is_building:
            yield now
            time.sleep(_LOOK_S)
        yield now

    def _has_database(self) -> bool:
        return self._datadir.database.exists()

    def _entry(self, text: str) -> records.Entry:
        if not self._has_database():
            raise NotFound("Traffic entry not found")
        return traffic.find(self._store.read(), entry_prefix(text))

    def _server(self) -> HttpClient | None:
        """The server that must be asked, because it is the one that writes."""
        return client.of_server(self._datadir) if running.look(self._datadir).server else None

    def _is_swept(self, store: Store) -> bool:
        """Wait until nothing of it is left on the disk; what takes too long a later server does."""
        deadline = time.monotonic() + _SWEEP_S
        while time.monotonic() < deadline:
            report = health.report(store.read(), self._datadir)
            if not report.unswept_sessions and not any(report.spool_lag_bytes.values()):
                return True
            time.sleep(_LOOK_S)
        return False

    def _changed(self, change: Callable[[Store], records.Session]) -> Session:
        with Store.open(self._datadir.prepare()) as store:
            changed = change(store)
            known = understanding.of_sessions(store.read(), changed.id)
            return _shape(changed, known.get(changed.id))


def _shape(session: records.Session, understood: Understanding | None) -> Session:
    known = understood or understanding.NOTHING
    return Session(
        id=session.id,
        name=session.name,
        is_active=session.is_active,
        is_recording=session.is_recording,
        created_at=session.created_ms,
        updated_at=session.updated_ms,
        traffic_count=session.traffic_count,
        total_bytes=session.total_bytes,
        origin=session.origin,
        is_pinned=session.is_pinned,
        summary=known.summary,
        project=known.cwd,
        agent=known.agent,
        model=known.model,
        conversation_count=known.conversations,
        turn_count=known.figures.turns,
        error_count=known.figures.errors,
        tool_call_count=known.figures.tool_calls,
        input_tokens=known.figures.input_tokens,
        output_tokens=known.figures.output_tokens,
        cost_usd=figures.cost(known.figures.cost_usd),
        unpriced_turns=known.figures.unpriced_turns,
    )


def _query(asked: TrafficFilter) -> Query:
    status = None if asked.status is None else int(asked.status.removesuffix("xx"))
    return msgspec.convert(msgspec.structs.asdict(asked) | {"status": status}, Query)
