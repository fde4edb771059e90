"""The client of a running server: its HTTP API."""

import msgspec

from cli.client.connection import Connection
from cli.client.matching import session_of
from cli.client.shapes import Session
from storage.records import Origin, Outcome

_HASTY_S = 1.0


class _Sessions(msgspec.Struct, frozen=True, kw_only=True):
    sessions: list[Session]


class _Total(msgspec.Struct, frozen=True, kw_only=True):
    total: int


class HttpClient:
    """See `cli.client.Client`."""

    def __init__(self, url: str, token: str | None = None, *, timeout_s: float = 60.0) -> None:
        # A server may wait 30 s for a locked database.
        self._server = Connection(url, token, timeout_s=timeout_s)
        self._again = (url, token)

    def hasty(self) -> "HttpClient":
        """The same server, for somebody who does not wait."""
        return HttpClient(*self._again, timeout_s=_HASTY_S)

    def list_sessions(self) -> list[Session]:
        return self._server.call(_Sessions, "GET", "/api/sessions").sessions

    def get_session(self, session_id: str) -> Session:
        return self._server.call(Session, "GET", f"/api/sessions/{session_id}")

    def traffic_total(self, session_id: str, outcome: Outcome | None = None) -> int:
        """How many entries a session has, of one outcome."""
        query = {"sessionId": session_id, "outcome": outcome, "limit": 1}
        return self._server.call(_Total, "GET", "/api/traffic", query=query).total

    def find_session(self, text: str) -> Session:
        return session_of(self.list_sessions(), text)

    def create_session(
        self, name: str | None, *, origin: Origin = "user", is_recording: bool = False
    ) -> Session:
        body = {"name": name, "origin": origin, "isRecording": is_recording}
        created = self._server.call(Session, "POST", "/api/sessions", body=body)
        if created.is_recording != is_recording:
            return self.change_session(created.id, is_recording=is_recording)
        return created

    def change_session(
        self, session_id: str, *, name: str | None = None, is_recording: bool | None = None
    ) -> Session:
        asked = {"name": name, "isRecording": is_recording}
        body = {key: value for key, value in asked.items() if value is not None}
        return self._server.call(Session, "PATCH", f"/api/sessions/{session_id}", body=body)

    def activate_session(self, session_id: str) -> Session:
        return self._server.call(Session, "POST", f"/api/sessions/{session_id}/activate")

    def delete_session(self, session_id: str) -> None:
        self._server.call(dict, "DELETE", f"/api/sessions/{session_id}")
