"""What of the deliveries needs a person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from mome_node.catalog.deliveries import DeliveryLedger
from mome_node.catalog.records import DeliveryState


@dataclass(frozen=True, slots=True)
class DeliveryWatch:
    """Looks at all queues. ``after_s``: a destination that fails for so long is told.

    ``untold_since``: since when a rejection note has been wanted and not made; one that is not
    made in ``note_s`` is told.
    """

    ledger: DeliveryLedger
    clock: Callable[[], datetime]
    untold_since: Callable[[], datetime | None] = lambda: None
    after_s: float = 3600.0
    note_s: float = 600.0

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
        since = self.untold_since()
        if since is not None and since <= self.clock() - timedelta(seconds=self.note_s):
            told.append(
                f"since {since:%F %H:%M} UTC results are to be taken back, and no rejection note "
                "could be made: see the log, and take them back at the destination by hand"
            )
        return "; ".join(told) or None
