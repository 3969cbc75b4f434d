"""The model of a disk loses all that POSIX lets it lose, and nothing that was synced."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.power_loss.disk import BLOCK, Disk, Image, everything
from conformance.power_loss.recording import (
    DirectoryMade,
    FileMade,
    Linked,
    Operation,
    Renamed,
    Resized,
    Sent,
    SyncBegan,
    SyncEnded,
    UnknownOperationError,
    Unlinked,
    Written,
)

ROOT, FOLDER, FILE, OTHER = 1, 2, 10, 11


def synced(subject: int, which: int = 0) -> tuple[Operation, ...]:
    return SyncBegan(subject, which, ""), SyncEnded(which)


def disk_after(*operations: Operation) -> Disk:
    disk = Disk(ROOT)
    for operation in operations:
        disk.apply(operation)
    return disk


def files_after(*operations: Operation) -> dict[str, bytes]:
    return dict(disk_after(*operations).image().files)


MADE = (FileMade(FILE), Linked(ROOT, "a", FILE))


def test_bytes_last_once_they_are_synced_and_later_ones_do_not():
    written = Written(FILE, 0, b"kept"), *synced(FILE), Written(FILE, 4, b"lost")
    assert files_after(*MADE, *synced(ROOT), *written) == {"a": b"kept"}


def test_a_sync_covers_nothing_that_was_written_after_it_began():
    during = SyncBegan(FILE, 7, "a"), Written(FILE, 0, b"late"), SyncEnded(7)
    assert files_after(*MADE, *synced(ROOT), *during) == {"a": b""}


def test_a_sync_that_has_not_ended_has_done_nothing():
    begun = Written(FILE, 0, b"kept"), SyncBegan(FILE, 7, "a")
    assert files_after(*MADE, *synced(ROOT), *begun) == {"a": b""}


def test_a_file_is_gone_unless_its_directory_was_synced():
    assert files_after(*MADE, Written(FILE, 0, b"kept"), *synced(FILE)) == {}


def test_a_directory_is_gone_with_all_in_it_unless_its_parent_was_synced():
    inside = DirectoryMade(ROOT, "d", FOLDER), FileMade(FILE), Linked(FOLDER, "a", FILE)
    disk = disk_after(*inside, *synced(FOLDER), *synced(FILE))
    assert disk.image() == Image({}, frozenset())
    for operation in synced(ROOT):
        disk.apply(operation)
    assert disk.image() == Image({"d/a": b""}, frozenset({"d"}))


def test_a_deleted_file_comes_back_until_its_directory_is_synced():
    deleted = *MADE, *synced(ROOT), Unlinked(ROOT, "a")
    assert files_after(*deleted) == {"a": b""}
    assert files_after(*deleted, *synced(ROOT)) == {}


def test_a_rename_within_a_directory_is_done_or_not_done():
    disk = disk_after(*MADE, *synced(ROOT), Renamed(ROOT, "a", ROOT, "b"))
    assert {*disk.image().files} == {"a"}
    assert {*disk.image(everything).files} == {"b"}
    chance = random.Random(0)
    for _ in range(20):
        assert len(disk.image(lambda: chance.random() < 0.5).files) == 1


def test_a_rename_across_directories_lasts_once_the_new_one_is_synced():
    folder = DirectoryMade(ROOT, "d", FOLDER)
    renamed = folder, *MADE, *synced(ROOT), Renamed(ROOT, "a", FOLDER, "b")
    assert files_after(*renamed) == {"a": b""}
    assert files_after(*renamed, *synced(ROOT)) == {}
    assert files_after(*renamed, *synced(FOLDER)) == {"a": b"", "d/b": b""}


def test_a_new_file_under_a_used_inode_number_is_another_file():
    again = Unlinked(ROOT, "a"), FileMade(FILE), Linked(ROOT, "b", FILE)
    disk = disk_after(*MADE, Written(FILE, 0, b"old"), *synced(FILE), *synced(ROOT), *again)
    assert disk.image().files == {"a": b"old"}
    assert disk.image(everything).files == {"b": b""}


def test_of_a_large_write_some_blocks_may_survive():
    disk = disk_after(*MADE, *synced(ROOT), Written(FILE, BLOCK - 1, b"ab"))
    survives = iter([False, True])
    assert disk.image(lambda: next(survives)).files == {"a": bytes(BLOCK) + b"b"}


def test_a_size_is_lost_like_bytes():
    grown = *MADE, Written(FILE, 0, b"abc"), *synced(FILE), *synced(ROOT), Resized(FILE, 1)
    assert files_after(*grown) == {"a": b"abc"}
    assert files_after(*grown, *synced(FILE)) == {"a": b"a"}
    assert files_after(*grown, Resized(FILE, 2), *synced(FILE)) == {"a": b"a\0"}


def test_what_is_sent_changes_no_disk():
    assert files_after(Sent(5, b"answer")) == {}


def test_an_operation_on_a_file_that_was_never_made_is_refused():
    with pytest.raises(UnknownOperationError):
        disk_after(Written(FILE, 0, b"x"))


def test_an_image_is_laid_out_as_it_was_read(tmp_path: Path):
    image = Image({"a": b"1", "d/e/b": b"2"}, frozenset({"d", "d/e"}))
    image.write_to(tmp_path / "copy")
    assert Image.of(tmp_path / "copy") == image


CHANGES = st.one_of(
    st.builds(
        Written,
        st.sampled_from((FILE, OTHER)),
        st.integers(0, 3 * BLOCK),
        st.binary(max_size=2 * BLOCK),
    ),
    st.builds(Resized, st.sampled_from((FILE, OTHER)), st.integers(0, 3 * BLOCK)),
    st.builds(
        Linked,
        st.sampled_from((ROOT, FOLDER)),
        st.sampled_from("abc"),
        st.sampled_from((FILE, OTHER)),
    ),
    st.builds(Unlinked, st.sampled_from((ROOT, FOLDER)), st.sampled_from("abc")),
)
BEGIN = (DirectoryMade(ROOT, "d", FOLDER), FileMade(FILE), FileMade(OTHER))


@given(st.lists(CHANGES), st.lists(CHANGES), st.integers())
def test_what_everything_was_synced_after_survives_whatever_is_lost_later(before, after, seed):
    chance = random.Random(seed)
    disk = disk_after(*BEGIN, *before)
    seen = disk.image(everything)
    for operation in synced(0):
        disk.apply(operation)
    assert disk.image() == disk.image(everything) == seen
    for operation in after:
        disk.apply(operation)
    assert disk.image() == seen
    touched = {change.name for change in after if isinstance(change, Linked | Unlinked)}
    survived = disk.image(lambda: chance.random() < 0.5)
    assert {n for n in seen.files if n[-1] not in touched} <= {*survived.files}
