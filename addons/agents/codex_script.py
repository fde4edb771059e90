"""
The tool calls inside an `exec` script of Codex: JavaScript, read as far as literals go.

    const r = await tools.exec_command({cmd: "ls"}); text(r.output);

A call counts where its name stands (`tools.NAME(` or `tools["NAME"](`), outside of texts and
comments. Of its argument what is literal is read, names of constants with literal values included;
what a script computes is not known and left out. Loops run as often as nobody knows: a call in one
is one call. Seen: 0.169.0 with its own models, November 2026.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Final

import msgspec

from storage.decoded import ToolCallPart

type Known = str | int | float | bool | list[Known] | dict[str, Known] | None

_MAX_SCRIPT = 400_000  # signs; what is longer is generated data, not written calls
_MAX_CALLS = 200
_MAX_STEPS = 200_000  # signs looked at: deep nesting that never ends is read again and again
_MAX_DEPTH = 30

_SPACE = re.compile(r"(?:\s+|//[^\n]*|/\*.*?(?:\*/|\Z))*", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_$][\w$]*")
_NUMBER = re.compile(r"-?(?:\d[\d_]*\.?\d*(?:[eE][+-]?\d+)?|\.\d+)")
# Where something begins that has to be read or jumped over.
_STOP = re.compile(r"""['"`]|//|/\*|\btools\s*(?=[.\[])|\b(?:const|let|var)\s+""")
_CALL = re.compile(r"""tools\s*(?:\.\s*([A-Za-z_$][\w$]*)|\[\s*['"]([^'"\]]+)['"]\s*\])\s*\(""")
_ASSIGNED = re.compile(r"(?:const|let|var)\s+([A-Za-z_$][\w$]*)\s*=\s*")
_PLAIN = {
    quote: re.compile(r"[^" + re.escape(quote) + r"\\" + ("$" if quote == "`" else "") + r"]+")
    for quote in "'\"`"
}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": ""}
_CODED = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}")
_WORDS: Final[Mapping[str, Known]] = {"true": True, "false": False, "null": None}


class _Unknown(Exception):
    """The value is not literal; never leaves this module."""


def calls(part: ToolCallPart) -> tuple[ToolCallPart, ...]:
    """
    The calls in their order; arguments are JSON, or the text itself where that is the argument.

    An argument that is not literal is "" (unknown); of an object its literal fields are kept.
    """
    found: list[ToolCallPart] = []
    script = _Script(part.arguments[:_MAX_SCRIPT])
    for name, value, is_known in script.calls():
        is_text = isinstance(value, str)
        encoded = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        found.append(
            ToolCallPart(
                call_id=None,
                name=name,
                arguments=encoded if is_known else "",
                is_custom=is_text,
            )
        )
        if len(found) == _MAX_CALLS:
            break
    return tuple(found)


class _Script:
    """A reader with a place. Each `_read_*` begins at it and leaves it behind what was read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._left = _MAX_STEPS
        self._constants: dict[str, Known] = {}

    def calls(self) -> Iterator[tuple[str, Known, bool]]:
        """Name, argument, and whether that is known."""
        while stop := _STOP.search(self._text, self._at):
            self._at = stop.start()
            begun = stop[0]
            if begun in ("'", '"', "`"):
                self._jump(self._read_text)
            elif begun in ("//", "/*"):
                self._skip_space()
            elif begun.startswith("tools"):
                call = _CALL.match(self._text, self._at)
                self._at = call.end() if call else stop.end()
                if call:
                    yield call[1] or call[2], *self._argument()
            else:
                self._assign(stop.end())

    def _argument(self) -> tuple[Known, bool]:
        """The first argument. The place stays before it: there may be calls inside."""
        begun = self._at
        try:
            return self._read_value(0), True
        except _Unknown:
            return None, False
        finally:
            self._at = begun

    def _assign(self, end: int) -> None:
        """Remembers `const NAME = literal`; goes on behind the `=`, where calls may be."""
        assigned = _ASSIGNED.match(self._text, self._at)
        self._at = assigned.end() if assigned else end
        if not assigned:
            return
        value, is_known = self._argument()
        if is_known:
            self._constants[assigned[1]] = value
        else:
            self._constants.pop(assigned[1], None)

    def _jump(self, read: Callable[[], object]) -> None:
        with suppress(_Unknown):
            read()

    # --- values ----------------------------------------------------------------------------------

    def _read_value(self, depth: int) -> Known:
        """A literal, or literals joined by `+`."""
        value = self._read_one(depth)
        while self._next() == "+" and isinstance(value, str):
            self._at += 1
            more = self._read_one(depth)
            if not isinstance(more, str):
                raise _Unknown
            value += more
        if self._next() not in (",", ")", "}", "]", ";", "") and not self._ends_line():
            raise _Unknown  # an expression goes on
        return value

    def _read_one(self, depth: int) -> Known:
        if depth > _MAX_DEPTH:
            raise _Unknown
        begun = self._next()
        if begun in ("'", '"', "`"):
            return self._read_text()
        if begun == "{":
            return self._read_object(depth + 1)
        if begun == "[":
            return self._read_array(depth + 1)
        if number := _NUMBER.match(self._text, self._at):
            self._at = number.end()
            return _number(number[0])
        return self._read_word()

    def _read_word(self) -> Known:
        word = _NAME.match(self._text, self._at)
        if not word:
            raise _Unknown
        self._at = word.end()
        if word[0] in _WORDS:
            return _WORDS[word[0]]
        if word[0] in self._constants:
            return self._constants[word[0]]
        raise _Unknown

    def _read_object(self, depth: int) -> dict[str, Known]:
        """Its literal fields; one that is computed is left out."""
        self._at += 1
        found: dict[str, Known] = {}
        while (begun := self._next()) != "}":
            name = self._read_text() if begun in ("'", '"') else self._read_key()
            if self._next() == ":":
                self._at += 1
                self._read_into(found, name, depth)
            elif name in self._constants:
                found[name] = self._constants[name]
            self._skip_comma("}")
        self._at += 1
        return found

    def _read_into(self, found: dict[str, Known], name: str, depth: int) -> None:
        begun = self._at
        try:
            found[name] = self._read_value(depth)
        except _Unknown:
            self._at = begun
            self._skip_expression()

    def _read_key(self) -> str:
        key = _NAME.match(self._text, self._at) or _NUMBER.match(self._text, self._at)
        if not key:
            raise _Unknown
        self._at = key.end()
        return key[0]

    def _read_array(self, depth: int) -> list[Known]:
        self._at += 1
        found: list[Known] = []
        while self._next() != "]":
            found.append(self._read_value(depth))
            self._skip_comma("]")
        self._at += 1
        return found

    def _read_text(self) -> str:
        quote = self._text[self._at]
        self._at += 1
        pieces: list[str] = []
        while True:
            if plain := _PLAIN[quote].match(self._text, self._at):
                pieces.append(plain[0])
                self._at = plain.end()
            sign = self._text[self._at : self._at + 1]
            self._at += 1
            if sign == quote:
                return _whole("".join(pieces))
            if not sign:
                raise _Unknown
            pieces.append(self._read_escape() if sign == "\\" else self._read_dollar())

    def _read_escape(self) -> str:
        if coded := _CODED.match(self._text, self._at):
            self._at = coded.end()
            number = int(next(group for group in coded.groups() if group), 16)
            return chr(number) if number <= 0x10FFFF else "\ufffd"
        sign = self._text[self._at : self._at + 1]
        self._at += 1
        return _ESCAPES.get(sign, sign)

    def _read_dollar(self) -> str:
        """`${...}` in a template: its value where it is a constant, else as it stands there."""
        if self._text[self._at : self._at + 1] != "{":
            return "$"
        end = self._text.find("}", self._at)
        if end < 0:
            raise _Unknown
        name = self._text[self._at + 1 : end].strip()
        raw = self._text[self._at - 1 : end + 1]
        self._at = end + 1
        value = self._constants.get(name)
        return value if isinstance(value, str) else raw

    # --- places ----------------------------------------------------------------------------------

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at

    def _next(self) -> str:
        self._left -= 1
        if self._left < 0:
            raise _Unknown
        self._skip_space()
        return self._text[self._at : self._at + 1]

    def _ends_line(self) -> bool:
        """Whether a line ended before the next sign, where JavaScript ends a statement."""
        before = self._text[max(0, self._at - 200) : self._at].rstrip(" \t")[-1:]
        return before == "\n" and self._text[self._at : self._at + 1] not in ("+", ".", "?")

    def _skip_comma(self, end: str) -> None:
        sign = self._next()
        if sign == ",":
            self._at += 1
        elif sign != end:
            raise _Unknown

    def _skip_expression(self) -> None:
        """To the comma or bracket that ends what stands here."""
        depth = 0
        while sign := self._next():
            if sign in ("'", '"', "`"):
                self._read_text()
                continue
            if depth == 0 and sign in (",", "}", "]", ")"):
                return
            depth += (sign in "([{") - (sign in ")]}")
            self._at += 1
        raise _Unknown


def _number(text: str) -> int | float:
    plain = text.replace("_", "")
    if len(plain) > 300:
        raise _Unknown
    return int(plain) if plain.lstrip("-").isdigit() else float(plain)


def _whole(text: str) -> str:
    """Halves of surrogate pairs are put together; a lone one becomes a replacement sign."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
