"""What a call of Codex says of itself: in its body, in its headers, or by its cache key alone."""

import re

from addons.agents import arguments
from addons.agents.contract import Call
from addons.wire.fields import Object, read_object, read_text
from storage.decoded import Asked

TURN_METADATA = "x-codex-turn-metadata"
_ROOT_NAME = "/root"
_USER_INFO = re.compile(r"//[^/@\s]*@")  # of a remote's URL: may be a credential
# Of the metadata in a socket's own headers, what holds for all its turns.
_LASTING = (
    "session_id",
    "thread_id",
    "agent_name",
    "parent_thread_id",
    "subagent_kind",
    "thread_source",
    "workspaces",
)


def client_metadata(asked: Asked) -> Object:
    fields = read_object(asked.fields_json) or {}
    return read_object(fields.get("client_metadata")) or {}


class Said:
    """What the call says of itself, from its body first and then from its headers."""

    def __init__(self, call: Call) -> None:
        head = call.head
        self._head = head
        self._body = client_metadata(call.asked)
        self._turn = read_object(arguments.text(self._body, TURN_METADATA)) or {}
        if not self._turn:
            self._turn = read_object(head.header(TURN_METADATA)) or {}
            if head.is_websocket:
                self._turn = {key: self._turn[key] for key in _LASTING if key in self._turn}
        self.inferred: tuple[str, ...] = ()
        self.session = self._one("session_id", "session-id", "session_id")
        self.thread = self._one("thread_id", "thread-id") or self.session
        if self.session is None:
            self._guess_session(call.asked)
        self.parent = self._one("parent_thread_id", "x-codex-parent-thread-id")
        self.purpose = self._one("subagent_kind", "x-openai-subagent")
        self.source = self.turn("thread_source")
        # A thread that Codex starts by itself (a review) keeps its parent's name.
        self.name = name if (name := self.turn("agent_name")) != _ROOT_NAME else None
        self.kind = self.turn("request_kind")
        compaction = read_object(self._turn.get("compaction")) or {}
        self.compaction = arguments.text(compaction, "trigger") or "unknown"

    def _guess_session(self, asked: Asked) -> None:
        """0.104 has it in a header only; its cache key was seen to be the same."""
        key = read_text((read_object(asked.fields_json) or {}).get("prompt_cache_key"))
        self.session = key or None
        self.thread = self.thread or self.session
        self.inferred = ("conversation", "root") if self.session else ()

    @property
    def is_subagent(self) -> bool:
        is_own = self.thread == self.session or self.source == "user"
        return bool(self.parent or self.purpose) or self.source == "subagent" or not is_own

    def turn(self, name: str) -> str | None:
        return arguments.text(self._turn, name)

    def _one(self, name: str, *headers: str) -> str | None:
        """By its name in the body, in the turn's metadata, or by a header."""
        return (
            arguments.text(self._body, name, *headers)
            or self.turn(name)
            or next((value for header in headers if (value := self._head.header(header))), None)
        )

    def workspaces(self) -> Object:
        return read_object(self._turn.get("workspaces")) or {}

    def repository(self, cwd: str | None) -> str | None:
        """The remote of the work tree that the directory is in."""
        for path, raw in sorted(self.workspaces().items(), key=lambda item: -len(item[0])):
            if cwd is None or f"{cwd}/".startswith(f"{path.rstrip('/')}/"):
                remotes = read_object((read_object(raw) or {}).get("associated_remote_urls")) or {}
                url = arguments.text(remotes, "origin", *remotes)
                return _USER_INFO.sub("//", url) if url else None
        return None
