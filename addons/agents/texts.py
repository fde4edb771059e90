"""Texts of requests: where they stand, and what an agent wrapped around the user's own words."""

import re
from collections.abc import Callable, Iterable, Iterator

from addons.agents.contract import Reading
from storage.decoded import Asked, Message, Part, TextPart

# A request's directory and the like stand in its beginning: later messages are not searched.
_FIRST_MESSAGES = 4
_SEARCHED_CHARS = 200_000
# Gemini CLI and Qwen Code, for `@file` in a prompt.
_FILES_BEGIN, _FILES_END = "--- Content from referenced files ---", "--- End of content ---"


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
        if found := pattern.search(text, 0, _SEARCHED_CHARS):
            return found[1].strip()
    return None


def find_after(keys: Iterable[str], pattern: re.Pattern[str], where: Iterable[str]) -> str | None:
    """What the pattern's group 1 finds right behind one of the keys. (Faster than alternatives.)"""
    names = tuple(keys)
    for text in where:
        for key in names:
            at = text.find(key, 0, _SEARCHED_CHARS)
            while at >= 0:
                if found := pattern.match(text, at + len(key)):
                    return found[1].strip()
                at = text.find(key, at + len(key), _SEARCHED_CHARS)
    return None


def after(text: str, marker: str) -> str | None:
    """What stands behind the marker, if the text begins with it (space before is ignored)."""
    rest = text.lstrip()
    return rest[len(marker) :] if rest.startswith(marker) else None


def unwrapped(text: str, tags: Iterable[str]) -> str:
    """The text without blocks `<tag ...>...</tag>` that stand at its beginning or its end."""
    names = tuple(tags)
    start, end = _trimmed(text, 0, len(text))
    while inner := _inside(text, start, end, names):
        start, end = inner
    return text[start:end]


def _inside(text: str, start: int, end: int, tags: tuple[str, ...]) -> tuple[int, int] | None:
    """What is left without the first, or else the last, block; None if there is none."""
    for tag in tags:
        opening, closing = f"<{tag}", f"</{tag}>"
        if text.startswith((f"{opening}>", f"{opening} "), start, end):
            closed = text.find(closing, start, end)
            return _trimmed(text, end if closed < 0 else closed + len(closing), end)
        if text.endswith(closing, start, end):
            opened = text.rfind(opening, start, end)
            if opened >= 0 and text[opened + len(opening)] in "> ":
                return _trimmed(text, start, opened)
    return None


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def words(message: Message, own: Callable[[str], str]) -> Reading:
    """
    The user's words among the parts of a user message; `own` takes wrappers off one text.

    Contents of files that the user names come in parts between two marks.
    """
    found: list[str] = []
    injected: list[int] = []
    in_files = False
    for index, part in enumerate(message.parts):
        if not isinstance(part, TextPart):
            continue
        text = part.text.strip()
        in_files = in_files or text == _FILES_BEGIN
        said = "" if in_files else own(part.text)
        in_files = in_files and text != _FILES_END
        if said:
            found.append(said)
        elif text:
            injected.append(index)
    if injected and not found and len(injected) == len(message.parts):
        return Reading(kind="context", injected=tuple(injected))
    return Reading(kind="prompt", prompt="\n".join(found), injected=tuple(injected))


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


def first_prompt(asked: Asked, reading: Callable[[Message], Reading]) -> str | None:
    """What a thread began with: of a subagent, the task that its parent's call gave it."""
    for message in asked.messages[:_FIRST_MESSAGES]:
        read = reading(message)
        if read.kind == "prompt":
            return read.prompt or None
    return None
