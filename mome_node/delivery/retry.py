"""When a failed delivery is tried again: a pure decision."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from mome_node.errors import DeliveryError, PermanentDeliveryError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Capped exponential back-off.

    The first retry comes soon, since a lost packet heals in seconds; a PACS restarts in minutes,
    and a PACS that fails on Friday is mended on Monday: the default goes on for three days.
    ``attempts`` holds for what is refused by itself, ``give_up_s`` for a destination that fails.
    """

    first_s: float = 5.0
    factor: float = 2.0
    longest_s: float = 900.0
    attempts: int = 300
    give_up_s: float = 72 * 3600.0

    def delay_s(self, attempts: int) -> float:
        """Return the seconds to wait after that many failed attempts (1 or more)."""
        delay = self.first_s
        for _ in range(attempts - 1):
            if delay >= self.longest_s:
                break
            delay *= self.factor
        return min(delay, self.longest_s)


def next_attempt(
    error: DeliveryError, attempts: int, now: datetime, policy: RetryPolicy
) -> datetime | None:
    """Return when to try again after ``attempts`` failed attempts, None to wait for a person."""
    if isinstance(error, PermanentDeliveryError) or attempts >= policy.attempts:
        return None
    return now + timedelta(seconds=policy.delay_s(attempts))
