"""
Text in lines with a sign in front, indented: coloured and wrapped on a terminal, plain elsewhere.

What was captured passes through `output.line`: no sign in it can control a terminal.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec
import rich_click as click

from cli import output

Tone = Literal["title", "user", "model", "tool", "good", "bad", "faint", "thought", "plain"]

_STYLES: dict[Tone, str] = {
    "title": "bold",
    "user": "bold cyan",
    "model": "",
    "tool": "magenta",
    "good": "green",
    "bad": "bold red",
    "faint": "dim",
    "thought": "dim italic",
    "plain": "",
}
_STEP = 2  # columns of one indent
_LITTLE = 60  # signs that are not worth to be left out
_LEAST = 30  # columns of text, however deep it stands


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """
    Some text, of several lines perhaps, behind a sign; `right` stands at the end of its first line.

    A line without a sign and text parts what stands above it from what is below.
    """

    text: str = ""
    sign: str = ""
    tone: Tone = "plain"
    right: str = ""
    right_tone: Tone = "faint"
    depth: int = 0


def brief(text: str, *, lines: int, signs: int) -> str:
    """The beginning of a text, and how much of it is not shown where that is worth it."""
    text = text.strip("\n")
    shown = "\n".join(text.split("\n")[:lines])[:signs].rstrip()
    left = len(text) - len(shown)
    is_little = left <= _LITTLE and text.count("\n") <= lines
    return text if is_little else f"{shown}\n… {left:,} more signs: --full"


def show(lines: Iterable[Line]) -> None:
    shown = _Terminal() if output.is_terminal() else _Plain()
    for line in lines:
        shown.show(line)


class _Plain:
    """Whole lines, for whatever reads them."""

    def show(self, line: Line) -> None:
        indent = " " * (_STEP * line.depth)
        sign = f"{line.sign} " if line.sign else ""
        right = f"  [{output.line(line.right)}]" if line.right else ""
        for place, text in enumerate(line.text.split("\n")):
            lead = sign if place == 0 else " " * len(sign)
            tail = right if place == 0 else ""
            click.echo(f"{indent}{lead}{output.line(text)}{tail}".rstrip())


class _Terminal:
    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False, soft_wrap=False)  # it honours NO_COLOR

    def show(self, line: Line) -> None:
        from rich.cells import cell_len
        from rich.text import Text

        lead = " " * (_STEP * line.depth) + (f"{line.sign} " if line.sign else "")
        width = max(self._console.width - cell_len(lead), _LEAST)
        right = Text(output.line(line.right), style=_STYLES[line.right_tone])
        words = "\n".join(map(output.line, line.text.split("\n")))
        text = Text(words, style=_STYLES[line.tone])
        beside = width - right.cell_len - 2  # what is left for the text
        rows = list(text.wrap(self._console, beside if right and beside >= _LEAST else width))
        if right and beside < _LEAST:
            rows.append(right)
        for place, row in enumerate(rows):
            shown = Text(lead, style=_STYLES[line.tone]) if place == 0 else Text(" " * len(lead))
            shown.append_text(row)
            if place == 0 and right and beside >= _LEAST:
                shown.append(" " * (width - row.cell_len - right.cell_len))
                shown.append_text(right)
            self._console.print(shown, no_wrap=True, overflow="ignore", crop=False)
