import os
import threading

import pytest

from storage import control
from storage.control import Control, ControlReader, SessionControl
from storage.errors import StoreError

FULL = Control(
    generation=7,
    active="a",
    automatic=False,
    sessions={"a": SessionControl(recording=True, word="w")},
    deleted=("x", "y"),
    blocks=("b",),
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "control.json"


@pytest.fixture
def reader(path):
    return ControlReader(path)


def age(path, seconds=10):
    """As if the file had been written a while ago."""
    moment = path.stat().st_mtime - seconds
    os.utime(path, (moment, moment))


def test_what_is_written_is_read(path, reader):
    control.write(path, FULL)
    assert reader.current() == FULL
    assert reader.degraded is None
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_a_file_sessions_are_automatic(reader):
    assert reader.current() == Control()
    assert reader.current().automatic
    assert reader.degraded is None


def test_each_change_is_seen_at_once_however_fast_they_follow(path, reader):
    for generation in range(1, 200):
        # Of one size each, and within one step of the clock of the file system.
        control.write(path, Control(generation=1000 + generation))
        assert reader.current().generation == 1000 + generation


def test_a_file_that_does_not_change_is_read_once(path, reader, monkeypatch):
    control.write(path, FULL)
    age(path)
    reader.current()
    monkeypatch.setattr(type(path), "read_bytes", lambda _: pytest.fail("it was read again"))
    assert reader.current() == FULL


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b'{"active": 3}', "cannot be read"),
        (b'"\xff"', "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"version": 2}', "has version 2"),
    ],
)
def test_a_file_that_cannot_be_read_keeps_the_last_state(path, reader, content, words):
    control.write(path, FULL)
    reader.current()
    path.write_bytes(content)
    assert reader.current() == FULL
    assert words in reader.degraded
    control.write(path, Control(generation=8))
    assert reader.current().generation == 8
    assert reader.degraded is None


def test_a_file_that_is_gone_is_told_and_may_come_back_as_it_was(path, reader):
    control.write(path, FULL)
    age(path)
    reader.current()
    away = path.with_name("away")
    path.rename(away)
    assert reader.current() == FULL
    assert "is gone" in reader.degraded
    away.rename(path)
    assert reader.current() == FULL
    assert reader.degraded is None


def test_a_folder_in_its_place_is_told(path, reader):
    path.mkdir()
    assert reader.current() == Control()
    assert "cannot be read" in reader.degraded
    path.rmdir()
    assert reader.current() == Control()
    assert reader.degraded is None


def test_a_place_that_cannot_be_looked_at_is_told(tmp_path):
    (tmp_path / "file").touch()
    reader = ControlReader(tmp_path / "file" / "control.json")
    assert reader.current() == Control()
    assert "cannot be looked at" in reader.degraded


def test_fields_of_a_later_version_are_passed_over(path, reader):
    path.write_bytes(b'{"version": 1, "generation": 3, "later": {"x": 1}}')
    assert reader.current().generation == 3
    assert reader.degraded is None


def test_a_reader_beside_a_busy_writer_sees_whole_states_in_order(path, reader):
    control.write(path, Control(generation=1))
    seen = []

    def write():
        for generation in range(2, 60):
            sessions = {str(n): SessionControl(recording=True, word="w") for n in range(50)}
            control.write(path, Control(generation=generation, sessions=sessions))

    thread = threading.Thread(target=write)
    thread.start()
    while thread.is_alive():
        seen.append(reader.current().generation)
        assert reader.degraded is None
    thread.join()
    assert seen == sorted(seen)
    assert reader.current().generation == 59


def test_a_disk_that_refuses_is_a_store_error(tmp_path):
    with pytest.raises(StoreError, match="could not be written"):
        control.write(tmp_path / "none" / "control.json", Control())
