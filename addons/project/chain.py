"""The messages of a turn at their places in the conversation, each behind the one before it."""

from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence

import msgspec

from addons.project import keys
from addons.project.history import Print, Prints
from addons.project.reading import Decoded
from storage.decoded import Message
from storage.projection.unfinished import Unfinished
from storage.projection.writing import Known, Tables

_KEPT = 64  # threads whose latest history is remembered
_TAIL = 8  # messages at the end of a history that are asked for first
_BETWEEN_RESTS = 64  # messages that are read


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a turn. `depth` counts those before it that others stand behind."""

    id: str
    parent_id: str | None
    depth: int
    message: Message
    print: Print
    position: int  # in the request, and behind it in the answer
    is_answer: bool

    @property
    def hangs(self) -> bool:
        return self.print.hangs


class _Place(msgspec.Struct, frozen=True):
    """A link without its message, which may be long: what is remembered of a history."""

    raw_digest: bytes | None
    id: str
    parent_id: str | None
    depth: int
    print: Print
    position: int


class Start(msgspec.Struct, frozen=True):
    """
    The message that a request goes on behind, which it does not send again.

    `is_foreign`: another conversation holds it. What stands behind it there is not the same
    message, for each conversation is removed alone.
    """

    id: str | None = None
    depth: int = -1
    is_foreign: bool = False


class Chains:
    """Makes links; histories that only grew since the turn before cost what is new in them."""

    def __init__(self, prints: Prints) -> None:
        self._prints = prints
        self._latest: OrderedDict[tuple[str, str, str | None], list[_Place]] = OrderedDict()

    def links(
        self, decoded: Decoded, rest: Unfinished, track: str, start: Start
    ) -> Generator[Unfinished, None, list[Link]]:
        """
        Messages without parts are left out. Of several choices only the first goes on.

        Gives `rest` wherever the caller may rest.
        """
        turn = decoded.turn
        key = (rest.conversation_id, track, start.id)
        asked = _same(self._latest.pop(key, []), turn.asked.messages)
        for number, link in enumerate(self._behind(decoded, key, start, tuple(asked)), 1):
            asked.append(link)
            if number % _BETWEEN_RESTS == 0:
                yield rest
        self._latest[key] = [_place(link) for link in asked]
        if len(self._latest) > _KEPT:
            self._latest.popitem(last=False)
        answers = turn.answer.messages
        if turn.wire != "openai.responses":
            answers = answers[:1]
        return [*asked, *self._answers(decoded, key, start, asked, answers)]

    def _behind(
        self,
        decoded: Decoded,
        key: tuple[str, str, str | None],
        start: Start,
        same: Sequence[Link],
    ) -> Iterator[Link]:
        """What follows `same`."""
        messages = decoded.turn.asked.messages
        first = same[-1].position + 1 if same else 0
        parent = _latest_of(same, start)
        for position in range(first, len(messages)):
            link = self._link(decoded, key, parent, messages[position], position, is_answer=False)
            if link:
                yield link
                parent = parent if link.hangs else Start(link.id, link.depth)

    def _answers(
        self,
        decoded: Decoded,
        key: tuple[str, str, str | None],
        start: Start,
        asked: list[Link],
        answers: Sequence[Message],
    ) -> Iterator[Link]:
        parent = _latest_of(asked, start)
        first = len(decoded.turn.asked.messages)
        for position, message in enumerate(answers, first):
            link = self._link(decoded, key, parent, message, position, is_answer=True)
            if link:
                yield link
                parent = parent if link.hangs else Start(link.id, link.depth)

    def _link(
        self,
        decoded: Decoded,
        key: tuple[str, str, str | None],
        parent: Start,
        message: Message,
        position: int,
        *,
        is_answer: bool,
    ) -> Link | None:
        if not message.parts:
            return None
        read = self._prints.of(decoded.agent, message)
        stands_behind = parent.id or keys.root(key[0], key[1])
        if parent.is_foreign:
            stands_behind = keys.root(key[0], stands_behind)
        return Link(
            id=keys.message(stands_behind, read.digest, hangs=read.hangs),
            parent_id=parent.id,
            depth=parent.depth + 1,
            message=message,
            print=read,
            position=position,
            is_answer=is_answer,
        )


def known(tables: Tables, links: Sequence[Link], turn_id: str) -> dict[str, Known]:
    """
    Which of the messages have rows.

    Where one does that an earlier turn holds, all before it do: a history is asked for from its
    end, and what hangs beside it one by one.
    """
    thread = [link for link in links if not link.hangs]
    beside = [link.id for link in links if link.hangs]
    found = tables.known([*beside, *(link.id for link in thread[-_TAIL:])])
    for place in range(len(thread) - 1, max(len(thread) - 1 - _TAIL, -1), -1):
        row = found.get(thread[place].id)
        if row and row.turn_id < turn_id:
            settled = msgspec.structs.replace(row, is_quoted=True)
            for link in thread[:place]:
                found.setdefault(link.id, settled)
            return found
    return found | tables.known([link.id for link in thread[:-_TAIL]])


def _same(before: list[_Place], messages: Sequence[Message]) -> list[Link]:
    """The links of messages that are sent again as they were."""
    links: list[Link] = []
    first = 0
    for place in before:
        message = messages[place.position] if place.position < len(messages) else None
        if any(skipped.parts for skipped in messages[first : place.position]):
            break  # it was empty before
        first = place.position + 1
        if message is None or place.raw_digest is None or message.raw_digest != place.raw_digest:
            break
        links.append(
            Link(
                id=place.id,
                parent_id=place.parent_id,
                depth=place.depth,
                message=message,
                print=place.print,
                position=place.position,
                is_answer=False,
            )
        )
    return links


def _place(link: Link) -> _Place:
    return _Place(
        link.message.raw_digest, link.id, link.parent_id, link.depth, link.print, link.position
    )


def _latest_of(links: Sequence[Link], start: Start) -> Start:
    last = next((link for link in reversed(links) if not link.hangs), None)
    return Start(last.id, last.depth) if last else start
