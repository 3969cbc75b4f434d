"""In-memory doubles of the outbox's ports, for tests of whatever delivers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from mome_node.catalog.records import DeliveryRecord, DeliveryState, QueueRecord
from mome_node.delivery.destination import Outgoing, Receipt
from mome_node.delivery.ports import CommitmentAnswer, StudyThere
from mome_node.dicom.commitment import FailureReason, ReferencedInstance
from mome_node.errors import CatalogError, DeliveryError


@dataclass(slots=True)
class MemoryLedger:
    """The Ledger of an outbox, without a database."""

    deliveries: dict[int, DeliveryRecord] = field(default_factory=dict)
    queues: dict[str, QueueRecord] = field(default_factory=dict)
    tried: dict[int, datetime] = field(default_factory=dict)

    def add(self, delivery: DeliveryRecord) -> None:
        """Enter a delivery."""
        self.deliveries[delivery.delivery_id] = delivery

    def due(self, destination: str, now: datetime, *, limit: int = 20) -> Sequence[DeliveryRecord]:
        """See Ledger."""
        queue = self.queue(destination)
        if queue.paused_at or (queue.next_attempt_at and queue.next_attempt_at > now):
            return ()
        due = [
            delivery
            for _, delivery in sorted(self.deliveries.items())
            if delivery.state is DeliveryState.PENDING
            and delivery.destination == destination
            and (delivery.next_attempt_at is None or delivery.next_attempt_at <= now)
        ]
        return tuple(due[:limit])

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
        """See Ledger."""
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

    def note_tried(self, delivery_ids: Collection[int], at: datetime) -> None:
        """See Ledger."""
        self.tried = dict.fromkeys(delivery_ids, at) | self.tried

    def note_not_sent(self, delivery_ids: Collection[int], tried_at: datetime) -> None:
        """See Ledger."""
        for number in delivery_ids:
            if self.tried.get(number) == tried_at:
                del self.tried[number]

    def block(self, delivery_ids: Collection[int], why: str) -> None:
        """See Ledger."""
        self._end(lambda d: d.delivery_id in delivery_ids, DeliveryState.BLOCKED, why)

    def give_up(self, destination: str, queued_before: datetime, why: str) -> int:
        """See Ledger."""

        def is_old(delivery: DeliveryRecord) -> bool:
            old = delivery.queued_at is not None and delivery.queued_at <= queued_before
            return old and delivery.destination == destination

        return self._end(is_old, DeliveryState.FAILED, why)

    def abandon(self, destinations: Collection[str], why: str) -> int:
        """See Ledger."""
        return self._end(lambda d: d.destination not in destinations, DeliveryState.FAILED, why)

    def queue(self, destination: str) -> QueueRecord:
        """See Ledger."""
        return self.queues.get(destination, QueueRecord(destination))

    def note_failure(self, destination: str, why: str, until: datetime, at: datetime) -> None:
        """See Ledger."""
        queue = self.queue(destination)
        self.queues[destination] = replace(
            queue,
            failures=queue.failures + 1,
            failing_since=queue.failing_since or at,
            next_attempt_at=until,
            last_error=why,
        )

    def note_success(self, destination: str) -> None:
        """See Ledger."""
        self.queues.pop(destination, None)

    def _end(self, which: Callable[[DeliveryRecord], bool], state: DeliveryState, why: str) -> int:
        ended = [
            d for d in self.deliveries.values() if d.state is DeliveryState.PENDING and which(d)
        ]
        for delivery in ended:
            self.add(replace(delivery, state=state, next_attempt_at=None, last_error=why))
        return len(ended)


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


@dataclass(slots=True)
class MemoryArchive:
    """A DestinationArchive that knows ``studies`` and lists ``kept``, whatever the series.

    ``error`` is raised instead of an answer.
    """

    studies: dict[str, StudyThere] = field(default_factory=dict)
    kept: Collection[str] = ()
    error: DeliveryError | None = None
    asked: list[str] = field(default_factory=list)

    def study(self, study_uid: str) -> StudyThere | None:
        """See DestinationArchive."""
        self._answer(study_uid)
        return self.studies.get(study_uid)

    def instances(self, study_uid: str, series_uid: str) -> frozenset[str]:
        """See DestinationArchive."""
        self._answer(f"{study_uid} {series_uid}")
        return frozenset(self.kept)

    def _answer(self, about: str) -> None:
        self.asked.append(about)
        if self.error is not None:
            raise self.error


@dataclass(slots=True)
class MemoryCommitment:
    """A CommitmentScu whose peer commits to ``kept``.

    It answers at once, or keeps the requests in ``open`` for ``report`` where it ``is_late``.
    ``error`` is raised instead.
    """

    kept: Collection[str] = ()
    is_late: bool = False
    error: DeliveryError | None = None
    open: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def ask(
        self, transaction_uid: str, named: Sequence[ReferencedInstance]
    ) -> CommitmentAnswer | None:
        """See CommitmentScu."""
        if self.error is not None:
            raise self.error
        self.open[transaction_uid] = tuple(i.sop_instance_uid for i in named)
        return None if self.is_late else self.report(transaction_uid)

    def report(self, transaction_uid: str) -> CommitmentAnswer:
        """What the peer says of a transaction."""
        named = self.open.pop(transaction_uid)
        missing = [uid for uid in named if uid not in self.kept]
        return CommitmentAnswer(
            frozenset(named) - frozenset(missing),
            dict.fromkeys(missing, int(FailureReason.NO_SUCH_INSTANCE)),
        )
