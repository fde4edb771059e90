"""Ids of projected things: from content or from the agent's own ids, never from a sequence."""

import base64
import hashlib
import re
from datetime import UTC, datetime

from storage.records import Entry, Session

_PUBLIC = re.compile(r"[A-Za-z0-9_-]{1,255}")
_RESERVED = frozenset({"import", "active", "load-more", "compare"})  # words of the API's own paths


def turn(entry_id: str, number: int) -> str:
    """Turn ids sort as the turns happened."""
    return f"{entry_id}.{number:05d}"


def entry_of(turn_id: str) -> str:
    return turn_id.partition(".")[0]


def conversation(agent: str, own: str) -> str:
    """The public id: the agent's own id where it is fit for a path, else a hash of the key."""
    if _PUBLIC.fullmatch(own) and own not in _RESERVED:
        return own
    return short("conversation", agent, own)


def inferred(agent: str, entry: Entry, session: Session, prompt: str) -> str:
    """
    The key of a conversation that the wire gives no id: its first prompt and its start.

    The start is the capture session, which is a run where `wirescribe run` made it; of traffic
    that no session was active for, the day (UTC): entries may move between automatic sessions. The
    directory is no part of it, for calls beside the thread (Gemini's router) do not state it.
    """
    start = session.id
    if session.origin == "automatic":
        start = f"{datetime.fromtimestamp(entry.started_ns // 1_000_000_000, tz=UTC):%Y-%m-%d}"
    return short("inferred", agent, start, prompt)


def tool_call(conversation_id: str, call_id: str | None, message_id: str, part: int) -> str:
    """By the provider's call id; where it gives none, by the place where the call stands."""
    if call_id is not None:
        return "t" + short("tool-call", conversation_id, call_id)
    return "t" + short("tool-call", conversation_id, message_id, str(part))


def root(conversation_id: str, track: str) -> str:
    """What stands for the parent of a track's first message."""
    return short("root", conversation_id, track)


def message(parent: str, digest: bytes, *, hangs: bool) -> str:
    """Of a message by what it says and what it stands behind."""
    return "m" + short("hangs" if hangs else "message", parent, digest.hex())


def text(words: str) -> bytes:
    """A digest to find equal texts by, whatever space stands around them."""
    return hashlib.blake2b(words.strip().encode(errors="replace"), digest_size=16).digest()


def short(*words: str) -> str:
    """
    16 letters, digits and underscores that stand for these words; 96 bits, nearly.

    They stand in every row of a history, hence base 64. None begins with a minus: it would look
    like an option on a command line.
    """
    named = "\0".join(words).encode(errors="replace")
    return base64.b64encode(hashlib.blake2b(named, digest_size=12).digest(), b"__").decode()
