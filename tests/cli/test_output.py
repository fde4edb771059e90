import json

import pytest

from cli import output

# What a hostile answer may hold: a link, the clipboard, a title, colours, cursor moves, C1 forms
# of the same, text turned around, hidden and overlong.
HOSTILE = [
    "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]0;title\x07",
    "\x1b[2J\x1b[31mred",
    "\x9b31m\x9d0;t\x9c",
    "user\u202etxt.exe\u2066\u2069\u200f\u061c",
    "a\u2028b\u2029c\u0085d",
    "zero\u200bwidth\ufeff",
    "back\x08space\x7f\x00",
    "=cmd()|' /C calc'!A0",
    "\ud800 alone",
]


def harmful(text, allowed=""):
    return [
        sign
        for sign in text
        if sign not in allowed
        and (
            ord(sign) < 0x20
            or 0x7F <= ord(sign) < 0xA0
            or sign in "\u061c\ufeff\u2028\u2029"
            or 0x200B <= ord(sign) <= 0x200F
            or 0x202A <= ord(sign) <= 0x202E
            or 0x2060 <= ord(sign) <= 0x206F
            or 0xD800 <= ord(sign) <= 0xDFFF
        )
    ]


@pytest.mark.parametrize("captured", HOSTILE)
def test_nothing_captured_controls_the_terminal(captured):
    assert not harmful(output.line(captured))
    pieces = [captured.encode("utf-8", "surrogatepass")]
    assert not harmful("".join(output.texts(pieces)), "\n\t")


def test_what_is_harmless_stays():
    text = "{'plain': 'ünïcödé 漢字 🎉 ½ — “quoted”'}"
    assert output.line(text) == text


def test_a_line_is_one_line_and_a_text_keeps_its_lines():
    assert output.line("a\r\nb\tc") == "a  b c"
    assert "".join(output.texts([b"a\r\nb\tc\n"])) == "a\nb\tc\n"


def test_a_text_may_be_split_inside_of_a_character():
    whole = "漢字🎉".encode()
    assert "".join(output.texts([whole[i : i + 1] for i in range(len(whole))])) == "漢字🎉"
    assert "".join(output.texts([b"\xffz", whole[:2]])) == "\ufffdz\ufffd"


@pytest.mark.parametrize("captured", HOSTILE[:-1])
def test_json_is_escaped_and_the_same(captured, capsys):
    output.json({"it": captured})
    shown = capsys.readouterr().out
    assert not harmful(shown, "\n")
    assert json.loads(shown) == {"it": captured}


def test_a_table_for_a_program_is_tabs_and_whole(capsys):
    output.table(("A", "B"), [("x" * 200, "tab\there"), (1, "\x1b[31m")], elastic="A")
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["A\tB", "x" * 200 + "\ttab here", "1\t\ufffd[31m"]


def test_a_table_on_a_terminal_cuts_its_elastic_column_alone(capsys, monkeypatch):
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "dumb")
    output.table(("ID", "URL", "N"), [("i" * 10, "u" * 90, 123)], right=("N",), elastic="URL")
    lines = capsys.readouterr().out.splitlines()
    assert [len(line.rstrip()) <= 40 for line in lines] == [True, True]
    assert lines[1].startswith("i" * 10 + "  " + "u" * 20)
    assert "…  123" in lines[1]


def test_facts_leave_out_what_is_not_known(capsys):
    output.facts({"Name": "a\x1bb", "Longer name": None, "N": 0})
    assert capsys.readouterr().out == "Name  a\ufffdb\nN     0\n"
