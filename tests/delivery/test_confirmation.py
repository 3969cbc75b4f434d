"""What a peer accepted is asked about, as well as it can be; the state says which way it was."""

from __future__ import annotations

import pytest

from mome_node.catalog.records import DeliveryState
from mome_node.delivery.confirmation import ConfirmationPolicy, Confirmations
from mome_node.delivery.confirmed import confirmation_words, delivered_words, refused_words
from mome_node.delivery.doubles import MemoryArchive, MemoryCommitment, MemorySender
from mome_node.delivery.outbox import Outbox
from mome_node.delivery.ports import Port
from mome_node.delivery.watch import DeliveryWatch
from mome_node.errors import (
    PermanentDeliveryError,
    RefusedForNowError,
    TransientDeliveryError,
)
from tests.delivery.outboxes import HERE, Clock, MemoryStore, opened, queue_results

STUDY = "1.9"
D = DeliveryState


class Node:
    """A node with two results for one destination, opened anew after each crash."""

    def __init__(self, folder, archive=None, commitment=None):
        self.folder, self.store, self.clock = folder, MemoryStore(), Clock()
        self.sender = MemorySender()
        self.archive, self.commitment = archive, commitment
        if archive is not None:
            archive.studies[STUDY], archive.kept = HERE, self.sender.received
        if commitment is not None:
            commitment.kept = self.sender.received
        self.catalog = opened(folder)
        queue_results(self.catalog, STUDY, [self.store.keep(uid) for uid in ("1.1", "1.2")])
        self.begin()

    def begin(self):
        ledger = self.catalog.deliveries
        ports = {"pacs": Port(self.sender, self.archive, self.commitment)}
        self.outbox = Outbox(ledger, self.store.open, ports, clock=self.clock)
        self.confirmations = Confirmations(ledger, self.store.open, ports, clock=self.clock)

    def restart(self):
        self.catalog.close()
        self.catalog = opened(self.folder)
        self.begin()

    def turn(self, seconds=0.0):
        self.clock.advance(seconds)
        self.outbox.run_round("pacs")
        self.confirmations.run_round("pacs")

    def report(self):
        (uid,) = self.commitment.open
        answer = self.commitment.report(uid)
        return self.catalog.deliveries.answer(uid, "pacs", answer, self.clock.now)

    @property
    def deliveries(self):
        return self.catalog.deliveries.of_study(STUDY)

    @property
    def states(self):
        return [d.state for d in self.deliveries]

    @property
    def errors(self):
        return {d.last_error for d in self.deliveries}


@pytest.fixture
def node(tmp_path):
    made = []

    def make(**parts):
        made.append(Node(tmp_path, **parts))
        return made[-1]

    yield make
    for one in made:
        one.catalog.close()


def test_peer_that_commits_at_once_has_them_by_storage_commitment(node):
    one = node(commitment=MemoryCommitment(), archive=MemoryArchive())
    one.turn()
    assert one.states == [D.COMMITTED] * 2
    transaction = one.deliveries[0].transaction_uid
    assert confirmation_words(one.deliveries[0]) == f"by storage commitment {transaction}"
    assert delivered_words(one.deliveries) == "all destinations have it: pacs by storage commitment"


def test_report_may_come_later_even_after_a_restart(node):
    one = node(commitment=MemoryCommitment(is_late=True))
    one.turn()
    one.restart()
    one.turn(60)
    assert one.states == [D.SENT] * 2
    assert len(one.commitment.open) == 1
    assert one.report()
    assert one.states == [D.COMMITTED] * 2


def test_what_the_peer_has_lost_is_sent_again_and_then_committed(node):
    one = node(commitment=MemoryCommitment(is_late=True))
    one.turn()
    one.sender.received.remove("1.2")
    assert one.report()
    assert one.states == [D.COMMITTED, D.PENDING]
    one.turn(5)
    assert one.report()
    assert one.states == [D.COMMITTED] * 2
    assert one.sender.received == ["1.1", "1.2"]


def test_peer_that_never_reports_is_asked_four_times_and_then_looked_into(node):
    one = node(commitment=MemoryCommitment(is_late=True), archive=MemoryArchive())
    for _ in range(4):
        one.turn()
        assert one.states == [D.SENT] * 2
        one.clock.advance(120)
    assert len(one.commitment.open) == 4
    one.turn()
    assert len(one.commitment.open) == 4
    assert one.states == [D.FOUND] * 2
    assert delivered_words(one.deliveries) == "all destinations have it: pacs listed there"


def test_peer_that_never_reports_and_cannot_be_looked_into_has_accepted_them(node):
    one = node(commitment=MemoryCommitment(is_late=True))
    for _ in range(5):
        one.turn(120)
    assert one.states == [D.ACCEPTED] * 2
    assert one.errors == {"no report on storage commitment"}


@pytest.mark.parametrize(("archive", "state"), [(True, D.FOUND), (False, D.ACCEPTED)])
def test_peer_that_takes_no_requests_is_looked_into_if_that_can_be(node, archive, state):
    refusing = MemoryCommitment(error=PermanentDeliveryError("it takes no such requests"))
    one = node(commitment=refusing, archive=MemoryArchive() if archive else None)
    one.turn()
    assert one.states == [state] * 2
    assert one.errors == ({""} if archive else {"it takes no such requests"})


def test_peer_that_cannot_be_reached_is_asked_later_and_no_try_counts(node):
    one = node(commitment=MemoryCommitment(error=TransientDeliveryError("away")))
    for _ in range(8):
        one.turn(900)
        assert one.states == [D.SENT] * 2
    assert one.errors == {"away"}
    one.commitment.error = None
    one.turn(1)
    assert one.states == [D.SENT] * 2
    one.turn(900)
    assert one.states == [D.COMMITTED] * 2


def test_peer_that_refuses_every_request_is_looked_into_after_a_few(node):
    refusing = MemoryCommitment(error=RefusedForNowError("processing failure"))
    one = node(commitment=refusing, archive=MemoryArchive())
    for _ in range(5):
        one.turn(900)
    assert one.states == [D.FOUND] * 2


def test_peer_that_cannot_be_asked_at_all_has_accepted_them(node):
    one = node()
    one.turn()
    assert one.states == [D.ACCEPTED] * 2
    words = "all destinations have it: pacs accepted, no more is known"
    assert delivered_words(one.deliveries) == words


def test_list_may_take_a_while_before_a_result_counts_as_lost(node):
    one = node(archive=MemoryArchive())
    one.archive.kept = ()
    for _ in range(11):
        one.turn(5)
        assert one.states == [D.SENT] * 2
    assert one.errors == {"the destination does not list it yet"}
    one.turn(5)
    assert one.states == [D.SENT] * 2
    one.archive.kept = one.sender.received
    one.turn(5)
    assert one.states == [D.FOUND] * 2
    assert one.sender.received == ["1.1", "1.2"]


def test_what_is_not_listed_after_that_goes_out_again_and_in_the_end_to_a_person(node):
    one = node(archive=MemoryArchive())
    one.archive.kept = {"1.1"}
    turns = 0
    while D.FAILED not in one.states:
        one.turn(60)
        turns += 1
        assert turns < 120
    assert one.states == [D.FOUND, D.FAILED]
    assert one.sender.received == ["1.1", *["1.2"] * 6]
    assert refused_words(one.deliveries) == "pacs, failed: the destination does not list it"


def test_archive_that_is_away_is_asked_later_and_after_three_days_no_more(node):
    one = node(archive=MemoryArchive())
    one.outbox.run_round("pacs")
    one.archive.error = TransientDeliveryError("away")
    asked = len(one.archive.asked)
    for _ in range(71):
        one.confirmations.run_round("pacs")
        one.clock.advance(3600)
    assert one.states == [D.SENT] * 2
    assert len(one.archive.asked) == asked + 71
    one.clock.advance(3600)
    one.confirmations.run_round("pacs")
    assert one.states == [D.ACCEPTED] * 2
    assert one.errors == {"away"}


def test_archive_that_refuses_the_question_leaves_them_accepted(node):
    one = node(archive=MemoryArchive())
    one.outbox.run_round("pacs")
    one.archive.error = PermanentDeliveryError("the archive refuses us")
    one.confirmations.run_round("pacs")
    assert (one.states, one.errors) == ([D.ACCEPTED] * 2, {"the archive refuses us"})


def test_one_question_a_series_is_enough(node):
    one = node(archive=MemoryArchive())
    one.turn()
    assert one.archive.asked == [STUDY, f"{STUDY} {STUDY}.7"]


def test_result_whose_file_was_lost_after_it_was_sent_is_accepted_only(node):
    one = node(archive=MemoryArchive())
    one.outbox.run_round("pacs")
    del one.store.files[one.deliveries[0].result.key]
    one.confirmations.run_round("pacs")
    assert one.states == [D.ACCEPTED, D.FOUND]


def test_many_are_asked_about_in_several_requests(node):
    one = node(commitment=MemoryCommitment(is_late=True))
    one.confirmations = Confirmations(
        one.catalog.deliveries,
        one.store.open,
        one.outbox.ports,
        ConfirmationPolicy(at_once=1),
        one.clock,
    )
    one.turn()
    one.turn()
    one.turn()
    assert list(one.commitment.open.values()) == [("1.1",), ("1.2",)]


def test_results_of_different_fate_are_told_by_their_weakest(node):
    one = node()
    queue_results(one.catalog, "1.8", [one.store.keep("1.3", "1.8")], ["pacs", "old", "later"])
    ledger = one.catalog.deliveries
    pacs, old, later = (d.delivery_id for d in ledger.of_study("1.8"))
    for number in (pacs, old):
        ledger.mark(number, D.SENT, one.clock.now)
    ledger.confirm([pacs], D.FOUND)
    ledger.confirm([old], D.ACCEPTED)
    assert delivered_words(ledger.of_study("1.8")[:2]) == (
        "all destinations have it: pacs listed there, old accepted, no more is known"
    )
    ledger.block([later], "gone")
    assert refused_words(ledger.of_study("1.8")) == "later, blocked: gone"
    assert delivered_words(()) == "kept here: no destination was set"


def test_person_is_told_of_a_failing_destination_after_an_hour_and_of_what_waits_at_once(node):
    one = node(archive=MemoryArchive())
    watch = DeliveryWatch(one.catalog.deliveries, one.clock)
    one.sender.link_error = TransientDeliveryError("no connection")
    one.turn()
    assert watch.fault() is None
    one.turn(3600)
    assert watch.fault() == "pacs fails since 2026-01-01 00:00 UTC: no connection"
    one.archive.studies.clear()
    one.turn(3600)
    assert watch.fault() == "2 deliveries to pacs blocked"
    one.archive.studies[STUDY] = HERE
    one.sender.link_error = None
    one.catalog.deliveries.resend_waiting("by hand", one.clock.now)
    one.turn(900)
    assert watch.fault() is None


def test_person_is_told_of_results_that_cannot_be_taken_back(node):
    one = node()
    since = one.clock.now
    watch = DeliveryWatch(one.catalog.deliveries, one.clock, lambda: since)
    assert watch.fault() is None
    one.clock.advance(600)
    assert "no rejection note could be made" in (watch.fault() or "")
