"""
Responses over a WebSocket: what its messages ask, and which answer they belong to.

The client's messages are a request's body with a `type`; the server's are the events of SSE, one
to a message. Source: `ResponsesClientEvent` and `ResponsesServerEvent` of the `openai` package
3.54, read 2026-11; Codex 0.169 was seen to send `response.create` alone.
"""

import msgspec

from addons.wire.contract import Head
from addons.wire.fields import read_object, read_text
from addons.wire.responses_answer import Builder
from addons.wire.responses_request import read_request
from addons.wire.running import Notes, Sink
from addons.wire.socket import Address
from storage.decoded import Asked, Message

_MAX_STEERED = 100  # answers that input is kept for
_SILENT = ("response.processed", "response.cancel")  # ask for nothing, and are known


class _Named(msgspec.Struct):
    id: str | None = None
    previous_response_id: str | None = None
    model: str | None = None


class _Event(msgspec.Struct):
    type: str = ""
    response: _Named | None = None
    response_id: str | None = None
    stream_id: str | None = None
    previous_response_id: str | None = None


_EVENT = msgspec.json.Decoder(_Event)


class Turns:
    """A SocketFormat; knows what the client sent into answers that were under way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._steered: dict[str, list[Message]] = {}  # by the answer that it went into

    def asked(self, head: Head, message: bytes, notes: Notes) -> Asked | None:
        event = _event(message)
        if event.type == "response.create":
            asked = read_request(message, "generate", notes, is_socket=True)
            return self._with_steered(asked)
        if event.type == "response.steer":
            self._steer(event.previous_response_id or "", message, notes)
        elif event.type not in _SILENT:
            notes.add("unknown-message", event.type or None)
        return None

    def unasked(self, message: bytes, notes: Notes) -> Asked | None:
        """After input into an answer under way the server begins the next one by itself."""
        response = _event(message).response
        if response is None or response.previous_response_id not in self._steered:
            return None
        notes.add("unasked-response")
        asked = Asked(
            model=response.model, is_stream=True, previous_id=response.previous_response_id
        )
        return self._with_steered(asked)

    def address(self, message: bytes) -> Address:
        event = _event(message)
        response_id = event.response.id if event.response else None
        return Address(
            kind=event.type,
            response_id=response_id or event.response_id,
            lane=event.stream_id,
            is_lifecycle=response_id is not None,
            is_failure=event.type == "error",
            is_aside=event.type.startswith("codex.") or event.type == "keepalive",
        )

    def builder(self, head: Head, asked: Asked, sink: Sink, notes: Notes) -> Builder:
        return Builder(sink, notes, asked.operation)

    def _steer(self, previous_id: str, message: bytes, notes: Notes) -> None:
        more = read_request(message, "generate", notes).messages
        self._steered.setdefault(previous_id, []).extend(more)
        while len(self._steered) > _MAX_STEERED:
            del self._steered[next(iter(self._steered))]

    def _with_steered(self, asked: Asked) -> Asked:
        """What was sent into the former answer comes before what is sent now."""
        before = self._steered.pop(asked.previous_id or "", None)
        if not before:
            return asked
        return msgspec.structs.replace(asked, messages=(*before, *asked.messages))


def _event(message: bytes) -> _Event:
    """The names in a message; none where it cannot be read or has them in another form."""
    try:
        return _EVENT.decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _Event(type=read_text((read_object(message) or {}).get("type")) or "")
