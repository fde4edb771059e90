"""Text in lines: shortened, plain, or wrapped on a terminal."""

import pytest

from cli import lines
from cli.lines import Line, brief

EVIL = "\x1b[31mred\u202e"


def test_a_long_text_says_how_much_is_left():
    assert brief("a\nb", lines=3, signs=10) == "a\nb"
    assert brief("x" * 400, lines=3, signs=100) == "x" * 100 + "\n… 300 more signs: --full"
    assert brief("a\n" * 100, lines=2, signs=500) == "a\na\n… 196 more signs: --full"
    assert brief("x" * 120, lines=3, signs=100) == "x" * 120  # as short as the words that say so


def test_elsewhere_lines_are_whole(capsys):
    lines.show(
        [
            Line(sign="●", text="one\ntwo " + "x" * 200, right="3 s", depth=1),
            Line(),
            Line(text=EVIL, right=EVIL),
        ]
    )
    assert capsys.readouterr().out.splitlines() == [
        "  ● one  [3 s]",
        "    two " + "x" * 200,
        "",
        "\ufffd[31mred\ufffd  [\ufffd[31mred\ufffd]",
    ]


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr("cli.output.is_terminal", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "40")


@pytest.mark.usefixtures("terminal")
def test_a_terminal_wraps_behind_the_sign(capsys):
    lines.show([Line(sign="●", text="word " * 12 + EVIL, depth=1)])
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2
    assert shown[0].startswith("  ● word")
    assert all(row.startswith("    ") for row in shown[1:])
    assert max(map(len, shown)) <= 40
    assert "\x1b[31m" not in "".join(shown)


@pytest.mark.usefixtures("terminal")
def test_what_stands_at_the_end_stands_at_the_edge_or_below(capsys):
    lines.show([Line(sign="⏵", text="Bash", right="3 s"), Line(text="Bash", right="x" * 30)])
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == "⏵ Bash" + " " * 31 + "3 s"
    assert (second.rstrip(), third.strip()) == ("Bash", "x" * 30)
