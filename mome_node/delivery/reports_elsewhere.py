"""Who waits for a report on an association of ours is told when it has come on another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class ReportsElsewhere:
    """The transactions that are waited for. Safe for several threads."""

    def __init__(self) -> None:
        self._told: dict[str, Callable[[], None]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def awaited(self, transaction_uid: str, tell: Callable[[], None]) -> Iterator[None]:
        """Within the block, call ``tell`` when a report on the transaction has been kept."""
        with self._lock:
            self._told[transaction_uid] = tell
        try:
            yield
        finally:
            with self._lock:
                self._told.pop(transaction_uid, None)

    def note(self, transaction_uid: str) -> None:
        """Tell whoever waits that the report on the transaction has been kept."""
        with self._lock:
            tell = self._told.get(transaction_uid)
        if tell is not None:
            tell()
