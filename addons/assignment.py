"""
Which session an entry belongs to, by the rules of architecture.md. Pure: a control state goes in.

A tag is `<session>:<word>`, as user and password of the proxy's URL or in the path of base-URL
mode. The word only names the session, it protects nothing.
"""

import base64
import hmac
from urllib.parse import unquote

import msgspec

from storage.control import Control


class Tag(msgspec.Struct, frozen=True):
    """A session tag as a client sent it, unproved."""

    session: str
    word: str


class Assignment(msgspec.Struct, frozen=True):
    """`session` None means an automatic session, which ingest finds. Nothing if not `recorded`."""

    recorded: bool
    session: str | None = None
    marks: tuple[str, ...] = ()


NOTHING = Assignment(recorded=False)


def basic_tag(value: str) -> Tag | None:
    """The tag in a `Proxy-Authorization` value; None if it holds none."""
    scheme, _, encoded = value.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, word = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:  # of base64, and of what is in it
        return None
    # Clients take user and password from a URL; some do not undo its percent signs.
    return Tag(unquote(user), unquote(word)) if user else None


class Rules:
    """Applies the rules; remembers which tags held once, so that their deletion is no surprise."""

    def __init__(self) -> None:
        self._proved: set[Tag] = set()

    def proves(self, tag: Tag, control: Control) -> bool:
        """Whether the tag names a session with its own word, now or earlier in this process."""
        known = control.sessions.get(tag.session)
        if known is not None:
            if not hmac.compare_digest(known.word.encode(), tag.word.encode()):
                return False
            self._proved.add(tag)
        return tag in self._proved

    def assign(self, tag: Tag | None, control: Control) -> Assignment:
        """Where an entry goes whose head arrives now."""
        if tag is None:
            return _untagged(control)
        if tag.session in control.deleted:
            return NOTHING
        if self.proves(tag, control):
            known = control.sessions.get(tag.session)
            if known is None or not known.recording:
                return NOTHING
            return Assignment(recorded=True, session=tag.session)
        mark = "unmatched_tag_word" if tag.session in control.sessions else "unknown_tag"
        return msgspec.structs.replace(_untagged(control), marks=(mark,))

    def goes_on(self, session: str | None, control: Control) -> str:
        """
        What happens to an open entry of `session` when the state is looked at again.

        "recorded", "stopped" (recording is off) or "deleted" (no trace of it may follow).
        """
        if session is None:
            return "recorded" if control.automatic else "stopped"
        if session in control.deleted or session not in control.sessions:
            return "deleted"
        known = control.sessions[session]
        return "recorded" if known.recording or known.finishing else "stopped"


def _untagged(control: Control) -> Assignment:
    if control.active is None:
        return Assignment(recorded=True) if control.automatic else NOTHING
    known = control.sessions.get(control.active)
    if known is None or not known.recording or control.active in control.deleted:
        return NOTHING
    return Assignment(recorded=True, session=control.active)
