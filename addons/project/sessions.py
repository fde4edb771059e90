"""
Automatic sessions: where traffic goes that no session was active for.

Ingest gathers it by day; once its conversation is known, an entry moves into the session of its
root conversation, which is named by the first prompt.
"""

from datetime import UTC, datetime

import msgspec
from sqlite_utils import Database

from addons.project import keys
from addons.project.placing import Placer
from addons.project.reading import Decoded
from storage import sessions
from storage.records import Session

_OTHER = "other:"  # keys of the sessions of a day, as ingest makes them
_CONVERSATION = "conversation:"
_NAME = 80  # signs


def place(
    db: Database, placer: Placer, decoded: Decoded, session: Session
) -> tuple[Decoded, Session]:
    """The turn and its session, moved where it belongs; in the caller's transaction."""
    key = sessions.key_of(db.conn, session.id)
    if session.origin != "automatic" or key is None:
        return decoded, session
    if key.startswith(_OTHER):
        session = _of_conversation(db, _root(placer, decoded, session), decoded)
        sessions.move_entry(db, decoded.entry.id, session.id)
        entry = msgspec.structs.replace(decoded.entry, session_id=session.id)
        decoded = msgspec.structs.replace(decoded, entry=entry)
    _name(db, session, decoded)
    return decoded, session


def _root(placer: Placer, decoded: Decoded, session: Session) -> str:
    if decoded.hints.root:
        return keys.conversation(decoded.agent.name, decoded.hints.root)
    return placer.identity(decoded, session).id


def _of_conversation(db: Database, root: str, decoded: Decoded) -> Session:
    key = _CONVERSATION + root
    return sessions.by_key(db.conn, key) or sessions.create(
        db,
        name=_first_name(decoded),
        origin="automatic",
        is_recording=True,
        key=key,
        now_ms=decoded.entry.started_ns // 1_000_000,
    )


def _first_name(decoded: Decoded) -> str:
    """Until a prompt is known: who, and when."""
    moment = datetime.fromtimestamp(decoded.entry.started_ns / 1e9, tz=UTC).astimezone()
    return f"{decoded.agent.title}, {moment.day} {moment:%b %Y %H:%M}"


def _name(db: Database, session: Session, decoded: Decoded) -> None:
    """Name it by its first prompt, unless somebody named it meanwhile."""
    prompt = " ".join((decoded.hints.prompt or "").split())
    if not prompt or decoded.hints.is_subagent or sessions.is_named(db.conn, session.id):
        return
    name = prompt if len(prompt) <= _NAME else prompt[: _NAME - 1].rstrip() + "…"
    sessions.name_by_prompt(db, session.id, name)
