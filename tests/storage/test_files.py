import os
import subprocess
import sys
import threading

import pytest

from storage import files
from storage.errors import Busy, ConfigError, StoreError

# --- replacing -----------------------------------------------------------------------------------


def test_a_file_is_replaced_and_private(tmp_path):
    path = tmp_path / "f"
    for data in (b"old", b"", b"new" * 100_000):
        files.replace(path, data)
        assert path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_when_the_disk_refuses_the_old_file_stays_and_nothing_else(tmp_path, monkeypatch, call):
    path = tmp_path / "f"
    files.replace(path, b"old")

    def refuse(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(StoreError, match="No space left"):
            files.replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_short_write_is_gone_on_with(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, bytes(data[:3])))
    files.replace(tmp_path / "f", b"0123456789")
    assert (tmp_path / "f").read_bytes() == b"0123456789"


def test_threads_that_replace_one_file_leave_one_of_theirs(tmp_path):
    path = tmp_path / "f"
    choices = [bytes([number]) * 50_000 for number in range(4)]

    def work(data):
        for _ in range(10):
            files.replace(path, data)
            assert path.read_bytes() in choices

    threads = [threading.Thread(target=work, args=[data]) for data in choices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(tmp_path.iterdir()) == [path]


# --- folders -------------------------------------------------------------------------------------


def test_a_folder_is_made_private_and_made_so_again(tmp_path):
    folder = tmp_path / "a" / "b"
    assert files.private_folder(folder) == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    files.private_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_places_that_cannot_be_trusted_are_refused(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    for name, words in [
        ("file", "link or a file"),
        ("link", "link or a file"),
        ("dangling", "link or a file"),
        ("open", "others may write"),
        ("file/below", "cannot be used"),
    ]:
        with pytest.raises(ConfigError, match=words):
            files.private_folder(tmp_path / name)


def test_a_folder_of_somebody_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    with pytest.raises(ConfigError, match="belongs to user id"):
        files.private_folder(tmp_path / "a")


# --- locks ---------------------------------------------------------------------------------------


def test_a_lock_has_one_holder(tmp_path):
    path = tmp_path / "lock"
    assert not files.is_locked(path)
    with files.locked(path):
        assert files.is_locked(path)
        with pytest.raises(Busy, match="held by another process"):
            files.take(path)
    assert not files.is_locked(path)
    os.close(files.take(path))


HOLDER = """
import sys
from pathlib import Path
from storage import files
files.take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_goes_with_its_process(tmp_path):
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        assert files.is_locked(path)
        holder.kill()
        holder.wait()
    assert not files.is_locked(path)


def test_asking_whether_it_is_held_never_keeps_anybody_from_taking_it(tmp_path):
    path = tmp_path / "lock"
    os.close(files.take(path))
    ended = threading.Event()

    def ask():
        while not ended.is_set():
            files.is_locked(path)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(100):
            os.close(files.take(path))
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_a_lock_file_that_its_holder_removes_is_no_lock_for_the_next(tmp_path):
    path = tmp_path / "lock"
    first = files.take(path)
    taken = []

    def wait():
        taken.append(files.take(path, wait=True))

    thread = threading.Thread(target=wait)
    thread.start()
    path.unlink()
    os.close(first)
    thread.join()
    assert files.is_locked(path)
    os.close(taken[0])


def test_a_lock_in_no_folder_is_told(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.take(tmp_path / "none" / "lock")
    assert not files.is_locked(tmp_path / "none" / "lock")
