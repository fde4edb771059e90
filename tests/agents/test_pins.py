"""The pins of the agents: exact, for every platform, from whatever registry npm is set to."""

import json
import re
import shutil
from pathlib import Path

import pytest

from . import install, lock
from .runner import AGENTS

_FOLDER = Path(install.__file__).parent


@pytest.fixture(scope="module")
def packages() -> dict[str, dict]:
    return json.loads((_FOLDER / "package-lock.json").read_text())["packages"]


def test_lock_holds_the_exact_pins(packages) -> None:
    pins = json.loads((_FOLDER / "package.json").read_text())["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", pin) for pin in pins.values())
    assert {name: packages[f"node_modules/{name}"]["version"] for name in pins} == pins


def test_lock_names_no_registry(packages) -> None:
    assert [name for name, package in packages.items() if "resolved" in package] == []


def test_lock_holds_the_binaries_of_every_platform(packages) -> None:
    wanted = {
        f"node_modules/{name}"
        for package in packages.values()
        for name in package.get("optionalDependencies", {})
    }
    assert wanted <= packages.keys()


def test_lock_is_completed_from_the_names() -> None:
    entries: dict[str, dict] = {
        "node_modules/a": {
            "resolved": "https://mirror/",
            "optionalDependencies": {"a-linux-x64-musl": "1.0.0"},
        }
    }
    lock.complete(entries)
    assert "resolved" not in entries["node_modules/a"]
    assert entries["node_modules/a-linux-x64-musl"] == {
        "version": "1.0.0",
        "optional": True,
        "os": ["linux"],
        "cpu": ["x64"],
        "libc": ["musl"],
    }


def test_missing_npm_is_said_plainly(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("WIRESCRIBE_AGENTS_DIR", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(install.InstallError, match="apt install nodejs npm"):
        install.install()


def test_missing_uv_is_said_plainly(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(install.InstallError, match="uv is missing"):
        install._install_aider(tmp_path / "aider")


def test_aider_is_pinned_exactly() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", install.AIDER)


def test_each_agent_has_a_key_and_a_name_of_its_own() -> None:
    assert len({agent.name for agent in AGENTS}) == len(AGENTS)
    assert len({agent.key for agent in AGENTS}) == len(AGENTS)
    assert all(agent.key in agent.env.values() for agent in AGENTS)
