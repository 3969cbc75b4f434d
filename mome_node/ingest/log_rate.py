"""Lines of the log that a stranger can cause, at a bounded rate."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_MAX_LINES: Final = 256


class LogRate:
    """Lets one line a subject through in ``every_s`` seconds, and counts the others.

    Never more than 256 lines in that time, whoever causes them.
    Safe for several threads.
    """

    def __init__(self, every_s: float = 60.0, monotonic: Callable[[], float] = time.monotonic):
        self._every_s = every_s
        self._monotonic = monotonic
        self._said: OrderedDict[str, float] = OrderedDict()
        self._left_out = 0
        self._lock = threading.Lock()

    def due(self, subject: str) -> int | None:
        """Return how many lines were left out before this one; None: leave this one out, too."""
        now = self._monotonic()
        with self._lock:
            while self._said and next(iter(self._said.values())) <= now - self._every_s:
                self._said.popitem(last=False)
            if subject in self._said or len(self._said) >= _MAX_LINES:
                self._left_out += 1
                return None
            self._said[subject] = now
            left_out, self._left_out = self._left_out, 0
            return left_out
