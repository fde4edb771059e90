"""Parts of the commands that texts suggest to a user."""

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from storage import datadir as places
from storage.datadir import DataDir

# Milliseconds and counter of an id: enough to tell those of one process apart.
_PREFIX = 18
_SHORT = 8


def command() -> str:
    """This program as another terminal can call it: by its path, where only `uv run` finds it."""
    own = Path(sys.executable).with_name("wirescribe")
    found = shutil.which("wirescribe")
    is_passing = "UV_RUN_RECURSION_DEPTH" in os.environ  # uv puts the venv on PATH for us alone
    if not own.exists() or (found and own.samefile(found) and not is_passing):
        return "wirescribe"
    return shlex.quote(str(own))


def data_dir(datadir: DataDir) -> str:
    """The option for this data dir with a space in front; "" if a command would take it anyway."""
    usual = os.environ.get("WIRESCRIBE_DATA_DIR") or places.default()
    if datadir.root == DataDir(Path(usual)).root:
        return ""
    return f" --data-dir {shlex.quote(str(datadir.root))}"


def prefix(identifier: str) -> str:
    return identifier[:_PREFIX]


def short(ids: Sequence[str]) -> list[str]:
    """As short as tells those apart that are not the same."""
    known, length = set(ids), _SHORT
    while len({one[:length] for one in known}) < len(known):
        length += 1
    return [one[:length] for one in ids]
