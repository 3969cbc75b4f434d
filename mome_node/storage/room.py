"""Room on the disk: new instances are refused before results and catalogue find none.

Two watermarks, so that a disk at the edge is not full and free again with every instance.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mome_node.errors import StorageFullError

MIN_FREE_FILES: Final = 1000
"""With fewer inodes free, there is no room either."""

_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Free:
    """What a file system has left for this user, in bytes and in inodes; None: without end."""

    bytes: int
    files: int | None = None


def free_room(path: Path) -> Free:
    """Ask the file system that holds ``path``; OSError."""
    found = os.statvfs(path)
    files = found.f_favail if found.f_files else None  # some file systems make inodes as needed
    return Free(found.f_bavail * found.f_frsize, files)


class Room:
    """Whether there is room for new instances below ``path``. Safe for several threads.

    There is none from ``min_free_bytes`` downward until ``resume_free_bytes`` are free again. The
    file system is asked at most once in ``max_age_s``.
    """

    def __init__(
        self,
        path: Path,
        min_free_bytes: int,
        resume_free_bytes: int | None = None,
        *,
        max_age_s: float = 0.1,
        free: Callable[[Path], Free] = free_room,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._min_free_bytes = min_free_bytes
        self._resume_free_bytes = max(resume_free_bytes or 0, min_free_bytes)
        self._max_age_s = max_age_s
        self._free = free
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._fault: str | None = None

    def check(self) -> None:
        """Raise StorageFullError if there is no room for new instances."""
        if fault := self.fault():
            raise StorageFullError(fault)

    def fault(self) -> str | None:
        """Say why no instances are taken; None if they are. OSError."""
        with self._lock:
            now = self._monotonic()
            if now - self._asked_at >= self._max_age_s:
                self._fault = self._found(self._free(self._path))
                self._asked_at = now
            return self._fault

    def _found(self, free: Free) -> str | None:
        needed = self._resume_free_bytes if self._fault else self._min_free_bytes
        if free.bytes < needed:
            return f"{_size(free.bytes)} are free, new instances need {_size(needed)}: make room"
        if free.files is not None and free.files < MIN_FREE_FILES:
            return f"{free.files} inodes are free, new instances need {MIN_FREE_FILES}: make room"
        return None


def _size(count: int) -> str:
    return f"{count // _MIB} MiB" if count >= _MIB else f"{count} bytes"
