"""Folders of patient data: ours, real, and closed to others."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from mome_node.errors import StorageError
from mome_node.storage.folders import make_own_folder, open_real_file
from mome_node.storage.local import LocalStore
from mome_node.storage.store import InstanceIdentity

IDENTITY = InstanceIdentity("1.2.840.10008.5.1.4.1.1.4", "1.2.3", "1.2.840.10008.1.2.1")


def test_a_new_folder_is_for_this_user_only(tmp_path: Path) -> None:
    make_own_folder(tmp_path / "data")
    make_own_folder(tmp_path / "data")
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["incoming", "instances", "instances/a7"])
def test_a_link_in_place_of_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(0o700)
    (tmp_path / "data" / name).parent.mkdir(0o700, parents=True)
    (tmp_path / "data" / name).symlink_to(elsewhere)
    with pytest.raises(StorageError, match="is a symbolic link"):
        LocalStore(tmp_path / "data")
    assert list(elsewhere.iterdir()) == []


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o770)
    with pytest.raises(StorageError, match="chmod go-w"):
        LocalStore(folder)
    folder.chmod(0o750)
    LocalStore(folder)


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "data"
    folder.mkdir(0o700)
    monkeypatch.setattr("mome_node.storage.folders.os.geteuid", lambda: 12345)
    with pytest.raises(StorageError, match="allowed: this process's user, 12345"):
        make_own_folder(folder)


def test_a_link_in_place_of_an_instance_is_not_followed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "data")
    stored = store.put(IDENTITY, b"")
    secret = tmp_path / "secret"
    secret.write_bytes(b"not for everybody")
    path = store.path(stored.key)
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(StorageError):
        store.open(stored.key)
    with pytest.raises(OSError, match="symbolic"):
        open_real_file(path)
