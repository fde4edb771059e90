"""
A JSON document on disk, gone through with little memory: one item of its long list at a time.

An item's very long strings stay in the file: in their place the item has a short name, and `Texts`
reads them in pieces.
"""

import mmap
import re
from collections.abc import Iterator

import msgspec

LONG_BYTES = 1 << 20  # a string from here on stays in the file
ITEM_BYTES = 64 << 20  # of an item without its long strings

_TOKEN = re.compile(rb'[ \t\r\n]*+(?:("(?:[^"\\]++|\\.)*+")|([{}\[\],:])|([-+.\w]++))', re.DOTALL)
_STRING = 1  # its group
_DEPTHS = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}
_BETWEEN = (b",", b":")
_BLANK = re.compile(rb"[ \t\r\n]*+")
_BOM = b"\xef\xbb\xbf"
_STEP_BYTES = 1 << 18
_SURROGATES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


class BrokenJson(Exception):
    """No JSON from `at_bytes` on; the text says why."""

    def __init__(self, at_bytes: int, reason: str) -> None:
        super().__init__(reason)
        self.at_bytes = at_bytes


class Texts:
    """The long strings of one item, by the names that stand for them."""

    def __init__(self, document: mmap.mmap) -> None:
        self._document = document
        self._spans: dict[str, tuple[int, int]] = {}

    def leave(self, start: int, end: int) -> bytes:
        """Leave the string between two quotes in the file; returns JSON of its name."""
        name = f"\0{len(self._spans)}"
        self._spans[name] = (start, end)
        return msgspec.json.encode(name)

    def pieces(self, text: str) -> Iterator[str]:
        """A text of the item: itself, or what its name stands for in pieces."""
        span = self._spans.get(text)
        if span is None:
            yield text
            return
        at, end = span
        while at < end:
            block = self._document[at : min(at + _STEP_BYTES, end)]
            if at + len(block) < end:
                block = block[: _sound_end(block)]
            at += len(block)
            yield decoded(b'"' + block + b'"', str)


def decoded[T](data: bytes, kind: type[T]) -> T:
    """
    JSON as `kind`. Halves of surrogate pairs become U+FFFD: some writers put them for bytes that
    are no text. Raises msgspec.DecodeError or RecursionError.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        whole = _SURROGATES.sub(_paired, data)
    try:
        return msgspec.json.decode(whole, type=kind)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from error


def _paired(found: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if len(found[0]) == 6 else found[0]


def _sound_end(block: bytes) -> int:
    """Where a block of a JSON string can end without cutting an escape or a character."""
    end = len(block)
    last = block.rfind(b"\\", max(end - 12, 0))
    if last >= 0:
        run = last
        while run and block[run - 1 : run] == b"\\":
            run -= 1
        if (last - run) % 2 == 0:  # it begins an escape, perhaps the second half of a pair
            pair = block[last - 6 : last]
            end = last - 6 if re.fullmatch(rb"\\u[dD][89abAB]..", pair) else last
            return end
    while end and block[end - 1] & 0xC0 == 0x80:
        end -= 1
    return end - 1 if end and block[end - 1] >= 0xC0 else end


def _begins(found: re.Match[bytes]) -> int:
    return found.start(found.lastindex or 0)


class Reader:
    """A position in the document; every method raises BrokenJson where it is none."""

    def __init__(self, document: mmap.mmap) -> None:
        self.document = document
        self.at = len(_BOM) if document[: len(_BOM)] == _BOM else 0

    def opens(self, sign: bytes) -> bool:
        """Whether an object or a list begins here; if so, goes into it."""
        found = self._next()
        if found[2] != sign:
            return False
        self.at = found.end()
        return True

    def members(self) -> Iterator[str]:
        """The names in an object; behind each, its value is to be read or skipped."""
        for found in self._parts(b"}"):
            if found.lastindex != _STRING:
                raise BrokenJson(_begins(found), "a name is expected")
            self.at = found.end()
            try:
                name = decoded(found[1], str)
            except msgspec.DecodeError as error:
                raise BrokenJson(found.start(1), str(error)) from error
            self._expect(b":")
            yield name

    def items(self) -> Iterator[None]:
        """The items of a list; each is to be read or skipped."""
        for _ in self._parts(b"]"):
            yield

    def skip(self) -> None:
        self.value(Texts(self.document), keep=False)

    def value(self, texts: Texts, *, keep: bool = True) -> bytes | None:
        """The JSON of the next value, with names for its long strings; None: too long."""
        parts: list[bytes] = []
        depth = size = 0
        begun = None
        while True:
            found = self._next()
            begun = _begins(found) if begun is None else begun
            self.at = found.end()
            is_string = found.lastindex == _STRING
            if is_string and keep and found.end(1) - found.start(1) > LONG_BYTES:
                parts.append(self.document[begun : found.start(1)])
                parts.append(texts.leave(found.start(1) + 1, found.end(1) - 1))
                size += len(parts[-2])
                begun = self.at
            elif not is_string:
                depth += _DEPTHS.get(found[2], 0)
            if depth < 0 or (depth == 0 and found[2] in _BETWEEN):
                raise BrokenJson(found.start(2), "a value is expected")
            if depth == 0:
                break
        if not keep or size + self.at - begun > ITEM_BYTES:
            return None
        return b"".join((*parts, self.document[begun : self.at]))

    def finish(self) -> None:
        """Nothing may follow."""
        rest = _BLANK.match(self.document, self.at)
        assert rest is not None
        if rest.end() < len(self.document):
            raise BrokenJson(rest.end(), "more text follows")

    def _parts(self, end: bytes) -> Iterator[re.Match[bytes]]:
        """The first token of each part of a container; goes behind its end."""
        found = self._next()
        while found[2] != end:
            yield found
            after = self._next()
            if after[2] not in (b",", end):
                raise BrokenJson(_begins(after), "a comma is expected")
            self.at = after.end()
            if after[2] == end:
                return
            found = self._next()
        self.at = found.end()

    def _expect(self, sign: bytes) -> None:
        found = self._next()
        if found[2] != sign:
            raise BrokenJson(self.at, f"{sign.decode()!r} is expected")
        self.at = found.end()

    def _next(self) -> re.Match[bytes]:
        found = _TOKEN.match(self.document, self.at)
        if found is None:
            blank = _BLANK.match(self.document, self.at)
            at = blank.end() if blank else self.at
            ends = at == len(self.document) or self.document[at : at + 1] == b'"'
            raise BrokenJson(at, "the file ends" if ends else "this is no JSON")
        return found
