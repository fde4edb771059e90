import fcntl
import os
import stat
from pathlib import Path

import pytest

from certs import files
from certs.errors import FolderError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_every_missing_folder_is_made_private(tmp_path):
    files.private_folder(tmp_path / "a" / "b" / "c")
    assert [mode(tmp_path / part) for part in ("a", "a/b", "a/b/c")] == [0o700] * 3


def test_a_folder_that_others_may_read_is_closed(tmp_path):
    folder = tmp_path / "ca"
    folder.mkdir()
    folder.chmod(0o755)
    files.private_folder(folder)
    assert mode(folder) == 0o700


@pytest.mark.parametrize("open_mode", [0o770, 0o707, 0o720, 0o777, 0o1777])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path, open_mode):
    folder = tmp_path / "ca"
    folder.mkdir()
    folder.chmod(open_mode)
    with pytest.raises(FolderError, match="writable by others"):
        files.private_folder(folder)
    assert mode(folder) == open_mode


def test_a_folder_of_somebody_else_is_refused(tmp_path):
    folder = Path("/usr")
    if os.geteuid() == 0:
        folder = tmp_path / "ca"
        folder.mkdir(mode=0o700)
        os.chown(folder, 12345, 12345)
    with pytest.raises(FolderError, match="not to you"):
        files.private_folder(folder)


def test_a_link_or_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "file").write_text("x")
    for name in ("link", "dangling", "file"):
        with pytest.raises(FolderError, match="a link or not a directory"):
            files.private_folder(tmp_path / name)
    assert list((tmp_path / "real").iterdir()) == []
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_file_is_private_whatever_the_umask(tmp_path, umask):
    former = os.umask(umask)
    try:
        files.write(tmp_path / "key.pem", b"secret")
    finally:
        os.umask(former)
    assert (mode(tmp_path / "key.pem"), files.read(tmp_path / "key.pem")) == (0o600, b"secret")


def test_writing_replaces_a_planted_link_and_not_what_it_points_to(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "key.pem").symlink_to(victim)
    with pytest.raises(FolderError, match="is a link"):
        files.write(tmp_path / "key.pem", b"secret")
    assert victim.read_bytes() == b"precious"


def test_an_equal_file_is_left_alone_and_an_open_one_is_closed(tmp_path):
    path = tmp_path / "bundle.pem"
    files.write(path, b"same")
    path.chmod(0o644)
    before = path.stat().st_ino
    files.write(path, b"same")
    assert (path.stat().st_ino, mode(path)) == (before, 0o600)
    files.write(path, b"other")
    assert path.stat().st_ino != before


def test_a_failed_write_leaves_the_former_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "key.pem"
    files.write(path, b"former")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write(path, b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [
        ("key.pem", b"former")
    ]


def test_what_is_no_regular_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FolderError):
        files.read(tmp_path / "pipe")
    assert files.read(tmp_path / "missing") is None


def test_the_lock_keeps_others_out_and_clears_what_a_killed_writer_left(tmp_path):
    folder = tmp_path / "ca"
    folder.mkdir(mode=0o700)
    (folder / ".tmp-0123").write_bytes(b"half a key")
    with files.locked(folder, create=True):
        assert not (folder / ".tmp-0123").exists()
        with (folder / ".lock").open("rb") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (folder / ".lock").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_lock_without_create_needs_the_folder(tmp_path):
    with pytest.raises(FileNotFoundError), files.locked(tmp_path / "none", create=False):
        pass
    assert not (tmp_path / "none").exists()


def test_who_waited_while_the_folder_was_removed_locks_the_new_one(tmp_path, monkeypatch):
    folder = tmp_path / "ca"
    real = fcntl.flock
    removals = ["once"]

    def after_a_removal(descriptor: int, operation: int) -> None:
        if removals:
            removals.pop()
            (folder / ".lock").unlink()
            folder.rmdir()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", after_a_removal)
    with (
        files.locked(folder, create=True),
        (folder / ".lock").open("rb") as other,
        pytest.raises(BlockingIOError),
    ):
        real(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
