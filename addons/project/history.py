"""
What a message is, apart from how a client happens to send it.

Agents send their whole history again with every turn, and change it a little each time: cache
marks move, a text becomes a list of one text, thinking is dropped, reminders come and go. What is
left when all that is taken away is the message's print: equal prints behind equal parents are one
message, so that re-sent history adds nothing and a fork shows by itself.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from addons.agents.contract import Agent, Reading
from storage.decoded import (
    CompactionPart,
    MediaPart,
    Message,
    OtherPart,
    Part,
    RefusalPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)

_ENCODER = msgspec.msgpack.Encoder()
_KEPT = 20_000  # prints of messages that were read before


class Print(msgspec.Struct, frozen=True):
    """
    A message as its agent reads it. `hangs`: nothing of it counts in a history (it is injected,
    or mere thinking), so it shows beside its parent and no message stands behind it.
    """

    reading: Reading
    digest: bytes
    hangs: bool


class Prints:
    """Reads messages, each once: most of what comes was there in the turn before."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, bytes], Print] = OrderedDict()

    def of(self, agent: Agent, message: Message) -> Print:
        if message.raw_digest is None:
            return _print(agent, message)
        key = (agent.name, message.raw_digest)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _print(agent, message)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return known


def _print(agent: Agent, message: Message) -> Print:
    reading = agent.reading(message)
    injected = set(reading.injected)
    counted = [part for number, part in enumerate(message.parts) if number not in injected]
    said = list(_said(counted))
    hangs = not said
    if hangs:
        said = list(_said(message.parts)) or [
            ("thinking", part.text, part.is_redacted)
            for part in message.parts
            if isinstance(part, ThinkingPart)
        ]
    role = "system" if message.role == "developer" else message.role
    digest = hashlib.blake2b(_ENCODER.encode((role, said)), digest_size=16).digest()
    return Print(reading, digest, hangs)


def _said(parts: Iterable[Part]) -> Iterable[tuple[object, ...]]:
    """What parts say: texts that follow each other are one, space around them does not count."""
    texts: list[str] = []
    for part in parts:
        if isinstance(part, TextPart | RefusalPart):
            texts.append(part.text.strip())
            continue
        if isinstance(part, ThinkingPart):
            continue
        if any(texts):
            yield ("text", "\n".join(filter(None, texts)))
        texts = []
        yield _saying(part)
    if any(texts):
        yield ("text", "\n".join(filter(None, texts)))


def _saying(part: Part) -> tuple[object, ...]:
    # Ids of calls do not count: some clients make new ones when they send a call again.
    match part:
        case ToolCallPart():
            return ("call", part.name, part.arguments if part.is_custom else _json(part.arguments))
        case ToolResultPart():
            return ("result", part.text.strip(), [_saying(media) for media in part.media])
        case MediaPart():
            return ("media", part.media, part.digest or part.url or "")
        case CompactionPart():
            return ("compaction", part.text.strip())
        case OtherPart():
            return ("other", part.type, _json(part.json))
    raise AssertionError(part)  # texts and thinking do not come here


def _json(text: str | bytes) -> bytes:
    """JSON without the order of its keys and without space; what is none, as it is."""
    try:
        return msgspec.json.encode(msgspec.json.decode(text), order="sorted")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text.encode(errors="replace") if isinstance(text, str) else text
