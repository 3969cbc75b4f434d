"""One delivery round: what is due goes out, and each outcome is recorded before the next.

A crash between the peer's answer and the record sends the same bytes with the same UID again,
which the peer takes for the instance that it has. What is recorded as sent is never due again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import BinaryIO, Protocol

import structlog

from mome_node.catalog.records import DeliveryRecord, DeliveryState
from mome_node.delivery.destination import Outgoing, Receipt, Sender
from mome_node.delivery.retry import RetryPolicy, next_attempt
from mome_node.errors import (
    DeliveryError,
    PermanentDeliveryError,
    TransientDeliveryError,
)

_log = structlog.get_logger(__name__)


class DeliveryLedger(Protocol):
    """What the outbox asks of the catalogue."""

    def due_deliveries(self, now: datetime, *, limit: int = 100) -> Sequence[DeliveryRecord]:
        """Return pending deliveries whose next attempt is not later than ``now``."""
        ...

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
        """Write down how an attempt ended and count it; durable when this returns."""
        ...


@dataclass(frozen=True, slots=True)
class RoundOutcome:
    """How many deliveries of a round were sent, will be tried again, and wait for a person."""

    sent: int = 0
    retrying: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Outbox:
    """Delivers what the ledger has due.

    ``open_instance`` returns a reader over the file of a key in the instance store, or raises
    StorageError. ``senders`` has one sender a destination, by the destination's name.
    """

    ledger: DeliveryLedger
    open_instance: Callable[[str], BinaryIO]
    senders: Mapping[str, Sender]
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def run_round(self) -> RoundOutcome:
        """Deliver what is due now, one destination after the other.

        A destination's failure never stops the others. Errors of the ledger are raised: without
        a record nothing more is sent.
        """
        by_destination: dict[str, list[DeliveryRecord]] = {}
        for due in self.ledger.due_deliveries(self.clock()):
            by_destination.setdefault(due.destination, []).append(due)
        tally = _Tally()
        for name, deliveries in by_destination.items():
            self._deliver(name, deliveries, tally)
        return RoundOutcome(tally.sent, tally.retrying, tally.waiting)

    def _deliver(self, name: str, deliveries: Sequence[DeliveryRecord], tally: _Tally) -> None:
        """Send ``deliveries`` to the destination ``name`` over one association."""
        sender = self.senders.get(name)
        if sender is None:
            gone = PermanentDeliveryError(
                f"no destination is called {name!r} any more; add it to the settings or resend"
            )
            for due in deliveries:
                self._record_failure(due, None, gone, tally)
            return
        self._send(sender, deliveries, tally)

    def _send(self, sender: Sender, deliveries: Sequence[DeliveryRecord], tally: _Tally) -> None:
        without_record = {due.result.sop_instance_uid: due for due in deliveries}
        outgoing = [
            Outgoing(uid, partial(self.open_instance, due.result.key))
            for uid, due in without_record.items()
        ]
        rest: DeliveryError = TransientDeliveryError("the sender told no outcome")
        try:
            # Closed at once, so that a ledger's error does not leave the association open.
            with closing(sender.send(outgoing)) as receipts:
                for receipt in receipts:
                    self._record(without_record.pop(receipt.sop_instance_uid), receipt, tally)
        except DeliveryError as error:
            rest = error
        for due in without_record.values():
            self._record_failure(due, None, rest, tally)

    def _record(self, due: DeliveryRecord, receipt: Receipt, tally: _Tally) -> None:
        if receipt.error is not None:
            self._record_failure(due, receipt.status, receipt.error, tally)
            return
        self.ledger.mark_delivery(
            due.delivery_id,
            DeliveryState.SENT,
            self.clock(),
            last_status=receipt.status,
            last_error=receipt.note,
        )
        tally.sent += 1
        _log.info(
            "delivery sent",
            destination=due.destination,
            sop_instance_uid=due.result.sop_instance_uid,
            note=receipt.note,
        )

    def _record_failure(
        self, due: DeliveryRecord, status: int | None, error: DeliveryError, tally: _Tally
    ) -> None:
        now = self.clock()
        attempts = due.attempts + 1
        again = next_attempt(error, attempts, now, self.policy)
        self.ledger.mark_delivery(
            due.delivery_id,
            DeliveryState.PENDING if again else DeliveryState.FAILED,
            now,
            next_attempt_at=again,
            last_status=status,
            last_error=str(error),
        )
        if again is None:
            tally.waiting += 1
        else:
            tally.retrying += 1
        _log.warning(
            "delivery failed",
            destination=due.destination,
            sop_instance_uid=due.result.sop_instance_uid,
            attempts=attempts,
            next_attempt_at=again.isoformat() if again else None,
            cause=str(error),
        )


@dataclass(slots=True)
class _Tally:
    sent: int = 0
    retrying: int = 0
    waiting: int = 0
