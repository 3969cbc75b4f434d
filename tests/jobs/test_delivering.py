"""Delivery as the runner drives it: destinations apart, held results, what ends a study."""

from __future__ import annotations

from dataclasses import replace

from mome_node.catalog.records import DeliveryState
from mome_node.catalog.states import StudyState
from mome_node.delivery.doubles import MemoryArchive, MemoryCommitment, MemorySender
from mome_node.delivery.ports import Port, StudyThere
from mome_node.errors import TransientDeliveryError
from mome_node.jobs.site_policy import DestinationPolicy


def ports_of(bench, **ports):
    """Give the bench these destinations."""
    bench.destinations, bench.ports = tuple(ports), ports
    bench.restart()


def evaluated(bench, images):
    bench.receive(images.datasets)
    bench.fall_quiet()
    bench.runner.evaluation_turn()
    assert bench.state is StudyState.DELIVERING


def states(bench):
    deliveries = bench.catalog.deliveries.of_study(bench.study().study_uid)
    return {d.destination: d.state for d in deliveries}


def test_destination_that_is_down_holds_up_no_other(bench, images):
    down, up = MemorySender(link_error=TransientDeliveryError("away")), MemorySender()
    ports_of(bench, down=Port(down), up=Port(up))
    evaluated(bench, images)
    bench.deliver()
    assert up.received == bench.reports()
    assert bench.state is StudyState.DELIVERING
    down.link_error = None
    bench.clock.advance(10)
    bench.deliver()
    assert bench.state is StudyState.DELIVERED
    assert down.received == bench.reports()


def test_what_was_sent_is_asked_about_at_once_and_nothing_sent_hurries_nothing(bench, images):
    hurried = []
    ports_of(bench, down=Port(MemorySender(link_error=TransientDeliveryError("away"))))
    evaluated(bench, images)
    (down,) = bench.runner.destinations
    replace(down, hurry=hurried.append).sending_turn()
    assert hurried == []
    ports_of(bench, down=Port(MemorySender()))
    bench.clock.advance(10)
    (up,) = bench.runner.destinations
    turns = replace(up, hurry=hurried.append)
    turns.sending_turn()
    turns.confirmation_turn()
    turns.confirmation_turn()
    assert hurried == [turns.confirmation_turn, bench.runner.delivery_turn]


def test_study_is_delivered_only_when_its_pacs_has_confirmed_it(bench, images):
    sender = MemorySender()
    commitment = MemoryCommitment(kept=sender.received, is_late=True)
    ports_of(bench, pacs=Port(sender, None, commitment))
    evaluated(bench, images)
    bench.deliver()
    assert bench.state is StudyState.DELIVERING
    (uid,) = commitment.open
    answer = commitment.report(uid)
    assert bench.catalog.deliveries.answer(uid, "pacs", answer, bench.clock.now)
    bench.deliver()
    assert bench.state is StudyState.DELIVERED
    assert bench.study().reason == "all destinations have it: pacs by storage commitment"


def test_study_that_is_another_patients_there_fails_and_says_so_without_a_name(bench, images):
    sender = MemorySender()
    archive = MemoryArchive({images.study_uid: StudyThere("SECRET", None, None)})
    ports_of(bench, pacs=Port(sender, archive))
    evaluated(bench, images)
    bench.deliver()
    assert (bench.state, sender.received) == (StudyState.FAILED, [])
    assert bench.study().reason == (
        "not delivered: pacs, blocked: the study is another patient's there (merged, or corrected?)"
    )


def test_held_results_stay_in_the_node_and_end_the_study(bench, images):
    bench.policies = (DestinationPolicy("pacs", is_held=True),)
    bench.restart()
    evaluated(bench, images)
    bench.deliver()
    assert (bench.state, bench.sender.received) == (StudyState.DELIVERED, [])
    assert bench.study().reason == "kept in the node, held back from pacs"
    bench.catalog.deliveries.release(images.study_uid, "by hand", bench.clock.now)
    bench.deliver()
    assert bench.state is StudyState.DELIVERED
    assert bench.sender.received == bench.reports()


def test_nothing_is_sent_or_asked_while_the_node_is_paused(bench, images):
    commitment = MemoryCommitment(is_late=True)
    ports_of(bench, pacs=Port(bench.sender, None, commitment))
    evaluated(bench, images)
    bench.catalog.pause("maintenance", bench.clock.now)
    bench.deliver()
    assert bench.sender.received == []
    bench.catalog.resume()
    bench.runner.destinations[0].sending_turn()
    bench.catalog.pause("maintenance", bench.clock.now)
    bench.deliver()
    assert commitment.open == {}
    assert states(bench) == {"pacs": DeliveryState.SENT}


def test_results_for_a_destination_that_is_gone_wait_for_a_person(bench, images):
    ports_of(bench, pacs=Port(bench.sender))
    bench.destinations = ("old",)
    bench.restart()
    evaluated(bench, images)
    bench.deliver()
    assert bench.state is StudyState.FAILED
    assert "no destination is called so any more" in bench.study().reason


def test_fault_of_one_destination_is_logged_and_stops_no_turn(bench, images):
    class Broken(MemorySender):
        def send(self, objects):
            raise RuntimeError("a fault of ours")
            yield

    ports_of(bench, broken=Port(Broken()), pacs=Port(bench.sender))
    evaluated(bench, images)
    bench.deliver()
    assert states(bench) == {"broken": DeliveryState.PENDING, "pacs": DeliveryState.ACCEPTED}
