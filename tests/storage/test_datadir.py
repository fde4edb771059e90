import os
import threading
from pathlib import Path

import pytest

from storage import datadir
from storage.datadir import DataDir
from storage.errors import ConfigError


def modes(root):
    return {path.stat().st_mode & 0o777 for path in [root, *root.rglob("*")] if path.is_dir()}


def test_a_data_dir_is_private_and_can_be_prepared_again(tmp_path):
    found = DataDir(tmp_path / "a" / "data").prepare().prepare()
    assert modes(found.root) == {0o700}
    assert {path.name for path in found.root.iterdir()} == {"spool", "run"}
    assert found.control.parent == found.database.parent == found.root


def test_preparing_leaves_the_umask_to_the_agents(tmp_path):
    before = os.umask(0o027)
    try:
        DataDir(tmp_path / "data").prepare()
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_a_place_that_others_may_write_in_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o777)
    with pytest.raises(ConfigError, match="others may write"):
        DataDir(tmp_path / "data").prepare()


def test_names_of_the_home_are_understood(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert DataDir(Path("~/x")).root == tmp_path / "x"
    assert DataDir(Path("y")).root == tmp_path / "y"


def test_the_default_is_the_users_own_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert datadir.default().name == "wirescribe"
    assert datadir.default().is_relative_to(tmp_path)


def test_the_key_is_made_once(tmp_path):
    found = DataDir(tmp_path / "data").prepare()
    keys = []
    threads = [
        threading.Thread(target=lambda: keys.append(DataDir(found.root).hmac_key()))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert {len(key) for key in keys} == {32}
    assert len(set(keys)) == 1
    assert (found.root / "hmac.key").stat().st_mode & 0o777 == 0o600


def test_a_damaged_key_is_refused_and_not_replaced(tmp_path):
    found = DataDir(tmp_path / "data").prepare()
    (found.root / "hmac.key").write_bytes(b"short")
    with pytest.raises(ConfigError, match="holds 5 bytes instead of 32"):
        found.hmac_key()
    (found.root / "hmac.key").unlink()
    (found.root / "hmac.key").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        found.hmac_key()


def test_what_a_killed_process_left_half_written_goes_after_a_while(tmp_path):
    found = DataDir(tmp_path / "data").prepare()
    old, new = found.root / ".control.json.1-1.new", found.run / ".up-1.json.1-1.new"
    for path in (old, new):
        path.touch()
    os.utime(old, (1e9, 1e9))
    found.prepare()
    assert not old.exists()
    assert new.exists()
