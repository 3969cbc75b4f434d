"""A local directory as instance store.

    <root>/instances/ab/ab….dcm  one file an instance, received ones under a random name
    <root>/incoming/             results on their way in, removed at the next start if cut off

A UID is never part of a path. An instance that comes is written to a slot, whose name is durable
before; a result is put under the SHA-256 of what it holds, so that the same one lies there once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from mome_node.errors import StorageError
from mome_node.storage.folders import make_own_folder, open_real_file, sync_directory
from mome_node.storage.incoming import IncomingFile, translated
from mome_node.storage.room import Free, Room
from mome_node.storage.slots import Slots
from mome_node.storage.store import IncomingInstance, InstanceIdentity, StoredInstance

DEFAULT_MIN_FREE_BYTES: Final = 1 << 30
_SYNCS_AT_ONCE: Final = 16
_KEY = re.compile(r"[0-9a-f]{64}", re.ASCII)


def _free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free


class LocalStore:
    """Instances below ``root``, readable by this user only. Safe for several threads.

    Instances that arrive are refused with StorageFullError while there is no ``room`` for them,
    or fewer than ``min_free_bytes`` are free where none is given; what ``put`` keeps in one step,
    our own results, has what is left of the disk.
    """

    def __init__(
        self,
        root: Path,
        *,
        room: Room | None = None,
        min_free_bytes: int = DEFAULT_MIN_FREE_BYTES,
        free_bytes: Callable[[Path], int] = _free_bytes,
    ) -> None:
        self._incoming = root / "incoming"
        self._instances = root / "instances"
        self._background = ThreadPoolExecutor(_SYNCS_AT_ONCE, thread_name_prefix="sync")
        self._slots = Slots(str(self._instances), self._background)
        self._room = room or Room(
            root, min_free_bytes, max_age_s=0, free=lambda path: Free(free_bytes(path))
        )
        try:
            self._make_directories(root)
            self._remove_leftovers()
        except OSError as error:
            raise StorageError(f"the directory {root} cannot be used: {error.strerror}") from error

    def begin(self, identity: InstanceIdentity) -> IncomingInstance:
        """Open a new instance; StorageFullError below the free-space watermark."""
        self.check_room()
        try:
            slot = self._slots.take()
        except OSError as error:
            raise translated(error) from error
        return IncomingFile(slot, identity, self.check_room, self._background)

    def publish(self, finished: Sequence[IncomingInstance]) -> None:
        """Wait until finished instances are durable, and keep them; StorageError if one fails."""
        for incoming in finished:
            incoming.publish()

    def replace(self, key: str, published: IncomingInstance) -> None:
        """Let a published instance lie under ``key``, whose file is damaged or gone."""
        published.take_place_of(self.path(key))

    def put(self, identity: InstanceIdentity, dataset: bytes) -> StoredInstance:
        """Keep an encoded data set in one step, under the digest of what it holds.

        Above or below the watermark: it is a result.
        """
        syntax = identity.transfer_syntax_uid.encode("ascii")
        digest = hashlib.sha256(syntax + b"\0" + dataset).hexdigest()
        content = identity.file_meta() + dataset
        target = self.path(digest)
        try:
            if not _holds(target, content):
                self._put(content, target)
            # Also when it was there: another thread may not have come to its own sync yet.
            sync_directory(target.parent)
        except OSError as error:
            raise translated(error) from error
        return StoredInstance(digest, digest, len(dataset))

    def _put(self, content: bytes, target: Path) -> None:
        part = self._incoming / f"{uuid.uuid4().hex}.part"
        try:
            with open(part, "xb", opener=_private) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                part.rename(target)
        finally:
            part.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove what was made ready and not needed."""
        self._slots.close()
        self._background.shutdown()

    def open(self, key: str) -> BinaryIO:
        """Return a reader over the whole file (PS3.10); StorageError if there is none."""
        try:
            return open_real_file(self.path(key))
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
            sync_directory(path.parent)
        except OSError as error:
            raise StorageError(f"instance {key} cannot be deleted: {error.strerror}") from error

    def delete_abandoned(self, key: str) -> bool:
        """Remove a file unless a living receiver holds it open; whether that was done."""
        path = self.path(key)
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
            sync_directory(path.parent)
        except (BlockingIOError, FileNotFoundError):
            return False
        except OSError as error:
            raise StorageError(f"instance {key} cannot be deleted: {error.strerror}") from error
        return True

    def list_keys(self) -> Iterator[tuple[str, datetime]]:
        """Yield every key with the time (UTC) when its file was written."""
        for path in self._instances.glob("??/*.dcm"):
            with suppress(FileNotFoundError):
                yield path.stem, datetime.fromtimestamp(path.stat().st_mtime, UTC)

    def check_room(self) -> None:
        """Raise StorageFullError if there is no room for instances that arrive."""
        try:
            self._room.check()
        except OSError as error:
            raise translated(error) from error

    def _make_directories(self, root: Path) -> None:
        for folder in (root, self._incoming, self._instances):
            make_own_folder(folder)
        # All at once, so that no later instance needs the sync of a directory's parent.
        for number in range(256):
            make_own_folder(self._instances / f"{number:02x}")
        sync_directory(self._instances)
        sync_directory(root)
        # The root's own name, too: whoever made it, and what is above it, has perhaps not synced.
        for parent in root.resolve().parents:
            with suppress(OSError):  # closed to this user, who then has made nothing in it
                sync_directory(parent)

    def _remove_leftovers(self) -> None:
        for path in self._incoming.glob("*.part"):
            with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
                # A living receiver holds the lock; the kernel lets go of a dead one's.
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _holds(path: Path, content: bytes) -> bool:
    """Tell whether a file is there and whole."""
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except FileNotFoundError:
        return False
