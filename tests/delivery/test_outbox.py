"""Delivery rounds: every outcome recorded, nothing lost, nothing sent after it was recorded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mome_node.catalog.records import DeliveryRecord, DeliveryState, ResultRow
from mome_node.delivery.destination import Destination, Receipt
from mome_node.delivery.dimse import DimseSender
from mome_node.delivery.doubles import MemoryLedger, MemorySender
from mome_node.delivery.outbox import Outbox, RoundOutcome
from mome_node.delivery.retry import RetryPolicy
from mome_node.errors import (
    CatalogError,
    PermanentDeliveryError,
    StorageError,
    TransientDeliveryError,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def box(ledger, clock=None, policy=None, **senders) -> Outbox:
    return Outbox(ledger, no_file, senders, policy or RetryPolicy(), clock or Clock())


def no_file(key: str) -> BinaryIO:
    raise StorageError(f"{key} is not in the store")


def delivery(delivery_id: int, destination: str, uid: str) -> DeliveryRecord:
    return DeliveryRecord(
        delivery_id=delivery_id,
        study_uid="1.9",
        revision=1,
        result=ResultRow(uid, "1.2.840.10008.5.1.4.1.1.7", "summary", f"key-{uid}", "0" * 64, NOW),
        destination=destination,
        state=DeliveryState.PENDING,
        attempts=0,
        next_attempt_at=NOW,
        last_status=None,
        last_error="",
        sent_at=None,
    )


def ledger_of(*pairs: tuple[str, str], kind: type[MemoryLedger] = MemoryLedger) -> MemoryLedger:
    """Deliveries of (destination, UID), numbered from 1."""
    ledger = kind()
    for number, (destination, uid) in enumerate(pairs, start=1):
        ledger.add(delivery(number, destination, uid))
    return ledger


def test_results_are_sent_and_recorded():
    ledger, pacs = ledger_of(("pacs", "1.1"), ("pacs", "1.2")), MemorySender()
    assert box(ledger, pacs=pacs).run_round() == RoundOutcome(sent=2)
    assert pacs.received == ["1.1", "1.2"]
    assert [d.state for d in ledger.deliveries.values()] == [DeliveryState.SENT] * 2


def test_what_is_recorded_as_sent_is_never_sent_again():
    ledger, pacs = ledger_of(("pacs", "1.1")), MemorySender()
    outbox = box(ledger, pacs=pacs)
    outbox.run_round()
    assert outbox.run_round() == RoundOutcome()
    assert pacs.received == ["1.1"]


def test_crash_between_send_and_record_sends_the_same_instance_again():
    class Crashing(MemoryLedger):
        crashed = False

        def mark_delivery(self, delivery_id, state, at, **rest):
            if delivery_id == 2 and not self.crashed:
                self.crashed = True
                raise CatalogError("database is gone")
            super().mark_delivery(delivery_id, state, at, **rest)

    ledger = ledger_of(("pacs", "1.1"), ("pacs", "1.2"), ("pacs", "1.3"), kind=Crashing)
    pacs = MemorySender()
    outbox = box(ledger, pacs=pacs)
    with pytest.raises(CatalogError):
        outbox.run_round()
    assert pacs.received == ["1.1", "1.2"]
    assert outbox.run_round() == RoundOutcome(sent=2)
    assert pacs.received == ["1.1", "1.2", "1.2", "1.3"]


def test_broken_link_retries_only_what_has_no_receipt():
    ledger, clock = ledger_of(("pacs", "1.1"), ("pacs", "1.2"), ("pacs", "1.3")), Clock()
    pacs = MemorySender(link_error=TransientDeliveryError("cable"), link_after=1)
    outbox = box(ledger, clock, pacs=pacs)
    assert outbox.run_round() == RoundOutcome(sent=1, retrying=2)
    assert outbox.run_round() == RoundOutcome()
    pacs.link_error = None
    clock.advance(10)
    assert outbox.run_round() == RoundOutcome(sent=2)
    assert pacs.received == ["1.1", "1.2", "1.3"]


def test_permanent_refusal_waits_for_a_person_and_says_why():
    ledger, clock = ledger_of(("pacs", "1.1")), Clock()
    pacs = MemorySender(refusals={"1.1": PermanentDeliveryError("class refused")})
    outbox = box(ledger, clock, pacs=pacs)
    assert outbox.run_round() == RoundOutcome(waiting=1)
    clock.advance(10**6)
    assert outbox.run_round() == RoundOutcome()
    assert ledger.deliveries[1].state is DeliveryState.FAILED
    assert ledger.deliveries[1].last_error == "class refused"


def test_attempts_end_with_a_person():
    ledger, clock = ledger_of(("pacs", "1.1")), Clock()
    pacs = MemorySender(link_error=TransientDeliveryError("away"))
    outbox = box(ledger, clock, policy=RetryPolicy(attempts=3), pacs=pacs)
    outcomes = []
    for _ in range(4):
        outcomes.append(outbox.run_round())
        clock.advance(10_000)
    assert outcomes == [
        RoundOutcome(retrying=1),
        RoundOutcome(retrying=1),
        RoundOutcome(waiting=1),
        RoundOutcome(),
    ]
    assert ledger.deliveries[1].attempts == 3


def test_one_destination_down_does_not_stop_the_other():
    ledger = ledger_of(("down", "1.1"), ("up", "1.1"))
    down, up = MemorySender(link_error=TransientDeliveryError("away")), MemorySender()
    assert box(ledger, down=down, up=up).run_round() == RoundOutcome(sent=1, retrying=1)
    assert up.received == ["1.1"]


def test_destination_that_is_no_longer_configured_waits_for_a_person():
    ledger = ledger_of(("old", "1.1"))
    assert box(ledger).run_round() == RoundOutcome(waiting=1)
    assert "old" in ledger.deliveries[1].last_error


def test_result_missing_from_the_store_waits_for_a_person():
    ledger = ledger_of(("pacs", "1.1"))
    sender = DimseSender(Destination("pacs", "PACS", "127.0.0.1", 104, "MOME"))
    assert box(ledger, pacs=sender).run_round() == RoundOutcome(waiting=1)
    assert "StorageError" in ledger.deliveries[1].last_error


def test_warning_of_the_peer_is_kept_with_the_delivery():
    class Warns(MemorySender):
        def send(self, objects):
            for item in objects:
                yield Receipt(item.sop_instance_uid, 0xB006, note="0xB006, elements discarded")

    ledger = ledger_of(("pacs", "1.1"))
    assert box(ledger, pacs=Warns()).run_round() == RoundOutcome(sent=1)
    assert ledger.deliveries[1].last_status == 0xB006
    assert ledger.deliveries[1].last_error == "0xB006, elements discarded"


def test_sender_that_tells_no_outcome_is_not_believed():
    class Forgetful(MemorySender):
        def send(self, objects):
            yield from super().send(objects[:1])

    ledger = ledger_of(("pacs", "1.1"), ("pacs", "1.2"))
    assert box(ledger, pacs=Forgetful()).run_round() == RoundOutcome(sent=1, retrying=1)


@settings(max_examples=50, deadline=None)
@given(
    links=st.lists(st.integers(0, 6), max_size=8),
    uids=st.lists(st.integers(1, 9).map("1.{}".format), min_size=1, max_size=6, unique=True),
)
def test_every_result_arrives_exactly_once_whatever_the_link_does(links, uids):
    ledger, clock, pacs = ledger_of(*(("pacs", uid) for uid in uids)), Clock(), MemorySender()
    outbox = box(ledger, clock, pacs=pacs)
    for link_after in links:
        pacs.link_error, pacs.link_after = TransientDeliveryError("cable"), link_after
        outbox.run_round()
        clock.advance(3600)
    pacs.link_error = None
    outbox.run_round()
    assert sorted(pacs.received) == sorted(uids)
