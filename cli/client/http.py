"""The client of a running server: its HTTP API."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cli.client.connection import Connection, Query
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
from cli.client.understood_http import HttpUnderstood
from storage.records import Origin, Outcome, Side

_TIMEOUT_S = 60.0  # a server may wait 30 s for a locked database
_HASTY_S = 1.0
_LOOK_S = 0.2
_IMPORT_S = 3600.0  # a long file is read, written and stored before the answer comes


class _Sessions(msgspec.Struct, frozen=True, kw_only=True):
    sessions: list[Session]


class _Total(msgspec.Struct, frozen=True, kw_only=True):
    total: int


class _Cleared(msgspec.Struct, frozen=True, kw_only=True):
    cleared: int


class HttpClient:
    """See `cli.client.Client`."""

    def __init__(
        self, url: str, token: str | None = None, *, timeout_s: float = _TIMEOUT_S
    ) -> None:
        self._server = Connection(url, token, timeout_s=timeout_s)
        self._again = (url, token)
        self.understood = HttpUnderstood(self._server)

    def hasty(self) -> "HttpClient":
        """The same server, for somebody who does not wait."""
        return HttpClient(*self._again, timeout_s=_HASTY_S)

    def list_sessions(self) -> list[Session]:
        return self._server.call(_Sessions, "GET", "/api/sessions").sessions

    def get_session(self, session_id: str) -> Session:
        return self._server.call(Session, "GET", f"/api/sessions/{session_id}")

    def find_session(self, text: str) -> Session:
        return session_of(
            self.list_sessions(), text, lambda: self.dropped_sessions(limit=MOST_DROPS)
        )

    def create_session(
        self, name: str | None, *, origin: Origin = "user", is_recording: bool = False
    ) -> Session:
        body = {"name": name, "origin": origin, "isRecording": is_recording}
        created = self._server.call(Session, "POST", "/api/sessions", body=body)
        if created.is_recording != is_recording:
            return self.change_session(created.id, is_recording=is_recording)
        return created

    def change_session(
        self,
        session_id: str,
        *,
        name: str | None = None,
        is_recording: bool | None = None,
        is_pinned: bool | None = None,
    ) -> Session:
        asked = {"name": name, "isRecording": is_recording, "pinned": is_pinned}
        body = {key: value for key, value in asked.items() if value is not None}
        return self._server.call(Session, "PATCH", f"/api/sessions/{session_id}", body=body)

    def activate_session(self, session_id: str) -> Session:
        return self._server.call(Session, "POST", f"/api/sessions/{session_id}/activate")

    def watch(self, about: str | None, since: int | None) -> Iterator[bytes]:
        """Live events as an event stream, in pieces as they come, until the server ends it."""
        return self._server.live("/api/live", query={"session": about, "since": since})

    def end_run(self, session_id: str) -> None:
        """The run that recorded into this session is over."""
        self._server.tell("POST", f"/api/sessions/{session_id}/run-ended")

    def delete_session(self, session_id: str) -> bool:
        self._server.call(dict, "DELETE", f"/api/sessions/{session_id}")
        return True

    def dropped_sessions(self, *, limit: int) -> Drops:
        return self._server.call(Drops, "GET", "/api/retention", query={"limit": limit})

    def clear_drops(self) -> int:
        return self._server.call(_Cleared, "DELETE", "/api/retention/drops").cleared

    def page_traffic(
        self, asked: TrafficFilter, *, after: str | None = None, limit: int = 100
    ) -> TrafficPage:
        conditions: dict[str, str | None] = msgspec.to_builtins(asked)
        query: Query = {**conditions, "after": after, "limit": limit}
        return self._server.call(TrafficPage, "GET", "/api/traffic", query=query)

    def traffic_total(self, session_id: str, outcome: Outcome) -> int:
        """How many entries of a session ended so."""
        query: Query = {"sessionId": session_id, "outcome": outcome, "limit": 1}
        return self._server.call(_Total, "GET", "/api/traffic", query=query).total

    def find_entry(self, text: str) -> EntryBody:
        return self._server.call(EntryBody, "GET", f"/api/traffic/{entry_prefix(text)}")

    def body(self, entry_id: str, side: Side, *, is_decoded: bool = False) -> Iterator[bytes]:
        query = {"decoded": "1" if is_decoded else None}
        return self._server.stream(f"/api/traffic/{entry_id}/{side}-body", query=query)

    def har(self, session_id: str, *, keep_secrets: bool = False) -> Iterator[bytes]:
        query = {"secrets": "keep"} if keep_secrets else {}
        return self._server.stream(f"/api/har/export/{session_id}", query=query)

    def import_file(self, path: Path, progress: Progress, *, only_har: bool = False) -> ImportBody:
        url, token = self._again
        target = "/api/har/import" if only_har else "/api/import"
        patient = Connection(url, token, timeout_s=_IMPORT_S)
        return patient.upload(ImportBody, target, path, lambda *at: progress("sending", *at))

    def rebuild(self, session_id: str | None, *, is_forced: bool) -> Iterator[Rebuild]:
        body = {"sessionId": session_id, "force": is_forced}
        now = self._server.call(Rebuild, "POST", "/api/rebuild", body=body)
        while now.left or now.is_building:
            yield now
            time.sleep(_LOOK_S)
            now = self._server.call(Rebuild, "GET", "/api/rebuild")
        yield now

    def close(self) -> None:
        """Every call was a connection of its own."""
