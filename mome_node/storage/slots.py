"""Files that are made, named and have their names synced before an instance needs them.

What is answered to a sender waits for the disk. Of the three things that have to be durable - the
bytes, the file's name in its directory, the catalogue's row - the name can be so beforehand: then
an instance costs the sync of its bytes and that of its row, and neither a rename nor the sync of
a directory. An empty file that no row names says nothing; ``ingest.orphans`` takes it away.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import threading
import weakref
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from mome_node.storage.folders import sync_directory

_MADE_AT_ONCE: Final = 8
_REFILLED_BELOW: Final = 8


@dataclass(frozen=True, slots=True)
class Slot:
    """An empty file under its final name, open and locked by us."""

    key: str
    path: str
    file: int


class Slots:
    """Keeps a few slots ready below ``folder``. Safe for several threads."""

    def __init__(self, folder: str, background: Executor) -> None:
        self._folder = folder
        self._background = background
        self._ready: list[Slot] = []
        self._lock = threading.Lock()
        self._refill: Future[None] | None = None
        self._is_closed = False
        # Descriptors are numbers: a store that is only forgotten would keep them open for ever.
        self._forgotten = weakref.finalize(self, _remove_all, self._ready)

    def take(self) -> Slot:
        """Return a slot whose name is durable; OSError if none can be made."""
        while True:
            with self._lock:
                if self._is_closed:
                    raise OSError(errno.ESHUTDOWN, os.strerror(errno.ESHUTDOWN))
                slot = self._ready.pop() if self._ready else None
                if len(self._ready) < _REFILLED_BELOW and not self._is_refilling():
                    self._refill = self._background.submit(self._make_some)
                refill = self._refill
            if slot is not None:
                return slot
            if refill is not None:
                refill.result()

    def close(self) -> None:
        """Remove what was not needed."""
        with self._lock:
            self._is_closed = True
            _remove_all(self._ready)

    def _is_refilling(self) -> bool:
        return self._refill is not None and not self._refill.done()

    def _make_some(self) -> None:
        """Make slots side by side in one directory, so that one sync is of all their names."""
        shard = secrets.token_hex(1)
        folder = f"{self._folder}/{shard}"
        made: list[Slot] = []
        try:
            made.extend(_make(folder, shard) for _ in range(_MADE_AT_ONCE))
            sync_directory(folder)
        except OSError:
            for slot in made:
                remove(slot)
            raise
        with self._lock:
            if not self._is_closed:
                self._ready += made
                return
        for slot in made:
            remove(slot)


def _remove_all(slots: list[Slot]) -> None:
    while slots:
        remove(slots.pop())


def _make(folder: str, shard: str) -> Slot:
    key = shard + secrets.token_hex(31)
    path = f"{folder}/{key}.dcm"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    # A living receiver holds the lock; the kernel lets go of a dead one's.
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return Slot(key, path, file)


def remove(slot: Slot) -> None:
    """Remove a slot that holds no instance; whatever fails, no row names it."""
    with suppress(OSError):
        os.unlink(slot.path)  # noqa: PTH108 (a string: this is for every instance)
    with suppress(OSError):
        os.close(slot.file)
