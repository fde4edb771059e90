"""
What commands ask of Wirescribe, in one interface with two implementations.

`HttpClient` asks a server, `LocalClient` reads the data dir itself. No command knows which it has.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cli import running, token
from storage.datadir import DataDir
from storage.errors import ConfigError
from storage.records import Origin, Side

if TYPE_CHECKING:
    from cli.client.http import HttpClient
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
    from cli.client.understood import Understood


class Client(Protocol):
    """Raises NotFound and Conflict as storage does, StoreError if there is no answer."""

    @property
    def understood(self) -> "Understood":
        """Conversations, messages, tool calls, tasks, projects."""
        ...

    def list_sessions(self) -> list["Session"]:
        """Newest first."""
        ...

    def find_session(self, text: str) -> "Session":
        """By id, unique prefix of an id, or exact name."""
        ...

    def create_session(
        self, name: str | None, *, origin: Origin = "user", is_recording: bool = False
    ) -> "Session":
        """No name: the automatic one."""
        ...

    def change_session(
        self,
        session_id: str,
        *,
        name: str | None = None,
        is_recording: bool | None = None,
        is_pinned: bool | None = None,
    ) -> "Session":
        """None leaves as it is."""
        ...

    def activate_session(self, session_id: str) -> "Session": ...

    def delete_session(self, session_id: str) -> bool:
        """False: what it recorded stays on the disk until a server runs again."""
        ...

    def dropped_sessions(self, *, limit: int) -> "Drops":
        """What retention dropped, newest first."""
        ...

    def clear_drops(self) -> int:
        """Forget what retention dropped; how many sessions that were."""
        ...

    def page_traffic(
        self, asked: "TrafficFilter", *, after: str | None = None, limit: int = 100
    ) -> "TrafficPage": ...

    def find_entry(self, text: str) -> "EntryBody":
        """By id or unique prefix."""
        ...

    def body(self, entry_id: str, side: Side, *, is_decoded: bool = False) -> Iterator[bytes]:
        """As captured, or without its content coding; in pieces."""
        ...

    def har(self, session_id: str, *, keep_secrets: bool = False) -> Iterator[bytes]:
        """A session as HAR 1.2, in pieces; credentials that were recorded are cut, or kept."""
        ...

    def import_file(
        self, path: Path, progress: "Progress", *, only_har: bool = False
    ) -> "ImportBody":
        """A HAR file or a flow file into a session of its own."""
        ...

    def rebuild(self, session_id: str | None, *, is_forced: bool) -> Iterator["Rebuild"]:
        """Make all that was understood anew, or a session's; how far it is, until it is done."""
        ...

    def close(self) -> None: ...


def of_server(datadir: DataDir) -> "HttpClient":
    """The client of the server that runs on `datadir`. Raises ConfigError if none does."""
    from cli.client.http import HttpClient

    server = running.look(datadir).server
    if server is None:
        raise ConfigError(f"no server runs on {datadir.root}: start one with `wirescribe up`")
    return HttpClient(running.url(server), token.read(datadir) or os.environ.get(token.VARIABLE))


def of(datadir: DataDir, server_url: str | None) -> Client:
    """The one of `server_url` if that is given, else of the data dir."""
    if server_url:
        from cli.client.http import HttpClient

        return HttpClient(server_url, os.environ.get(token.VARIABLE))
    from cli.client.local import LocalClient

    return LocalClient(datadir)
