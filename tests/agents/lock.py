"""
Write package-lock.json anew: `python -m tests.agents.lock` (after a change of package.json).

The lock names no registry host (npm then asks the one it is configured for), and it holds the
binaries of every platform: a registry mirror may lack those of other platforms, npm then leaves
them out of the lock, and `npm ci` calls such a lock out of step with its package.json.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from shutil import copy

FOLDER = Path(__file__).parent
_NPM = ("npm", "install", "--package-lock-only", "--no-audit", "--no-fund")


def write() -> None:
    """Resolve package.json in a scratch folder and put the completed lock beside it."""
    with tempfile.TemporaryDirectory() as scratch:
        copy(FOLDER / "package.json", scratch)
        subprocess.run(_NPM, cwd=scratch, check=True)
        lock = json.loads((Path(scratch) / "package-lock.json").read_text())
    complete(lock["packages"])
    (FOLDER / "package-lock.json").write_text(json.dumps(lock, indent=2) + "\n")


def complete(packages: dict[str, dict]) -> None:
    """Drop `resolved`, and add each optional dependency that the registry did not give."""
    for package in list(packages.values()):
        package.pop("resolved", None)
        for name, version in package.get("optionalDependencies", {}).items():
            packages.setdefault(f"node_modules/{name}", _elsewhere(name, version))


def _elsewhere(name: str, version: str) -> dict:
    """An entry for a package of another platform, which its name tells (no integrity known)."""
    words = name.rpartition("/")[2].split("-")
    systems = {"darwin": "darwin", "linux": "linux", "win32": "win32", "windows": "win32"}
    entry: dict = {"version": version, "optional": True}
    entry["os"] = [systems[word] for word in words if word in systems]
    entry["cpu"] = [word for word in words if word in ("x64", "arm64")]
    if entry["os"] == ["linux"]:
        entry["libc"] = ["musl" if "musl" in words else "glibc"]
    return entry


if __name__ == "__main__":
    write()
