"""How slowly a body may come before its sender is given up."""

from __future__ import annotations


class Pace:
    """Counts bytes against the time that was spent waiting for them.

    In every ``window_s`` seconds of waiting at least ``min_bytes_per_s`` must come on average: a
    pause of a whole window is too slow, and so is a trickle. Time in which nobody waited for the
    sender, since its bytes were being written, does not count against it.
    """

    def __init__(self, min_bytes_per_s: float, window_s: float) -> None:
        self._needed = min_bytes_per_s * window_s
        self._window_s = window_s
        self._waited_s = 0.0
        self._bytes = 0

    @property
    def patience_s(self) -> float:
        """How long to wait for the next bytes, at most."""
        return max(self._window_s - self._waited_s, 0.0)

    def keeps_up(self, count: int, waited_s: float) -> bool:
        """Note that ``count`` bytes came after so many seconds; False if that is too slow."""
        self._bytes += count
        self._waited_s += waited_s
        if self._waited_s < self._window_s:
            return True
        is_enough = self._bytes >= self._needed
        self._waited_s = 0.0
        self._bytes = 0
        return is_enough
