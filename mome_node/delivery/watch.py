"""What of the deliveries needs a person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from mome_node.catalog.deliveries import DeliveryLedger
from mome_node.catalog.records import DeliveryState


@dataclass(frozen=True, slots=True)
class DeliveryWatch:
    """Looks at all queues. ``after_s``: a destination that fails for so long is told."""

    ledger: DeliveryLedger
    clock: Callable[[], datetime]
    after_s: float = 3600.0

    def fault(self) -> str | None:
        """Say which destinations fail, and how much waits for a person; None if nothing does."""
        counts = self.ledger.counts(
            DeliveryState.PENDING, DeliveryState.BLOCKED, DeliveryState.FAILED
        )
        long_ago = self.clock() - timedelta(seconds=self.after_s)
        told = [
            f"{queue.name} fails since {queue.failing_since:%F %H:%M} UTC: {queue.last_error}"
            for queue in self.ledger.queues()
            if queue.failing_since is not None
            and queue.failing_since <= long_ago
            and (queue.name, DeliveryState.PENDING) in counts
        ]
        told += [
            f"{count} {'delivery' if count == 1 else 'deliveries'} to {name} {state}"
            for (name, state), count in sorted(counts.items())
            if state.needs_a_person
        ]
        return "; ".join(told) or None
