"""
Recipes: which chunks make up a body, by their numbers, in as few bytes as possible.

Chunks are numbered as they come, so what was new in one body is a run of numbers. A recipe is a
list of steps, each either such a run or a piece copied from the recipe of another body (its base):
of a conversation that is sent again, nearly everything is one copy.

As bytes: per step a varint `2 * count + is_copy`, then a signed one, how far the step begins from
where the former step of its kind ended. A copy begins at a place in the base's list of chunks.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from storage import varints

Run = tuple[int, int]  # number of the first chunk, how many
Step = tuple[bool, int, int]  # whether it is copied, first chunk or place in the base, how many


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
    expected = [0, 0]
    at = 0
    try:
        while at < len(data):
            head, at = varints.take(data, at)
            moved, at = varints.take_signed(data, at)
            is_copy, count = bool(head & 1), head >> 1
            first = expected[is_copy] + moved
            expected[is_copy] = first + count
            steps.append((is_copy, first, count))
    except IndexError:
        raise ValueError("a recipe is cut short") from None
    return steps


def own(steps: Iterable[Step]) -> list[Run]:
    """The runs that the recipe names itself."""
    return [(first, count) for is_copy, first, count in steps if not is_copy]


def runs(numbers: Iterable[int]) -> list[Run]:
    found: list[Run] = []
    first = count = 0
    for number in numbers:
        if count and number == first + count:
            count += 1
            continue
        if count:
            found.append((first, count))
        first, count = number, 1
    if count:
        found.append((first, count))
    return found


def joined(parts: Iterable[Run]) -> list[Run]:
    """The same with neighbours as one."""
    found: list[Run] = []
    for first, count in parts:
        if found and first == sum(found[-1]):
            found[-1] = (found[-1][0], found[-1][1] + count)
        elif count:
            found.append((first, count))
    return found


def resolve(steps: Iterable[Step], base: Sequence[Run]) -> list[Run]:
    """All runs of the recipe, given those of its base."""
    found: list[Run] = []
    ends = list(accumulate(count for _, count in base))
    for is_copy, first, count in steps:
        if is_copy:
            found += _span(base, ends, first, first + count)
        else:
            found.append((first, count))
    return joined(found)


def against(numbers: Sequence[int], base: Sequence[int]) -> list[Step]:
    """A recipe for chunks that shares what it can with a base."""
    places = {number: place for place, number in enumerate(base)}
    steps: list[Step] = []
    for number in numbers:
        is_copy, first, count = steps[-1] if steps else (False, -1, 0)
        if is_copy and first + count < len(base) and base[first + count] == number:
            steps[-1] = (True, first, count + 1)
            continue
        place = places.get(number)
        if place is not None:
            steps.append((True, place, 1))
        elif count and not is_copy and number == first + count:
            steps[-1] = (False, first, count + 1)
        else:
            steps.append((False, number, 1))
    return steps


def rebase(steps: Iterable[Step], base: Sequence[Step]) -> list[Step]:
    """The same recipe on the base of its base."""
    ends = list(accumulate(count for _, _, count in base))
    found: list[Step] = []
    for is_copy, first, count in steps:
        if not is_copy:
            found.append((False, first, count))
            continue
        stop = first + count
        for index in range(bisect_right(ends, first), len(base)):
            kind, inner, size = base[index]
            at = ends[index] - size
            if at >= stop:
                break
            low, high = max(first - at, 0), min(stop - at, size)
            found.append((kind, inner + low, high - low))
    return found


def _span(parts: Sequence[Run], ends: Sequence[int], start: int, stop: int) -> list[Run]:
    found = []
    for index in range(bisect_right(ends, start), len(parts)):
        first, count = parts[index]
        at = ends[index] - count
        if at >= stop:
            break
        low, high = max(start - at, 0), min(stop - at, count)
        found.append((first + low, high - low))
    return found
