"""Statements that set and unset variables, in the languages of the shells."""

import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Literal

Shell = Literal["bash", "zsh", "fish", "powershell"]
SHELLS: tuple[Shell, ...] = ("bash", "zsh", "fish", "powershell")


def current(environ: Mapping[str, str]) -> Shell:
    """The user's shell as $SHELL has it; what is unknown is taken to understand bash's `export`."""
    name = PurePath(environ.get("SHELL", "")).name
    return next((shell for shell in SHELLS if shell == name), "bash")


def set_variable(shell: Shell, name: str, value: str) -> str:
    if shell == "fish":
        # Inside its single quotes a backslash and a quote are escaped, and nothing else.
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"set -gx {name} '{escaped}'"
    if shell == "powershell":
        # Its parser takes typographic quotes for the plain one, and doubles them alike.
        escaped = "".join(sign * 2 if sign in "'‘’‚‛" else sign for sign in value)
        return f"$env:{name} = '{escaped}'"
    return f"export {name}={shlex.quote(value)}"


def unset_variable(shell: Shell, name: str) -> str:
    if shell == "fish":
        return f"set -e {name}"
    if shell == "powershell":
        return f"Remove-Item Env:{name} -ErrorAction SilentlyContinue"
    return f"unset {name}"
