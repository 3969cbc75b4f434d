"""A benchmark of syncs runs only where they cost something."""

from __future__ import annotations

from pathlib import Path

import pytest

from mome_node.bench.ingest.disk import check_disk, file_system
from mome_node.errors import BenchmarkError


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    """A table of mounts: a disk, memory on it, and a disk with a space in its name on that."""
    inner = str(tmp_path / "memory" / "a disk").replace(" ", "\\040")
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        f"23 22 0:20 / {tmp_path}/memory rw shared:2 - tmpfs tmpfs rw,size=1k\n"
        f"24 23 254:1 / {inner} rw - xfs /dev/vdb rw\n"
    )
    return table


@pytest.mark.parametrize(
    ("below", "kind"),
    [("", "ext4"), ("memory/x", "tmpfs"), ("memory/a disk/x", "xfs"), ("memory2", "ext4")],
)
def test_the_innermost_mount_counts(tmp_path: Path, mounts: Path, below: str, kind: str) -> None:
    assert file_system(tmp_path / below, mounts) == kind


def test_a_folder_in_memory_is_refused(tmp_path: Path, mounts: Path) -> None:
    (tmp_path / "memory").mkdir()
    check_disk(tmp_path, 0, mounts)
    with pytest.raises(BenchmarkError, match=r"in memory \(tmpfs\).*--folder"):
        check_disk(tmp_path / "memory", 0, mounts)


def test_a_full_disk_is_told_before_anything_is_measured(tmp_path: Path, mounts: Path) -> None:
    with pytest.raises(BenchmarkError, match="GB free, the benchmark needs"):
        check_disk(tmp_path, 1 << 60, mounts)
