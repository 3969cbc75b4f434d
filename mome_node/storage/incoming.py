"""One instance on its way in: a temporary file of the local store."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from mome_node.errors import StorageError, StorageFullError
from mome_node.storage.store import InstanceIdentity, StoredInstance

_DIGESTED_AT_ONCE: Final = 1 << 20
_ROOM_CHECKED_EVERY: Final = 16 << 20  # bytes written between two looks at the free space


class IncomingFile:
    """A temporary file that is locked while its instance arrives.

    ``path_of``: where an instance with a key lies; ``check_room`` raises when the disk is full;
    ``syncs`` waits for the disk while its bytes are looked at.
    """

    def __init__(
        self,
        path: Path,
        identity: InstanceIdentity,
        path_of: Callable[[str], Path],
        check_room: Callable[[], None],
        syncs: Executor,
    ) -> None:
        self._path = path
        self._path_of = path_of
        self._check_room = check_room
        self._syncs = syncs
        self._sync: Future[None] | None = None
        self._digest = hashlib.sha256(identity.transfer_syntax_uid.encode("ascii") + b"\0")
        self._size = 0
        self._digested = 0
        self._next_room_check = _ROOM_CHECKED_EVERY
        self._target: Path | None = None
        self._is_there = self._is_renamed = False
        meta = identity.file_meta()
        self._offset = len(meta)
        self._file = -1
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._append(meta)
        except OSError as error:
            self.discard()
            raise translated(error) from error

    @property
    def size(self) -> int:
        """Bytes of the data set so far."""
        return self._size

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes of the data set; StorageFullError when there is no room for them."""
        if self._size + len(data) >= self._next_room_check:
            self._check_room()
            self._next_room_check += _ROOM_CHECKED_EVERY
        try:
            self._append(data)
        except OSError as error:
            raise translated(error) from error
        self._size += len(data)
        if self._size - self._digested >= _DIGESTED_AT_ONCE:
            self._digest_what_came()

    def open_dataset(self) -> BinaryIO:
        """Return a reader over what was written, at the first byte of the data set."""
        return io.BufferedReader(_Reading(self._file, self._offset, self._size), _READ_AT_ONCE)

    def finish(self) -> StoredInstance:
        """Begin to make the bytes durable, and say meanwhile what they are; StorageError."""
        self._sync = self._syncs.submit(os.fdatasync, self._file)
        try:
            self._digest_what_came()
            digest = self._digest.hexdigest()
            self._target = self._path_of(digest)
            self._is_there = _size(self._target) == self._offset + self._size
        except OSError as error:
            raise translated(error) from error
        return StoredInstance(key=digest, sha256=digest, size=self._size)

    def rename(self) -> Path:
        """Give the durable bytes their name, whose directory is not yet synced; OSError."""
        if self._target is None or self._sync is None:
            raise StorageError("an instance was published before it was finished")
        self._sync.result()
        if not self._is_there:
            self._path.rename(self._target)
            self._is_there = self._is_renamed = True
        return self._target

    def discard(self) -> None:
        """Forget the instance. Harmless after it was published and when called again."""
        if self._file < 0:
            return
        if self._sync is not None:
            self._sync.exception()  # the file is open until its sync has ended
        if not self._is_renamed:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
        with suppress(OSError):
            os.close(self._file)
        self._file = -1

    def _digest_what_came(self) -> None:
        """Bring the digest up to date; what was just written is still in memory."""
        while self._digested < self._size:
            count = min(self._size - self._digested, _DIGESTED_AT_ONCE)
            data = os.pread(self._file, count, self._offset + self._digested)
            if not data:
                raise StorageError("an instance cannot be kept: its file became shorter")
            self._digest.update(data)
            self._digested += len(data)

    def _append(self, data: bytes | memoryview) -> None:
        written = os.write(self._file, data)
        while written < len(data):
            written += os.write(self._file, memoryview(data)[written:])


_READ_AT_ONCE: Final = 1 << 16


class _Reading(io.RawIOBase):
    """Reads a part of an open file from a position of its own."""

    def __init__(self, file: int, start: int, size: int) -> None:
        super().__init__()
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = start + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # narrower than Buffer
        wanted = max(min(len(buffer), self._size - self._at), 0)
        data = os.pread(self._file, wanted, self._start + self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def translated(error: OSError) -> StorageError:
    """Say what a failed system call means for an instance on its way in."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFullError("the disk is full: make room")
    return StorageError(f"an instance cannot be kept: {error.strerror}")
