"""Which session or entry a user means by what was typed."""

import re
from collections.abc import Callable, Sequence

from cli import times
from cli.client.shapes import Drops, Session
from storage.errors import Conflict, NotFound

MOST_DROPS = 500  # that are looked through
_MIN_PREFIX = 4
_SHOWN = 5
_ID = re.compile(r"[0-9a-f-]{4,36}", re.IGNORECASE)


def session_of(known: Sequence[Session], text: str, dropped: Callable[[], Drops]) -> Session:
    """
    The session of this id, exact name, or unique prefix of an id (4 characters or more).

    Raises NotFound, which says so if it is one of `dropped`; Conflict that names the candidates.
    """
    text = text.strip()
    rules = (
        [one for one in known if one.id == text.lower()],
        [one for one in known if one.name == text],
        [one for one in known if len(text) >= _MIN_PREFIX and one.id.startswith(text.lower())],
    )
    for found in rules:
        if len(found) == 1:
            return found[0]
        if found:
            named = [f"{one.id} ({one.name})" for one in found[:_SHOWN]]
            more = ", ..." if len(found) > _SHOWN else ""
            raise Conflict(f"{text!r} may be {', '.join(named)}{more}: say which by its id")
    for drop in dropped().drops:
        is_prefix = len(text) >= _MIN_PREFIX and drop.session_id.startswith(text.lower())
        if is_prefix or text == drop.name:
            raise NotFound(
                f"session {drop.name!r} is gone: {drop.reason} dropped it at "
                f"{times.moment(drop.dropped_at)}"
            )
    raise NotFound(
        f"there is no session {text!r}: `wirescribe sessions list` shows those there are"
    )


def entry_prefix(text: str) -> str:
    """`text` as a prefix of an entry's id. Raises NotFound if it cannot be one."""
    prefix = text.strip().lower()
    if not _ID.fullmatch(prefix):
        raise NotFound(
            f"{text!r} is not the beginning of an entry's id: `wirescribe traffic list` shows them"
        )
    return prefix
