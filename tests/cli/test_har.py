import json
import stat

import pytest

from tests.cli.running import AGENT, ANSWER


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


def test_credentials_are_cut_unless_they_are_asked_for(recorded):
    cut, kept = (recorded.here("har", "export", "A/b é", "--secrets", w) for w in ("cut", "keep"))
    # This proxy cut them already: there is nothing left to keep.
    assert cut.stdout == kept.stdout
    assert json.loads(cut.stdout)["log"]["entries"]
