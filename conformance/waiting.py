"""Waiting for what another process does: on a condition, never for a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_POLL_S = 0.02


def wait_until(condition: Callable[[], bool], what: str, at_most_s: float = 30.0) -> None:
    """Return once ``condition`` holds; AssertionError that says ``what`` did not happen."""
    deadline = time.monotonic() + at_most_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {at_most_s:g} s")
        pause.wait(_POLL_S)
