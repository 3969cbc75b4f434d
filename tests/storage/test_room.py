"""Room for instances: refused below one watermark, taken again above the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mome_node.errors import StorageFullError
from mome_node.storage.local import LocalStore
from mome_node.storage.room import MIN_FREE_FILES, Free, Room, free_room
from mome_node.storage.store import InstanceIdentity

MIB = 1 << 20
IDENTITY = InstanceIdentity("1.2.840.10008.5.1.4.1.1.4", "1.2.3", "1.2.840.10008.1.2.1")


class Disk:
    """A file system that is as full as a test says, and counts how often it is asked."""

    def __init__(self, free: int, files: int | None = None) -> None:
        self.free, self.files = free, files
        self.asked = 0

    def __call__(self, path: Path) -> Free:
        self.asked += 1
        return Free(self.free, self.files)


def test_instances_are_refused_until_clearly_more_is_free() -> None:
    disk = Disk(100 * MIB)
    room = Room(Path(), 100 * MIB, 150 * MIB, max_age_s=0, free=disk)
    assert room.fault() is None
    disk.free = 100 * MIB - 1
    assert room.fault() == "99 MiB are free, new instances need 100 MiB: make room"
    disk.free = 149 * MIB
    with pytest.raises(StorageFullError, match="149 MiB are free, new instances need 150 MiB"):
        room.check()
    disk.free = 150 * MIB
    room.check()
    disk.free = 100 * MIB
    room.check()


@given(st.lists(st.integers(0, 300), min_size=1, max_size=50))
def test_there_is_room_only_above_the_lower_mark_and_always_above_the_upper(course) -> None:
    disk = Disk(0)
    room = Room(Path(), 100, 200, max_age_s=0, free=disk)
    was_full = False
    for free in course:
        disk.free = free
        is_full = room.fault() is not None
        assert is_full == (free < 100 or (was_full and free < 200))
        was_full = is_full


def test_a_file_system_without_inodes_has_no_room() -> None:
    disk = Disk(1 << 40, files=MIN_FREE_FILES - 1)
    room = Room(Path(), 100, max_age_s=0, free=disk)
    assert "inodes are free" in str(room.fault())
    disk.files = MIN_FREE_FILES
    assert room.fault() is None
    disk.files = None
    assert room.fault() is None


def test_the_file_system_is_asked_once_in_a_while() -> None:
    disk, now = Disk(1000), [0.0]
    room = Room(Path(), 100, max_age_s=0.1, free=disk, monotonic=lambda: now[0])
    for _ in range(50):
        room.check()
    assert disk.asked == 1
    now[0], disk.free = 0.1, 0
    assert room.fault() is not None
    assert disk.asked == 2


def test_a_real_file_system_has_room_and_inodes(tmp_path: Path) -> None:
    found = free_room(tmp_path)
    assert found.bytes > 0
    assert found.files is None or found.files > 0


def test_our_own_results_have_what_is_left(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "data", room=Room(tmp_path, 100, free=Disk(99)))
    with pytest.raises(StorageFullError):
        store.begin(IDENTITY)
    stored = store.put(IDENTITY, bytes(17 << 20))
    with store.open(stored.key) as file:
        assert file.read(4)
