"""
The pinned agent CLIs on this machine: `python -m tests.agents.install` prints where they are.

They go into a cache folder outside the checkout, named by the hash of package-lock.json, so that
a changed pin is a new folder: `${XDG_CACHE_HOME:-~/.cache}/wirescribe/agents/<hash>`;
WIRESCRIBE_AGENTS_DIR names another folder to hold `<hash>`. 1.7 GB, some 40 seconds with `npm ci`.

aider comes from PyPI, with a Python of its own (it wants one before 3.13), into `aider-<version>`
beside: 0.5 GB, a few seconds. It pins all that it needs exactly.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import msgspec

_HERE = Path(__file__).parent
_NAMES = ("claude", "codex", "gemini", "copilot", "opencode", "qwen")
AIDER = "0.86.2"
_AIDER_PYTHON = ">=3.10,<3.13"
_NO_NPM = (
    "npm is missing: the real agent CLIs come from the npm registry. Install Node.js with npm "
    "(Debian and Ubuntu: apt install nodejs npm; macOS: brew install node) and try again. "
    "Any version of Node will do: the agents run on a Node of their own, from npm too."
)
_NO_UV = "uv is missing: aider comes from PyPI through it. Run the tests with ./bootstrap.sh run."


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """Where the pinned programs are."""

    folder: Path
    node: Path
    agents: dict[str, Path]  # name of the command -> its executable


class InstallError(Exception):
    """The agents could not be installed; the message says what to do."""


def folder() -> Path:
    """The folder that belongs to package-lock.json as it is."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    base = os.environ.get("WIRESCRIBE_AGENTS_DIR") or cache / "wirescribe" / "agents"
    lock = (_HERE / "package-lock.json").read_bytes()
    return Path(base).expanduser().absolute() / hashlib.sha256(lock).hexdigest()[:16]


def install() -> Installed:
    """Install what is missing; one process at a time does it, the others wait."""
    target = folder()
    for place, fill in ((target, _install), (_aider(target), _install_aider)):
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            with (place.parent / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not place.exists():
                    fill(place)
    return _found(target)


def _aider(target: Path) -> Path:
    return target.parent / f"aider-{AIDER}"


def _install_aider(target: Path) -> None:
    """A virtual environment, which cannot be moved: it is there when its program is linked."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        raise InstallError(_NO_UV)
    venv = target.with_name(f"{target.name}.venv")
    shutil.rmtree(venv, ignore_errors=True)
    python = str(venv / "bin" / "python")
    for command in (
        [uv, "venv", "--quiet", "--no-project", "--python", _AIDER_PYTHON, str(venv)],
        [uv, "pip", "install", "--quiet", "--python", python, f"aider-chat=={AIDER}"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InstallError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    target.unlink(missing_ok=True)  # one that points nowhere
    target.symlink_to(venv / "bin" / "aider")


def _install(target: Path) -> None:
    """`npm ci` beside the target, which is moved into place when all of it is there."""
    npm = shutil.which("npm")
    if npm is None:
        raise InstallError(_NO_NPM)
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_HERE / name, partial)
    command = [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=partial, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InstallError(f"npm ci failed in {partial}:\n{done.stdout}{done.stderr}")
    _found(partial)
    partial.rename(target)


def _found(target: Path) -> Installed:
    programs = target / "node_modules" / ".bin"
    paths = {name: programs / name for name in ("node", *_NAMES)}
    missing = [name for name, path in paths.items() if not path.exists()]
    if missing:
        raise InstallError(f"{', '.join(missing)} not in {programs}: delete {target} and try again")
    node = paths.pop("node")
    return Installed(folder=target, node=node, agents={**paths, "aider": _aider(target)})


if __name__ == "__main__":
    installed = install()
    for name, path in {"node": installed.node, **installed.agents}.items():
        print(f"{name:10} {path}")
