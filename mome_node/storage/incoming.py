"""One instance on its way in, in a file of the local store that no row names yet."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import BinaryIO, Final

from mome_node.errors import StorageError, StorageFullError
from mome_node.storage.folders import sync_directory
from mome_node.storage.slots import Slot, remove
from mome_node.storage.store import InstanceIdentity, StoredInstance

_DIGESTED_AT_ONCE: Final = 1 << 20
_ROOM_CHECKED_EVERY: Final = 16 << 20  # bytes written between two looks at the free space


class IncomingFile:
    """An instance that is written to a slot.

    ``check_room`` raises when the disk is full; ``syncs`` waits for the disk while the bytes are
    looked at.
    """

    def __init__(
        self,
        slot: Slot,
        identity: InstanceIdentity,
        check_room: Callable[[], None],
        syncs: Executor,
    ) -> None:
        self._slot: Slot | None = slot
        self._file = slot.file
        self._check_room = check_room
        self._syncs = syncs
        self._sync: Future[None] | None = None
        self._digest = hashlib.sha256(identity.transfer_syntax_uid.encode("ascii") + b"\0")
        self._size = 0
        self._digested = 0
        self._next_room_check = _ROOM_CHECKED_EVERY
        self._is_published = False
        meta = identity.file_meta()
        self._offset = len(meta)
        try:
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
        if self._slot is None:
            raise StorageError("an instance was finished after it was discarded")
        try:
            self._sync = self._syncs.submit(os.fdatasync, self._file)
            self._digest_what_came()
        except OSError as error:
            raise translated(error) from error
        except RuntimeError as error:  # of the executor
            raise StorageError("the store is closed") from error
        return StoredInstance(self._slot.key, self._digest.hexdigest(), self._size)

    def publish(self) -> None:
        """Wait until the bytes are durable, and keep them from now on; StorageError."""
        if self._sync is None:
            raise StorageError("an instance was published before it was finished")
        try:
            self._sync.result()
        except OSError as error:
            raise translated(error) from error
        self._is_published = True

    def withdraw(self) -> None:
        """Let ``discard`` remove it after all: nothing names it."""
        self._is_published = False

    def take_place_of(self, other: Path) -> None:
        """Put the published file where another one is, or was; StorageError."""
        if self._slot is None or not self._is_published:
            raise StorageError("an instance was not published")
        try:
            Path(self._slot.path).rename(other)
            sync_directory(other.parent)
        except OSError as error:
            raise translated(error) from error

    def discard(self) -> None:
        """Forget the instance. Closes it only, once it was published; harmless again."""
        slot, self._slot = self._slot, None
        if slot is None:
            return
        if self._sync is not None:
            self._sync.exception()  # the file is open until its sync has ended
        if self._is_published:
            os.close(slot.file)
        else:
            remove(slot)

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


def translated(error: OSError) -> StorageError:
    """Say what a failed system call means for an instance on its way in."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFullError("the disk is full: make room")
    return StorageError(f"an instance cannot be kept: {error.strerror}")
