"""The turns of one destination, apart from all others: it may be slow, or dead."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from mome_node.catalog.catalog import Catalog
from mome_node.delivery.confirmation import Confirmations
from mome_node.delivery.outbox import Outbox
from mome_node.jobs.timers import guarded


@dataclass(frozen=True, slots=True)
class DestinationTurns:
    """Sends what is due to one destination, and asks it what it keeps."""

    name: str
    catalog: Catalog
    outbox: Outbox
    confirmations: Confirmations

    def sending_turn(self) -> None:
        """Send what is due, unless the node is paused."""
        if not self.catalog.paused():
            round_ = partial(self.outbox.run_round, self.name)
            guarded(round_, turn="delivery round", destination=self.name)

    def confirmation_turn(self) -> None:
        """Ask about what was sent, unless the node is paused."""
        if not self.catalog.paused():
            round_ = partial(self.confirmations.run_round, self.name)
            guarded(round_, turn="confirmation round", destination=self.name)
