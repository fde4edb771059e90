"""
What commands ask of Wirescribe, in one interface with two implementations.

`HttpClient` asks a server, `LocalClient` reads the data dir itself. No command knows which it has.
"""

import os
from typing import Protocol

from cli import running, token
from cli.client.http import HttpClient
from cli.client.shapes import Session
from storage.datadir import DataDir
from storage.errors import ConfigError
from storage.records import Origin


class Client(Protocol):
    """Raises NotFound and Conflict as storage does, StoreError if there is no answer."""

    def list_sessions(self) -> list[Session]:
        """Newest first."""
        ...

    def find_session(self, text: str) -> Session:
        """By id, unique prefix of an id, or exact name."""
        ...

    def create_session(
        self, name: str | None, *, origin: Origin = "user", is_recording: bool = False
    ) -> Session: ...

    def change_session(
        self, session_id: str, *, name: str | None = None, is_recording: bool | None = None
    ) -> Session:
        """None leaves as it is."""
        ...

    def activate_session(self, session_id: str) -> Session: ...

    def delete_session(self, session_id: str) -> None: ...


def of_server(datadir: DataDir) -> HttpClient:
    """The client of the server that runs on `datadir`. Raises ConfigError if none does."""
    server = running.look(datadir).server
    if server is None:
        raise ConfigError(f"no server runs on {datadir.root}: start one with `wirescribe up`")
    return HttpClient(running.url(server), token.read(datadir) or os.environ.get(token.VARIABLE))
