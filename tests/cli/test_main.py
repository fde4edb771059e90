import subprocess
import sys
from pathlib import Path

import pytest
import rich_click as click

from cli.main import wirescribe

SLOW = {"mitmproxy", "litestar", "uvicorn", "sqlite_utils", "sqlite3", "httpx", "cryptography"}
SLOW |= {"asyncio", "http.client", "ssl"}


def imported(*arguments):
    """The modules that a command imports, by Python's own account."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-P", "-m", "cli", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stderr.splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]])
def test_help_imports_nothing_slow(arguments):
    found = imported(*arguments)
    assert "rich_click" in found
    assert not found & SLOW


def commands(group, path=()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        yield (*path, name), command


def test_every_command_says_what_it_does_and_every_option_what_for():
    for path, command in commands(wirescribe):
        assert command.get_short_help_str(200).endswith("."), path
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.help, (path, parameter.name)


def test_the_commands_of_the_readme_are_there():
    assert set(wirescribe.commands) == {
        "up", "run", "env", "conversations", "messages", "tools", "tasks", "projects", "sessions",
        "tail", "traffic", "har", "import", "proxy", "serve", "ca", "rebuild", "doctor",
    }  # fmt: skip


def test_misuse_is_exit_code_2(place):
    for arguments in (["nothing"], ["up", "--port", "x"], ["sessions", "record", "maybe"]):
        assert place.here(*arguments).returncode == 2
    done = place.here("up", "--upstream", "nowhere")
    assert done.returncode == 2
    assert "HOST=URL" in done.stderr


def test_a_file_that_cannot_be_opened_is_one_line(place):
    place.datadir.prepare()
    lock = place.datadir.run / "server.lock"
    lock.mkdir()
    done = place.here("sessions", "create", "name")
    assert done.returncode == 1
    assert done.stderr == f"wirescribe: {lock}: Is a directory\n"


def test_a_reader_that_goes_away_is_no_traceback(lived_in):
    for number in range(40):
        lived_in.here("sessions", "create", f"{number}" * 200)
    process = lived_in.start("sessions", "list", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait()


def test_a_folder_named_cli_in_the_current_directory_is_not_us(lived_in, tmp_path):
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "__main__.py").write_text("raise SystemExit('a trap')")
    (tmp_path / "storage.py").write_text("raise SystemExit('a trap')")
    done = lived_in.wirescribe("run", "--", "true", cwd=tmp_path)
    assert done.returncode == 0
    assert Path.cwd() != tmp_path
