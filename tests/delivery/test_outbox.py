"""Delivery rounds: every outcome recorded, nothing lost, nothing sent after it was recorded."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from mome_node.catalog.records import DeliveryRecord, DeliveryState
from mome_node.delivery.destination import Destination, Receipt
from mome_node.delivery.dimse import DimseSender
from mome_node.delivery.doubles import MemoryArchive, MemoryLedger, MemorySender
from mome_node.delivery.outbox import Outbox, RoundOutcome
from mome_node.delivery.ports import Port, StudyThere
from mome_node.delivery.retry import RetryPolicy
from mome_node.errors import (
    CatalogError,
    InterruptedDeliveryError,
    PermanentDeliveryError,
    RefusedForNowError,
    TransientDeliveryError,
)
from tests.delivery.outboxes import HERE, NOW, Clock, MemoryStore

AWAY = TransientDeliveryError("away")


class Box:
    """An outbox with all that it needs, and one sender a destination."""

    def __init__(self, *pairs, kind=MemoryLedger, policy=None, archive=None, **senders):
        self.ledger, self.store, self.clock = kind(), MemoryStore(), Clock()
        for number, pair in enumerate(pairs, start=1):
            self.ledger.add(self.delivery(number, *pair))
        ports = {name: Port(sender, archive) for name, sender in senders.items()}
        policy = policy or RetryPolicy()
        self.outbox = Outbox(self.ledger, self.store.open, ports, policy, self.clock)

    def delivery(self, number, destination, uid, study="1.9", **identity):
        return DeliveryRecord(
            delivery_id=number,
            study_uid=study,
            revision=1,
            result=self.store.keep(uid, study, **identity),
            destination=destination,
            state=DeliveryState.PENDING,
            attempts=0,
            next_attempt_at=NOW,
            last_status=None,
            last_error="",
            sent_at=None,
            queued_at=NOW,
        )

    def run(self, destination="pacs"):
        return self.outbox.run_round(destination)

    def state(self, number=1):
        return self.ledger.deliveries[number].state

    def error(self, number=1):
        return self.ledger.deliveries[number].last_error


def test_results_are_sent_and_recorded():
    pacs = MemorySender()
    box = Box(("pacs", "1.1"), ("pacs", "1.2"), pacs=pacs)
    assert box.run() == RoundOutcome(sent=2)
    assert pacs.received == ["1.1", "1.2"]
    assert [box.state(1), box.state(2)] == [DeliveryState.SENT] * 2


def test_what_is_recorded_as_sent_is_never_sent_again():
    pacs = MemorySender()
    box = Box(("pacs", "1.1"), pacs=pacs)
    box.run()
    assert box.run() == RoundOutcome()
    assert pacs.received == ["1.1"]


def test_crash_between_send_and_record_sends_the_same_instance_again():
    class Crashing(MemoryLedger):
        crashed = False

        def mark(self, delivery_id, state, at, **rest):
            if delivery_id == 2 and not self.crashed:
                self.crashed = True
                raise CatalogError("database is gone")
            super().mark(delivery_id, state, at, **rest)

    pacs = MemorySender()
    box = Box(("pacs", "1.1"), ("pacs", "1.2"), ("pacs", "1.3"), kind=Crashing, pacs=pacs)
    with pytest.raises(CatalogError):
        box.run()
    assert pacs.received == ["1.1", "1.2"]
    assert box.run() == RoundOutcome(sent=2)
    assert pacs.received == ["1.1", "1.2", "1.2", "1.3"]


def test_broken_link_leaves_the_rest_in_its_place_and_the_destination_alone_for_a_while():
    pacs = MemorySender(link_error=TransientDeliveryError("cable"), link_after=1)
    box = Box(("pacs", "1.1"), ("pacs", "1.2"), ("pacs", "1.3"), pacs=pacs)
    assert box.run() == RoundOutcome(sent=1, fails=True)
    assert [box.ledger.deliveries[n].attempts for n in (1, 2, 3)] == [1, 0, 0]
    assert box.run() == RoundOutcome()
    pacs.link_error = None
    box.clock.advance(5)
    assert box.run() == RoundOutcome(sent=2)
    assert pacs.received == ["1.1", "1.2", "1.3"]
    assert box.ledger.queue("pacs").failures == 0


def test_destination_that_fails_is_tried_less_and_less_often_until_a_person_is_needed():
    pacs = MemorySender(link_error=AWAY)
    box = Box(("pacs", "1.1"), pacs=pacs)
    waits = []
    while box.state() is DeliveryState.PENDING:
        assert box.run().fails
        queue = box.ledger.queue("pacs")
        waits.append((queue.next_attempt_at - box.clock.now).total_seconds())
        box.clock.now = queue.next_attempt_at
    assert waits[:9] == [5, 10, 20, 40, 80, 160, 320, 640, 900]
    assert timedelta(hours=72) <= box.clock.now - NOW < timedelta(hours=73)
    assert (box.state(), box.error()) == (DeliveryState.FAILED, "given up after 72 h: away")
    assert box.ledger.deliveries[1].attempts == 0


def test_result_that_was_queued_late_has_its_own_three_days():
    box = Box(("pacs", "1.1"), pacs=MemorySender(link_error=AWAY))
    box.run()
    box.clock.advance(71 * 3600)
    box.ledger.add(replace(box.delivery(2, "pacs", "1.2"), queued_at=box.clock.now))
    box.run()
    box.clock.advance(2 * 3600)
    box.run()
    assert [box.state(1), box.state(2)] == [DeliveryState.FAILED, DeliveryState.PENDING]


def test_one_instance_that_is_refused_for_now_backs_off_by_itself():
    pacs = MemorySender(refusals={"1.1": TransientDeliveryError("out of resources")})
    box = Box(("pacs", "1.1"), ("pacs", "1.2"), pacs=pacs)
    assert box.run() == RoundOutcome(sent=1, retrying=1)
    assert box.ledger.queue("pacs").failures == 0
    pacs.refusals.clear()
    box.clock.advance(5)
    assert box.run() == RoundOutcome(sent=1)


def test_attempts_of_an_instance_end_with_a_person():
    pacs = MemorySender(refusals={"1.1": TransientDeliveryError("out of resources")})
    box = Box(("pacs", "1.1"), pacs=pacs, policy=RetryPolicy(attempts=3))
    outcomes = []
    for _ in range(4):
        outcomes.append(box.run())
        box.clock.advance(10_000)
    assert outcomes == [
        RoundOutcome(retrying=1),
        RoundOutcome(retrying=1),
        RoundOutcome(failed=1),
        RoundOutcome(),
    ]


def test_permanent_refusal_waits_for_a_person_and_says_why():
    pacs = MemorySender(refusals={"1.1": PermanentDeliveryError("class refused")})
    box = Box(("pacs", "1.1"), ("pacs", "1.2"), pacs=pacs)
    assert box.run() == RoundOutcome(sent=1, failed=1)
    box.clock.advance(10**6)
    assert box.run() == RoundOutcome()
    assert (box.state(), box.error()) == (DeliveryState.FAILED, "class refused")


def test_destination_that_refuses_us_for_good_keeps_nothing_waiting_unseen():
    pacs = MemorySender(link_error=PermanentDeliveryError("it does not know our AE title"))
    box = Box(("pacs", "1.1"), ("pacs", "1.2"), pacs=pacs)
    assert box.run() == RoundOutcome(failed=2)
    assert box.error(2) == "it does not know our AE title"


def test_one_destination_down_does_not_stop_the_other():
    down, up = MemorySender(link_error=AWAY), MemorySender()
    box = Box(("down", "1.1"), ("up", "1.1"), down=down, up=up)
    assert box.run("down") == RoundOutcome(fails=True)
    assert box.run("up") == RoundOutcome(sent=1)
    assert up.received == ["1.1"]


def test_destination_that_is_no_longer_configured_waits_for_a_person():
    box = Box(("old", "1.1"), ("pacs", "1.2"), pacs=MemorySender())
    assert box.outbox.refuse_unknown() == 1
    assert [box.state(1), box.state(2)] == [DeliveryState.FAILED, DeliveryState.PENDING]
    assert "no destination is called so any more" in box.error()


@pytest.mark.parametrize("lost", [True, False])
def test_file_that_is_not_what_was_made_is_never_sent(lost):
    pacs = MemorySender()
    box = Box(("pacs", "1.1"), ("pacs", "1.2"), pacs=pacs)
    key = box.ledger.deliveries[1].result.key
    if lost:
        del box.store.files[key]
    else:
        box.store.files[key] = box.store.files[key].replace(b"ACC-1", b"ACC-2")
    assert box.run() == RoundOutcome(sent=1, failed=1)
    assert pacs.received == ["1.2"]
    assert "nothing was sent" in box.error()


def test_our_own_sender_finds_what_it_is_handed():
    sender = DimseSender(Destination("pacs", "PACS", "127.0.0.1", 1, "MOME"))
    box = Box(("pacs", "1.1"), pacs=sender)
    assert box.run() == RoundOutcome(fails=True)
    assert "no connection" in box.ledger.queue("pacs").last_error


def test_warning_of_the_peer_is_kept_with_the_delivery():
    class Warns(MemorySender):
        def send(self, objects):
            for item in objects:
                yield Receipt(item.sop_instance_uid, 0xB006, note="0xB006, elements discarded")

    box = Box(("pacs", "1.1"), pacs=Warns())
    assert box.run() == RoundOutcome(sent=1)
    assert box.ledger.deliveries[1].last_status == 0xB006
    assert box.error() == "0xB006, elements discarded"


def test_sender_that_tells_no_outcome_is_not_believed():
    class Forgetful(MemorySender):
        def send(self, objects):
            yield from super().send(objects[:1])

    box = Box(("pacs", "1.1"), ("pacs", "1.2"), pacs=Forgetful())
    assert box.run() == RoundOutcome(sent=1, fails=True)
    assert box.state(2) is DeliveryState.PENDING


# Identity first


def asking(there: StudyThere | None, **identity):
    archive = MemoryArchive({} if there is None else {"1.9": there})
    pacs = MemorySender()
    box = Box(pacs=pacs, archive=archive)
    box.ledger.add(box.delivery(1, "pacs", "1.1", **identity))
    return box, archive, pacs


@pytest.mark.parametrize(
    "there",
    [
        HERE,
        StudyThere("PAT-1  ", None, None),
        StudyThere("PAT-1", "", "ACC-1 "),
        StudyThere("PAT-1\0", "HOSPITAL", ""),
    ],
)
def test_result_goes_to_the_study_of_its_patient(there):
    box, archive, pacs = asking(there)
    assert box.run() == RoundOutcome(sent=1)
    assert (archive.asked, pacs.received) == (["1.9"], ["1.1"])


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (None, "no such study (deleted there?): nothing is re-created"),
        (StudyThere("PAT-2", "HOSPITAL", "ACC-1"), "another patient's"),
        (StudyThere("pat-1", None, None), "another patient's"),
        (StudyThere("PAT-1", "CLINIC", "ACC-1"), "another issuer"),
        (StudyThere("PAT-1", "HOSPITAL", "ACC-2"), "another accession number"),
        (StudyThere("", None, None), "another patient"),
        (StudyThere(None, "HOSPITAL", "ACC-1"), "does not tell whose"),
    ],
)
def test_result_never_goes_to_a_study_that_is_gone_or_anothers(there, words):
    box, _, pacs = asking(there)
    assert box.run() == RoundOutcome(blocked=1)
    box.clock.advance(10**6)
    assert box.run() == RoundOutcome()
    assert pacs.received == []
    assert box.state() is DeliveryState.BLOCKED
    assert words in box.error()
    assert not {"PAT", "pat", "ACC", "CLINIC"} & set(box.error().replace("-", " ").split())


def test_an_issuer_counts_only_where_both_name_one():
    box, _, pacs = asking(StudyThere("PAT-1", "CLINIC", "ACC-1"), issuer="")
    assert box.run() == RoundOutcome(sent=1)
    assert pacs.received == ["1.1"]


def test_accession_that_was_entered_after_the_images_were_routed_is_no_other_one():
    box, _, pacs = asking(HERE, accession="")
    assert box.run() == RoundOutcome(sent=1)
    assert pacs.received == ["1.1"]


def test_what_the_archive_says_stays_out_of_logs():
    assert not {"PAT-1", "ACC-1", "HOSPITAL"} & set(repr(HERE).replace("'", " ").split())


def test_archive_that_cannot_be_asked_now_holds_the_destination_back_and_counts_nothing():
    box, archive, pacs = asking(HERE)
    archive.error = TransientDeliveryError("the archive is away")
    assert box.run() == RoundOutcome(fails=True)
    assert (pacs.received, box.ledger.deliveries[1].attempts) == ([], 0)
    archive.error = None
    box.clock.advance(5)
    assert box.run() == RoundOutcome(sent=1)


def test_archive_that_refuses_the_question_needs_a_person():
    box, archive, pacs = asking(HERE)
    archive.error = PermanentDeliveryError("the archive refuses us")
    assert box.run() == RoundOutcome(failed=1)
    assert (pacs.received, box.error()) == ([], "the archive refuses us")


def test_each_study_is_asked_for_just_before_its_results_go():
    archive = MemoryArchive({"1.8": HERE, "1.9": HERE})

    class Merging(MemorySender):
        def send(self, objects):
            yield from super().send(objects)
            archive.studies["1.9"] = StudyThere("PAT-2", None, None)

    pacs = Merging()
    pairs = (("pacs", "1.1", "1.8"), ("pacs", "1.2", "1.8"), ("pacs", "1.3", "1.9"))
    box = Box(*pairs, archive=archive, pacs=pacs)
    assert box.run() == RoundOutcome(sent=2, blocked=1)
    assert archive.asked == ["1.8", "1.9"]
    assert pacs.received == ["1.1", "1.2"]


def test_blocked_study_holds_up_no_other():
    archive = MemoryArchive({"1.9": HERE})
    pacs = MemorySender()
    box = Box(("pacs", "1.1", "1.8"), ("pacs", "1.2", "1.9"), archive=archive, pacs=pacs)
    assert box.run() == RoundOutcome(sent=1, blocked=1)
    assert pacs.received == ["1.2"]


class BreaksOn(MemorySender):
    """A destination that hangs up whenever it is sent one certain instance."""

    def __init__(self, uid):
        super().__init__()
        self.uid = uid

    def send(self, objects):
        for item in objects:
            if item.sop_instance_uid == self.uid:
                raise InterruptedDeliveryError("the link broke", self.uid)
            yield from super().send([item])


def test_instance_that_a_destination_cannot_bear_stands_before_no_other():
    pacs = BreaksOn("1.1")
    box = Box(("pacs", "1.1", "1.8"), ("pacs", "1.2", "1.8"), ("pacs", "1.3", "1.9"), pacs=pacs)
    assert box.run() == RoundOutcome(retrying=1, fails=True)
    box.clock.advance(5)
    assert box.run() == RoundOutcome(sent=2)
    assert pacs.received == ["1.2", "1.3"]
    for _ in range(400):
        box.clock.advance(900)
        box.run()
    assert box.state(1) is DeliveryState.FAILED
    assert box.error(1) == "given up after 72 h: the link broke"


def test_what_is_about_to_be_sent_is_on_record_as_what_may_be_there():
    class Looking(MemorySender):
        def send(self, objects):
            assert sorted(box.ledger.tried) == [1, 2]
            yield from super().send(objects)

    box = Box(("pacs", "1.1"), ("pacs", "1.2"), pacs=Looking())
    assert box.run() == RoundOutcome(sent=2)


def test_question_that_is_not_answered_holds_back_its_study_and_no_other():
    class Answers(MemoryArchive):
        def study(self, study_uid):
            if study_uid == "1.8":
                raise RefusedForNowError("the answer cannot be read")
            return super().study(study_uid)

    pacs = MemorySender()
    pairs = ("pacs", "1.1", "1.8"), ("pacs", "1.2", "1.9")
    box = Box(*pairs, archive=Answers({"1.9": HERE}), pacs=pacs)
    assert box.run() == RoundOutcome(sent=1, retrying=1)
    assert (pacs.received, box.state(1)) == (["1.2"], DeliveryState.PENDING)


def test_results_are_handed_over_as_they_are_kept():
    class Reading(MemorySender):
        def send(self, objects):
            for item in objects:
                with item.open() as file:
                    assert dcmread(file).SOPInstanceUID == item.sop_instance_uid
            yield from super().send(objects)

    pacs = Reading()
    assert Box(("pacs", "1.1"), pacs=pacs).run() == RoundOutcome(sent=1)


@settings(max_examples=50, deadline=None)
@given(
    links=st.lists(st.integers(0, 6), max_size=8),
    uids=st.lists(st.integers(1, 9).map("1.{}".format), min_size=1, max_size=6, unique=True),
)
def test_every_result_arrives_exactly_once_and_in_order_whatever_the_link_does(links, uids):
    pacs = MemorySender()
    box = Box(*(("pacs", uid) for uid in uids), pacs=pacs)
    for link_after in links:
        pacs.link_error, pacs.link_after = TransientDeliveryError("cable"), link_after
        box.run()
        box.clock.advance(3600)
    pacs.link_error = None
    box.run()
    assert pacs.received == uids
