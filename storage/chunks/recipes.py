"""
Recipes: which chunks make up a body, by their numbers, in as few bytes as possible.

Chunks are numbered as they come, so what was new in one body is a run of numbers. A recipe is a
list of steps, each either such a run or a piece copied from the recipe of another body (its base):
of a conversation that is sent again, nearly everything is one copy.

As bytes: per step a varint `2 * count + is_copy`, then a signed one, how far the step begins from
where the former step of its kind ended. A copy begins at a place in the base's list of chunks.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from storage import varints

_COMPARED = 50_000  # chunks; what differs in more is not compared

Run = tuple[int, int]  # number of the first chunk, how many
Step = tuple[bool, int, int]  # whether it is copied, first chunk or place in the base, how many


class Stretch(NamedTuple):
    """Bytes of a body by the chunks that they stand in, which stay what they are."""

    skip_bytes: int  # in the first chunk
    size_bytes: int
    runs: list[Run]


def pack(steps: Iterable[Step]) -> bytes:
    data = bytearray()
    expected = [0, 0]
    for is_copy, first, count in steps:
        varints.put(data, count << 1 | is_copy)
        varints.put_signed(data, first - expected[is_copy])
        expected[is_copy] = first + count
    return bytes(data)


def unpack(data: bytes) -> list[Step]:
    """Raises ValueError if it is cut short."""
    steps = []
    own_at = copied_at = at = 0
    size = len(data)
    try:
        while at < size:
            # Reading a body is mostly this loop: most heads are of one byte, most ways of one to
            # three.
            head = data[at]
            at += 1
            if head >= 0x80:
                head, at = varints.take(data, at - 1)
            moved = data[at]
            at += 1
            if moved >= 0x80:
                high = data[at]
                at += 1
                if high < 0x80:
                    moved = moved & 0x7F | high << 7
                elif (top := data[at]) < 0x80:
                    at += 1
                    moved = moved & 0x7F | (high & 0x7F) << 7 | top << 14
                else:
                    moved, at = varints.take(data, at - 2)
            moved = -(moved + 1 >> 1) if moved & 1 else moved >> 1
            count = head >> 1
            if head & 1:
                first = copied_at + moved
                copied_at = first + count
                steps.append((True, first, count))
            else:
                first = own_at + moved
                own_at = first + count
                steps.append((False, first, count))
    except IndexError:
        raise ValueError("a recipe is cut short") from None
    return steps


def own(steps: Iterable[Step]) -> list[Run]:
    """The runs that the recipe names itself."""
    return [(first, count) for is_copy, first, count in steps if not is_copy]


def joined(parts: Iterable[Run]) -> list[Run]:
    """The same with neighbours as one."""
    found: list[Run] = []
    for first, count in parts:
        append(found, first, count)
    return found


def append(runs: list[Run], first: int, count: int) -> None:
    """Add chunks at the end."""
    if runs:
        last, behind = runs[-1]
        if first == last + behind:
            runs[-1] = (last, behind + count)
            return
    if count:
        runs.append((first, count))


def against(runs: Sequence[Run], base: Sequence[Run]) -> list[Step]:
    """A recipe for these chunks that copies what it can from that of a base."""
    same = next(
        (n for n, (mine, its) in enumerate(zip(runs, base, strict=False)) if mine != its),
        min(len(runs), len(base)),
    )
    copied = sum(count for _, count in base[:same])
    mine, its = list(runs[same:]), list(base[same:])
    if mine and its and mine[0][0] == its[0][0]:
        common = min(mine[0][1], its[0][1])
        copied += common
        mine[0], its[0] = _behind(mine[0], common), _behind(its[0], common)
    steps: list[Step] = [(True, 0, copied)] if copied else []
    if sum(count for _, count in mine + its) > _COMPARED:
        return steps + [(False, first, count) for first, count in mine if count]
    # Behind what both begin with, chunk by chunk.
    rest = list(_numbers(its))
    places = {number: place for place, number in enumerate(rest, copied)}
    found: list[Step] = []
    is_copy, first, count = steps[0] if steps else (False, 0, 0)  # the step that grows
    for number in _numbers(mine):
        at = first + count - copied
        if is_copy and at < len(rest) and rest[at] == number:
            count += 1
            continue
        place = places.get(number)
        if place is None and not is_copy and count and number == first + count:
            count += 1
            continue
        if count:
            found.append((is_copy, first, count))
        is_copy, first, count = (False, number, 1) if place is None else (True, place, 1)
    if count:
        found.append((is_copy, first, count))
    return found


def rebase(steps: Iterable[Step], base: Sequence[Step]) -> list[Step]:
    """The same recipe on the base of its base."""
    ends = list(accumulate([count for _, _, count in base]))
    found: list[Step] = []
    for is_copy, first, count in steps:
        if not is_copy:
            found.append((False, first, count))
            continue
        stop = first + count
        low, high = bisect_right(ends, first), bisect_left(ends, stop)
        for index in (low, high) if low < high else (low,):
            if index >= len(base):
                break
            kind, inner, size = base[index]
            at = ends[index] - size
            start, end = max(first - at, 0), min(stop - at, size)
            found.append((kind, inner + start, end - start))
            if index < high:
                found += base[index + 1 : high]
    return found


def _behind(run: Run, count: int) -> Run:
    return run[0] + count, run[1] - count


def _numbers(runs: Iterable[Run]) -> Iterator[int]:
    for first, count in runs:
        yield from range(first, first + count)
