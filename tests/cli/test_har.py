import contextlib
import json
import stat
import subprocess
import sys

import pytest

from storage.datadir import DataDir
from storage.store import Store
from tests.api import records
from tests.cli.running import AGENT, ANSWER
from tests.e2e.stack import Stack


@pytest.fixture(scope="module")
def recorded(lived_in):
    lived_in.wirescribe("run", "--name", "A/b é", "--", *AGENT, "call")
    return lived_in


def test_a_file_is_written_whole_and_for_the_user_alone(recorded, tmp_path):
    path = tmp_path / "out.har"
    path.write_text("old")
    done = recorded.here("har", "export", "A/b é", "-o", str(path))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("'A/b é': ")
    log = json.loads(path.read_bytes())["log"]
    assert log["entries"][0]["response"]["content"]["text"] == ANSWER.decode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_stdout_gets_the_same(recorded, tmp_path):
    recorded.here("har", "export", "A/b é", "-o", str(tmp_path / "out.har"))
    done = recorded.here("har", "export", "A/b é")
    assert done.stdout.encode() == (tmp_path / "out.har").read_bytes()
    assert done.stderr == ""


def test_a_place_that_cannot_be_written_is_one_line(recorded, tmp_path):
    done = recorded.here("har", "export", "A/b é", "-o", str(tmp_path / "no" / "out.har"))
    assert done.returncode == 1
    assert done.stderr.startswith("wirescribe: ")
    assert "could not be written" in done.stderr


def test_what_failed_leaves_no_file_and_the_old_one_as_it_was(recorded, tmp_path, model):
    path = tmp_path / "out.har"
    path.write_text("old")
    done = recorded.here("har", "export", "A/b é", "-o", str(path), "--server-url", model.url)
    assert done.returncode == 1
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])


def test_on_a_terminal_the_file_has_a_name_of_our_own(recorded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cli.output.is_terminal", lambda: True)
    recorded.here("har", "export", "A/b é")
    (made,) = tmp_path.iterdir()
    assert made.name.startswith("A_b____"[:5])
    assert made.suffix == ".har"
    assert made.name.isascii()


@pytest.mark.parametrize("by_server", [False, True])
def test_recorded_credentials_are_cut_unless_they_are_asked_for(tmp_path, by_server):
    """A store that was told to keep them, read directly and through its server."""
    key = b"sk-ant-api03-invented-for-this-test-0123456789"
    datadir = DataDir(tmp_path / "data").prepare()
    store = Store.open(datadir)
    session = records.session(store)
    records.entry(store, session.id, request=b"it is " + key, headers=((b"x-api-key", key),))
    store.close()
    with Stack(tmp_path) if by_server else contextlib.nullcontext() as stack:
        exported = {
            secrets: subprocess.run(
                [sys.executable, "-P", "-m", "cli", "har", "export", session.id]
                + ["--secrets", secrets, "--data-dir", str(datadir.root)]
                + (["--server-url", str(stack.api.base_url)] if stack else []),
                capture_output=True,
                check=True,
            ).stdout
            for secrets in ("cut", "keep")
        }

    assert key not in exported["cut"]
    assert exported["keep"].count(key) == 2
