"""The turns of one destination, apart from all others: it may be slow, or dead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mome_node.catalog.catalog import Catalog
from mome_node.delivery.confirmation import Confirmations
from mome_node.delivery.outbox import Outbox
from mome_node.jobs.timers import Turn, guarded


@dataclass(frozen=True, slots=True)
class DestinationTurns:
    """Sends what is due to one destination, and asks it what it keeps.

    ``hurry`` lets a turn come due now, where one has left something for it; ``settling_turn`` is
    the one that ends studies whose results have all arrived.
    """

    name: str
    catalog: Catalog
    outbox: Outbox
    confirmations: Confirmations
    settling_turn: Turn
    hurry: Callable[[Turn], None]

    def sending_turn(self) -> None:
        """Send what is due, unless the node is paused; what was sent is asked about at once."""
        if not self.catalog.paused():
            guarded(self._send, turn="delivery round", destination=self.name)

    def confirmation_turn(self) -> None:
        """Ask about what was sent, unless the node is paused; a peer often answers at once."""
        if not self.catalog.paused():
            guarded(self._confirm, turn="confirmation round", destination=self.name)

    def _send(self) -> None:
        if self.outbox.run_round(self.name).sent:
            self.hurry(self.confirmation_turn)

    def _confirm(self) -> None:
        if self.confirmations.run_round(self.name):
            self.hurry(self.settling_turn)
