"""
A function call whose arguments come one by one (Vertex, `streamFunctionCallArguments`).

Each piece of the call names places in the arguments by a JSON path and gives what stands there;
texts may come in several pieces. Source: cloud.google.com/vertex-ai/generative-ai/docs/
multimodal/function-calling, PartialArg (read 2026-11); no agent was seen to use it.
"""

import itertools
import re

import msgspec

from addons.wire.fields import (
    Object,
    read_array,
    read_boolean,
    read_number,
    read_object,
    read_text,
)
from addons.wire.gemini_parts import merged
from storage.decoded import ToolCallPart

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,5})\]|\['([^']*)'\]|\["([^"]*)"\]""")
_MAX_STEPS = 100  # of a path; deeper JSON is not written again


class _Pieces:
    """A text that comes piece by piece."""

    def __init__(self, first: str) -> None:
        self.texts = [first]


type _Tree = dict[str, _Tree] | list[_Tree] | _Pieces | float | bool | None


class PartialCall:
    """`failed`: a path or a value could not be read; the arguments hold what could."""

    def __init__(self, first: ToolCallPart) -> None:
        self._call = first
        self._extras: list[bytes] = []
        self._tree: dict[str, _Tree] = {}
        self.failed = False
        self.is_whole = False
        self.add(first)

    @staticmethod
    def begins(part: ToolCallPart) -> bool:
        fields = read_object(part.extra_json) or {}
        return "partialArgs" in fields or read_boolean(fields.get("willContinue")) is True

    def goes_on(self, part: ToolCallPart) -> bool:
        """Whether this piece belongs to this call: it names no other one."""
        same_id = part.call_id is None or part.call_id == self._call.call_id
        return same_id and part.name in ("", self._call.name)

    def add(self, part: ToolCallPart) -> None:
        fields = read_object(part.extra_json) or {}
        for raw in read_array(fields.pop("partialArgs", None)) or ():
            self._put(read_object(raw) or {})
        self.is_whole = read_boolean(fields.pop("willContinue", None)) is not True
        self._extras.append(msgspec.json.encode(fields))

    def part(self) -> ToolCallPart:
        arguments = msgspec.json.encode(self._tree, enc_hook=_whole_text).decode()
        return msgspec.structs.replace(
            self._call,
            arguments=arguments if self._tree else self._call.arguments,
            extra_json=merged(self._extras),
        )

    def _put(self, argument: Object) -> None:
        steps = _steps(read_text(argument.get("jsonPath")) or "")
        found = _value(argument)
        if (
            not 0 < len(steps) <= _MAX_STEPS
            or found is None
            or not _set(self._tree, steps, found[0])
        ):
            self.failed = True


def _steps(path: str) -> list[str | int]:
    """The names and places of a path such as `$.files[0].name`; none if it cannot be read."""
    at = 1 if path.startswith("$") else 0
    steps: list[str | int] = []
    while at < len(path) and (match := _STEP.match(path, at)):
        at = match.end()
        place = match[2]
        steps.append(int(place) if place else match[1] or match[3] or match[4] or "")
    return steps if at == len(path) else []


def _value(argument: Object) -> tuple[_Tree] | None:
    """What the piece gives, in a tuple, since null is a value."""
    for name, value in argument.items():
        if name == "stringValue":
            return (_Pieces(read_text(value) or ""),)
        if name == "numberValue":
            number = read_number(value)
            return None if number is None else (int(number) if _is_whole(number) else number,)
        if name == "boolValue":
            return (read_boolean(value),)
        if name == "nullValue":
            return (None,)
    return None


def _is_whole(number: float) -> bool:
    return abs(number) < 2**53 and number == int(number)


def _set(tree: _Tree, steps: list[str | int], value: _Tree) -> bool:
    """Put a value at its place, or add a text to the text there. False: there is no such place."""
    for step, following in itertools.zip_longest(steps, steps[1:]):
        is_last = following is None
        empty: _Tree = value if is_last else [] if isinstance(following, int) else {}
        if isinstance(tree, dict) and isinstance(step, str):
            if is_last and step in tree:
                tree[step] = _joined(tree[step], value)
            tree = tree.setdefault(step, empty)
        elif isinstance(tree, list) and isinstance(step, int) and step <= len(tree):
            if step == len(tree):
                tree.append(empty)
            elif is_last:
                tree[step] = _joined(tree[step], value)
            tree = tree[step]
        else:
            return False
    return True


def _joined(old: _Tree, new: _Tree) -> _Tree:
    if not (isinstance(old, _Pieces) and isinstance(new, _Pieces)):
        return new
    old.texts += new.texts
    return old


def _whole_text(pieces: _Pieces) -> str:
    return "".join(pieces.texts)
