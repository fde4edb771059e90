import os
import subprocess
import sys

import msgspec
import pytest

from storage import files, processes
from storage.datadir import DataDir
from storage.errors import Busy, StoreError
from storage.processes import Announcement, Process


@pytest.fixture
def found(tmp_path):
    return DataDir(tmp_path / "data").prepare()


def process(**fields):
    return Process(**({"role": "server", "pid": 11, "started_ms": 5, "version": "0.1"} | fields))


def test_who_announced_itself_runs_until_it_withdraws(found):
    up = Announcement(found, process(role="up", pid=12))
    server = Announcement(found, process(host="127.0.0.1", port=8889))
    assert processes.running(found) == [server.process, up.process]
    server.withdraw()
    assert processes.running(found) == [up.process]
    up.withdraw()
    assert processes.running(found) == []
    assert list(found.run.iterdir()) == []


def test_an_announcement_can_change(found):
    one = Announcement(found, process(role="proxy"))
    one.update(degraded=("disk low",), port=8888)
    assert processes.running(found) == [process(role="proxy", degraded=("disk low",), port=8888)]
    one.withdraw()


def test_an_announcement_that_does_not_change_is_not_written(found, monkeypatch):
    one = Announcement(found, process())
    monkeypatch.setattr(files, "replace", lambda *_: pytest.fail("written"))
    one.update(pid=11, degraded=())
    one.withdraw()


ANNOUNCED = """
import os, sys
from pathlib import Path
from storage.datadir import DataDir
from storage.processes import Announcement, Process
Announcement(
    DataDir(Path(sys.argv[1])),
    Process(role="proxy", pid=os.getpid(), started_ms=1, version="0"),
)
print("announced", flush=True)
sys.stdin.read()
"""


def test_a_killed_process_does_not_run_and_its_files_go_with_the_next(found):
    with subprocess.Popen(
        [sys.executable, "-c", ANNOUNCED, found.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"announced\n"
        assert [one.pid for one in processes.running(found)] == [other.pid]
        other.kill()
        other.wait()
    assert processes.running(found) == []
    assert len(list(found.run.iterdir())) == 2
    mine = Announcement(found, process())
    assert {path.stem for path in found.run.iterdir()} == {"server-11"}
    mine.withdraw()


def test_one_pid_in_one_role_is_one_process(found):
    one = Announcement(found, process())
    with pytest.raises(Busy):
        Announcement(found, process())
    assert processes.running(found) == [one.process]
    one.withdraw()


def test_files_of_other_versions_and_strangers_are_passed_over(found):
    one = Announcement(found, process())
    path = found.run / "server-11.json"
    later = msgspec.to_builtins(one.process) | {"later": 1}
    path.write_bytes(msgspec.json.encode(later))
    assert processes.running(found) == [one.process]
    for content in (b"", b"{}", b'"\xff"'):
        path.write_bytes(content)
        assert processes.running(found) == []
    (found.run / "no-lock.json").write_bytes(msgspec.json.encode(one.process))
    assert processes.running(found) == []
    one.withdraw()


def test_a_disk_that_refuses_leaves_no_lock_behind(found, monkeypatch):
    def refuse(*_):
        raise StoreError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(files, "replace", refuse)
        with pytest.raises(StoreError):
            Announcement(found, process())
    assert not files.is_locked(found.run / "server-11.lock")
    Announcement(found, process()).withdraw()
    assert os.listdir(found.run) == []
