"""One delivery round: what is due goes out, and each outcome is recorded before the next.

A crash between the peer's answer and the record sends the same bytes with the same UID again,
which the peer takes for the instance that it has. What is recorded as sent is never due again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import takewhile
from typing import BinaryIO, Final, Protocol

import structlog

from mome_node.catalog.records import DeliveryRecord, DeliveryState, QueueRecord
from mome_node.delivery.destination import Outgoing, Receipt, Sender
from mome_node.delivery.kept_file import ResultHeader, check_bytes, header_of, identity_fault
from mome_node.delivery.ports import DestinationArchive, Port
from mome_node.delivery.retry import RetryPolicy, next_attempt
from mome_node.errors import (
    DeliveryError,
    InterruptedDeliveryError,
    PermanentDeliveryError,
    RefusedForNowError,
    TransientDeliveryError,
)

_log = structlog.get_logger(__name__)

AT_ONCE: Final = 20
"""Deliveries that are looked up together: more than a study has."""
IN_ONE_ROUND: Final = 100


class Ledger(Protocol):
    """What the outbox asks of the catalogue: see ``catalog.deliveries.DeliveryLedger``."""

    def due(self, destination: str, now: datetime, *, limit: int = 20) -> Sequence[DeliveryRecord]:
        """Return what to send to a destination now, in the order in which it was queued."""
        ...

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
        """Write down how an attempt ended and count it; durable when this returns."""
        ...

    def note_tried(self, delivery_ids: Collection[int], at: datetime) -> None:
        """Write down that these may be at the destination from now on; durable."""
        ...

    def note_not_sent(self, delivery_ids: Collection[int], tried_at: datetime) -> None:
        """Take back what was noted then: nothing of these was sent."""
        ...

    def block(self, delivery_ids: Collection[int], why: str) -> None:
        """Keep pending deliveries back until a person has looked."""
        ...

    def give_up(self, destination: str, queued_before: datetime, why: str) -> int:
        """Let what has waited since before then wait for a person; how many deliveries."""
        ...

    def abandon(self, destinations: Collection[str], why: str) -> int:
        """Let what is queued for any other destination wait for a person; how many deliveries."""
        ...

    def queue(self, destination: str) -> QueueRecord:
        """Return how the queue of one destination stands."""
        ...

    def note_failure(self, destination: str, why: str, until: datetime, at: datetime) -> None:
        """Count a round that failed: nothing goes to the destination before ``until``."""
        ...

    def note_success(self, destination: str) -> None:
        """Forget a destination's failures: it answers."""
        ...


@dataclass(frozen=True, slots=True)
class RoundOutcome:
    """How many deliveries of a round were sent, will be tried again, and wait for a person.

    ``fails``: the destination did not answer, and is left alone for a while.
    """

    sent: int = 0
    retrying: int = 0
    blocked: int = 0
    failed: int = 0
    fails: bool = False


@dataclass(frozen=True, slots=True)
class Outbox:
    """Delivers what the ledger has due.

    ``open_instance`` returns a reader over the file of a key in the instance store, or raises
    StorageError. ``ports`` has the destinations by their names. Several threads may run rounds,
    each of a destination of its own.
    """

    ledger: Ledger
    open_instance: Callable[[str], BinaryIO]
    ports: Mapping[str, Port]
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def run_round(self, destination: str) -> RoundOutcome:
        """Deliver what is due to one destination, study by study, as much as a round takes.

        What is due is asked for again before each study: another thread or process may have
        withdrawn something, or paused the queue. Errors of the ledger are raised: without a record
        nothing more is sent.
        """
        tally = _Tally()
        port = self.ports[destination]
        try:
            while tally.count < IN_ONE_ROUND and (due := self._next_study(destination)):
                self._deliver(port, due, tally)
            if tally.count:
                self._note_success(destination)
        except TransientDeliveryError as error:
            if tally.sent:
                self._note_success(destination)
            tally.fails = True
            self._leave_alone(destination, error)
        return RoundOutcome(tally.sent, tally.retrying, tally.blocked, tally.failed, tally.fails)

    def refuse_unknown(self) -> int:
        """Let what is queued for destinations that are no more wait for a person; how much."""
        return self.ledger.abandon(
            self.ports.keys(),
            "no destination is called so any more; add it to the settings, then resend",
        )

    def _next_study(self, destination: str) -> tuple[DeliveryRecord, ...]:
        """What is due next, as far as it is of one study."""
        due = self.ledger.due(destination, self.clock(), limit=AT_ONCE)
        return tuple(takewhile(lambda d: d.study_uid == due[0].study_uid, due))

    def _deliver(self, port: Port, due: Sequence[DeliveryRecord], tally: _Tally) -> None:
        """Deliver results of one study. TransientDeliveryError if the destination fails."""
        whole: list[tuple[DeliveryRecord, ResultHeader]] = []
        for delivery in due:
            try:
                header = header_of(self.open_instance, delivery.result)
                check_bytes(self.open_instance, delivery.result, header)
            except PermanentDeliveryError as error:
                self._record_failure(delivery, None, error, tally)
            else:
                whole.append((delivery, header))
        if port.archive is not None and whole:
            whole = self._of_that_patient(port.archive, whole, tally)
        if whole:
            self._send(port.sender, [delivery for delivery, _ in whole], tally)

    def _of_that_patient(
        self,
        archive: DestinationArchive,
        whole: Sequence[tuple[DeliveryRecord, ResultHeader]],
        tally: _Tally,
    ) -> list[tuple[DeliveryRecord, ResultHeader]]:
        """Block what must not go there; what may. TransientDeliveryError if it cannot be asked.

        A question about this study that is not answered says nothing of other studies.
        """
        try:
            there = archive.study(whole[0][0].study_uid)
        except (PermanentDeliveryError, RefusedForNowError) as error:
            for delivery, _ in whole:
                self._record_failure(delivery, None, error, tally)
            return []
        fitting = []
        for delivery, header in whole:
            fault = identity_fault(header, there)
            if fault is None:
                fitting.append((delivery, header))
            else:
                self._block(delivery, fault, tally)
        return fitting

    def _send(self, sender: Sender, due: Sequence[DeliveryRecord], tally: _Tally) -> None:
        """Send over one association. TransientDeliveryError if the link fails.

        That they may be there is on record before anything is sent: whatever cuts us off, they
        can be taken back.
        """
        tried_at = self.clock()
        self.ledger.note_tried([delivery.delivery_id for delivery in due], tried_at)
        without_record = {delivery.result.sop_instance_uid: delivery for delivery in due}
        outgoing = [
            Outgoing(uid, partial(self.open_instance, delivery.result.key))
            for uid, delivery in without_record.items()
        ]
        try:
            # Closed at once, so that a ledger's error does not leave the association open.
            with closing(sender.send(outgoing)) as receipts:
                for receipt in receipts:
                    self._record(without_record.pop(receipt.sop_instance_uid), receipt, tally)
        except PermanentDeliveryError as error:
            for delivery in without_record.values():
                self._record_failure(delivery, None, error, tally)
            return
        except InterruptedDeliveryError as error:
            if (broke_on := without_record.pop(error.sop_instance_uid, None)) is not None:
                self._record_failure(broke_on, None, error, tally)
            self._never_sent(without_record.values(), tried_at)
            raise
        except TransientDeliveryError:
            self._never_sent(without_record.values(), tried_at)
            raise
        if without_record:
            raise TransientDeliveryError("the sender told no outcome")

    def _never_sent(self, deliveries: Iterable[DeliveryRecord], tried_at: datetime) -> None:
        self.ledger.note_not_sent([delivery.delivery_id for delivery in deliveries], tried_at)

    def _record(self, delivery: DeliveryRecord, receipt: Receipt, tally: _Tally) -> None:
        if receipt.error is not None:
            self._record_failure(delivery, receipt.status, receipt.error, tally)
            return
        self.ledger.mark(
            delivery.delivery_id,
            DeliveryState.SENT,
            self.clock(),
            last_status=receipt.status,
            last_error=receipt.note,
        )
        tally.sent += 1
        _log.info("delivery sent", **_names(delivery), note=receipt.note)

    def _record_failure(
        self, delivery: DeliveryRecord, status: int | None, error: DeliveryError, tally: _Tally
    ) -> None:
        """One result failed, which says nothing of the others."""
        now = self.clock()
        attempts = delivery.attempts + 1
        # What the link broke on waits longer than its destination does: if it is the reason, it
        # must not stand before all others each time.
        waits = attempts + isinstance(error, InterruptedDeliveryError)
        again = next_attempt(error, waits, now, self.policy)
        self.ledger.mark(
            delivery.delivery_id,
            DeliveryState.PENDING if again else DeliveryState.FAILED,
            now,
            next_attempt_at=again,
            last_status=status,
            last_error=str(error),
        )
        if again is None:
            tally.failed += 1
        else:
            tally.retrying += 1
        _log.warning(
            "delivery failed",
            **_names(delivery),
            attempts=attempts,
            next_attempt_at=again.isoformat() if again else None,
            cause=str(error),
        )

    def _block(self, delivery: DeliveryRecord, why: str, tally: _Tally) -> None:
        self.ledger.block([delivery.delivery_id], why)
        tally.blocked += 1
        _log.error("delivery blocked", **_names(delivery), cause=why)

    def _note_success(self, destination: str) -> None:
        if self.ledger.queue(destination).failures:
            self.ledger.note_success(destination)
            _log.info("destination answers again", destination=destination)

    def _leave_alone(self, destination: str, error: DeliveryError) -> None:
        """Let the whole destination wait; what has waited for too long waits for a person."""
        now = self.clock()
        queue = self.ledger.queue(destination)
        until = now + timedelta(seconds=self.policy.delay_s(queue.failures + 1))
        self.ledger.note_failure(destination, str(error), until, now)
        _log.warning(
            "destination fails",
            destination=destination,
            rounds=queue.failures + 1,
            next_attempt_at=until.isoformat(),
            cause=str(error),
        )
        too_long_ago = now - timedelta(seconds=self.policy.give_up_s)
        if queue.failing_since is not None and queue.failing_since <= too_long_ago:
            given_up = self.ledger.give_up(
                destination, too_long_ago, f"given up after {_hours(self.policy)} h: {error}"
            )
            _log.error("deliveries given up", destination=destination, deliveries=given_up)


@dataclass(slots=True)
class _Tally:
    sent: int = 0
    retrying: int = 0
    blocked: int = 0
    failed: int = 0
    fails: bool = False

    @property
    def count(self) -> int:
        return self.sent + self.retrying + self.blocked + self.failed


def _names(delivery: DeliveryRecord) -> dict[str, str]:
    return {
        "destination": delivery.destination,
        "sop_instance_uid": delivery.result.sop_instance_uid,
    }


def _hours(policy: RetryPolicy) -> str:
    return f"{policy.give_up_s / 3600:g}"
