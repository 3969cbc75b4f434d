"""Folders that hold patient data: real ones, ours, and nobody else's to write to."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from mome_node.errors import StorageError


def make_own_folder(path: Path) -> None:
    """Make a folder for this user only, or see that the one that is there is safe.

    StorageError for a symbolic link (it may lead anywhere), for what belongs to somebody else and
    for what others may write to; OSError if it cannot be made.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise StorageError(f"{path} is a symbolic link; allowed: a folder")
    if found.st_uid != os.geteuid():
        raise StorageError(
            f"{path} belongs to user {found.st_uid}; allowed: this process's user, {os.geteuid()}"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StorageError(f"others may write to {path}: chmod go-w")


def open_real_file(path: Path) -> BinaryIO:
    """Open a file to read; OSError, also for a symbolic link."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Make the names in a folder durable; OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
