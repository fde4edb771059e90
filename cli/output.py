"""
Data on stdout: JSON, or tables that are plain text where nobody looks.

What was captured may hold anything, also sequences that move the cursor, change the terminal's
title or turn text around. On a terminal or in a table no such sign is ever written.
"""

import codecs
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec
import rich_click as click

_BETWEEN = 2  # columns of a table
_LEAST = 12  # signs of its elastic one

# C0 and DEL, C1, the marks and embeddings of text direction, line and paragraph separators,
# zero-width signs that hide text, and lone surrogates, which no terminal can be sent.
_HARMFUL = (
    *range(0x20),
    *range(0x7F, 0xA0),
    0x061C,
    *range(0x200B, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    0xFEFF,
    *range(0xFFF9, 0xFFFC),
    *range(0xD800, 0xE000),
)
_LINE = dict.fromkeys(_HARMFUL, "\N{REPLACEMENT CHARACTER}") | dict.fromkeys(
    (0x09, 0x0A, 0x0D), " "
)
_TEXT = _LINE | {0x09: "\t", 0x0A: "\n", 0x0D: None}


def line(text: str) -> str:
    """`text` on one line, harmless on a terminal."""
    return text.translate(_LINE)


def texts(pieces: Iterable[bytes]) -> Iterator[str]:
    """As `line`, with line breaks and tabs, of bytes that may be no text."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for piece in pieces:
        yield decoder.decode(piece).translate(_TEXT)
    yield decoder.decode(b"", final=True).translate(_TEXT)


def is_terminal() -> bool:
    return sys.stdout.isatty()


def json(data: object) -> None:
    # Indented and in ASCII-safe form of JSON: control characters are escaped, but C1 and the
    # direction marks are not, so they are here.
    shown = msgspec.json.format(msgspec.json.encode(data), indent=2).decode()
    click.echo("".join(_escaped(sign) for sign in shown) if _is_harmful(shown) else shown)


def json_line(data: str) -> None:
    """A JSON text that is on one line, at once: somebody waits for it."""
    click.echo("".join(map(_escaped, data)) if _is_harmful(data) else data)
    sys.stdout.flush()


def _is_harmful(shown: str) -> bool:
    return any(ord(sign) in _LINE and sign != "\n" for sign in set(shown))


def _escaped(sign: str) -> str:
    return f"\\u{ord(sign):04x}" if ord(sign) in _LINE and sign != "\n" else sign


def facts(pairs: Mapping[str, object]) -> None:
    """Names and values, one pair a line; None is unknown and left out."""
    known = {name: value for name, value in pairs.items() if value is not None}
    width = max(map(len, known), default=0)
    for name, value in known.items():
        click.echo(f"{name:<{width}}  {line(str(value))}")


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    elastic: str,
) -> None:
    """
    A table; `right` names the columns of numbers, `elastic` the one that is cut off where the
    terminal is narrow. Not on a terminal: values between tabs, and whole.
    """
    cells = [[line(str(cell)) for cell in row] for row in rows]
    if not is_terminal():
        for row in (columns, *cells):
            click.echo("\t".join(row))
        return
    _rich_table(columns, cells, right, columns.index(elastic))


def _rich_table(
    columns: Sequence[str], cells: list[list[str]], right: Sequence[str], elastic: int
) -> None:
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    widths = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
    others = sum(widths) - widths[elastic] + _BETWEEN * (len(columns) - 1)
    console = Console(highlight=False)  # it honours NO_COLOR
    widths[elastic] = min(widths[elastic], max(console.width - others, _LEAST))
    # Rich would cut whole columns off: rather let the terminal wrap lines.
    console.width = max(console.width, others + widths[elastic])
    shown = Table(box=None, pad_edge=False, padding=(0, _BETWEEN, 0, 0), header_style="bold")
    for column, width in zip(columns, widths, strict=True):
        justify: Literal["left", "right"] = "right" if column in right else "left"
        shown.add_column(column, justify=justify, width=width, no_wrap=True, overflow="ellipsis")
    for row in cells:
        shown.add_row(*map(Text, row))
    console.print(shown)


def styled(line_of_ours: str) -> None:
    """A line with colours of `click.style`, which only a terminal gets, and not with NO_COLOR."""
    color = False if os.environ.get("NO_COLOR") else None  # None: if stdout is a terminal
    click.echo(line_of_ours, color=color)
