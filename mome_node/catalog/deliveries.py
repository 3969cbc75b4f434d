"""The outbox: what goes to which destination, in which order, and what each of them says of it.

Whoever sends marks the outcome of each result before the next is sent; what a destination has
accepted stays here as sent until it is known whether it keeps it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from mome_node.catalog import confirmations, outbox, queues, resending
from mome_node.catalog.confirmations import CommitmentReport
from mome_node.catalog.database import Database
from mome_node.catalog.records import (
    DeliveryRecord,
    DeliveryState,
    QueueRecord,
    UnconfirmedDelivery,
)


class DeliveryLedger:
    """The deliveries. Every method is one short transaction of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # What goes out

    def due(
        self, destination: str, now: datetime, *, limit: int = 20
    ) -> tuple[DeliveryRecord, ...]:
        """Return what to send to a destination now, in the order in which it was queued."""
        with self._database.read() as session:
            return outbox.due(session, destination, now, limit)

    def mark(
        self,
        delivery_id: int,
        state: DeliveryState,
        at: datetime,
        *,
        next_attempt_at: datetime | None = None,
        last_status: int | None = None,
        last_error: str = "",
    ) -> None:
        """Write down how an attempt to send ended and count it; CatalogError if none is such.

        Durable when this returns. Any outcome but "sent" changes nothing where something else was
        decided in between.
        """
        with self._database.write() as session:
            outbox.mark(
                session,
                delivery_id,
                state,
                at,
                next_attempt_at=next_attempt_at,
                last_status=last_status,
                last_error=last_error,
            )

    def note_tried(self, delivery_ids: Collection[int], at: datetime) -> None:
        """Write down that these may be at their destination from now on; durable."""
        with self._database.write() as session:
            outbox.note_tried(session, delivery_ids, at)

    def note_not_sent(self, delivery_ids: Collection[int], tried_at: datetime) -> None:
        """Take back what was noted then: nothing of these was sent."""
        with self._database.write() as session:
            outbox.note_not_sent(session, delivery_ids, tried_at)

    def block(self, delivery_ids: Collection[int], why: str) -> None:
        """Keep pending deliveries back until a person has looked."""
        with self._database.write() as session:
            outbox.block(session, delivery_ids, why)

    def give_up(self, destination: str, queued_before: datetime, why: str) -> int:
        """Let what has waited since before then wait for a person; how many deliveries."""
        with self._database.write() as session:
            return outbox.give_up(session, destination, queued_before, why)

    def abandon(self, destinations: Collection[str], why: str) -> int:
        """Let what is queued for any other destination wait for a person; how many deliveries."""
        on_its_way = self.counts(DeliveryState.PENDING, DeliveryState.SENT)
        if all(name in destinations for name, _ in on_its_way):
            return 0  # asked for twice a second: whoever receives need not wait for a write
        with self._database.write() as session:
            return outbox.abandon(session, destinations, why)

    # How the destinations are

    def queue(self, destination: str) -> QueueRecord:
        """Return how the queue of one destination stands."""
        with self._database.read() as session:
            return queues.find(session, destination)

    def queues(self) -> tuple[QueueRecord, ...]:
        """Return the queues of which there is something to say, by name."""
        with self._database.read() as session:
            return queues.all_queues(session)

    def pause(self, destination: str, cause: str, at: datetime) -> None:
        """Let nothing more go to a destination; the first cause and time stay."""
        with self._database.write() as session:
            queues.pause(session, destination, cause, at)

    def resume(self, destination: str) -> None:
        """End a destination's pause, and try at once what was put off because it failed."""
        with self._database.write() as session:
            queues.resume(session, destination)

    def note_failure(self, destination: str, why: str, until: datetime, at: datetime) -> None:
        """Count a round that failed: nothing goes to the destination before ``until``."""
        with self._database.write() as session:
            queues.note_failure(session, destination, why, until, at)

    def note_success(self, destination: str) -> None:
        """Forget a destination's failures: it answers."""
        with self._database.write() as session:
            queues.note_success(session, destination)

    # What the destinations confirm

    def expire(self, destination: str, now: datetime) -> tuple[str, ...]:
        """Wait no more for reports whose deadline has passed; their Transaction UIDs."""
        with self._database.write() as session:
            return confirmations.expire(session, destination, now)

    def unconfirmed(
        self, destination: str, now: datetime, *, limit: int = 1000
    ) -> tuple[UnconfirmedDelivery, ...]:
        """Return what the destination has accepted and is to be asked about now."""
        with self._database.read() as session:
            return confirmations.unconfirmed(session, destination, now, limit)

    def open_confirmation(
        self,
        destination: str,
        delivery_ids: Collection[int],
        transaction_uid: str,
        deadline: datetime,
        at: datetime,
        *,
        asked: int = 1,
    ) -> None:
        """Enter a storage commitment that will be asked for; durable when this returns.

        ``asked``: how often it is asked for these deliveries, this time included.
        """
        with self._database.write() as session:
            confirmations.open_transaction(
                session, destination, delivery_ids, transaction_uid, asked, deadline, at
            )

    def close_confirmation(
        self, transaction_uid: str, why: str, at: datetime, *, counts: bool
    ) -> None:
        """Wait no more for a report; ``counts``: it was asked for."""
        with self._database.write() as session:
            confirmations.close(session, transaction_uid, why, at, counts=counts)

    def answer(
        self, transaction_uid: str, destination: str, report: CommitmentReport, at: datetime
    ) -> bool:
        """Take a report; durable when this returns.

        False, and nothing is changed, if the destination was never asked for this transaction.
        """
        with self._database.write() as session:
            return confirmations.answer(session, transaction_uid, destination, report, at)

    def confirm(self, delivery_ids: Collection[int], state: DeliveryState, why: str = "") -> None:
        """Write down what is known of what was sent; ``why``: why not more is known."""
        with self._database.write() as session:
            confirmations.confirm(session, delivery_ids, state, why)

    def put_off(self, delivery_ids: Collection[int], until: datetime, why: str) -> None:
        """Ask later about what was sent."""
        with self._database.write() as session:
            confirmations.put_off(session, delivery_ids, until, why)

    def send_again(self, delivery_ids: Collection[int], why: str, at: datetime) -> None:
        """Queue what the peer does not have after all, a few times; then a person is needed."""
        with self._database.write() as session:
            confirmations.send_again(session, delivery_ids, why, at)

    # What people ask, and ask for

    def of_study(self, study_uid: str) -> tuple[DeliveryRecord, ...]:
        """Return all deliveries of a study, the oldest first."""
        with self._database.read() as session:
            return outbox.of_study(session, study_uid)

    def finished(self, *, limit: int = 100) -> tuple[str, ...]:
        """Return delivering studies of which nothing is on its way any more, the oldest first."""
        with self._database.read() as session:
            return outbox.finished(session, limit)

    def counts(self, *states: DeliveryState) -> Mapping[tuple[str, DeliveryState], int]:
        """Return how many deliveries there are by destination and state, of all states or these."""
        with self._database.read() as session:
            return outbox.counts(session, states or tuple(DeliveryState))

    def resend(
        self, study_uid: str, cause: str, at: datetime, *, destination: str | None = None
    ) -> int:
        """Queue the study's current results again, to one destination or all; how many deliveries.

        Not what is held. CatalogError if there are none, TransitionRefusedError if the study's
        results may not go out now.
        """
        with self._database.write() as session:
            return resending.resend(session, study_uid, cause, at, destination)

    def resend_waiting(self, cause: str, at: datetime, *, destination: str | None = None) -> int:
        """Queue again what waits for a person, of all studies; how many deliveries."""
        with self._database.write() as session:
            return resending.resend_waiting(session, cause, at, destination)

    def release(
        self, study_uid: str, cause: str, at: datetime, *, destination: str | None = None
    ) -> int:
        """Let results go that are held in the node; how many deliveries.

        CatalogError if none is held, TransitionRefusedError if the study's results may not go out
        now.
        """
        with self._database.write() as session:
            return resending.release(session, study_uid, cause, at, destination)
