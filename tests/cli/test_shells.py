import shutil
import subprocess

import pytest

from cli import shells

AWKWARD = 'it\'s "$HOME" `id` \\ $(id) ! 100% ’ ü; x\ny'


@pytest.mark.parametrize(
    ("environ", "shell"),
    [
        ({"SHELL": "/usr/bin/fish"}, "fish"),
        ({"SHELL": "/bin/zsh"}, "zsh"),
        ({"SHELL": "/bin/sh"}, "bash"),
        ({"SHELL": "pwsh"}, "bash"),
        ({}, "bash"),
    ],
)
def test_the_shell_is_that_of_the_user(environ, shell):
    assert shells.current(environ) == shell


@pytest.mark.parametrize(
    ("shell", "statement"),
    [
        ("bash", "export A='it'\"'\"'s \\ $x'"),
        ("zsh", "export A='it'\"'\"'s \\ $x'"),
        ("fish", r"set -gx A 'it\'s \\ $x'"),
        ("powershell", r"$env:A = 'it''s \ $x'"),
    ],
)
def test_values_are_quoted_as_each_shell_wants_it(shell, statement):
    assert shells.set_variable(shell, "A", r"it's \ $x") == statement


def test_powershell_takes_typographic_quotes_for_quotes():
    assert shells.set_variable("powershell", "A", "a’b") == "$env:A = 'a’’b'"


def test_real_shells_read_back_what_was_meant():
    there = [name for name in ("bash", "sh", "zsh", "fish") if shutil.which(name)]
    assert "bash" in there
    for name in there:
        language = shells.current({"SHELL": name})
        setting = shells.set_variable(language, "WANTED", AWKWARD)
        script = f"{setting}\nprintenv WANTED\n{shells.unset_variable(language, 'WANTED')}\n"
        done = subprocess.run(
            [name, "-c", script + "printenv WANTED; true"],
            capture_output=True,
            check=True,
            text=True,
        )
        assert done.stdout == AWKWARD + "\n", name
