"""Texts of requests: where they stand, and what an agent wrapped around the user's own words."""

import re
from collections.abc import Callable, Iterable, Iterator

from addons.agents.contract import Reading
from storage.decoded import Asked, Message, Part, TextPart

# A request's directory and the like stand in its beginning: later messages are not searched.
_FIRST_MESSAGES = 4


def joined(parts: Iterable[Part]) -> str:
    return "\n".join(part.text for part in parts if isinstance(part, TextPart))


def system(asked: Asked) -> str:
    """The system prompt, whether it stands apart or is the first message."""
    if asked.system:
        return joined(asked.system)
    first = asked.messages[0] if asked.messages else None
    return joined(first.parts) if first and first.role in ("system", "developer") else ""


def opening(asked: Asked) -> Iterator[str]:
    """The texts of the system prompt and of the first messages, in their order."""
    for parts in (asked.system, *(message.parts for message in asked.messages[:_FIRST_MESSAGES])):
        yield from (part.text for part in parts if isinstance(part, TextPart))


def find(pattern: re.Pattern[str], where: Iterable[str]) -> str | None:
    """What the pattern's group 1 finds first, without space around it."""
    for text in where:
        if found := pattern.search(text):
            return found[1].strip()
    return None


def after(text: str, marker: str) -> str | None:
    """What stands behind the marker, if the text begins with it (space before is ignored)."""
    rest = text.lstrip()
    return rest[len(marker) :] if rest.startswith(marker) else None


def unwrapped(text: str, tags: Iterable[str]) -> str:
    """The text without blocks `<tag ...>...</tag>` that stand at its beginning or its end."""
    names = tuple(tags)
    text = text.strip()
    while (shorter := _shorter(text, names)) is not None:
        text = shorter
    return text


def _shorter(text: str, tags: tuple[str, ...]) -> str | None:
    for tag in tags:
        if text.startswith((f"<{tag}>", f"<{tag} ")):
            _, closed, rest = text.partition(f"</{tag}>")
            return rest.strip() if closed else ""
        if text.endswith(f"</{tag}>"):
            start = max(text.rfind(f"<{tag}>"), text.rfind(f"<{tag} "))
            if start >= 0:
                return text[:start].strip()
    return None


def last_prompt(messages: Iterable[Message], reading: Callable[[Message], Reading]) -> str | None:
    """
    The prompt that this request asks to be answered for the first time.

    `messages` from the last to the first. What an agent puts behind a prompt does not hide it;
    an answer or a tool result does.
    """
    for message in messages:
        read = reading(message)
        if read.kind == "prompt":
            return read.prompt
        if read.kind not in ("context", "notification"):
            return None
    return None
