"""The catalogue keeps the outbox's promises as the in-memory ledger does, over restarts too."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mome_node.catalog.records import DeliveryState, QueueRecord
from mome_node.catalog.states import StudyState
from mome_node.delivery.doubles import MemoryLedger, MemorySender
from mome_node.delivery.outbox import IN_ONE_ROUND, Outbox, RoundOutcome
from mome_node.delivery.ports import Port
from mome_node.errors import TransientDeliveryError
from tests.delivery.outboxes import NOW, Clock, MemoryStore, opened, queue_results, queue_studies

STUDY = "1.9"


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def catalog(tmp_path, store):
    catalog = opened(tmp_path)
    queue_results(catalog, STUDY, [store.keep("1.1"), store.keep("1.2")])
    yield catalog
    catalog.close()


def box(catalog, store, pacs, clock=None):
    ports = {"pacs": Port(pacs)}
    return Outbox(catalog.deliveries, store.open, ports, clock=clock or Clock())


def states(catalog):
    return [delivery.state for delivery in catalog.deliveries.of_study(STUDY)]


def test_outcome_of_each_instance_outlives_a_restart(catalog, store, tmp_path):
    pacs = MemorySender(link_error=TransientDeliveryError("cable"), link_after=1)
    assert box(catalog, store, pacs).run_round("pacs") == RoundOutcome(sent=1, fails=True)
    catalog.close()
    pacs.link_error = None
    restarted, clock = opened(tmp_path), Clock()
    assert box(restarted, store, pacs, clock).run_round("pacs") == RoundOutcome()
    clock.advance(10)
    assert box(restarted, store, pacs, clock).run_round("pacs") == RoundOutcome(sent=1)
    assert states(restarted) == [DeliveryState.SENT] * 2
    assert pacs.received == ["1.1", "1.2"]
    restarted.close()


def test_study_whose_results_are_sent_again_delivers_again(catalog, store):
    pacs = MemorySender()
    box(catalog, store, pacs).run_round("pacs")
    assert catalog.deliveries.resend(STUDY, "asked for", NOW) == 2
    assert box(catalog, store, pacs).run_round("pacs") == RoundOutcome(sent=2)


def test_result_that_is_withdrawn_while_its_study_is_sent_stays_withdrawn_unless_it_was_sent(
    catalog, store
):
    first, second = catalog.deliveries.of_study(STUDY)
    with catalog._database.write() as session:
        from mome_node.catalog import results

        results.supersede(session, STUDY, 2, "by hand", NOW)
    catalog.deliveries.mark(first.delivery_id, DeliveryState.SENT, NOW)
    catalog.deliveries.mark(second.delivery_id, DeliveryState.FAILED, NOW)
    assert states(catalog) == [DeliveryState.SENT, DeliveryState.WITHDRAWN]


def test_pause_of_one_destination_ends_a_round_between_two_studies(catalog, store):
    queue_results(catalog, "1.8", [store.keep("1.3", "1.8")])

    class Pausing(MemorySender):
        def send(self, objects):
            catalog.deliveries.pause("pacs", "by hand", NOW)
            yield from super().send(objects)

    pacs = Pausing()
    assert box(catalog, store, pacs).run_round("pacs") == RoundOutcome(sent=2)
    catalog.deliveries.resume("pacs")
    assert box(catalog, store, pacs).run_round("pacs") == RoundOutcome(sent=1)


@pytest.mark.parametrize("make", [MemoryLedger, None])
def test_both_ledgers_say_the_same_of_a_queue(catalog, make):
    ledger = make() if make else catalog.deliveries
    assert ledger.queue("pacs") == QueueRecord("pacs")
    for n in (1, 2):
        ledger.note_failure("pacs", f"away {n}", NOW + timedelta(seconds=n), NOW)
    assert ledger.queue("pacs") == QueueRecord(
        "pacs",
        failures=2,
        failing_since=NOW,
        next_attempt_at=NOW + timedelta(seconds=2),
        last_error="away 2",
    )
    ledger.note_success("pacs")
    assert ledger.queue("pacs") == QueueRecord("pacs")


def test_thousand_results_that_queue_for_a_day_arrive_once_in_order_a_few_at_a_time(catalog, store):
    """Memory does not grow with the queue: rows that are loaded together are counted."""
    studies = {
        study: [store.keep(f"{study}.{n}", study) for n in range(5)]
        for study in map("1.2.{}".format, range(200))
    }
    queue_studies(catalog, studies)
    uids = ["1.1", "1.2", *(row.sop_instance_uid for rows in studies.values() for row in rows)]
    clock, pacs = Clock(), MemorySender(link_error=TransientDeliveryError("down"))
    loaded: list[int] = []

    class Counting:
        def __getattr__(self, name):
            return getattr(catalog.deliveries, name)

        def due(self, *arguments, **rest):
            due = catalog.deliveries.due(*arguments, **rest)
            loaded.append(len(due))
            return due

    outbox = Outbox(Counting(), store.open, {"pacs": Port(pacs)}, clock=clock)
    tried = 0
    while clock.now < NOW + timedelta(days=1):
        tried += outbox.run_round("pacs").fails
        clock.advance(900)
    assert tried == 96
    pacs.link_error = None
    rounds = []
    clock.advance(900)
    while (outcome := outbox.run_round("pacs")).sent:
        rounds.append(outcome.sent)
    assert pacs.received == uids
    assert max(loaded) <= 20
    assert max(rounds) < IN_ONE_ROUND + 20
    assert catalog.deliveries.counts() == {("pacs", DeliveryState.SENT): len(uids)}


def test_studies_that_have_finished_are_found_without_looking_at_all_that_wait(catalog, store):
    queue_results(catalog, "1.8", [store.keep("1.3", "1.8")])
    queue_results(catalog, "1.7", [])
    assert catalog.deliveries.finished() == ("1.7",)
    for delivery in catalog.deliveries.of_study("1.8"):
        catalog.deliveries.mark(delivery.delivery_id, DeliveryState.SENT, NOW)
        assert catalog.deliveries.finished() == ("1.7",)
        catalog.deliveries.confirm([delivery.delivery_id], DeliveryState.FOUND)
    assert catalog.deliveries.finished() == ("1.7", "1.8")
    assert catalog.study("1.8").state is StudyState.DELIVERING
