"""What a destination accepted is not taken for kept: it is asked, as well as it can be.

By storage commitment (PS3.4 annex J) where it takes requests, else by what it lists, else not at
all; the state of each delivery says which it was. Every step is in the ledger before it is taken:
a request that a crash cut off is made again after its deadline, and a report that comes while
nobody waits for it is taken by the receiver, which has the same ledger.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import BinaryIO

import structlog

from mome_node.catalog.deliveries import DeliveryLedger
from mome_node.catalog.records import DeliveryRecord, DeliveryState, UnconfirmedDelivery
from mome_node.delivery.kept_file import header_of
from mome_node.delivery.ports import CommitmentScu, DestinationArchive, Port
from mome_node.delivery.retry import RetryPolicy
from mome_node.dicom.commitment import ReferencedInstance
from mome_node.errors import (
    DeliveryError,
    PermanentDeliveryError,
    RefusedForNowError,
    TransientDeliveryError,
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ConfirmationPolicy:
    """How destinations are asked; seconds.

    ``answer_s``: how long a report on storage commitment is waited for; without one it is asked
    for ``ask_again`` times more. ``listed_within_s``: how long a destination may take to list what
    it accepted. What it cannot be asked about for ``retry.give_up_s`` counts as accepted only.
    """

    answer_s: float = 120.0
    ask_again: int = 3
    listed_within_s: float = 60.0
    at_once: int = 1000
    retry: RetryPolicy = field(default_factory=RetryPolicy)


def new_transaction_uid() -> str:
    """A Transaction UID (PS3.5 B.2): a second request is another transaction, so not derived."""
    return f"2.25.{uuid.uuid4().int}"


@dataclass(frozen=True, slots=True)
class Confirmations:
    """Asks the destinations what they keep of what they accepted.

    ``open_instance`` is the store's; ``ports`` has the destinations by their names. Several threads
    may run rounds, each of a destination of its own.
    """

    ledger: DeliveryLedger
    open_instance: Callable[[str], BinaryIO]
    ports: Mapping[str, Port]
    policy: ConfirmationPolicy = field(default_factory=ConfirmationPolicy)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    new_uid: Callable[[], str] = new_transaction_uid
    _unanswered: dict[str, int] = field(default_factory=dict, init=False)

    def run_round(self, destination: str) -> bool:
        """Ask one destination about what it accepted; whether there was anything to ask.

        Errors of the ledger are raised.
        """
        now = self.clock()
        for transaction_uid in self.ledger.expire(destination, now):
            _log.warning(
                "no report on storage commitment",
                destination=destination,
                transaction=transaction_uid,
            )
        waiting = self.ledger.unconfirmed(destination, now, limit=self.policy.at_once)
        if not waiting:
            return False
        port = self.ports[destination]
        if port.commitment is None:
            self._look(port.archive, [w.delivery for w in waiting], "")
            return True
        to_ask, to_look = _parted(waiting, now, self.policy)
        self._look(port.archive, to_look, "no report on storage commitment")
        for asked, some in groupby(sorted(to_ask, key=attrgetter("asked")), attrgetter("asked")):
            deliveries = [w.delivery for w in some]
            try:
                self._ask(port.commitment, deliveries, asked)
            except PermanentDeliveryError as error:
                self._look(port.archive, deliveries, str(error))
        return True

    def _ask(
        self, commitment: CommitmentScu, deliveries: Sequence[DeliveryRecord], asked: int
    ) -> None:
        """Ask for storage commitment; PermanentDeliveryError if no such requests are taken."""
        destination, ids = deliveries[0].destination, [d.delivery_id for d in deliveries]
        transaction_uid, now = self.new_uid(), self.clock()
        deadline = now + timedelta(seconds=self.policy.answer_s)
        self.ledger.open_confirmation(
            destination, ids, transaction_uid, deadline, now, asked=asked + 1
        )
        named = [
            ReferencedInstance(d.result.sop_class_uid, d.result.sop_instance_uid)
            for d in deliveries
        ]
        try:
            answer = commitment.ask(transaction_uid, named)
        except PermanentDeliveryError as error:
            self._close(destination, transaction_uid, error)
            raise
        except TransientDeliveryError as error:
            answered = isinstance(error, RefusedForNowError)
            self._close(destination, transaction_uid, error, counts=answered)
            self._put_off(destination, ids, error)
            return
        self._unanswered.pop(destination, None)
        _log.info(
            "storage commitment asked for",
            destination=destination,
            transaction=transaction_uid,
            instances=len(named),
        )
        if answer is not None:
            self.ledger.answer(transaction_uid, destination, answer, self.clock())

    def _close(
        self, destination: str, transaction_uid: str, error: DeliveryError, *, counts: bool = False
    ) -> None:
        """End the wait for a report; one that comes all the same is taken.

        What was refused ``counts`` as asked for: an archive that refuses every request is asked
        what it lists after a few.
        """
        self.ledger.close_confirmation(transaction_uid, str(error), self.clock(), counts=counts)
        _log.warning(
            "storage commitment not asked for",
            destination=destination,
            transaction=transaction_uid,
            cause=str(error),
        )

    def _look(
        self, archive: DestinationArchive | None, deliveries: Sequence[DeliveryRecord], why: str
    ) -> None:
        """Look whether the destination lists what it accepted; ``why`` not more is known of it."""
        if archive is None:
            self._accept(deliveries, why)
            return
        by_series: dict[tuple[str, str], list[DeliveryRecord]] = {}
        for delivery in deliveries:
            try:
                header = header_of(self.open_instance, delivery.result)
            except PermanentDeliveryError as error:
                self._accept([delivery], str(error))
            else:
                series = delivery.study_uid, header.series_uid
                by_series.setdefault(series, []).append(delivery)
        waiting = list(by_series.items())
        while waiting:
            (study_uid, series_uid), some = waiting[0]
            try:
                listed = archive.instances(study_uid, series_uid)
            except PermanentDeliveryError as error:
                self._accept(some, str(error))
            except RefusedForNowError as error:  # says nothing of other series
                self._ask_later(some, error)
            except TransientDeliveryError as error:
                self._ask_later([d for _, rest in waiting for d in rest], error)
                return
            else:
                self._unanswered.pop(some[0].destination, None)
                self._compare(some, listed)
            waiting.pop(0)

    def _compare(self, deliveries: Sequence[DeliveryRecord], listed: frozenset[str]) -> None:
        """Confirm what is listed; what is not, in the time that a list may take, goes out again."""
        now = self.clock()
        patience = timedelta(seconds=self.policy.listed_within_s)
        there, missing, early = [], [], []
        for delivery in deliveries:
            if delivery.result.sop_instance_uid in listed:
                there.append(delivery.delivery_id)
            elif delivery.sent_at is None or delivery.sent_at + patience <= now:
                missing.append(delivery.delivery_id)
            else:
                early.append(delivery.delivery_id)
        if there:
            self.ledger.confirm(there, DeliveryState.FOUND)
        if missing:
            self.ledger.send_again(missing, "the destination does not list it", now)
            _log.warning(
                "accepted and not there",
                destination=deliveries[0].destination,
                instances=len(missing),
            )
        if early:
            until = now + timedelta(seconds=self.policy.retry.first_s)
            self.ledger.put_off(early, until, "the destination does not list it yet")

    def _ask_later(self, deliveries: Sequence[DeliveryRecord], error: DeliveryError) -> None:
        """Put off what may still be asked about; what was asked about for long is accepted only."""
        too_long_ago = self.clock() - timedelta(seconds=self.policy.retry.give_up_s)
        old = [d for d in deliveries if d.sent_at is not None and d.sent_at <= too_long_ago]
        young = [d.delivery_id for d in deliveries if d not in old]
        if old:
            self._accept(old, str(error))
        if young:
            self._put_off(deliveries[0].destination, young, error)

    def _put_off(self, destination: str, ids: Sequence[int], error: DeliveryError) -> None:
        unanswered = self._unanswered.get(destination, 0) + 1
        self._unanswered[destination] = unanswered
        until = self.clock() + timedelta(seconds=self.policy.retry.delay_s(unanswered))
        self.ledger.put_off(ids, until, str(error))
        _log.warning(
            "destination not asked what it has",
            destination=destination,
            next_attempt_at=until.isoformat(),
            cause=str(error),
        )

    def _accept(self, deliveries: Sequence[DeliveryRecord], why: str) -> None:
        ids = [delivery.delivery_id for delivery in deliveries]
        self.ledger.confirm(ids, DeliveryState.ACCEPTED, why)


def _parted(
    waiting: Sequence[UnconfirmedDelivery], now: datetime, policy: ConfirmationPolicy
) -> tuple[list[UnconfirmedDelivery], list[DeliveryRecord]]:
    """Part what storage commitment is still to be asked for from what is only looked for."""
    too_long_ago = now - timedelta(seconds=policy.retry.give_up_s)
    to_ask, to_look = [], []
    for one in waiting:
        sent_at = one.delivery.sent_at
        if one.asked > policy.ask_again or (sent_at is not None and sent_at <= too_long_ago):
            to_look.append(one.delivery)
        else:
            to_ask.append(one)
    return to_ask, to_look
