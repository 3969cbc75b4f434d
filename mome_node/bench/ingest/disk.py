"""The disk that all receivers write to: it has to be one, and to have room."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import Final

from mome_node.errors import BenchmarkError

_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_MOUNTS: Final = Path("/proc/self/mountinfo")
_RESERVE_BYTES: Final = 4 << 30  # what the node itself wants to be left


def check_disk(folder: Path, needed_bytes: int, mounts: Path = _MOUNTS) -> None:
    """BenchmarkError if syncs cost nothing in ``folder``, or it has not enough room."""
    kind = file_system(folder, mounts)
    if kind in _IN_MEMORY:
        raise BenchmarkError(
            f"{folder} lies in memory ({kind}), where a sync costs nothing: name a --folder on disk"
        )
    free, needed = shutil.disk_usage(folder).free, needed_bytes + _RESERVE_BYTES
    if free < needed:
        raise BenchmarkError(
            f"{folder} has {free / 1e9:.1f} GB free, the benchmark needs {needed / 1e9:.1f} GB"
        )


def settle_disk() -> None:
    """Write what all programs left to be written, so that nobody's measured syncs wait for it."""
    os.sync()


def file_system(folder: Path, mounts: Path = _MOUNTS) -> str:
    """Return the type of the file system that holds ``folder``, such as "ext4"."""
    place, found, depth = folder.resolve(), "unknown", -1
    for line in mounts.read_text().splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4].replace("\\040", " "))
        if place.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = after.split()[0], len(point.parts)
    return found


def machine(folder: Path) -> dict[str, object]:
    """What the figures depend on."""
    return {
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "file_system": file_system(folder),
    }
