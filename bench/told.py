"""Model calls of conversations with long tool results, written into a log as they would pass."""

import argparse
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from storage import ids
from tests.addons.ingest.spooling import Log
from tests.addons.project.house import (
    AGENT,
    TOOLS,
    Call,
    assistant,
    sse,
    text,
    tool_result,
    tool_use,
    user,
)

_TURNS = 60  # of a conversation that grows
_RESULT_BYTES = 4_300
_CHUNK_BYTES = 64 << 10
_SOURCE = Path(argparse.__file__).read_text()


def grown(chance: random.Random, name: str) -> Iterator[tuple[list[Any], list[Any]]]:
    """What is sent and answered in each turn of a conversation."""
    messages = [user(f"please do {name}")]
    for turn in range(_TURNS):
        call_id = f"toolu_{name}_{turn}"
        blocks = [text(f"step {turn}"), tool_use(call_id, command=f"cat file{turn}")]
        yield list(messages), blocks
        result = tool_result(call_id, prose(chance, _RESULT_BYTES))
        messages += [assistant(*blocks), user(result)]


def history(chance: random.Random, name: str, count: int) -> list[Any]:
    """At least so many messages, in pairs of a call and its result."""
    messages = [user(f"please do {name}")]
    while len(messages) < count:
        call_id = f"toolu_{len(messages)}"
        said = text(prose(chance, 200)), tool_use(call_id, command=prose(chance, 100))
        result = tool_result(call_id, prose(chance, _RESULT_BYTES))
        messages += [assistant(*said), user(result)]
    return messages


def headers_of(conversation: str) -> tuple[tuple[bytes, bytes], ...]:
    return (AGENT, (b"X-Claude-Code-Session-Id", conversation.encode()))


def prose(chance: random.Random, size: int) -> str:
    at = chance.randrange(len(_SOURCE) - size)
    return _SOURCE[at : at + size]


class Told:
    """One model call that goes into a log now."""

    def __init__(self, log: Log, headers: Any, messages: list[Any], blocks: list[Any]) -> None:
        self._log = log
        self._entry = Call(log, None, time.time_ns(), b"/v1/messages", headers)
        asked = {"model": "claude-opus-4-5", "max_tokens": 100, "stream": True, "tools": TOOLS}
        sent = msgspec.json.encode(asked | {"messages": messages})
        for at in range(0, len(sent), _CHUNK_BYTES):
            self._entry.chunk("request", sent[at : at + _CHUNK_BYTES])
        self._entry.end("request")
        stream = (b"content-type", b"text/event-stream")
        self._entry.response(status=200, headers=(stream,))
        whole = sse(ids.new(), blocks, stop_reason="tool_use")
        at = whole.index(b"event: message_delta")
        self._told, self._rest = whole[:at], whole[at:]

    def begin(self) -> "Told":
        """All but the end of the answer."""
        self._entry.chunk("response", self._told)
        self._log.append()
        return self

    def end(self) -> None:
        self._entry.chunk("response", self._rest).end("response").close()
        self._log.append()
