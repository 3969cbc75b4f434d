"""In-memory doubles of the outbox's ports, for tests of whatever delivers."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from mome_node.catalog.records import DeliveryRecord, DeliveryState
from mome_node.delivery.destination import Outgoing, Receipt
from mome_node.errors import CatalogError, DeliveryError


@dataclass(slots=True)
class MemoryLedger:
    """A DeliveryLedger without a database."""

    deliveries: dict[int, DeliveryRecord] = field(default_factory=dict)

    def add(self, delivery: DeliveryRecord) -> None:
        """Enter a delivery."""
        self.deliveries[delivery.delivery_id] = delivery

    def due_deliveries(self, now: datetime, *, limit: int = 100) -> Sequence[DeliveryRecord]:
        """See DeliveryLedger."""
        due = [
            delivery
            for delivery in self.deliveries.values()
            if delivery.state is DeliveryState.PENDING
            and (delivery.next_attempt_at is None or delivery.next_attempt_at <= now)
        ]
        return tuple(due[:limit])

    def mark_delivery(
        self,
        delivery_id: int,
        state: DeliveryState,
        at: datetime,
        *,
        next_attempt_at: datetime | None = None,
        last_status: int | None = None,
        last_error: str = "",
    ) -> None:
        """See DeliveryLedger."""
        delivery = self.deliveries.get(delivery_id)
        if delivery is None:
            raise CatalogError(f"there is no delivery {delivery_id}")
        self.deliveries[delivery_id] = replace(
            delivery,
            state=state,
            attempts=delivery.attempts + 1,
            next_attempt_at=next_attempt_at if state is DeliveryState.PENDING else None,
            last_status=last_status,
            last_error=last_error,
            sent_at=at if state is DeliveryState.SENT else delivery.sent_at,
        )


@dataclass(slots=True)
class MemorySender:
    """A Sender that keeps the UIDs it was given.

    ``refusals`` has the error to tell for an instance; ``link_error`` is raised once ``link_after``
    instances were answered for.
    """

    received: list[str] = field(default_factory=list)
    refusals: dict[str, DeliveryError] = field(default_factory=dict)
    link_error: DeliveryError | None = None
    link_after: int = 0

    def send(self, objects: Sequence[Outgoing]) -> Generator[Receipt, None, None]:
        """See Sender."""
        for number, item in enumerate(objects):
            if self.link_error is not None and number >= self.link_after:
                raise self.link_error
            refusal = self.refusals.get(item.sop_instance_uid)
            if refusal is None:
                self.received.append(item.sop_instance_uid)
            status = 0x0000 if refusal is None else 0xA700
            yield Receipt(item.sop_instance_uid, status, error=refusal)
