"""
A JSON array that comes piece by piece: bytes in, the JSON texts of its elements out.

Gemini's streamGenerateContent answers so without `alt=sse` (ai.google.dev, generateContent API,
read 2026-11). Only brackets and strings are followed (RFC 8259); the texts are not checked here.
"""

import re

_MARKS = re.compile(rb'[\[\]{},"]')
_STRING_END = re.compile(rb'["\\]')


class Decoder:
    """Keeps only the unfinished element. `finish` hands it out and sets `truncated`."""

    def __init__(self) -> None:
        self._element = bytearray()
        self._depth = 0  # of brackets; 1: between the elements of the array
        self._in_string = False
        self._escaped = False
        self._ended = False
        self.truncated = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The elements that end in this chunk."""
        found: list[bytes] = []
        at = 0
        while at < len(chunk) and not self._ended:
            at = self._string(chunk, at) if self._in_string else self._outside(chunk, at, found)
        return found

    def finish(self) -> list[bytes]:
        """What stands of the element that was not ended."""
        rest = bytes(self._element).strip()
        self._element.clear()
        self.truncated = not self._ended
        return [rest] if rest else []

    def _outside(self, chunk: bytes, at: int, found: list[bytes]) -> int:
        mark = _MARKS.search(chunk, at)
        end = mark.start() if mark else len(chunk)
        if self._depth >= 1:
            self._element += chunk[at:end]
        if mark is None:
            return end
        self._mark(mark[0], found)
        return mark.end()

    def _mark(self, mark: bytes, found: list[bytes]) -> None:
        if mark in b"[{":
            if self._depth >= 1:
                self._element += mark
            self._depth += 1
        elif mark in b"]}":
            self._depth -= 1
            if self._depth >= 1:
                self._element += mark
            else:
                self._ended = True
                self._take(found)
        elif mark == b"," and self._depth == 1:
            self._take(found)
        elif self._depth >= 1:
            self._element += mark
            self._in_string = mark == b'"'

    def _string(self, chunk: bytes, at: int) -> int:
        """Go on inside a string, to its end or the chunk's."""
        if self._escaped:
            self._element += chunk[at : at + 1]
            self._escaped = False
            return at + 1
        mark = _STRING_END.search(chunk, at)
        end = mark.end() if mark else len(chunk)
        self._element += chunk[at:end]
        if mark:
            self._escaped = mark[0] == b"\\"
            self._in_string = self._escaped
        return end

    def _take(self, found: list[bytes]) -> None:
        element = bytes(self._element).strip()
        self._element.clear()
        if element:
            found.append(element)
