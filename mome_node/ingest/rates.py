"""How much a peer may send a minute: who sends more gets its answers later.

A sender waits for the answer to one C-STORE before it sends the next (or few, with an asynchronous
window): a later answer is all that it takes to slow it down, and nothing piles up here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

MAX_DELAY_S: Final = 20.0
"""No answer is held back longer, or the sender takes us for dead (its DIMSE timeout)."""

_BURST_S: Final = 6.0  # what a peer may send at once after a pause: so many seconds' worth


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What one peer may send a minute; None: as much as it likes."""

    objects_a_minute: int | None = None
    bytes_a_minute: int | None = None


class TokenBucket:
    """Allows ``a_minute`` units a minute, at once at most a tenth of that, or one unit.

    What is taken beyond is owed: the bucket says how long until the debt is paid.
    """

    def __init__(self, a_minute: float, now: float) -> None:
        self._a_second = a_minute / 60.0
        self._capacity = max(self._a_second * _BURST_S, 1.0)
        self._units = self._capacity
        self._at = now

    def take(self, units: float, now: float) -> float:
        """Take units, and return for how many seconds nothing more should be taken."""
        elapsed = max(now - self._at, 0.0)
        self._at = max(now, self._at)
        self._units = min(self._capacity, self._units + elapsed * self._a_second) - units
        return max(-self._units / self._a_second, 0.0)


class PeerRates:
    """The rates of all peers that have limits, by calling AE title. Safe for several threads.

    All associations of a peer share its rate. Peers without limits are never delayed.
    """

    def __init__(
        self,
        limits: Mapping[str, RateLimits] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        now = monotonic()
        self._objects = {
            title.strip(): TokenBucket(limit.objects_a_minute, now)
            for title, limit in (limits or {}).items()
            if limit.objects_a_minute
        }
        self._bytes = {
            title.strip(): TokenBucket(limit.bytes_a_minute, now)
            for title, limit in (limits or {}).items()
            if limit.bytes_a_minute
        }

    def delay_s(self, peer: str, objects: int, nbytes: int) -> float:
        """Count what a peer has sent; for how many seconds to hold its answer back.

        ``peer`` is the calling AE title. At most ``MAX_DELAY_S``; what is owed beyond that is
        waited for with the next answers. Never blocks.
        """
        title = peer.strip()
        now = self._monotonic()
        delay = 0.0
        with self._lock:
            for buckets, units in ((self._objects, objects), (self._bytes, nbytes)):
                if bucket := buckets.get(title):
                    delay = max(delay, bucket.take(units, now))
        return min(delay, MAX_DELAY_S)
