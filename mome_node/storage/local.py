"""A local directory as instance store.

    <root>/incoming/            instances on their way in, removed at the next start if cut off
    <root>/instances/ab/ab….dcm  one file an instance, named by the SHA-256 of what it holds

A UID is never part of a path. An instance is durable in this order: its bytes are synced, the
file is renamed into place, the directory is synced.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from mome_node.errors import StorageError, StorageFullError
from mome_node.storage.store import IncomingInstance, InstanceIdentity, StoredInstance

DEFAULT_MIN_FREE_BYTES: Final = 1 << 30
_ROOM_CHECKED_EVERY: Final = 16 << 20  # bytes written between two looks at the free space
_KEY = re.compile(r"[0-9a-f]{64}", re.ASCII)


def _free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free


class LocalStore:
    """Instances below ``root``, readable by this user only. Safe for several threads.

    New instances are refused with StorageFullError while fewer than ``min_free_bytes`` are free.
    """

    def __init__(
        self,
        root: Path,
        *,
        min_free_bytes: int = DEFAULT_MIN_FREE_BYTES,
        free_bytes: Callable[[Path], int] = _free_bytes,
    ) -> None:
        self._incoming = root / "incoming"
        self._instances = root / "instances"
        self._min_free_bytes = min_free_bytes
        self._free_bytes = free_bytes
        try:
            self._make_directories(root)
            self._remove_leftovers()
        except OSError as error:
            raise StorageError(f"the directory {root} cannot be used: {error.strerror}") from error

    def begin(self, identity: InstanceIdentity) -> IncomingInstance:
        """Open a new instance; StorageFullError below the free-space watermark."""
        self.check_room()
        path = self._incoming / f"{uuid.uuid4().hex}.part"
        return _IncomingFile(path, identity, self)

    def put(self, identity: InstanceIdentity, dataset: bytes) -> StoredInstance:
        """Keep an encoded data set in one step."""
        incoming = self.begin(identity)
        try:
            incoming.write(dataset)
            return incoming.commit()
        finally:
            incoming.discard()

    def open(self, key: str) -> BinaryIO:
        """Return a reader over the whole file (PS3.10); StorageError if there is none."""
        try:
            return self.path(key).open("rb")
        except OSError as error:
            raise StorageError(f"instance {key} cannot be read: {error.strerror}") from error

    def path(self, key: str) -> Path:
        """Return where the instance lies, or would lie. StorageError if ``key`` is no key."""
        if _KEY.fullmatch(key) is None:
            raise StorageError(f"{key!r} is no key: 64 hexadecimal digits are")
        return self._instances / key[:2] / f"{key}.dcm"

    def delete(self, key: str) -> None:
        """Remove an instance; nothing happens if there is none."""
        path = self.path(key)
        try:
            path.unlink(missing_ok=True)
            _sync_directory(path.parent)
        except OSError as error:
            raise StorageError(f"instance {key} cannot be deleted: {error.strerror}") from error

    def list_keys(self) -> Iterator[tuple[str, datetime]]:
        """Yield every key with the time (UTC) when its file was written."""
        for path in self._instances.glob("??/*.dcm"):
            with suppress(FileNotFoundError):
                yield path.stem, datetime.fromtimestamp(path.stat().st_mtime, UTC)

    def check_room(self) -> None:
        """Raise StorageFullError if less than the watermark is free."""
        free = self._free_bytes(self._instances)
        if free < self._min_free_bytes:
            raise StorageFullError(
                f"{free} bytes are free, {self._min_free_bytes} must stay free: make room"
            )

    def _make_directories(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._incoming.mkdir(mode=0o700, exist_ok=True)
        self._instances.mkdir(mode=0o700, exist_ok=True)
        # All at once, so that no later instance needs the sync of a directory's parent.
        for number in range(256):
            (self._instances / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
        _sync_directory(self._instances)
        _sync_directory(root)
        # The root's own name, too: whoever made it, and what is above it, has perhaps not synced.
        for parent in root.resolve().parents:
            with suppress(OSError):  # closed to this user, who then has made nothing in it
                _sync_directory(parent)

    def _remove_leftovers(self) -> None:
        for path in self._incoming.glob("*.part"):
            with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
                # A living receiver holds the lock; the kernel lets go of a dead one's.
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)


class _IncomingFile:
    """A temporary file that is locked while its instance arrives."""

    def __init__(self, path: Path, identity: InstanceIdentity, store: LocalStore) -> None:
        self._path = path
        self._store = store
        self._digest = hashlib.sha256(identity.transfer_syntax_uid.encode("ascii") + b"\0")
        self._size = 0
        self._next_room_check = _ROOM_CHECKED_EVERY
        meta = identity.file_meta()
        self._offset = len(meta)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise _translated(error) from error
        self._file = os.fdopen(descriptor, "wb")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file.write(meta)
        except OSError as error:
            self.discard()
            raise _translated(error) from error

    @property
    def size(self) -> int:
        """Bytes of the data set so far."""
        return self._size

    def write(self, data: bytes) -> None:
        """Append bytes of the data set; StorageFullError when there is no room for them."""
        if self._size + len(data) >= self._next_room_check:
            self._store.check_room()
            self._next_room_check += _ROOM_CHECKED_EVERY
        try:
            self._file.write(data)
        except OSError as error:
            raise _translated(error) from error
        self._digest.update(data)
        self._size += len(data)

    def open_dataset(self) -> BinaryIO:
        """Return a reader over what was written, at the first byte of the data set."""
        try:
            self._file.flush()
            reader = self._path.open("rb")
        except OSError as error:
            raise _translated(error) from error
        reader.seek(self._offset)
        return reader

    def commit(self) -> StoredInstance:
        """Make the instance durable under its key; StorageError if that fails."""
        digest = self._digest.hexdigest()
        target = self._store.path(digest)
        try:
            self._file.flush()
            if not _same_size(target, self._path):
                os.fsync(self._file.fileno())
                self._path.rename(target)
            # Also when the file was there: another thread may not have come to its own sync yet.
            _sync_directory(target.parent)
        except OSError as error:
            raise _translated(error) from error
        finally:
            self.discard()
        return StoredInstance(key=digest, sha256=digest, size=self._size)

    def discard(self) -> None:
        """Forget the instance. Harmless after ``commit`` and when called again."""
        # Closing flushes; on a full disk it fails, and the bytes are unwanted anyway.
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()


def _same_size(one: Path, other: Path) -> bool:
    try:
        return one.stat().st_size == other.stat().st_size
    except FileNotFoundError:
        return False


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _translated(error: OSError) -> StorageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFullError("the disk is full: make room")
    return StorageError(f"an instance cannot be kept: {error.strerror}")
