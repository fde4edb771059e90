import sys

import pytest

from cli import hints


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A `wirescribe` beside the interpreter, as in every environment that has it."""
    own = tmp_path / "an environment" / "wirescribe"
    own.parent.mkdir()
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(own.with_name("python")))
    monkeypatch.setenv("PATH", str(own.parent))
    monkeypatch.delenv("UV_RUN_RECURSION_DEPTH", raising=False)
    return own


def test_what_is_on_the_path_is_called_by_its_name(installed, tmp_path, monkeypatch):
    assert hints.command() == "wirescribe"
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "wirescribe").symlink_to(installed)
    monkeypatch.setenv("PATH", str(tools))
    assert hints.command() == "wirescribe"


def test_what_another_terminal_would_not_find_is_called_by_its_path(installed, monkeypatch):
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    assert hints.command() == f"'{installed}'"
    monkeypatch.delenv("UV_RUN_RECURSION_DEPTH")
    monkeypatch.setenv("PATH", "/nowhere")
    assert hints.command() == f"'{installed}'"


def test_without_a_script_of_its_own_the_name_must_do(installed, monkeypatch):
    installed.unlink()
    assert hints.command() == "wirescribe"
